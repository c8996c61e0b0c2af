"""Write the history of the run as lines that each hold the hash of the one before."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from orchestrator.evidence.canonical import line
from orchestrator.evidence.draft import SEGMENT_LINES, Draft, Segment
from orchestrator.store.events import Event, iterate_events


def write_events(draft: Draft) -> None:
    """Write ``events/000000.jsonl`` and so on.

    The hash of a line is the SHA-256 of the canonical JSON of its ``at_utc``, ``kind``, ``payload``, ``prev`` and
    ``seq``. A line from which a secret was taken says ``redacted``, since its hash is that of what was recorded.
    """
    events = iterate_events(draft.database)
    while (first := next(events, None)) is not None:
        latest = deque([first], maxlen=1)
        part = chain([first], islice(events, SEGMENT_LINES - 1))
        name = f"events/{len(draft.events):06d}.jsonl"
        draft.folder.write(name, _lines(draft, part, latest))
        last = latest[0]
        segment = Segment(file=name, count=last.seq - first.seq + 1, first=first.prev_hash, last=last.hash)
        draft.events.append(segment)


def _lines(draft: Draft, events: Iterable[Event], latest: deque[Event]) -> Iterator[bytes]:
    for event in events:
        latest.append(event)
        payload = json.loads(event.payload_json)
        cleaned = draft.redaction.clean(payload)
        told = {"seq": event.seq, "at_utc": event.at_utc, "kind": event.kind, "payload": cleaned}
        chained = {"prev": event.prev_hash, "hash": event.hash}
        yield line({**told, **chained, **({} if cleaned == payload else {"redacted": True})})
