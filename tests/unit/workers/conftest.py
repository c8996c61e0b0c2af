"""Steps written by the test, run by real worker processes."""

from __future__ import annotations

import os
import select
import textwrap
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest

from orchestrator import Context
from orchestrator.workers.calls import Call, CommandCall, Done, PythonCall
from orchestrator.workers.pool import WorkerPool

HEAD = """
import ctypes, json, os, signal, subprocess, sys, threading, time
from pathlib import Path
from orchestrator import BaseScriptlet

OK = '{"status": "ok", "outputs": []}'

class Step(BaseScriptlet):
    def run(self, ctx, params):
"""


@pytest.fixture(name="write_step")
def _write_step(tmp_path: Path) -> Callable[[str], PythonCall]:
    """Write the body of a scriptlet's `run` to a file of its own."""
    numbers = count(1)

    def write(body: str) -> PythonCall:
        text = HEAD + textwrap.indent(textwrap.dedent(body).strip(), " " * 8) + "\n"
        name = f"step{next(numbers)}"
        path = tmp_path / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        return PythonCall(path=path, module=name, class_name="Step", sha256=sha256(text.encode()).hexdigest())

    return write


@pytest.fixture(name="ends")
def _ends() -> Callable[[int], bool]:
    """Tell whether a process ends within a minute, or has ended already."""

    def ends(pid: int) -> bool:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], 60.0)[0])
        finally:
            os.close(descriptor)

    return ends


@pytest.fixture(name="context")
def _context() -> Context:
    return Context()


@pytest.fixture(name="grace_sec")
def _grace_sec() -> float:
    """Give what is enough to end in on any machine; tests of what will not end give less."""
    return 60.0


@pytest.fixture(name="pool")
def _pool(context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grace_sec: float) -> Iterator[WorkerPool]:
    """Start workers in the test's own folder."""
    monkeypatch.chdir(tmp_path)
    pool = WorkerPool(context, size=2, grace_sec=grace_sec)
    yield pool
    pool.close()


@pytest.fixture(name="run_call")
def _run_call(pool: WorkerPool) -> Callable[[Call], Done]:
    """Run one call to its end."""

    def run(call: Call) -> Done:
        pool.start(call)
        while not (finished := pool.wait(30.0)):
            pass
        return finished[0]

    return run


@pytest.fixture(name="run_step")
def _run_step(run_call: Callable[[Call], Done], write_step: Callable[[str], PythonCall]) -> Callable[..., Done]:
    """Run the body of a scriptlet's `run`; further arguments are those of `Call`."""

    def run(body: str, **fields: object) -> Done:
        return run_call(Call(attempt_id="a1", step="step", target=write_step(body), **fields))  # type: ignore[arg-type]

    return run


@pytest.fixture(name="run_program")
def _run_program(run_call: Callable[[Call], Done]) -> Callable[..., Done]:
    """Run a program; further arguments are those of `Call`."""

    def run(*argv: str, takes_params: bool = False, **fields: object) -> Done:
        target = CommandCall(argv=argv, takes_params=takes_params)
        return run_call(Call(attempt_id="a1", step="step", target=target, **fields))  # type: ignore[arg-type]

    return run


@pytest.fixture(name="timed_out")
def _timed_out(tmp_path: Path) -> Callable[[Callable[[float], Done]], Done]:
    """Run a call with a limit after which it has made the file ``begun``: a longer one where the machine is slow."""

    def run(call: Callable[[float], Done]) -> Done:
        for limit in (0.3, 2.0, 15.0, 120.0):
            done = call(limit)
            assert done.fault == f"timeout after {limit:g}s"
            if (tmp_path / "begun").exists():
                return done
        pytest.fail("the call does not begin")

    return run
