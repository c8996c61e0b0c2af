"""The picture in the README shows what a run shows."""

from __future__ import annotations

import html
import re
from itertools import groupby
from pathlib import Path

from tests.docs.documents import DOCS
from tests.docs.terminal import INTERRUPT, Exchange, matches, type_in

PIECE = re.compile(r'<text class="live-r[0-9]+" x="(?P<x>[0-9.]+)" y="(?P<y>[0-9.]+)"[^>]*>(?P<text>[^<]*)</text>')
LETTER = 12.2


def picture() -> list[str]:
    """Give the lines of text in the picture."""
    pieces = PIECE.finditer((DOCS / "pictures" / "live.svg").read_text(encoding="utf-8"))
    return [_line(list(line)) for _, line in groupby(pieces, key=lambda piece: piece["y"])]


def _line(pieces: list[re.Match[str]]) -> str:
    line = ""
    for piece in pieces:
        line = line.ljust(round(float(piece["x"]) / LETTER)) + html.unescape(piece["text"]).replace("\u00a0", " ")
    return line.rstrip()


def test_picture_is_that_of_a_run(checkout: Path) -> None:
    """The recipe of the picture gives its lines; the last two, which change in place, need a better terminal."""
    command, *lines, _, _ = picture()
    shown = "".join(f"{line}\n" for line in lines)

    seen = type_in(checkout, Exchange(command=command.removeprefix("$ "), shown=shown + INTERRUPT))

    assert matches(f"{shown}{INTERRUPT}…\n…", seen), seen
