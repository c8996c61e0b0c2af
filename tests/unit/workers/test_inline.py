"""A scriptlet runs in this process as it would in a worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import Context
from orchestrator.context import Change
from orchestrator.workers.calls import Call, Done, PythonCall
from orchestrator.workers.inline import run_inline

Inline = Callable[..., Done]


@pytest.fixture(name="inline")
def _inline(context: Context, write_step: Callable[[str], PythonCall]) -> Inline:
    """Run the body of a scriptlet's `run` here; further arguments are those of `Call`."""

    def run(body: str, **fields: object) -> Done:
        target = write_step(body)
        return run_inline(Call(attempt_id="a1", step="step", target=target, **fields), target, context)  # type: ignore[arg-type]

    return run


def test_output_is_captured(inline: Inline, capsys: pytest.CaptureFixture[str]) -> None:
    """None of it reaches the runner's own streams."""
    done = inline("print('log', file=sys.stderr); print(OK); return 0")

    assert (done.exit_code, done.stdout, done.stderr) == (0, '{"status": "ok", "outputs": []}\n', "log\n")
    assert capsys.readouterr() == ("", "")


def test_writes_come_back_as_changes(inline: Inline, context: Context) -> None:
    """The context itself is unchanged until they are taken over."""
    context.set("a.b_v1", 1)

    done = inline("ctx.set('a.c_v1', ctx.get('a.b_v1') + 1)")

    assert done.changes == (Change("a.c_v1", "2", "step"),)
    assert context.keys() == ["a.b_v1"]


def test_it_is_this_process(inline: Inline) -> None:
    """Which is what debuggers and monkeypatching need."""
    assert inline("print(os.getpid())").stdout == f"{os.getpid()}\n"


def test_exits_and_errors_are_answers(inline: Inline) -> None:
    """Neither reaches the runner."""
    assert inline("sys.exit(3)").exit_code == 3
    assert inline("raise KeyError('x')").exit_code == 1


def test_environment_and_directory_are_restored(inline: Inline) -> None:
    """The runner stays where it was."""
    here = Path.cwd()

    done = inline("os.chdir('/'); print(os.getcwd(), os.environ['GREETING'])", env={"GREETING": "hello"})

    assert done.stdout == "/ hello\n"
    assert Path.cwd() == here
    assert "GREETING" not in os.environ


def test_bytes_and_impossible_characters_are_taken(inline: Inline) -> None:
    """What the log cannot hold shows in another form; the store could not keep it."""
    done = inline("sys.stdout.buffer.write(b'\\xff\\n'); print('name \\udcff', file=sys.stderr)")

    assert (done.stdout, done.stderr) == ("�\n", "name \\udcff\n")


def test_output_is_cut(inline: Inline) -> None:
    """As in a worker, so that memory stays bounded."""
    done = inline("for _ in range(20): print('x' * 99_999)")

    assert done.stdout_dropped == 2_000_000 - 1_048_576
    assert done.stdout.endswith("x\n[… 951424 bytes cut …]")


def test_a_closed_stream_is_forgiven(inline: Inline) -> None:
    """The runner's own streams are elsewhere."""
    assert inline("sys.stdout.close()").exit_code == 0
    assert not sys.stdout.closed
