"""A warm process runs one call after another, each as if it were the first."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from orchestrator import Context
from orchestrator.context import Change
from orchestrator.workers.calls import Call, Done, PythonCall
from orchestrator.workers.pool import WorkerPool

RunStep = Callable[..., Done]
OK = '{"status": "ok", "outputs": []}\n'


def test_a_step_answers_on_standard_output(run_step: RunStep) -> None:
    """Its log goes to standard error, and it has no fault."""
    done = run_step("print('log', file=sys.stderr); print(OK); return 0")

    assert (done.attempt_id, done.exit_code, done.fault) == ("a1", 0, "")
    assert (done.stdout, done.stderr) == (OK, "log\n")


def test_a_step_gets_its_params(run_step: RunStep) -> None:
    """As they were given, of any size."""
    done = run_step("print(len(params['text'])); return 0", params={"text": "ü" * 200_000})

    assert done.stdout == "200000\n"


def test_what_a_step_costs_is_measured(run_step: RunStep) -> None:
    """Seconds by the clock and of the processor, megabytes at the peak."""
    done = run_step("x = sum(range(2_000_000)); print(OK)")

    assert done.duration_sec > 0
    assert done.cpu_sec is not None
    assert 0 < done.cpu_sec < 10
    assert done.max_rss_mb is not None
    assert done.max_rss_mb > 5


def test_one_process_serves_many_calls(run_step: RunStep) -> None:
    """It stays warm."""
    pids = {run_step("print(os.getpid())").stdout for _ in range(3)}

    assert len(pids) == 1


def test_two_calls_run_side_by_side(pool: WorkerPool, write_step: Callable[[str], PythonCall]) -> None:
    """Each waits for what the other does, so one after the other would never end."""
    meet = "Path(params['mine']).touch()\nwhile not Path(params['other']).exists(): pass\nprint(OK)"
    target = write_step(meet)
    for mine, other in (("a", "b"), ("b", "a")):
        pool.start(Call(attempt_id=mine, step=mine, target=target, params={"mine": mine, "other": other}))

    assert pool.free == 0
    finished: list[Done] = []
    while len(finished) < 2:
        finished += pool.wait(30.0)

    assert sorted(done.attempt_id for done in finished) == ["a", "b"]
    assert pool.free == 2


def test_the_writes_of_a_step_come_back_as_changes(run_step: RunStep, context: Context) -> None:
    """They are not in the context before the runner takes them over."""
    done = run_step("ctx.set('a.b_v1', [1]); ctx.set('a.c_v1', 2, who='me'); print(OK)")

    assert done.changes == (Change("a.b_v1", "[1]", "step"), Change("a.c_v1", "2", "me"))
    assert context.to_dict() == {}


def test_a_later_step_sees_only_what_the_runner_took_over(run_step: RunStep, context: Context) -> None:
    """A warm process remembers nothing of its own."""
    look = "print(ctx.get('a.b_v1'))"
    done = run_step("ctx.set('a.b_v1', 1); print(OK)")

    assert run_step(look).stdout == "None\n"
    context.apply(done.changes)
    assert run_step(look).stdout == "1\n"


def test_a_new_process_knows_the_whole_context(run_step: RunStep, context: Context) -> None:
    """Also what was written before it was started."""
    context.set("a.b_v1", 1)
    run_step("os._exit(1)")
    context.set("a.c_v1", 2)

    assert run_step("print(ctx.to_dict())").stdout == "{'a.b_v1': 1, 'a.c_v1': 2}\n"


def test_values_deleted_by_the_runner_are_gone(run_step: RunStep, context: Context) -> None:
    """Deletions travel like other writes."""
    context.set("a.b_v1", 1)
    run_step("print(OK)")
    context.delete("a.b_v1")

    assert run_step("print(ctx.keys())").stdout == "[]\n"


def test_a_step_in_latin_letters_and_others_writes_utf8(run_step: RunStep) -> None:
    """Whatever the locale of the machine."""
    assert run_step("print('Grüße 日本')").stdout == "Grüße 日本\n"


def test_the_environment_of_a_call_is_its_own(run_step: RunStep) -> None:
    """The next call does not see it."""
    look = "print(os.environ.get('GREETING'))"

    assert run_step(look, env={"GREETING": "hello"}).stdout == "hello\n"
    assert run_step(look).stdout == "None\n"


def test_what_a_step_does_to_its_process_is_undone(run_step: RunStep, tmp_path: Path) -> None:
    """Directory, environment, streams and signals are for the next step as for the first."""
    run_step(
        """
        os.chdir("/")
        os.environ["LEFT"] = "behind"
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.stdout = open(os.devnull, "w")
        """
    )

    done = run_step("print(os.getcwd(), os.environ.get('LEFT'), signal.getsignal(signal.SIGTERM).__name__)")

    assert done.stdout == f"{tmp_path} None _on_terminate\n"


def test_a_process_killed_while_idle_is_replaced(run_step: RunStep, ends: Callable[[int], bool]) -> None:
    """Nobody's step pays for it."""
    first = int(run_step("print(os.getpid())").stdout)
    os.kill(first, signal.SIGKILL)
    assert ends(first)

    done = run_step("print(os.getpid())")

    assert done.fault == ""
    assert int(done.stdout) != first


def test_a_changed_file_is_loaded_again(
    run_call: Callable[[Call], Done], write_step: Callable[[str], PythonCall]
) -> None:
    """The digest tells one state of the file from another."""
    first = write_step("print('first')")
    second = write_step("print('second')")
    first.path.write_bytes(second.path.read_bytes())
    stale = PythonCall(path=first.path, module=first.module, class_name="Step", sha256=first.sha256)
    fresh = PythonCall(path=first.path, module=first.module, class_name="Step", sha256=second.sha256)

    outputs = [run_call(Call(attempt_id="a1", step="s", target=target)).stdout for target in (stale, stale, fresh)]

    assert outputs == ["second\n", "second\n", "second\n"]


def test_waiting_can_be_cut_short(pool: WorkerPool) -> None:
    """A signal handler wakes the loop."""
    pool.wake()

    assert pool.wait(30.0) == []


def test_warming_starts_one_process(pool: WorkerPool, run_step: RunStep) -> None:
    """The first call finds it ready, and warming twice starts no second."""
    pool.warm()
    pool.warm()
    (worker,) = pool._idle

    assert run_step("print(os.getpid())").stdout == f"{worker.pid}\n"
