"""Whatever a step does to itself, the runner learns exactly what happened, soon, and nothing is left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.envelope import parse_envelope
from orchestrator.errors import EnvelopeError
from orchestrator.workers.calls import Call, Done, PythonCall
from orchestrator.workers.pool import WorkerPool

ROOT = Path(__file__).resolve().parents[3]
RunStep = Callable[..., Done]
TimedOut = Callable[[Callable[[float], Done]], Done]
Ends = Callable[[int], bool]

# Leaves a process that outlives its parent; it tells its number through a file and keeps the step's output open.
DAEMON = """
def stay():
    Path('daemon.part').write_text(str(os.getpid()))
    os.rename('daemon.part', 'daemon')
    while True: time.sleep(60)

if os.fork() == 0:
    if os.fork() == 0:
        stay()
    os._exit(0)
while not Path('daemon').exists(): time.sleep(0.001)
"""
DETACHED = DAEMON.replace("def stay():", "def stay():\n    os.setsid()")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process about its descendants"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]

# How long what will not end is waited for.
soon = pytest.mark.parametrize("grace_sec", [0.2])


def daemon_in(folder: Path) -> int:
    """Give the number of the process that a step left."""
    return int((folder / "daemon").read_text())


def test_a_step_that_prints_nothing(run_step: RunStep) -> None:
    """It ends well, and its answer is missing."""
    done = run_step("return 0")

    assert (done.exit_code, done.fault, done.stdout) == (0, "", "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print(OK); print(OK)", "standard output has 2 lines"),
        ('print(\'{"status": "ok", "x": NaN}\')', "NaN is not JSON"),
        ("sys.stdout.buffer.write(b'\\xff\\xfe{}\\n')", "not the JSON envelope"),
        ("print(OK); raise KeyError('x')", "standard output has 2 lines"),
        ("print(OK, flush=True); os.system('echo more')", "standard output has 2 lines"),
    ],
)
def test_a_wrong_answer_reaches_the_judge_as_it_was(run_step: RunStep, body: str, message: str) -> None:
    """The worker passes on what was written, and does not stumble over it."""
    done = run_step(body)

    assert done.fault == ""
    with pytest.raises(EnvelopeError, match=message):
        parse_envelope(done.stdout)


def test_an_exception_becomes_an_error_envelope(run_step: RunStep) -> None:
    """Its traceback is in the log."""
    done = run_step("raise RuntimeError('no flux')")

    assert done.exit_code == 1
    assert json.loads(done.stdout)["reason"] == "RuntimeError: no flux"
    assert "Traceback (most recent call last):" in done.stderr


def test_fifty_megabytes_on_both_streams_are_cut_in_bounded_memory(run_step: RunStep) -> None:
    """Nothing blocks; stdout keeps its head, stderr its tail, and how much is missing is said."""
    body = """
        for _ in range(50):
            os.write(1, b'o' * 1_000_000)
            os.write(2, b'e' * 1_000_000)
        os.write(2, b'the end')
    """
    tracemalloc.start()

    done = run_step(body)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
    assert done.stdout_dropped == 50_000_000 - 1_048_576
    assert done.stdout.endswith("ooo\n[… 48951424 bytes cut …]")
    assert done.stderr.startswith("[… 49737863 bytes cut …]\neee")
    assert done.stderr.endswith("the end")


def test_a_step_that_never_ends_is_timed_out(run_step: RunStep) -> None:
    """Its exit code is that of a program that was asked to end."""
    done = run_step("while True: time.sleep(60)", timeout_sec=0.2)

    assert done.fault == "timeout after 0.2s"
    assert done.exit_code in {143, -signal.SIGTERM}  # the latter where the signal comes while Python still starts
    assert done.duration_sec >= 0.2


def test_a_timed_out_step_may_clean_up(run_step: RunStep, timed_out: TimedOut, tmp_path: Path) -> None:
    """Its own clean-up runs before it ends."""
    body = """
        try:
            Path('begun').touch()
            while True: time.sleep(60)
        finally:
            Path('cleaned').touch()
    """

    timed_out(lambda limit: run_step(body, timeout_sec=limit))

    assert (tmp_path / "cleaned").exists()


def test_a_request_to_end_comes_to_the_thread_of_the_step(run_step: RunStep) -> None:
    """Another one would let the step sleep on, as it might where all of them were stopped for a while."""
    done = run_step(
        """
        for task in Path('/proc/self/task').iterdir():
            lines = dict(line.split(':\t', 1) for line in (task / 'status').read_text().splitlines())
            if not int(lines['SigBlk'], 16) >> signal.SIGTERM - 1 & 1:
                print(int(task.name) == os.getpid())
        """
    )

    assert done.stdout == "True\n"


@soon
def test_a_step_that_will_not_end_is_killed(run_step: RunStep, timed_out: TimedOut) -> None:
    """After the grace, together with its programs."""
    body = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path('begun').touch()
        while True: time.sleep(60)
    """

    done = timed_out(lambda limit: run_step(body, timeout_sec=limit))

    assert done.exit_code == -9


def test_a_timeout_ends_the_programs_of_a_step(
    run_step: RunStep, timed_out: TimedOut, tmp_path: Path, ends: Ends
) -> None:
    """Also those that ignore the request."""
    body = """
        child = subprocess.Popen(['sh', '-c', 'trap "" TERM; while :; do sleep 1; done'])
        Path('daemon').write_text(str(child.pid))
        Path('begun').touch()
        child.wait()
    """

    timed_out(lambda limit: run_step(body, timeout_sec=limit))

    assert ends(daemon_in(tmp_path))


@pytest.mark.parametrize("leave", [DAEMON, DETACHED], ids=["in the group", "in a session of its own"])
def test_a_daemon_is_ended_with_its_step(run_step: RunStep, tmp_path: Path, ends: Ends, leave: str) -> None:
    """It keeps nobody waiting, although it holds the output open."""
    done = run_step(f"{leave}\nprint(OK)")

    assert (done.exit_code, done.fault, done.stdout) == (0, "", '{"status": "ok", "outputs": []}\n')
    assert ends(daemon_in(tmp_path))


def test_a_daemon_of_a_program_is_ended_with_it(run_program: RunStep, tmp_path: Path, ends: Ends) -> None:
    """For shell steps as for Python."""
    done = run_program("sh", "-c", "setsid sh -c 'echo $$ > daemon; exec sleep 60' & until [ -s daemon ]; do :; done")

    assert (done.exit_code, done.fault) == (0, "")
    assert ends(daemon_in(tmp_path))


@soon
def test_a_daemon_of_a_step_that_will_not_end_is_killed(
    run_step: RunStep, timed_out: TimedOut, tmp_path: Path, ends: Ends
) -> None:
    """Wherever it moved, as long as its step was there to be asked for it."""
    body = f"{DETACHED}\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nPath('begun').touch()\ntime.sleep(60)"

    timed_out(lambda limit: run_step(body, timeout_sec=limit))

    assert ends(daemon_in(tmp_path))


def test_what_a_daemon_writes_later_is_in_no_other_step(run_step: RunStep) -> None:
    """The next step gets a process and pipes of its own."""
    first = run_step(
        "threading.Thread(target=lambda: [print('noise', flush=True) for _ in iter(int, 1)], daemon=True).start()"
    )
    second = run_step("print(OK)")

    assert first.fault == ""
    assert second.stdout == '{"status": "ok", "outputs": []}\n'


@pytest.mark.parametrize(
    ("body", "exit_code", "fault"),
    [
        ("os._exit(3)", 3, "the process exited with 3 and no answer"),
        ("ctypes.string_at(0)", -11, "signal SIGSEGV"),
        ("os.kill(os.getpid(), signal.SIGABRT)", -6, "signal SIGABRT"),
        ("os.kill(os.getpid(), 40)", -40, "signal 40"),
        ("os.closerange(3, 256)", 1, "the process exited with 1 and no answer"),
        ("os.closerange(3, 256); time.sleep(1.5)", 1, "the process exited with 1 and no answer"),
    ],
)
def test_a_step_that_takes_its_process_along(run_step: RunStep, body: str, exit_code: int, fault: str) -> None:
    """The fault says how it ended, and the next step runs."""
    done = run_step(body)

    assert (done.exit_code, done.fault) == (exit_code, fault)
    assert run_step("print(OK)").fault == ""


def test_a_step_that_calls_exit_has_that_exit_code(run_step: RunStep) -> None:
    """Within Python, exiting ends the step and not the process."""
    done = run_step("print(OK); sys.exit(3)")

    assert (done.exit_code, done.fault, done.stdout) == (3, "", '{"status": "ok", "outputs": []}\n')


@soon
def test_a_step_that_cuts_the_pipe_and_stays_is_killed(run_step: RunStep) -> None:
    """Without its reply pipe it could never end, and nobody waits for it."""
    done = run_step("os.closerange(3, 256)\nwhile True: time.sleep(60)")

    assert done.fault == "the step closed the pipe to its runner"
    assert done.exit_code == -9


@pytest.mark.parametrize("descriptor", [1, 2])
def test_a_step_that_closes_a_stream(run_step: RunStep, descriptor: int) -> None:
    """It ends as it ends, and the next one has its streams."""
    run_step(f"os.close({descriptor})")

    done = run_step("print('log', file=sys.stderr); print(OK)")

    assert (done.fault, done.stdout, done.stderr) == ("", '{"status": "ok", "outputs": []}\n', "log\n")


def test_a_step_that_forks_and_comes_back_twice_answers_once(run_step: RunStep) -> None:
    """The copy's answer is not taken for that of the next step."""
    run_step("os.fork(); print(OK)")

    assert run_step("ctx.set('a.b_v1', 1); print('second')").stdout == "second\n"
    assert run_step("print('third')").stdout == "third\n"


def test_a_module_that_exits_while_it_is_imported(
    run_step: RunStep, tmp_path: Path, run_call: Callable[[Call], Done]
) -> None:
    """A script without its guard is a failed step, not a lost process."""
    path = tmp_path / "script.py"
    path.write_text("import sys; sys.exit(5)", encoding="utf-8")

    done = run_call(
        Call(attempt_id="a1", step="s", target=PythonCall(path=path, module="script", class_name="X", sha256="0"))
    )

    assert (done.exit_code, done.fault) == (5, "")


def test_an_interrupted_step_says_so(pool: WorkerPool, write_step: Callable[[str], PythonCall]) -> None:
    """It is asked once: a second request would end its clean-up."""
    body = """
        try:
            Path('began').touch()
            while True: time.sleep(60)
        finally:
            Path('asked').touch()
            while not Path('asked_again').exists(): time.sleep(0.001)
            Path('cleaned').touch()
    """
    pool.start(Call(attempt_id="a1", step="s", target=write_step(body)))
    for mark in ("began", "asked"):
        while not Path(mark).exists():
            pool.wait(0.01)
        pool.interrupt("interrupted")
    Path("asked_again").touch()
    while not (finished := pool.wait(30.0)):
        pass

    assert (finished[0].fault, finished[0].exit_code) == ("interrupted", 143)
    assert Path("cleaned").exists()


def test_a_killed_step_says_so(pool: WorkerPool, write_step: Callable[[str], PythonCall]) -> None:
    """A second signal to the runner does not wait for any clean-up."""
    pool.start(Call(attempt_id="a1", step="s", target=write_step("while True: time.sleep(60)")))

    pool.interrupt("interrupted", number=signal.SIGKILL)
    while not (finished := pool.wait(30.0)):
        pass

    assert (finished[0].fault, finished[0].exit_code) == ("interrupted", -9)


def test_closing_the_pool_ends_everything(
    pool: WorkerPool, write_step: Callable[[str], PythonCall], tmp_path: Path, ends: Ends
) -> None:
    """Running steps and what they started."""
    pool.start(Call(attempt_id="a1", step="s", target=write_step(f"{DETACHED}\ntime.sleep(60)")))
    (worker,) = pool._busy
    while not (tmp_path / "daemon").exists():
        pool.wait(0.01)

    pool.interrupt("interrupted", number=signal.SIGKILL)

    assert ends(worker.pid)
    assert ends(daemon_in(tmp_path))


RUNNER = """
import os, signal, sys
from hashlib import sha256
from pathlib import Path
from orchestrator import Context
from orchestrator.workers.calls import Call, PythonCall
from orchestrator.workers.pool import WorkerPool

pool = WorkerPool(Context())
target = PythonCall(path=Path(sys.argv[1]), module="step", class_name="Step", sha256="0")
pool.start(Call(attempt_id="a1", step="s", target=target))
while not Path("daemon").exists():
    pool.wait(0.01)
copy = os.fork()
if copy == 0:
    signal.pause()
print(pool._busy[0].pid, copy, flush=True)
pool.wait(None)
"""


@pytest.mark.parametrize("leave", [DAEMON, DETACHED], ids=["in the group", "in a session of its own"])
def test_workers_die_with_a_killed_runner(
    write_step: Callable[[str], PythonCall], tmp_path: Path, ends: Ends, leave: str
) -> None:
    """Neither they nor what their steps started outlive it, even where a copy of the runner keeps its pipes open."""
    target = write_step(f"{leave}\ntime.sleep(60)")
    command = [sys.executable, "-c", RUNNER, str(target.path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        worker, copy = (int(word) for word in runner.stdout.readline().split())
        runner.kill()

        assert ends(worker)
        assert ends(daemon_in(tmp_path))
        os.kill(copy, signal.SIGKILL)
