"""Append to and check the run's history: one row an event, each holding the hash of the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.clock import utc_now
from orchestrator.errors import StoreError

if TYPE_CHECKING:  # which imports this module
    from orchestrator.store.database import Database

_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened; ``payload_json`` is canonical JSON (RFC 8785)."""

    seq: int
    at_utc: str
    kind: str
    payload_json: str
    prev_hash: str
    hash: str


def append_event(database: Database, kind: str, payload: Mapping[str, Any]) -> int:
    """Add an event inside the current transaction and return its sequence number.

    Kinds are dotted ASCII words such as ``attempt.ended``.
    """
    last = database.last_event or database.one("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
    seq, prev = (last[0] + 1, last[1]) if last else (1, _genesis(database))
    at_utc = utc_now()
    payload_json = canonical(payload)
    digest = _digest(seq, at_utc, kind, payload_json, prev)
    database.write(
        "INSERT INTO events (seq, at_utc, kind, payload_json, prev_hash, hash) VALUES (?, ?, ?, ?, ?, ?)",
        (seq, at_utc, kind, payload_json, prev, digest),
    )
    database.last_event = seq, digest
    return seq


def last_event(database: Database) -> Event:
    """Give the latest event; every run has one. Raises `StoreError` for a file that holds none."""
    row = database.one("SELECT seq, at_utc, kind, payload_json, prev_hash, hash FROM events ORDER BY seq DESC LIMIT 1")
    if row is None:
        raise StoreError(f"the state file holds no history: {database.path}")
    return Event(seq=row[0], at_utc=row[1], kind=row[2], payload_json=row[3], prev_hash=row[4], hash=row[5])


def iterate_events(database: Database, *, after: int = 0) -> Iterator[Event]:
    """Give the events after sequence number ``after``, oldest first, in pages."""
    sql = "SELECT seq, at_utc, kind, payload_json, prev_hash, hash FROM events WHERE seq > ? ORDER BY seq LIMIT 1000"
    while rows := database.all(sql, (after,)):
        for seq, at_utc, kind, payload_json, prev_hash, digest in rows:
            yield Event(seq=seq, at_utc=at_utc, kind=kind, payload_json=payload_json, prev_hash=prev_hash, hash=digest)
        after = rows[-1][0]


def chain_fault(database: Database, each: Callable[[Event], None] = lambda _: None) -> str:
    """Check the whole chain; return an empty text, or what is wrong and at which event.

    ``each`` is given every event that is right, so that a long history need be read once only.
    """
    prev, expected_seq = _genesis(database), 1
    for event in iterate_events(database):
        if event.seq != expected_seq:
            return f"event {expected_seq} is missing"
        if event.prev_hash != prev:
            return f"event {event.seq} does not follow event {event.seq - 1}"
        if event.hash != _digest(event.seq, event.at_utc, event.kind, event.payload_json, prev):
            return f"event {event.seq} was changed after it was written"
        each(event)
        prev, expected_seq = event.hash, event.seq + 1
    return ""


def canonical(payload: Mapping[str, Any]) -> str:
    """Give the canonical JSON (RFC 8785) of a payload; payloads hold no floats, whose form differs from Python's."""
    return _canonical(payload)


def text_digest(text: str) -> str:
    """Give the digest by which events name a value, from its JSON text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _genesis(database: Database) -> str:
    row = database.one("SELECT run_id FROM runs")
    run_id = row[0] if row else ""
    return hashlib.sha256(f"matterstack-events-v1\n{run_id}".encode()).hexdigest()


def _digest(seq: int, at_utc: str, kind: str, payload_json: str, prev: str) -> str:
    """Hash the canonical JSON of the event without its own hash; the parts need no escaping and are in key order."""
    text = f'{{"at_utc":"{at_utc}","kind":"{kind}","payload":{payload_json},"prev":"{prev}","seq":{seq}}}'
    return hashlib.sha256(text.encode()).hexdigest()
