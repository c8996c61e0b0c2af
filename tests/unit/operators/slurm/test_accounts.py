"""The accounting of a site is asked once for all who share the way to it."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.operators.slurm.accounts import Accounts
from orchestrator.operators.slurm.answers import AccountRow, read_accounting

TIMES = "2026-01-01T00:00:00|2026-01-01T00:00:00|2026-01-01T00:00:00"


class Sacct:
    """An accounting that knows jobs by their ids and notes what it is asked for."""

    def __init__(self, *rows: str) -> None:
        self.asked: list[list[str]] = []
        self._rows = read_accounting("\n".join(f"{row}|0:0|{TIMES}|1|node1" for row in rows))

    def __call__(self, ids: Sequence[str]) -> tuple[AccountRow, ...] | None:
        """Give the rows of some ids; none at all where it knows nobody."""
        self.asked.append(list(ids))
        return tuple(row for row in self._rows if row.job_id in ids) or None


def test_s8_who_asks_first_asks_for_those_that_others_expect() -> None:
    """But for those that the queue shows."""
    sacct, accounts = Sacct("1|1|one|COMPLETED", "2|2|two|FAILED", "3|3|three|COMPLETED"), Accounts()
    accounts.expect("another", {"2": "two", "3": "three"})

    first = accounts.told_of({"1": "one"}, {"3"}, sacct)
    second = accounts.told_of({"2": "two"}, (), sacct)

    assert (first["1"].state.word, second["2"].state.word) == ("COMPLETED", "FAILED")
    assert sacct.asked == [["1", "2"]]


def test_s8_a_job_of_which_nothing_final_was_told_is_asked_for_again() -> None:
    """Its record may lag behind."""
    sacct, accounts = Sacct("1|1|one|RUNNING"), Accounts()

    accounts.told_of({"1": "one"}, (), sacct)
    accounts.told_of({"1": "one"}, (), sacct)

    assert sacct.asked == [["1"], ["1"]]


def test_s8_an_accounting_that_does_not_answer_is_left_in_peace() -> None:
    """By all."""
    sacct, accounts = Sacct(), Accounts()

    assert accounts.told_of({"1": "one"}, (), sacct) == {}
    assert accounts.told_of({"2": "two"}, (), sacct) == {}
    assert (accounts.is_silent, sacct.asked) == (True, [["1"]])


def test_f35_a_row_of_another_name_is_left_out() -> None:
    """The id is another job's."""
    assert Accounts().told_of({"1": "one"}, (), Sacct("1|1|another|COMPLETED")) == {}
