#!/bin/sh
# Keep the numbers of a messy text file, one a line: comments, blank lines, quotes and words go.
# Params: src, the file to read; dst, the file to write. Answers with csv.clean_v1 {path, kept, dropped}.
set -eu

step=sanitize_csv
. "$(dirname -- "$0")/_params.sh"

# Puts every field of the input on a line of its own.
fields() {
    tr -d '\r"' | tr ',;\t' '\n\n\n' | sed 's/^[[:space:]]*//; s/[[:space:]]*$//'
}

# Lets numbers pass; that there are none is no error here.
numbers() {
    grep -E '^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$' || [ $? -eq 1 ]
}

src=$(field src)
dst=$(field dst)
src=${src%.}
dst=${dst%.}
[ -n "$src" ] || fail "missing src"
[ -n "$dst" ] || fail "missing dst"
[ -f "$src" ] || fail "file not found: $src"
[ -r "$src" ] || fail "cannot read $src"
[ ! -d "$dst" ] || fail "$dst is a folder"
case "$dst" in */*) mkdir -p -- "${dst%/*}/" 2>/dev/null || fail "cannot make the folder of $dst" ;; esac

{ fields <"$src" | numbers >"$dst.part"; } 2>/dev/null || fail "cannot write $dst"
if [ ! -s "$dst.part" ]; then
    rm -f -- "$dst.part"
    fail "no numbers in $src"
fi
kept=$(grep -c '' <"$dst.part")
dropped=$(($(fields <"$src" | grep -c '[^[:space:]]') - kept))
mv -f -- "$dst.part" "$dst" 2>/dev/null || fail "cannot write $dst"

echo "kept $kept fields, dropped $dropped" >&2
printf '{"status": "ok", "outputs": {"csv.clean_v1": {"path": %s, "kept": %s, "dropped": %s}}}\n' \
    "$(quoted "$dst")" "$kept" "$dropped"
