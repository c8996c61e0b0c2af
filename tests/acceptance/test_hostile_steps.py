"""Whatever the code of a step does, the run ends in order: an exact reason, a whole record, and no process left."""

from __future__ import annotations

import os
import signal
import sys
import textwrap

import pytest

from tests.acceptance.program import COMMAND, Project, finish, read_pipe

OK = """print('{"status": "ok", "outputs": []}')"""
NO_ENVELOPE = "standard output is not the JSON envelope"
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=False)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // (1024 if sys.platform == "darwin" else 1))
"""

HOSTILE = {
    "exits without an answer": ("os._exit(3)", "the process exited with 3 and no answer"),
    "crashes": ("ctypes.string_at(0)", "signal SIGSEGV"),
    "crashes after its answer": (f"{OK}; sys.stdout.flush(); os.abort()", "signal SIGABRT"),
    "kills itself": ("os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
    "closes every descriptor": ("os.closerange(0, 256)", "the process exited with 120 and no answer"),
    "answers nothing": ("return 0", "standard output is empty; expected one JSON line"),
    "answers twice": (
        f"{OK}; print('and more'); return 0",
        "standard output has 2 lines; the first after the envelope is 'and more'",
    ),
    "chats before its answer": (
        f"print('loading'); {OK}; return 0",
        f"{NO_ENVELOPE} (not valid JSON: Expecting value: line 1 column 1 (char 0)): 'loading'",
    ),
    "prints 50 MB": (
        "[sys.stdout.write('x' * 1_000_000) for _ in range(50)]; return 0",
        "standard output is 48951424 bytes longer than the cap of 1 MiB",
    ),
    "answers NaN": (
        """print('{"status": "ok", "outputs": {"a.b_v1": NaN}}'); return 0""",
        f"""{NO_ENVELOPE} (not valid JSON: NaN is not JSON): '{{"status": "ok", "outputs": {{"a.b_v1": NaN}}}}'""",
    ),
    "answers in Latin-1": (
        r"""sys.stdout.buffer.write(b'{"status": "ok", "outputs": {"a.b_v1": "\xe9"}}\n'); return 0""",
        "standard output is not UTF-8: byte 0xe9 at 40",
    ),
    "raises": ("raise KeyError('x')", "the exit code is 1, not 0: KeyError: 'x'"),
    "exits with a code": (f"{OK}; sys.exit(4)", "the exit code is 4, not 0"),
    "recurses for ever": (
        "self.run(ctx, params)",
        "the exit code is 1, not 0: RecursionError: maximum recursion depth exceeded",
    ),
    "sets a reserved key": (
        "ctx.set('_runner.x', 1)",
        "the exit code is 1, not 0: context key '_runner.x' begins with '_', which only the runner may write",
    ),
    "sets a key with two underscores": (
        "ctx.set('__proto__', 1)",
        "the exit code is 1, not 0: context key '__proto__' has a part that begins with two underscores",
    ),
    "sets a key with an empty part": (
        "ctx.set('a..b', 1)",
        "the exit code is 1, not 0: context key 'a..b' is not a dotted name",
    ),
    "sets 10 MB": (
        "ctx.set('a.b_v1', 'x' * 10_000_000)",
        "the exit code is 1, not 0: a.b_v1 is 10000002 bytes of JSON, more than 8388608",
    ),
    "sets NaN": (
        "ctx.set('a.b_v1', [float('nan')])",
        "the exit code is 1, not 0: a.b_v1[0] is nan, which JSON does not have",
    ),
    "sets what JSON lacks": (
        "ctx.set('a.b_v1', {'when': {1, 2}})",
        "the exit code is 1, not 0: a.b_v1.when is a set, which JSON does not have",
    ),
}

SHELL = {
    "answers nothing": ("'true'", "standard output is empty; expected one JSON line"),
    "fails": ("echo broken >&2; exit 3", "the exit code is 3, not 0; last stderr line: broken"),
    "crashes": ("kill -SEGV $$", "signal SIGSEGV"),
    "is not there": ("[no-such-program]", "cannot start 'no-such-program': no such file or directory"),
}


def write_steps(project: Project, body: str, *, timeout: str = "60s", more: str = "") -> None:
    """Write a recipe whose first step has this body, and whose code the tests of this file are about."""
    lines = textwrap.indent(body.replace("; ", "\n"), " " * 8)
    project.write(
        "bad.py",
        "import ctypes, os, signal, sys\nfrom orchestrator import BaseScriptlet\n\n"
        f"class Bad(BaseScriptlet):\n    def run(self, ctx, params):\n{lines}\n",
    )
    step = f"  - {{ name: bad, type: python, module: ./bad.py, timeout: {timeout} }}\n"
    project.write("recipe.yaml", f"schema: matterstack/recipe/v1\nsteps:\n{step}{more}")


def only_attempt(project: Project) -> dict[str, str]:
    """Give the one attempt at the step as ``matterstack attempts`` lists it."""
    (attempt,) = project.call("attempts", "@last", "bad").table
    return attempt


@pytest.mark.parametrize(("body", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_F40_a_hostile_step_fails_with_its_reason(project: Project, body: str, reason: str) -> None:
    """The reason stands on standard error, in the answer and in the list of attempts, and nothing lives on."""
    write_steps(project, body)

    ended = project.call("run", "recipe.yaml")

    assert (ended.status, ended.answer["reason"]) == (1, reason)
    assert f": bad: {reason}\n" in ended.stderr
    assert [only_attempt(project)[name] for name in ("status", "reason")] == ["FAILED", reason]
    assert project.survivors() == []


@pytest.mark.parametrize(("command", "reason"), SHELL.values(), ids=SHELL)
def test_F40_a_hostile_command_fails_with_its_reason(project: Project, command: str, reason: str) -> None:
    """A command that answers wrongly, fails, crashes or cannot be started is one failed attempt too."""
    project.write("recipe.yaml", f"steps:\n  - name: bad\n    type: shell\n    run: {command}\n")

    ended = project.call("run", "recipe.yaml")

    assert (ended.status, ended.answer["reason"]) == (1, reason)
    assert [only_attempt(project)[name] for name in ("status", "reason")] == ["FAILED", reason]


def test_F40_a_step_that_hangs_times_out(project: Project) -> None:
    """A step that sleeps through its time is ended, and its attempt says so."""
    write_steps(project, "signal.pause()", timeout="0.5s")

    ended = project.call("run", "recipe.yaml")

    assert (ended.status, ended.answer["reason"]) == (1, "timeout after 0.5s")
    assert [only_attempt(project)[name] for name in ("status", "outcome")] == ["TIMEOUT", "timeout after 0.5s"]
    assert project.survivors() == []


def test_F40_a_step_that_ignores_termination_is_killed(project: Project) -> None:
    """The whole group goes after a grace of some seconds, children and grandchildren included."""
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); os.fork()"
    write_steps(project, f"{deaf}\nwhile True: signal.pause()", timeout="0.5s")

    ended = project.call("run", "recipe.yaml")

    assert (ended.status, ended.answer["reason"]) == (1, "timeout after 0.5s")
    assert project.survivors() == []


def test_a_worker_that_is_killed_fails_its_step(project: Project) -> None:
    """A kill -9 from outside, as by a system short of memory, ends the attempt and not the run's records."""
    os.mkfifo(project.folder / "pid")
    write_steps(project, "open('pid', 'w').write(str(os.getpid())); signal.pause()")
    process = project.start("run", "recipe.yaml")

    os.kill(int(read_pipe(project.folder / "pid")), signal.SIGKILL)
    ended = finish(process)

    assert (ended.status, ended.answer["reason"]) == (1, "signal SIGKILL")
    assert only_attempt(project)["status"] == "FAILED"
    assert project.survivors() == []


def test_a_step_dies_with_its_runner(project: Project) -> None:
    """A kill -9 of the runner leaves neither the worker nor what a step started, not even in another session."""
    os.mkfifo(project.folder / "pid")
    child = "if os.fork() == 0:\n    os.setsid()\n    os.fork()\n    signal.pause()"
    write_steps(project, f"{child}\nopen('pid', 'w').write(str(os.getpid()))\nsignal.pause()")
    process = project.start("run", "recipe.yaml")
    read_pipe(project.folder / "pid")

    process.kill()

    assert finish(process).status == -signal.SIGKILL
    assert project.survivors() == []


def test_the_step_after_a_crash_runs(project: Project) -> None:
    """A crash takes one process along; the next step gets another and still sees the context."""
    after = (
        '  - { name: after, type: shell, run: \'echo "{\\"status\\": \\"ok\\"}"\', when: "not has(ctx, \'a.b_v1\')" }\n'
    )
    write_steps(project, "ctx.set('a.b_v1', 1); os._exit(3)", more=after)
    recipe = (project.folder / "recipe.yaml").read_text().replace("timeout: 60s", "allow_failure: true")
    project.write("recipe.yaml", recipe)

    ended = project.call("run", "recipe.yaml")

    assert ended.status == 0
    assert [row["status"] for row in project.call("status").table] == ["FAILED", "COMPLETED"]


def test_F41_a_daemon_left_by_a_step_is_ended(project: Project) -> None:
    """A step that leaves a process behind, in a session of its own and with standard output open, delays nobody."""
    daemon = "if os.fork() == 0:\n    os.setsid()\n    os.fork() or os._exit(0)\n    signal.pause()"
    write_steps(project, f"{daemon}\n{OK}\nreturn 0")

    ended = project.call("run", "recipe.yaml")

    assert ended.status == 0
    assert project.survivors() == []


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_F40_output_without_end_keeps_memory_bounded(project: Project, stream: str) -> None:
    """While a step prints 50 MB, neither the runner nor the worker grows beyond 80 MB."""
    write_steps(project, f"[sys.{stream}.write('x' * 1_000_000) for _ in range(50)]; return 0")

    ended = project.call("run", "recipe.yaml", command=[sys.executable, "-c", PEAK, *COMMAND])

    assert int(ended.stdout.splitlines()[-1]) < 80_000


def test_no_escape_sequence_reaches_the_terminal(project: Project) -> None:
    """What a step says about itself is shown with its control characters spelled out."""
    write_steps(project, r"""sys.stderr.write('\x1b[2J'); raise ValueError('\x1b]0;title\x07 \x9b1m')""")

    ended = project.call("run", "recipe.yaml")
    listed = project.call("attempts", "@last", "bad")

    assert r"\x1b]0;title\x07 \x9b1m" in ended.stderr
    assert r"\x1b[2J" in ended.stderr
    assert not {"\x1b", "\x07", "\x9b"} & set(ended.stderr + listed.stdout)
