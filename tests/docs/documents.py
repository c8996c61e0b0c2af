"""Read the documentation: the fenced blocks of a document, its sections, and the rows of its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"

_FENCE = re.compile(r"^```(?P<words>[^\n]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_CELL_BORDER = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: where it stands, its language, the file that it is (empty when none), and its text."""

    place: str
    language: str
    file: str
    text: str


def documents() -> list[Path]:
    """Give every document of the project; what runs left below the workspaces is none."""
    pages = (path for path in (ROOT / "workspaces").rglob("*.md") if "runs" not in path.parts)
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")), *sorted(pages)]


def blocks(path: Path) -> Iterator[Block]:
    """Give the fenced blocks of a document, whose first line is as in ``yaml file=recipes/mine.yaml``."""
    document = path.read_text(encoding="utf-8")
    for fence in _FENCE.finditer(document):
        language, _, rest = fence["words"].partition(" ")
        place = f"{path.relative_to(ROOT)}:{document.count(chr(10), 0, fence.start()) + 1}"
        yield Block(place=place, language=language, file=rest.removeprefix("file="), text=fence["text"])


def section(path: Path, heading: str) -> str:
    """Give what stands under a heading, up to the next one of its level or above."""
    document = path.read_text(encoding="utf-8")
    level = heading.index(" ")
    beginning = document.index(f"\n{heading}\n") + len(heading) + 2
    following = re.compile(rf"^#{{1,{level}}} ", re.MULTILINE).search(document, beginning)
    return document[beginning : following.start() if following else len(document)]


def rows(text: str) -> list[list[str]]:
    """Give the cells of every table row below the head and its rule, without code marks."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rules = {number for number, line in enumerate(lines) if set(line) <= set("|-: ")}
    return [_cells(line) for number, line in enumerate(lines) if number not in rules and number + 1 not in rules]


def _cells(line: str) -> list[str]:
    cells = _CELL_BORDER.split(line.strip())[1:-1]
    return [cell.strip().strip("`").replace("\\|", "|") for cell in cells]
