"""The history is a chain: whoever changes one event is found out."""

from __future__ import annotations

import hashlib
import itertools
import json

import pytest

from orchestrator.states import RunState
from orchestrator.store.database import Database
from orchestrator.store.events import append_event, canonical, chain_fault, iterate_events
from orchestrator.store.runs import set_run_state


@pytest.fixture(name="history")
def _history(database: Database) -> Database:
    """Give a run with four events."""
    for state in (RunState.RUNNING, RunState.PENDING, RunState.RUNNING):
        with database.transaction():
            set_run_state(database, state)
    return database


def tamper(database: Database, sql: str, *values: str) -> str:
    """Change the file behind the program's back and say what the check finds."""
    with database.transaction():
        database.write(sql, values)
    return chain_fault(database)


def test_an_untouched_chain_holds(history: Database) -> None:
    """Nothing is wrong with what the program itself wrote."""
    assert chain_fault(history) == ""
    assert [event.seq for event in iterate_events(history)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE events SET at_utc = '2020-01-01T00:00:00.000000Z' WHERE seq = 2", "event 2 was changed"),
        ("UPDATE events SET kind = 'run.failed' WHERE seq = 2", "event 2 was changed"),
        ("UPDATE events SET payload_json = '{}' WHERE seq = 2", "event 2 was changed"),
        ("UPDATE events SET hash = 'f' || substr(hash, 2) || '0' WHERE seq = 2", "event 2 was changed"),
        ("UPDATE events SET prev_hash = hash WHERE seq = 2", "event 2 does not follow event 1"),
        ("UPDATE events SET seq = 9 WHERE seq = 4", "event 4 is missing"),
        ("DELETE FROM events WHERE seq = 2", "event 2 is missing"),
        ("DELETE FROM events WHERE seq = 1", "event 1 is missing"),
        ("UPDATE runs SET run_id = '20200101_000000_00000000'", "event 1 does not follow event 0"),
    ],
)
def test_a_change_to_any_column_is_found(history: Database, sql: str, fault: str) -> None:
    """The fault names the event."""
    assert tamper(history, sql).startswith(fault)


def test_an_event_that_was_rewritten_with_a_fitting_hash_is_found(history: Database) -> None:
    """The next event still holds the former hash."""
    event = next(event for event in iterate_events(history) if event.seq == 2)
    head = f'{{"at_utc":"{event.at_utc}","kind":"run.failed"'
    text = f'{head},"payload":{event.payload_json},"prev":"{event.prev_hash}","seq":2}}'
    digest = hashlib.sha256(text.encode()).hexdigest()

    fault = tamper(history, "UPDATE events SET kind = 'run.failed', hash = ? WHERE seq = 2", digest)

    assert fault == "event 3 does not follow event 2"


def test_an_event_is_hashed_as_canonical_json(history: Database) -> None:
    """Anyone can check the chain with a JSON library and SHA-256."""
    for event in iterate_events(history):
        body = {
            "at_utc": event.at_utc,
            "kind": event.kind,
            "payload": json.loads(event.payload_json),
            "prev": event.prev_hash,
            "seq": event.seq,
        }
        text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        assert hashlib.sha256(text.encode()).hexdigest() == event.hash


def test_the_chain_begins_with_the_run_id(history: Database) -> None:
    """A history cannot be moved to another run."""
    first = next(iterate_events(history))

    assert first.prev_hash == hashlib.sha256(b"matterstack-events-v1\n20260102_030405_0a1b2c3d").hexdigest()


def test_events_can_be_followed(history: Database) -> None:
    """Who has seen some asks for the rest."""
    assert [event.kind for event in iterate_events(history, after=2)] == ["run.pending", "run.running"]


def test_a_long_history_is_read_in_pages(history: Database) -> None:
    """However many there are, all come, once and in order."""
    with history.transaction():
        for number in range(2500):
            append_event(history, "note.made", {"n": number})

    numbers = [event.seq for event in iterate_events(history)]

    assert numbers == list(itertools.islice(itertools.count(1), 2504))
    assert chain_fault(history) == ""


def test_payloads_are_canonical() -> None:
    """Sorted keys, no blanks, letters as they are."""
    assert canonical({"b": [1, None, True], "a": "Grüße"}) == '{"a":"Grüße","b":[1,null,true]}'
