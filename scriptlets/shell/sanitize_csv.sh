#!/bin/sh
# Keep the numbers of a messy text file, one a line: comments, blank lines, quotes and words go.
# Params: src, the file to read; dst, the file to write. Answers with csv.clean_v1 {path, kept, dropped}.
set -eu

[ "${1:-}" = "--params" ] && MATTERSTACK_PARAMS=$2
case "${MATTERSTACK_PARAMS:-}" in @*) MATTERSTACK_PARAMS=$(cat "${MATTERSTACK_PARAMS#@}") ;; esac

# Reads one text field of a flat JSON object.
field() {
    printf '%s' "${MATTERSTACK_PARAMS:-}" | tr '\n' ' ' | sed -n "s/.*\"$1\"[[:space:]]*:[[:space:]]*\"\([^\"]*\)\".*/\1/p"
}

# Answers with an error and ends.
fail() {
    printf '{"status": "error", "reason": "%s", "exit_code": 1, "step": "sanitize_csv"}\n' "$1"
    exit 1
}

src=$(field src)
dst=$(field dst)
[ -n "$src" ] || fail "missing src"
[ -n "$dst" ] || fail "missing dst"
[ -f "$src" ] || fail "file not found: $src"

mkdir -p "$(dirname "$dst")"
tr -d '\r"' <"$src" | tr ',;\t' '\n\n\n' | sed 's/^[[:space:]]*//; s/[[:space:]]*$//' |
    grep -E '^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$' >"$dst.part" || true
[ -s "$dst.part" ] || { rm -f "$dst.part"; fail "no numbers in $src"; }
mv "$dst.part" "$dst"

kept=$(grep -c '' "$dst")
dropped=$(($(tr -d '\r' <"$src" | tr ',;\t' '\n\n\n' | grep -c '[^[:space:]]') - kept))
echo "kept $kept fields, dropped $dropped" >&2
printf '{"status": "ok", "outputs": {"csv.clean_v1": {"path": "%s", "kept": %s, "dropped": %s}}}\n' "$dst" "$kept" "$dropped"
