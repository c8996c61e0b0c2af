"""A program gets its params as JSON and is waited for to its end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.workers.calls import Done
from orchestrator.workers.commands import command_for

RunProgram = Callable[..., Done]
TimedOut = Callable[[Callable[[float], Done]], Done]

SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['MATTERSTACK_PARAMS']]))"
MEASURE = """
import os, sys
from pathlib import Path
(flag, given), variable = sys.argv[1:], os.environ["MATTERSTACK_PARAMS"]
assert flag == "--params" and given == variable and given[0] == "@", given[:10]
print(len(Path(given[1:]).read_bytes()))
"""


def test_a_program_succeeds(run_program: RunProgram) -> None:
    """Its output and exit code are the step's."""
    done = run_program("sh", "-c", "echo out; echo err >&2")

    assert (done.exit_code, done.fault, done.stdout, done.stderr) == (0, "", "out\n", "err\n")


def test_a_program_fails(run_program: RunProgram) -> None:
    """An exit code is no fault; the judge decides."""
    done = run_program("sh", "-c", "exit 7")

    assert (done.exit_code, done.fault) == (7, "")


def test_a_program_is_ended_by_a_signal(run_program: RunProgram) -> None:
    """The fault names it."""
    done = run_program("sh", "-c", "kill -SEGV $$")

    assert (done.exit_code, done.fault) == (-11, "signal SIGSEGV")


@pytest.mark.parametrize("program", ["no-such-program", "/etc/hostname", ""])
def test_a_program_that_cannot_be_started_is_a_fault(run_program: RunProgram, program: str) -> None:
    """It names the program and the reason."""
    done = run_program(program)

    assert done.exit_code is None
    assert done.fault.startswith(f"cannot start {program!r}: ")


def test_what_a_program_costs_is_measured(run_program: RunProgram) -> None:
    """Its own peak, not that of the worker."""
    small = run_program("sh", "-c", ":")
    large = run_program(sys.executable, "-c", "x = bytearray(120_000_000)")

    assert small.max_rss_mb is not None
    assert large.max_rss_mb is not None
    assert small.max_rss_mb < 60
    assert large.max_rss_mb > 120


def test_params_go_into_the_environment(run_program: RunProgram) -> None:
    """As JSON, readable in any language."""
    done = run_program(sys.executable, "-c", SHOW, params={"src": "Grüße; rm -rf $HOME"})

    assert json.loads(done.stdout) == [[], '{"src": "Grüße; rm -rf $HOME"}']


def test_params_go_onto_the_command_line(run_program: RunProgram) -> None:
    """Where the scriptlet takes them so, as one literal word."""
    done = run_program(sys.executable, "-c", SHOW, params={"n": 1}, takes_params=True)

    assert json.loads(done.stdout) == [["--params", '{"n": 1}'], '{"n": 1}']


@pytest.mark.parametrize(("text", "size"), [("x" * 200_000, 200_012), ("日" * 60_000, 180_012)])
def test_long_params_go_through_a_file(run_program: RunProgram, text: str, size: int) -> None:
    """No command line is that long; what counts is bytes, not letters."""
    done = run_program(sys.executable, "-c", MEASURE, params={"text": text}, takes_params=True)

    assert (done.fault, done.stdout) == ("", f"{size}\n")


def test_the_file_of_long_params_is_removed(run_program: RunProgram) -> None:
    """After the program, whatever it did."""
    code = "import os; print(os.environ['MATTERSTACK_PARAMS'][1:])"
    done = run_program(sys.executable, "-c", code, params={"text": "x" * 200_000})

    assert not Path(done.stdout.strip()).exists()


def test_the_environment_of_a_program_is_its_own(run_program: RunProgram) -> None:
    """What the recipe sets is there, and gone for the next."""
    assert run_program("sh", "-c", "echo $GREETING", env={"GREETING": "hello"}).stdout == "hello\n"
    assert run_program("sh", "-c", "echo ${GREETING-none}").stdout == "none\n"


@pytest.mark.parametrize("env", [{"A=B": "x"}, {"A": "x\0y"}])
def test_an_impossible_environment_is_a_fault(run_program: RunProgram, env: dict[str, str]) -> None:
    """It does not take the worker along."""
    done = run_program("true", env=env)

    assert done.fault.startswith("cannot start 'true': ")


def test_a_program_has_nothing_but_its_streams(run_program: RunProgram) -> None:
    """Neither the worker's pipes nor what the runner itself was given; the fourth is the listing's own."""
    inherited = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(inherited, True)

    done = run_program("ls", "/proc/self/fd")

    assert done.stdout == "0\n1\n2\n3\n"
    os.close(inherited)


def test_a_program_has_no_input(run_program: RunProgram) -> None:
    """One that asks a question gets no answer, and does not wait for one."""
    assert run_program("sh", "-c", "read line || echo no input").stdout == "no input\n"


def test_a_program_that_writes_to_a_closed_pipe_ends(run_program: RunProgram) -> None:
    """Signals have their usual meaning, although Python changes them for itself."""
    done = run_program("bash", "-c", "yes | head -n 1; exit ${PIPESTATUS[0]}")

    assert (done.stdout, done.exit_code) == ("y\n", 141)


def test_a_program_is_timed_out(run_program: RunProgram, timed_out: TimedOut) -> None:
    """Asked first, with its own signal."""
    program = "trap 'echo asked; exit 3' TERM; : > begun; while :; do :; done"

    done = timed_out(lambda limit: run_program("sh", "-c", program, timeout_sec=limit))

    assert (done.exit_code, done.stdout) == (3, "asked\n")


@pytest.mark.parametrize("grace_sec", [0.2])
def test_a_program_that_will_not_end_is_killed(run_program: RunProgram, timed_out: TimedOut) -> None:
    """After the grace."""
    program = "trap '' TERM; : > begun; while :; do sleep 0.01; done"

    done = timed_out(lambda limit: run_program("sh", "-c", program, timeout_sec=limit))

    assert done.exit_code == -9


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("#!/bin/sh\n", 0o755, ()),
        ("#!/usr/bin/env python3\n", 0o644, ("/usr/bin/env", "python3")),
        ("#! /bin/bash -e\n", 0o644, ("/bin/bash", "-e")),
        ("echo hello\n", 0o644, ("sh",)),
        ("", 0o644, ("sh",)),
    ],
)
def test_a_script_is_run_by_what_it_asks_for(tmp_path: Path, text: str, mode: int, words: tuple[str, ...]) -> None:
    """Itself when it may be executed, else the interpreter of its first line, else a shell."""
    script = tmp_path / "step"
    script.write_text(text, encoding="utf-8")
    script.chmod(mode)

    assert command_for(script) == (*words, str(script))
