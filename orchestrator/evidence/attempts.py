"""Write all attempts as lines, each with its arguments, its answer and what it printed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from orchestrator.evidence.canonical import line
from orchestrator.evidence.draft import SEGMENT_LINES, Draft, Segment
from orchestrator.store.pages import attempt_places, iterate_attempts


def write_attempts(draft: Draft) -> None:
    """Write ``attempts/000000.jsonl`` and so on: those that ended in the order of their ends, then the others."""
    places = attempt_places(draft.database)
    for start in range(0, len(places), SEGMENT_LINES):
        part = places[start : start + SEGMENT_LINES]
        name = f"attempts/{start // SEGMENT_LINES:06d}.jsonl"
        draft.folder.write(name, _lines(draft, part))
        draft.attempts.append(Segment(file=name, count=len(part)))


def _lines(draft: Draft, places: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    for attempt in iterate_attempts(draft.database, places):
        yield line(draft.redaction.clean(dataclasses.asdict(attempt)))
