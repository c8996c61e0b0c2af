"""The pages of error codes and exit statuses list exactly those that exist."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from orchestrator.advice import ADVICE
from orchestrator.errors import CODES, MatterStackError
from orchestrator.session import PAUSED_STATUS
from tests.docs.documents import REFERENCE, rows

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def errors(error: type[MatterStackError] = MatterStackError) -> Iterator[type[MatterStackError]]:
    """Give every class of the tree."""
    yield error
    for below in error.__subclasses__():
        yield from errors(below)


def test_every_code_has_its_meaning() -> None:
    """Code and meaning stand as in the program, in the same order."""
    listed = rows((REFERENCE / "errors.md").read_text(encoding="utf-8"))

    assert [(code, meaning) for code, meaning, _ in listed] == list(CODES.items())


def test_every_code_says_what_to_do() -> None:
    """The same that `explain` says, and never nothing."""
    listed = rows((REFERENCE / "errors.md").read_text(encoding="utf-8"))

    assert {code: text.replace("\\|", "|") for code, _, text in listed} == ADVICE
    assert [code for code in CODES if not ADVICE[code]] == []


def test_every_exit_status_is_listed() -> None:
    """Success, a pause, each status of the error tree, and each signal that stops a run; no other."""
    listed = [int(row[0]) for row in rows((REFERENCE / "exit-codes.md").read_text(encoding="utf-8"))]

    assert listed == sorted(
        {0, PAUSED_STATUS, *(error.exit_status for error in errors()), *(128 + number for number in SIGNALS)}
    )
