"""Run a scriptlet in this very process, for debuggers, coverage and monkeypatching."""

from __future__ import annotations

from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from orchestrator.clock import monotonic
from orchestrator.context import Context
from orchestrator.workers.calls import Call, Done, PythonCall
from orchestrator.workers.loading import run_class


def run_inline(call: Call, target: PythonCall, context: Context) -> Done:
    """Run the class of ``target`` on a fork of ``context``; standard output and error are captured in Python only."""
    fork = context.fork(who=call.step)
    stdout, stderr = StringIO(), StringIO()
    began = monotonic()
    with redirect_stdout(stdout), redirect_stderr(stderr):
        exit_code = run_class(target, call.step, call.params, call.env, fork)
    return Done(
        attempt_id=call.attempt_id,
        exit_code=exit_code,
        stdout=stdout.getvalue(),
        stderr=stderr.getvalue(),
        changes=fork.history(),
        duration_sec=monotonic() - began,
    )
