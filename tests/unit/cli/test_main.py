"""Whatever happens in a command becomes a message and an exit status."""

from __future__ import annotations

import errno
import gc
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from orchestrator.cli import main
from orchestrator.errors import InfrastructureError, InterruptedRunError, RunTimedOutError, StepFailedError
from tests.unit.cli.program import Answer
from tests.unit.workshop import Workshop

Call = Callable[..., Answer]


@pytest.fixture(name="fail")
def _fail(call: Call, monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Answer]:
    """Run a command that does nothing but raise."""

    def fail(error: BaseException) -> Answer:
        @click.command("fail")
        def command() -> None:
            raise error

        monkeypatch.setattr(main, "cli", command)
        return call()

    return fail


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (StepFailedError("a: too hot", step="a"), 1, "error[MS301]: a: too hot\n"),
        (InfrastructureError("the disk is full", hint="make room"), 6, "error[MS601]: the disk is full\n"),
        (RunTimedOutError("too slow"), 124, "error[MS006]: too slow\n"),
        (InterruptedRunError("stopped"), 130, "error[MS005]: stopped\n"),
        (KeyboardInterrupt(), 130, ""),
        (click.Abort(), 130, ""),
        (click.UsageError("no such thing"), 2, "error[MS002]: no such thing\n"),
    ],
)
def test_an_error_is_a_message_and_a_status(
    fail: Callable[[BaseException], Answer], error: BaseException, status: int, said: str
) -> None:
    """Each kind has its own; nobody sees a traceback."""
    answer = fail(error)

    assert (answer.status, answer.stdout) == (status, "")
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_hint_stands_below_its_message(fail: Callable[[BaseException], Answer]) -> None:
    """It says what to do."""
    answer = fail(InfrastructureError("the disk is full", hint="make room"))

    assert answer.stderr == "error[MS601]: the disk is full\n  = help: make room\n"


@pytest.mark.parametrize("error", [ZeroDivisionError("oh"), OSError(errno.EIO, "oh")])
def test_what_nobody_expected_leaves_a_file(
    fail: Callable[[BaseException], Answer], workshop: Workshop, error: Exception
) -> None:
    """The traceback is in it, and its name is told."""
    answer = fail(error)

    (path,) = workshop.folder.glob("matterstack-crash-*.txt")
    assert answer.status == 70
    assert answer.stderr.startswith(f"error[MS001]: internal error: {type(error).__name__}: ")
    assert f"please report it with {path}" in answer.stderr
    assert path.read_text().startswith("Traceback")


def test_what_nobody_expected_is_told_where_no_file_can_be_left(
    fail: Callable[[BaseException], Answer], workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The traceback is shown instead."""
    monkeypatch.chdir("/proc")

    answer = fail(ZeroDivisionError("oh"))

    assert answer.status == 70
    assert "Traceback" in answer.stderr
    assert "matterstack-crash" not in answer.stderr


def test_a_command_that_says_nothing_else_succeeds(call: Call) -> None:
    """The status is 0."""
    assert call("schema").status == 0


def test_an_unknown_command_is_answered_with_the_one_meant(call: Call) -> None:
    """Nothing is run."""
    answer = call("staus")

    assert (answer.status, answer.stdout) == (2, "")
    assert answer.stderr == "error[MS002]: there is no command 'staus'\n  = help: did you mean 'status'?\n"


def test_every_command_can_be_loaded() -> None:
    """Each name in the table has its file."""
    group = main.cli
    assert isinstance(group, click.Group)

    commands = [group.get_command(click.Context(group), name) for name in main.COMMANDS]

    assert [command and command.name for command in commands] == list(main.COMMANDS)


def test_memory_is_looked_after_again_once_a_command_is_loaded(call: Call) -> None:
    """Loading without collecting garbage is quicker; working without would not do."""
    call("schema")

    assert gc.isenabled()


def test_every_file_of_a_command_is_in_the_table() -> None:
    """A command that nobody can name is not there."""
    files = Path(main.__file__).parent.glob("*_command.py")

    names = {path.stem.removesuffix("_command").replace("_", "-") for path in files}

    assert names == main.COMMANDS.keys()


def test_a_lack_of_memory_is_a_refusal_of_the_machine(fail: Callable[[BaseException], Answer]) -> None:
    """Python tells it without a number."""
    answer = fail(MemoryError())

    assert answer.status == 6
    assert "error[MS601]: the machine refused: no memory is left" in answer.stderr
