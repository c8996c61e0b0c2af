"""What is asked of a run is part of its history, and is open until it has come about."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.states import RunState
from orchestrator.store.audit import history_fault
from orchestrator.store.database import Database, open_database
from orchestrator.store.requests import Inbox, Request, Wish, open_requests, record_request
from orchestrator.store.runs import put_inputs, set_run_state


def ask(database: Database, wish: Wish, reason: str = "") -> Request:
    """Ask something in a transaction of its own."""
    with database.transaction():
        return record_request(database, wish, by="ada", host="node1", reason=reason)


def become(database: Database, *states: RunState) -> None:
    """Move the run through some states."""
    with database.transaction():
        for state in states:
            set_run_state(database, state)


def wishes(database: Database) -> list[Wish]:
    """Give what is asked and has not come about."""
    return [request.wish for request in open_requests(database)]


def test_a_request_is_told_with_who_asked(database: Database) -> None:
    """And why, where that was said; the records hold."""
    ask(database, Wish.CANCEL, "too hot")
    ask(database, Wish.PAUSE)

    assert [request.told for request in open_requests(database)] == ["cancelled by ada: too hot", "paused by ada"]
    assert history_fault(database) == ""


def test_the_end_of_a_run_answers_all(database: Database) -> None:
    """A run that is opened once more has nothing to heed."""
    ask(database, Wish.CANCEL)
    ask(database, Wish.PAUSE)

    become(database, RunState.CANCELLED, RunState.PENDING)

    assert wishes(database) == []


def test_a_pause_answers_pauses_alone(database: Database) -> None:
    """Whoever has asked for the end still does."""
    ask(database, Wish.PAUSE)
    ask(database, Wish.CANCEL)

    become(database, RunState.PAUSED)

    assert wishes(database) == [Wish.CANCEL]


def test_whoever_resumes_takes_back_pauses(database: Database) -> None:
    """Also those that no runner saw."""
    ask(database, Wish.PAUSE)

    ask(database, Wish.RESUME)

    assert wishes(database) == []


def test_an_interruption_answers_nothing(database: Database) -> None:
    """The next runner heeds what this one did not."""
    ask(database, Wish.CANCEL)

    become(database, RunState.RUNNING, RunState.PENDING)

    assert wishes(database) == [Wish.CANCEL]


def test_an_inbox_gives_each_request_once(database: Database) -> None:
    """What was asked before, and then what another process asks."""
    inbox, other = Inbox(database), open_database(database.path)
    ask(database, Wish.PAUSE)
    first = inbox.fresh()
    nothing = inbox.fresh()
    ask(other, Wish.CANCEL)

    second = inbox.fresh()

    assert [[request.wish for request in given] for given in (first, nothing, second)] == [
        [Wish.PAUSE],
        [],
        [Wish.CANCEL],
    ]
    other.close()


def test_the_writes_of_a_runner_and_of_others_make_one_chain(database: Database, run_root: Path) -> None:
    """Neither needs to know of the other's."""
    other = open_database(run_root / "state.sqlite")

    become(database, RunState.RUNNING)
    ask(other, Wish.PAUSE)
    with database.transaction():
        put_inputs(database, {"seen": 1})
        set_run_state(database, RunState.PENDING)

    assert history_fault(database) == ""
    other.close()


def test_a_run_that_has_ended_is_asked_nothing(database: Database) -> None:
    """Nothing is recorded then."""
    become(database, RunState.COMPLETED)

    with pytest.raises(UsageError, match="is COMPLETED already"):
        ask(database, Wish.CANCEL)

    assert wishes(database) == []


def test_a_paused_run_is_not_paused_again(database: Database) -> None:
    """The error says how it goes on."""
    become(database, RunState.PAUSED)

    with pytest.raises(UsageError, match="is paused already") as caught:
        ask(database, Wish.PAUSE)

    assert caught.value.hint.startswith("go on with: matterstack resume")


def test_an_attempt_that_is_not_open_is_not_cancelled(database: Database) -> None:
    """It has ended, or there never was one."""
    with pytest.raises(UsageError, match="is not open"):
        ask(database, Wish.CANCEL_ATTEMPT)
