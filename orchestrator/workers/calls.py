"""Say what to run and what came of it: the values that pass between the runner and whatever runs a step."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.context import Change
from orchestrator.jsonsafe import JsonValue

STDOUT_CAP = 1024 * 1024
STDERR_CAP = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonCall:
    """A scriptlet class in a file; ``module`` is the name under which it is imported."""

    path: Path
    module: str
    class_name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandCall:
    """A program and its arguments; ``takes_params`` appends ``--params JSON``."""

    argv: tuple[str, ...]
    takes_params: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanCall:
    """A question to people; its words are evaluated when the step begins.

    ``deadline_sec`` is how long it stays open, and ``then`` what silence means: fail, approve or reject.
    """

    approvals: int = 1
    response_schema: Mapping[str, JsonValue] = field(default_factory=dict)
    deadline_sec: float | None = None
    then: str = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentCall:
    """A measurement; what the instrument is told is evaluated when the step begins."""

    result_schema: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One attempt to be run; the timeout is in seconds, and None is no limit.

    ``hidden`` holds the values to be seen instead of those of the shared context, for keys that steps beside wrote.
    """

    attempt_id: str
    step: str
    target: PythonCall | CommandCall
    params: Mapping[str, JsonValue] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_sec: float | None = None
    hidden: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of a call.

    ``fault`` is empty when the step ended by itself, else what ended it: ``timeout after 30s``, ``signal SIGSEGV``,
    ``interrupted``. Output beyond the caps is cut: stdout keeps its head, stderr its tail. ``stdout_stray_byte`` names
    the first byte of stdout that is no UTF-8, and is empty when there is none. One that ``is_rehearsed`` was not run,
    so that there is nothing to judge.
    """

    attempt_id: str
    exit_code: int | None
    stdout: str = ""
    stderr: str = ""
    changes: tuple[Change, ...] = ()
    fault: str = ""
    duration_sec: float = 0.0
    cpu_sec: float | None = None
    max_rss_mb: float | None = None
    stdout_dropped: int = 0
    stdout_stray_byte: str = ""
    operator_data: Mapping[str, JsonValue] = field(default_factory=dict)
    is_rehearsed: bool = False


def signal_fault(exit_code: int) -> str:
    """Give the fault of a process that a signal ended, such as ``signal SIGSEGV``; empty for one that exited."""
    if exit_code >= 0:
        return ""
    known = {number.value: number.name for number in signal.Signals}
    return f"signal {known.get(-exit_code, -exit_code)}"
