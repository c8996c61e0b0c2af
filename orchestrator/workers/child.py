"""Be a worker: take calls from the runner one by one, run each, and report; started by `workers.pool`, never imported.

Descriptors 3 and 4 are the requests and the replies; 1 and 2 are pipes to the runner. The process leads its own
group, so that one signal reaches everything a step started, and it dies with the runner.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator.context import Change, Context
from orchestrator.scriptlet import max_rss_mb
from orchestrator.workers.calls import PythonCall, signal_fault
from orchestrator.workers.commands import CommandRefusedError, run_command
from orchestrator.workers.frames import encode_frame, read_frame, write_all
from orchestrator.workers.loading import run_class
from orchestrator.workers.tree import end_descendants

REQUESTS, REPLIES = 3, 4

_LOOK_MS = 1000
_PR_SET_CHILD_SUBREAPER = 36


def serve() -> None:
    """Run calls until the runner closes the pipe."""
    _keep_to_own_descriptors()
    _watch_runner()
    _adopt_orphans()
    replica, environment, own_pid = Context(), dict(os.environ), os.getpid()
    while (request := read_frame(REQUESTS)) is not None:
        replica.apply(Change(*change) for change in request["context"])
        for folder in request["path"]:
            if folder not in sys.path:
                sys.path.append(folder)
        reply = _run(request, replica, environment)
        if os.getpid() != own_pid:
            os._exit(0)  # the step forked, and its copy came back here: one of the two must not answer
        write_all(REPLIES, encode_frame(reply))
        if "argv" not in request:
            _restore_environment(environment)


def _keep_to_own_descriptors() -> None:
    """Close what the runner happened to inherit, and keep the pipes from the programs of a step."""
    for name in os.listdir("/dev/fd"):  # noqa: PTH208  a Path costs more and is not needed
        if int(name) > REPLIES:
            with contextlib.suppress(OSError):  # the listing itself
                os.close(int(name))
    for descriptor in (REQUESTS, REPLIES):
        os.set_inheritable(descriptor, False)  # noqa: FBT003  the call takes no keyword


def _run(request: dict[str, Any], replica: Context, environment: Mapping[str, str]) -> dict[str, Any]:
    # A program is asked to end by the same signal, sent to the group; this process stays to tell how it ended.
    signal.signal(signal.SIGTERM, _stay if "argv" in request else _on_terminate)
    cpu_before, threads_before = _cpu_sec(), threading.active_count()
    fork = replica.fork_hiding([Change(*change) for change in request["hidden"]], who=request["step"])
    answer = _run_command(request, environment) if "argv" in request else _run_python(request, fork)
    _restore_streams()
    return {
        **answer,
        "changes": [[change.key, change.text, change.who] for change in fork.history()],
        "cpu_sec": _cpu_sec() - cpu_before,
        "spent": _end_leftovers() or threading.active_count() > threads_before,
    }


def _run_python(request: dict[str, Any], fork: Context) -> dict[str, Any]:
    target = PythonCall(
        path=Path(request["path_of_module"]),
        module=request["module"],
        class_name=request["class"],
        sha256=request["sha256"],
    )
    exit_code = run_class(target, request["step"], request["params"], request["env"], fork)
    return {"exit_code": exit_code, "max_rss_mb": max_rss_mb()}


def _run_command(request: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        env = {**environment, **request["env"]}
        status, usage = run_command(request["argv"], request["params"], env, request["takes_params"])
    except CommandRefusedError as error:
        return {"exit_code": None, "fault": str(error), "max_rss_mb": None}
    code = os.waitstatus_to_exitcode(status)
    scale = 1 if sys.platform == "darwin" else 1024
    return {"exit_code": code, "fault": signal_fault(code), "max_rss_mb": usage.ru_maxrss * scale / 1e6}


def _end_leftovers() -> bool:
    """Kill processes that the step left running; tell whether there were any."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        return False
    end_descendants(os.getpid())
    return True


def _restore_streams() -> None:
    """Write out what the step printed and undo what it put in the place of the streams."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__


def _cpu_sec() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _restore_environment(environment: Mapping[str, str]) -> None:
    """Undo what the step changed, so that the next one sees what it would see in a new process."""
    if dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)


def _watch_runner() -> None:
    """Watch the runner in a thread that takes no signal: one that came to it would not wake a step that sleeps."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Thread(target=_die_with_runner, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _die_with_runner() -> None:
    """Wait until the runner is gone, then end all that was started here, and this process.

    Its end of the pipe tells at once, unless a copy of the runner holds it too; then the parent's number does.
    """
    runner = os.getppid()
    watch = select.poll()
    watch.register(REQUESTS, 0)
    while os.getppid() == runner:
        events = dict(watch.poll(_LOOK_MS))
        if events.get(REQUESTS) == select.POLLNVAL:
            watch.unregister(REQUESTS)  # the step closed it
        elif events:
            break
    end_descendants(os.getpid())
    os.killpg(0, signal.SIGKILL)


def _stay(_number: int, _frame: FrameType | None) -> None:
    """Do nothing; a handler, unlike an ignored signal, is not inherited by the program."""


def _on_terminate(_number: int, _frame: FrameType | None) -> None:
    """Let a scriptlet run its own clean-up on the way out; a command got the signal itself."""
    raise SystemExit(128 + signal.SIGTERM)


def _adopt_orphans() -> None:
    """Become the parent of what a step's programs leave behind, so that it can be seen and ended (Linux)."""
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415  costs some milliseconds, and only Linux needs it

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        serve()
