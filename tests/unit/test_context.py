"""The context keeps JSON values under dotted keys and remembers who wrote what."""

from __future__ import annotations

import math
from threading import Thread

import pytest

from orchestrator import Context
from orchestrator.context import Change
from orchestrator.errors import ContextError, NotJsonSafeError


def test_a_value_is_kept_under_its_key() -> None:
    """What is set can be got."""
    ctx = Context()

    ctx.set("numbers.stats_v1", {"mean": 2.0}, who="compute_numbers")

    assert ctx.get("numbers.stats_v1") == {"mean": 2.0}


def test_a_missing_key_reads_as_none_or_the_default() -> None:
    """Asking is no error."""
    ctx = Context()

    assert ctx.get("a.b") is None
    assert ctx.get("a.b", 7) == 7


def test_a_required_key_that_is_missing_suggests_another() -> None:
    """Depending on a value that is not there is an error with a way out."""
    ctx = Context({"numbers.stats_v1": 1})

    with pytest.raises(ContextError, match=r"the context has no key 'numbers\.stat_v1'") as caught:
        ctx.require("numbers.stat_v1")

    assert caught.value.hint == "did you mean 'numbers.stats_v1'?"


def test_what_is_got_is_a_copy() -> None:
    """Changing it changes nothing in the context."""
    ctx = Context({"a.list_v1": [1]})

    taken = ctx.get("a.list_v1")
    assert isinstance(taken, list)
    taken.append(2)

    assert ctx.get("a.list_v1") == [1]


def test_what_was_set_is_a_copy() -> None:
    """Changing the original afterwards changes nothing in the context."""
    ctx, values = Context(), [1]

    ctx.set("a.list_v1", values)
    values.append(2)

    assert ctx.get("a.list_v1") == [1]


def test_a_refused_value_leaves_the_context_unchanged() -> None:
    """The error names key and place, and nothing is half written."""
    ctx = Context({"a.b_v1": 1})

    with pytest.raises(NotJsonSafeError, match=r"a\.b_v1\.mean is nan"):
        ctx.set("a.b_v1", {"mean": math.nan})

    assert ctx.get("a.b_v1") == 1
    assert ctx.history() == ()


@pytest.mark.parametrize("key", ["__proto__", "a..b", "_wiring.resolved_v1", ""])
def test_keys_that_steps_may_not_write_are_refused(key: str) -> None:
    """The runner's keys and what is no dotted name."""
    with pytest.raises(ContextError):
        Context().set(key, 1)


def test_a_value_above_eight_mebibytes_is_refused() -> None:
    """Large things are files, and the context keeps their path."""
    with pytest.raises(NotJsonSafeError, match="more than 8388608") as caught:
        Context().set("a.big_v1", "x" * 10_000_000)

    assert caught.value.hint == "write it to a file and keep the path"


def test_history_names_the_author_of_every_write() -> None:
    """Overwritten and deleted values stay visible."""
    ctx = Context()

    ctx.set("a.b_v1", 1, who="first")
    ctx.set("a.b_v1", 2, who="second")
    ctx.delete("a.b_v1", who="third")

    assert [(change.value, change.who) for change in ctx.history("a.b_v1")] == [
        (1, "first"),
        (2, "second"),
        (None, "third"),
    ]


def test_a_deleted_key_is_gone() -> None:
    """It is neither listed nor found."""
    ctx = Context({"a.b_v1": 1, "c.d_v1": 2})

    ctx.delete("a.b_v1")

    assert "a.b_v1" not in ctx
    assert ctx.keys() == ["c.d_v1"]


def test_deleting_what_is_not_there_is_an_error() -> None:
    """A misspelt key does not pass silently."""
    with pytest.raises(ContextError, match=r"the context has no key 'a\.c_v1'"):
        Context({"a.b_v1": 1}).delete("a.c_v1")


def test_the_context_reads_like_a_map() -> None:
    """Length, order, membership and brackets."""
    ctx = Context({"b.x": 2, "a.x": 1})

    assert list(ctx) == ["a.x", "b.x"]
    assert len(ctx) == 2
    assert ctx["b.x"] == 2
    assert ctx.to_dict() == {"a.x": 1, "b.x": 2}
    with pytest.raises(KeyError):
        ctx["c.x"]


def test_a_fork_reads_through_and_keeps_its_writes_apart() -> None:
    """The writes of an attempt are its own until they are taken over."""
    ctx = Context({"a.x": 1})
    fork = ctx.fork(who="step")

    fork.set("a.x", 2)
    fork.set("b.x", 3)

    assert fork.to_dict() == {"a.x": 2, "b.x": 3}
    assert ctx.to_dict() == {"a.x": 1}


def test_a_key_deleted_in_a_fork_stays_in_the_parent() -> None:
    """A deletion too is a write of the fork."""
    ctx = Context({"a.x": 1})
    fork = ctx.fork()

    fork.delete("a.x")

    assert "a.x" not in fork
    assert fork.keys() == []
    assert ctx.get("a.x") == 1


def test_the_writes_of_a_fork_can_be_taken_over() -> None:
    """A finished attempt is a list of changes."""
    ctx = Context({"a.x": 1, "b.x": 2})
    fork = ctx.fork(who="step")
    fork.set("a.x", 5)
    fork.delete("b.x")

    ctx.apply(fork.history())

    assert ctx.to_dict() == {"a.x": 5}
    assert ctx.history() == (Change("a.x", "5", "step"), Change("b.x", None, "step"))


def test_writes_can_be_followed_by_their_count() -> None:
    """Who has seen the first writes asks for the rest."""
    ctx = Context()
    ctx.set("a.x", 1)
    ctx.set("b.x", 2)

    assert [change.key for change in ctx.since(1)] == ["b.x"]
    assert ctx.since(2) == ()


def test_threads_write_without_losing_anything() -> None:
    """Every write of every thread is kept."""
    ctx = Context()

    def write(name: str) -> None:
        for number in range(200):
            ctx.set(f"{name}.n{number}", number)

    threads = [Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ctx) == 600
    assert len(ctx.history()) == 600


def test_a_fork_is_read_while_its_parent_is_written() -> None:
    """Reading through is as safe as reading."""
    ctx = Context()
    fork = ctx.fork()

    def write() -> None:
        for number in range(2000):
            ctx.set(f"a.n{number}", number)

    writer = Thread(target=write)

    writer.start()
    counts = []
    while writer.is_alive():
        counts.append(len(fork))
    writer.join()

    assert counts == sorted(counts)
    assert len(fork) == 2000
