"""Run a scriptlet in this very process, for debuggers, coverage and monkeypatching."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import TYPE_CHECKING

from orchestrator.clock import monotonic
from orchestrator.context import Context
from orchestrator.workers.calls import STDERR_CAP, STDOUT_CAP, Call, Done, PythonCall
from orchestrator.workers.capture import Capture
from orchestrator.workers.loading import run_class

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Stream(io.BufferedIOBase):
    """Pass on what is written, as bytes, to a capture."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture

    @property
    def name(self) -> str:
        """Give the name that a stream is expected to have."""
        return "<captured>"

    def writable(self) -> bool:
        """Say that writing works."""
        return True

    def write(self, chunk: ReadableBuffer, /) -> int:
        """Take a chunk whole."""
        content = bytes(chunk)
        self._capture.add(content)
        return len(content)


def run_inline(call: Call, target: PythonCall, context: Context) -> Done:
    """Run the class of ``target`` on a fork of ``context``; standard output and error are captured in Python only."""
    fork = context.fork_hiding(call.hidden, who=call.step)
    stdout, stderr = Capture(cap=STDOUT_CAP, keep_tail=False), Capture(cap=STDERR_CAP, keep_tail=True)
    began = monotonic()
    with redirect_stdout(_text_stream(stdout)) as out, redirect_stderr(_text_stream(stderr)) as err:
        exit_code = run_class(target, call.step, call.params, call.env, fork)
    for stream in (out, err):
        with suppress(ValueError):  # the step closed it
            stream.flush()
    return Done(
        attempt_id=call.attempt_id,
        exit_code=exit_code,
        stdout=stdout.text(),
        stderr=stderr.text(),
        changes=fork.history(),
        duration_sec=monotonic() - began,
        stdout_dropped=stdout.dropped,
        stdout_stray_byte=stdout.stray_byte,
    )


def _text_stream(capture: Capture) -> io.TextIOWrapper:
    """Make what stands in for `sys.stdout`, with a ``buffer`` for bytes, and no character that cannot be written."""
    return io.TextIOWrapper(_Stream(capture), encoding="utf-8", errors="backslashreplace", write_through=True)
