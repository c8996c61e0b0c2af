#!/bin/sh
# Add a column to a file of comma-separated values: its number to every line, or one text.
# Params: src, the file to read; dst, the file to write; column, the name of the new column; value, the text (the number
# of the line when left out); header, "no" where the first line is no head. Answers with csv.enriched_v1 {path, lines}.
set -eu
step=enrich_csv
. "$(dirname -- "$0")/_params.sh"

src=$(field src)
dst=$(field dst)
column=$(field column)
value=$(field value)
header=$(field header)
src=${src%.}
dst=${dst%.}
column=${column%.}
[ -n "$src" ] || fail "missing src"
[ -n "$dst" ] || fail "missing dst"
[ -n "$column" ] || fail "missing column"
[ -f "$src" ] || fail "file not found: $src"
[ -r "$src" ] || fail "cannot read $src"
[ ! -d "$dst" ] || fail "$dst is a folder"
case "$column${value%.}" in *[,\"]*) fail "column and value hold no commas and no quotes" ;; esac
case "$dst" in */*) mkdir -p -- "${dst%/*}/" 2>/dev/null || fail "cannot make the folder of $dst" ;; esac

{
    tr -d '\r' <"$src" | COLUMN=$column VALUE=${value%.} HEADER=${header%.} awk '
        BEGIN { first = ENVIRON["HEADER"] == "no" ? 0 : 1 }
        NR == 1 && first { print $0 "," ENVIRON["COLUMN"]; next }
        { print $0 "," (ENVIRON["VALUE"] == "" ? NR - first : ENVIRON["VALUE"]) }
    ' >"$dst.part"
} 2>/dev/null || fail "cannot write $dst"
lines=$(grep -c '' <"$dst.part") || true
if [ "$lines" = 0 ]; then
    rm -f -- "$dst.part"
    fail "$src is empty"
fi
mv -f -- "$dst.part" "$dst" 2>/dev/null || fail "cannot write $dst"

echo "wrote $lines lines" >&2
printf '{"status": "ok", "outputs": {"csv.enriched_v1": {"path": %s, "lines": %s}}}\n' "$(quoted "$dst")" "$lines"
