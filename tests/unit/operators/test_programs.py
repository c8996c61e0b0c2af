"""A program that is called for a moment cannot keep us, whatever it writes, reads or leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestrator.operators.programs import Called, converse

ROOT = Path(__file__).resolve().parents[3]
MANY = 3_000_000


def call(*argv: str, given: bytes = b"", timeout_sec: float = 60.0, cap: int = 10_000_000) -> Called:
    """Call a program."""
    return converse(argv, given, env=dict(os.environ), timeout_sec=timeout_sec, cap=cap)


def is_gone(pid: int, patience_sec: float = 60.0) -> bool:
    """Tell whether a process ends in time."""
    for _ in range(int(patience_sec / 0.02)):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def python(code: str, given: bytes = b"", **limits: float) -> Called:
    """Call Python code."""
    return call(sys.executable, "-c", f"import os, sys, time\n{code}", given=given, **limits)  # type: ignore[arg-type]


def test_what_is_given_comes_back() -> None:
    """However much it is."""
    assert call("cat", given=b"x" * MANY) == Called(stdout=b"x" * MANY)


def test_F39_much_on_both_streams_does_not_get_stuck() -> None:  # noqa: N802  row of the fault matrix
    """Of standard error the end is kept."""
    called = python(f"sys.stderr.write('e' * {MANY}); sys.stdout.write('o' * {MANY})")

    assert (len(called.stdout), called.fault) == (MANY, "")
    assert called.stderr.startswith("[… ")


def test_input_need_not_be_read() -> None:
    """Not all of it is wanted."""
    assert call("true", given=b"x" * MANY).fault == ""


def test_who_says_too_much_is_stopped() -> None:
    """Long before its time is over."""
    assert call("yes", cap=1000).fault == "it wrote more than 1000 bytes"


def test_the_limit_itself_is_allowed() -> None:
    """No byte more."""
    assert (call("echo", "abc", cap=4).fault, call("echo", "abcd", cap=4).fault) == ("", "it wrote more than 4 bytes")


def test_who_takes_too_long_is_ended_with_all_it_started() -> None:
    """Whatever it had said until then is of no use."""
    for limit in (1.0, 10.0, 50.0):
        called = call("sh", "-c", "sleep 100 & echo $!; wait", timeout_sec=limit)
        assert called.fault == f"it did not end within {limit:g} seconds"
        if called.stdout:  # else the machine was too slow for it to begin
            break

    assert is_gone(int(called.stdout))


def test_a_child_that_keeps_the_streams_open_keeps_nobody() -> None:
    """The program's own end counts."""
    called = call("sh", "-c", "sleep 100 & echo $!")

    assert (called.fault, is_gone(int(called.stdout))) == ("", True)


def test_a_child_in_a_session_of_its_own_stays(tmp_path: Path) -> None:
    """It is how a driver leaves something behind on purpose."""
    stays = f"setsid sh -c ': > {tmp_path}/begun; exec sleep 100' >/dev/null 2>&1 & echo $!"
    pid = int(call("sh", "-c", f"{stays}; until test -e {tmp_path}/begun; do sleep 0.02; done").stdout)

    assert not is_gone(pid, 1.0)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("code", "fault"),
    [("sys.exit(3)", "exit code 3"), ("os.kill(os.getpid(), 9)", "ended by signal 9")],
)
def test_an_end_that_is_no_success_is_a_fault(code: str, fault: str) -> None:
    """With what it is."""
    assert python(code).fault == fault


def test_closed_streams_are_not_the_end() -> None:
    """It is waited for."""
    assert python("os.close(1); os.close(2); time.sleep(0.3); os._exit(4)").fault == "exit code 4"


@pytest.mark.parametrize(
    ("program", "fault"), [("no-such-program", "no such file or directory"), ("a\0b", "embedded null byte")]
)
def test_a_program_that_is_not_there_is_a_fault(program: str, fault: str) -> None:
    """With the reason of the system."""
    assert call(program).fault == f"it cannot be started: {fault}"


def test_no_stream_is_left_open() -> None:
    """However often a program is called; counted where no other test has left any that are closed meanwhile."""
    code = """
import os
from orchestrator.operators.programs import converse

def count(program):
    converse([program], b"", env=dict(os.environ), timeout_sec=60, cap=10)
    return len(os.listdir("/proc/self/fd"))

print(count("true"), [count("false") for _ in range(5)][-1])
"""

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    before, after = told.split()
    assert after == before
