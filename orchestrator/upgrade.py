"""Rewrite a recipe without a schema into version 1 of the language, leaving its comments and its form as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from orchestrator.errors import InvalidFileError, Problem
from orchestrator.recipe.load import load_recipe
from orchestrator.recipe.model import SCHEMA_ID, STEP_LISTS
from orchestrator.recipe.order import by_idx
from orchestrator.recipe.rules import step_entries
from orchestrator.sources import Source, refusal
from orchestrator.strict_yaml import parse

_BULLET = re.compile(r"[ \t]*-[ \t]+")
_NOTHING = re.compile(r"[ \t]*(#.*)?")

_Edit = tuple[int, int, str]


def upgraded(source: Source) -> str:
    """Give the text of a recipe with ``schema``, its steps in the order in which they run.

    The text of one that has a schema is given as it is. Raises `InvalidFileError` for a recipe that is wrong, or that
    is written in a way that only its author can rearrange.
    """
    load_recipe(source)
    if _document(source).get("schema"):
        return source.text
    try:
        text = _rewritten(source)
        is_right = _document(Source.from_text(source.name, text)) == _wanted(_document(source))
    except InvalidFileError:
        is_right = False
    if not is_right:
        place, todo = source.place(("steps",), of_key=True), "write the steps in order, then add 'schema'"
        raise refusal([Problem("MS210", "these steps can be sorted by hand only", place, todo)])
    return text


def _rewritten(source: Source) -> str:
    text = _edited(source.text, [_schema_line(source)])
    for rearranged in (_sorted_steps, _numbered_steps):
        text = _edited(text, rearranged(Source.from_text(source.name, text)))
    load_recipe(Source.from_text(source.name, text))
    return text


def _document(source: Source) -> dict[str, Any]:
    document = parse(source)
    assert isinstance(document, dict)  # noqa: S101  it was read as a recipe before
    return document


def _wanted(document: dict[str, Any]) -> dict[str, Any]:
    """Give what the text is to mean in the end."""
    wanted = {"schema": SCHEMA_ID, **document}
    for name, order in _orders(document).items():
        wanted[name] = [document[name][place] for place in order]
        if not _rises(wanted[name]):
            numbers = iter(range(1, len(order) + 1))
            wanted[name] = [{**step, "idx": next(numbers)} if "idx" in step else step for step in wanted[name]]
    return wanted


def _orders(document: dict[str, Any]) -> dict[str, list[int]]:
    """Give, for each list of steps, the places of its steps in the order in which they run."""
    entries = step_entries(document)
    return {name: [int(entry.path[1]) for entry in by_idx(steps)] for name, steps in entries.items() if steps}


def _rises(steps: Sequence[dict[str, Any]]) -> bool:
    return all(one < other for one, other in pairwise(step["idx"] for step in steps if "idx" in step))


def _edited(text: str, edits: Sequence[_Edit]) -> str:
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _schema_line(source: Source) -> _Edit:
    start, _ = source.span(())
    if source.text[start] == "{":
        return start + 1, start + 1, f"schema: {SCHEMA_ID}, "
    return start, start, f"schema: {SCHEMA_ID}\n"


def _sorted_steps(source: Source) -> list[_Edit]:
    document = _document(source)
    edits: list[_Edit] = []
    for name, order in _orders(document).items():
        if order != sorted(order):
            blocks = _blocks(source, name, len(order)) or [source.span((name, place)) for place in range(len(order))]
            texts = [source.text[start:end] for start, end in blocks]
            edits += [(start, end, texts[place]) for (start, end), place in zip(blocks, order, strict=True)]
    return edits


def _blocks(source: Source, name: str, count: int) -> list[tuple[int, int]]:
    """Give the lines of each step with the comments above it; nothing where a step does not begin a line."""
    text = source.text
    starts = []
    for place in range(count):
        item, _ = source.span((name, place))
        start = text.rfind("\n", 0, item) + 1
        if not _BULLET.fullmatch(text[start:item]):
            return []
        starts.append(_with_comments(text, start))
    _, end = source.span((name,))
    return [*pairwise([*starts, _last_content(text, end)])]


def _with_comments(text: str, start: int) -> int:
    """Give where the comments begin that stand directly above a line."""
    above = text.rfind("\n", 0, start - 1) + 1
    while start and text[above:start].lstrip().startswith("#"):
        start, above = above, text.rfind("\n", 0, above - 1) + 1 if above else 0
    return start


def _last_content(text: str, end: int) -> int:
    """Give the end of the last line before ``end`` that holds more than a comment."""
    lines = text[:end].splitlines(keepends=True)
    while lines and _NOTHING.fullmatch(lines[-1].rstrip("\r\n")):
        lines.pop()
    return sum(map(len, lines))


def _numbered_steps(source: Source) -> list[_Edit]:
    """Number the steps of a list anew where several have one number."""
    document = _document(source)
    edits: list[_Edit] = []
    for name in STEP_LISTS:
        steps = document.get(name) or []
        if not _rises(steps):
            numbered = [place for place, step in enumerate(steps) if "idx" in step]
            spans = [source.span((name, place, "idx")) for place in numbered]
            edits += [(start, end, str(number)) for number, (start, end) in enumerate(spans, start=1)]
    return edits
