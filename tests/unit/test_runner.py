"""A run begins, goes on where it stopped when it was started the same way, and is refused when its recipe changed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import apsw
import pytest

from orchestrator import runner
from orchestrator.errors import (
    InfrastructureError,
    RunLockedError,
    StepFailedError,
    StoreError,
    UsageError,
)
from orchestrator.paths import iterate_runs, located
from orchestrator.plan import Selection
from orchestrator.progress import RunBegun
from orchestrator.runner import RunRequest, continue_run, run, run_recipe
from orchestrator.session import DriveOptions
from orchestrator.states import RunState
from orchestrator.store.database import FILE_NAME, Database, open_database, reading
from orchestrator.store.finding import find_run
from orchestrator.store.leases import take
from orchestrator.store.queries import read_inputs
from tests.unit.workshop import Notes, PowerCut, Workshop, python, recipe

AB = recipe(python("a", keys="args: {a.x_v1: 1}"), python("b", keys="args: {b.x_v1: '${{ ctx.a.x_v1 + 1 }}'}"))
STOPPING = recipe(python("a", keys="args: {a.x_v1: 1}"), python("b", "Interrupt"))


def forget_to_let_go(run_root: Path) -> None:
    """Leave the lease as a runner does that is killed before it could tell the end."""
    database = open_database(run_root / FILE_NAME)
    with database.transaction():
        database.write("UPDATE leases SET heartbeat_at = '2026-01-02T03:04:05.000000Z'")
    database.close()


def begun(notes: Notes) -> RunBegun:
    """Give the first thing that was told."""
    happening = notes.told[0]
    assert isinstance(happening, RunBegun)
    return happening


def test_a_run_has_a_directory_of_its_own(workshop: Workshop) -> None:
    """Below the workspace that the recipe's file names, with the recipe as it was and the final context."""
    ran = workshop.run(AB)

    assert ran.root.parent == workshop.folder / "workspaces" / "r" / "runs"
    assert (ran.root / "recipe.yaml").read_text() == AB
    assert json.loads((ran.root / "context.json").read_text()) == {"a.x_v1": 1, "b.x_v1": 2}


def test_a_recipe_may_name_its_workspace(workshop: Workshop) -> None:
    """Then the file's name does not matter."""
    assert workshop.run(f"workspace: demos/small\n{AB}").root.parent == workshop.folder / "workspaces/demos/small/runs"


def test_a_run_keeps_what_it_was_started_with(workshop: Workshop) -> None:
    """So that it can go on without being told again."""
    head = "inputs: {least: {type: integer}}\n"

    ran = workshop.run(head + AB, inputs={"least": "3"}, selection=Selection(skip=("b",)))

    with reading(ran.root) as database:
        inputs = read_inputs(database)
    assert inputs["inputs"] == {"least": "3"}
    assert inputs["selection"] == {"only": [], "skip": ["b"], "tags": [], "resume_from": [], "until": []}
    assert located(inputs["recipe_path"], ran.root.parent) == workshop.folder / "r.yaml"
    assert located(inputs["working_directory"], ran.root.parent) == workshop.folder
    assert inputs["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (AB, {"status": "ok", "ctx_keys": ["a.x_v1", "b.x_v1"]}),
        (
            recipe(python("a", keys="args: {a.x_v1: 1}"), python("b", "Fail")),
            {
                "status": "error",
                "reason": "the exit code is 1, not 0: no luck",
                "exit_code": 1,
                "step": "b",
                "ctx_keys": ["a.x_v1"],
            },
        ),
    ],
)
def test_an_outcome_is_one_line(workshop: Workshop, text: str, line: dict[str, object]) -> None:
    """With the run's place at its end."""
    ran = workshop.run(text)

    assert ran.outcome.to_json() == {**line, "run_id": ran.root.name, "run_root": str(ran.root)}


def test_keys_of_the_runner_are_not_listed(workshop: Workshop) -> None:
    """They are there, but nobody asked for them."""
    ran = workshop.run(recipe(python("a")), context={"_runner.note_v1": 1, "a.x_v1": 2})

    assert ran.outcome.to_json()["ctx_keys"] == ["a.x_v1"]


def test_steps_that_are_left_out_are_skipped(workshop: Workshop) -> None:
    """Those that need them run all the same."""
    ran = workshop.run(AB, selection=Selection(only=("b",)), context={"a.x_v1": 5})

    assert ran.states == ["SKIPPED", "COMPLETED"]
    assert ran.reasons == ["not in --only", ""]
    assert ran.outcome.context.get("b.x_v1") == 6


def test_only_steps_that_were_selected_are_told_of(workshop: Workshop) -> None:
    """A new run goes on after nothing."""
    notes = Notes()

    workshop.run(AB, selection=Selection(skip=("b",)), reporter=notes)

    assert (begun(notes).task_ids, begun(notes).done_before) == (("a",), 0)


def test_a_run_may_start_in_the_middle(workshop: Workshop) -> None:
    """It takes the values of the workspace's last run."""
    workshop.run(AB)

    ran = workshop.run(AB, selection=Selection(resume_from=("b",)))

    assert ran.states == ["SKIPPED", "COMPLETED"]
    assert ran.outcome.context.to_dict() == {"a.x_v1": 1, "b.x_v1": 2}


def test_a_start_in_the_middle_needs_values(workshop: Workshop) -> None:
    """Where there is no earlier run, they must be given."""
    middle = Selection(resume_from=("b",))

    with pytest.raises(UsageError, match="'r' has no earlier run to take values from"):
        workshop.run(AB, selection=middle)

    assert workshop.run(AB, selection=middle, context={"a.x_v1": 5}).outcome.context.get("b.x_v1") == 6


def test_a_recipe_may_come_from_standard_input(workshop: Workshop, feed: Callable[[bytes], None]) -> None:
    """It is kept with the run, so that the run can go on without it."""
    feed(STOPPING.encode())
    request = RunRequest(recipe="-", workspaces_dir=workshop.folder, options=DriveOptions(inline=True))

    stopped = run(request)
    notes = Notes()
    ran = workshop.resume(stopped.run_root, reporter=notes)

    assert stopped.run_root.parent == workshop.folder / "stdin" / "runs"
    assert ran.states == ["COMPLETED", "COMPLETED"]
    assert begun(notes).recipe_name == "<stdin>"


def test_expressions_know_the_run_and_the_recipe(workshop: Workshop) -> None:
    """The same when the run goes on."""
    names = "args: {b.names_v1: '${{ [recipe.name, recipe.path, run.root] }}'}"
    text = recipe(python("a", keys=names), python("b", "Interrupt"), python("c", keys=names.replace("b.n", "c.n")))
    workshop.write("r.yaml", text)
    request = RunRequest(recipe="./r.yaml", workspaces_dir=workshop.folder, options=DriveOptions(inline=True))

    context = workshop.resume(run(request).run_root).outcome.context

    assert context.get("b.names_v1") == context.get("c.names_v1")
    assert context.get("b.names_v1") == [
        "r.yaml",
        str(workshop.folder / "r.yaml"),
        str(next(iterate_runs(workshop.folder))),
    ]


def test_run_recipe_gives_the_context(workshop: Workshop) -> None:
    """What the steps left is what a caller wants."""
    path = workshop.write("r.yaml", f"inputs: {{n: {{type: integer}}}}\n{AB}")

    context = run_recipe(path, {"n": 3}, workspaces_dir=workshop.folder)

    assert context.to_dict() == {"a.x_v1": 1, "b.x_v1": 2}


def test_run_recipe_raises_where_a_step_failed(workshop: Workshop) -> None:
    """The step is named, and where to look."""
    path = workshop.write("r.yaml", recipe(python("a"), python("b", "Fail")))

    with pytest.raises(StepFailedError) as caught:
        run_recipe(path, workspaces_dir=workshop.folder)

    assert (caught.value.step, caught.value.message) == ("b", "b: the exit code is 1, not 0: no luck")
    assert caught.value.hint == f"see {next(iterate_runs(workshop.folder))}"


def test_run_recipe_passes_an_interruption_on(workshop: Workshop) -> None:
    """After the attempt was closed."""
    path = workshop.write("r.yaml", STOPPING)

    with pytest.raises(KeyboardInterrupt):
        run_recipe(path, workspaces_dir=workshop.folder)

    ran = workshop.resume(next(iterate_runs(workshop.folder)))
    assert [attempt.status for attempt in ran.attempts("b")] == ["CANCELLED", "COMPLETED"]


def test_run_recipe_always_begins_a_new_run(workshop: Workshop) -> None:
    """A test does not go on with what another left."""
    path = workshop.write("r.yaml", STOPPING)
    with pytest.raises(KeyboardInterrupt):
        run_recipe(path, workspaces_dir=workshop.folder)

    run_recipe(path, workspaces_dir=workshop.folder)

    assert len(list(iterate_runs(workshop.folder))) == 2


def test_run_recipe_can_use_processes(workshop: Workshop) -> None:
    """With the same result."""
    path = workshop.write("r.yaml", AB)

    context = run_recipe(path, workspaces_dir=workshop.folder, isolation="worker")

    assert context.to_dict() == {"a.x_v1": 1, "b.x_v1": 2}


def test_run_recipe_knows_two_isolations(workshop: Workshop) -> None:
    """A misspelt one is not taken for the other."""
    path = workshop.write("r.yaml", AB)

    with pytest.raises(UsageError) as caught:
        run_recipe(path, workspaces_dir=workshop.folder, isolation="inlin")

    assert (caught.value.message, caught.value.hint) == ("no isolation 'inlin'", "did you mean 'inline'?")


def test_run_recipe_selects(workshop: Workshop) -> None:
    """As the command does."""
    path = workshop.write("r.yaml", AB)

    assert run_recipe(path, workspaces_dir=workshop.folder, skip=("b",)).keys() == ["a.x_v1"]
    assert run_recipe(path, workspaces_dir=workshop.folder, only=("a",)).keys() == ["a.x_v1"]


def test_an_interrupted_run_goes_on(workshop: Workshop) -> None:
    """The same command again; what had ended is not done again."""
    stopped = workshop.run(STOPPING)
    notes = Notes()

    ran = workshop.run(STOPPING, reporter=notes)

    assert (stopped.outcome.status, ran.outcome.status) == (RunState.PENDING, RunState.COMPLETED)
    assert ran.root == stopped.root
    assert notes.started == ["b"]
    assert begun(notes).done_before == 1


def test_a_run_whose_runner_died_goes_on(workshop: Workshop) -> None:
    """That is seen from the attempt that nobody ended."""
    with pytest.raises(SystemExit):
        workshop.run(AB, reporter=PowerCut())

    ran = workshop.run(AB)

    assert [ran.root] == workshop.runs()
    assert ran.states == ["COMPLETED", "COMPLETED"]
    assert "run.resumed" in ran.events


@pytest.mark.parametrize("command", ["write", "fail"])
def test_an_end_that_was_never_told_is_told_when_asked_again(workshop: Workshop, command: str) -> None:
    """The runner died between the commit and the line that it prints; no step runs again."""
    text = recipe(python("a", command.capitalize()))
    ended = workshop.run(text)
    forget_to_let_go(ended.root)

    told = workshop.run(text)

    assert told.outcome.to_json() == ended.outcome.to_json()
    assert len(told.attempts("a")) == 1
    assert workshop.run(text).root != ended.root


def test_a_run_that_was_asked_to_be_new_is_new(workshop: Workshop) -> None:
    """The interrupted one stays."""
    stopped = workshop.run(STOPPING)

    assert workshop.run(STOPPING, fresh=True).root != stopped.root


def test_a_run_that_has_ended_is_not_gone_on_with(workshop: Workshop) -> None:
    """Neither one that failed."""
    failing = recipe(python("a", "Fail"))

    assert workshop.run(failing).root != workshop.run(failing).root


INPUTS = "inputs: {n: {type: integer, default: 1}}\n"


@pytest.mark.parametrize(
    ("text", "inputs", "selection", "context"),
    [
        (f"# a remark\n{INPUTS}{STOPPING}", {}, Selection(), {}),
        (INPUTS + STOPPING, {"n": 1}, Selection(), {}),
        (INPUTS + STOPPING, {}, Selection(only=("a",)), {}),
        (INPUTS + STOPPING, {}, Selection(), {"c.x_v1": 1}),
    ],
    ids=["recipe", "inputs", "selection", "context"],
)
def test_a_run_goes_on_only_when_started_the_same_way(
    workshop: Workshop, text: str, inputs: dict[str, int], selection: Selection, context: dict[str, int]
) -> None:
    """Another recipe, input, selection or context is another run."""
    stopped = workshop.run(INPUTS + STOPPING)

    ran = workshop.run(text, inputs=inputs, selection=selection, context=context)

    assert ran.root != stopped.root
    assert stopped.states == ["COMPLETED", "PENDING"]


def test_a_run_goes_on_only_where_it_was_started(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere its steps would find other files."""
    stopped = workshop.run(STOPPING)
    (workshop.folder / "elsewhere").mkdir()
    monkeypatch.chdir(workshop.folder / "elsewhere")

    assert workshop.run(STOPPING).root != stopped.root


def test_a_run_that_keeps_going_does_so_when_it_goes_on(workshop: Workshop) -> None:
    """Nobody needs to say it again."""
    steps = (python("a", "Fail"), python("b", "Interrupt", "depends_on: []"), python("c", keys="depends_on: []"))
    stopped = workshop.run(recipe(*steps), fail_fast=False)
    assert stopped.states == ["FAILED", "PENDING", "PENDING"]

    ran = workshop.resume(stopped.root)

    assert ran.states == ["FAILED", "COMPLETED", "COMPLETED"]


def test_a_run_that_goes_on_knows_what_became_of_its_steps(workshop: Workshop) -> None:
    """Conditions ask about those that ended before, too."""
    when = "when: \"steps.a.status == 'SKIPPED' and steps.b.status == 'COMPLETED'\""
    steps = (python("a", keys="when: 1 > 2"), python("b"), python("c", "Interrupt"), python("d", keys=when))

    ran = workshop.resume(workshop.run(recipe(*steps)).root)

    assert ran.states == ["SKIPPED", "COMPLETED", "COMPLETED", "COMPLETED"]


def test_a_run_that_another_drives_is_left_alone(workshop: Workshop) -> None:
    """What was asked for is then another run."""
    stopped = workshop.run(STOPPING)
    database = open_database(stopped.root / FILE_NAME)
    lease = take(database)

    ran = workshop.run(STOPPING)

    lease.release()
    database.close()
    assert ran.root != stopped.root
    assert stopped.states == ["COMPLETED", "PENDING"]


def test_a_run_that_another_drives_is_not_resumed(workshop: Workshop) -> None:
    """Who asks for that very run is told."""
    stopped = workshop.run(STOPPING)
    database = open_database(stopped.root / FILE_NAME)
    lease = take(database)

    with pytest.raises(RunLockedError, match="is driven by another runner"):
        workshop.resume(stopped.root)

    lease.release()
    database.close()


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00", b"x" * 5_000], ids=["empty", "cut", "foreign"])
def test_a_run_that_cannot_be_read_is_passed_over(workshop: Workshop, content: bytes) -> None:
    """It is no reason not to run."""
    damaged = workshop.run(STOPPING)
    (damaged.root / FILE_NAME).write_bytes(content)

    assert workshop.run(STOPPING).outcome.status is RunState.COMPLETED
    assert len(workshop.runs()) == 2


def test_a_run_that_lost_its_recipe_is_passed_over(workshop: Workshop) -> None:
    """Whoever removed it did not mean to stop all work."""
    robbed = workshop.run(recipe(python("a")))
    (robbed.root / "recipe.yaml").unlink()

    assert workshop.run(STOPPING).root != robbed.root


def test_the_newest_interrupted_run_goes_on(workshop: Workshop) -> None:
    """Also where an older one waits, and newer ones have ended."""
    older = workshop.run(STOPPING)
    (workshop.folder / "interruptions.txt").unlink()
    newer = workshop.run(STOPPING, fresh=True)
    workshop.run(recipe(python("a")), fresh=True)

    assert workshop.run(STOPPING).root == newer.root
    assert older.states == ["COMPLETED", "PENDING"]


def test_runs_of_one_second_keep_their_order(workshop: Workshop) -> None:
    """``@last`` is the last, however quickly they followed."""
    runs = [workshop.run(recipe(python("a")), fresh=True).root for _ in range(6)]

    assert list(iterate_runs(workshop.folder / "workspaces")) == runs[::-1]
    assert find_run("@last", workshop.folder / "workspaces") == runs[-1]


def test_a_run_is_resumed_from_anywhere(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its steps work where they did before, also when the run is named relative to somewhere else."""
    stopped = workshop.run(STOPPING)
    monkeypatch.chdir(tmp_path)

    ran = workshop.resume(stopped.root.relative_to(tmp_path))

    assert ran.states == ["COMPLETED", "COMPLETED"]
    assert ran.root == stopped.root
    assert Path.cwd() == workshop.folder


def test_a_run_is_not_resumed_where_its_directory_is_gone(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its steps would find nothing."""
    place = workshop.folder / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    stopped = workshop.run(recipe("{name: a, type: python, module: ./steps.py, function: Interrupt}"))
    (place / "interruptions.txt").unlink()
    monkeypatch.chdir(workshop.folder)
    place.rmdir()

    with pytest.raises(InfrastructureError, match=f"started in {place}, which cannot be entered: no such file"):
        workshop.resume(stopped.root)


def test_a_run_that_has_ended_is_not_resumed(workshop: Workshop) -> None:
    """There is nothing left of it to do."""
    ran = workshop.run(AB)

    with pytest.raises(UsageError, match=f"run {ran.root.name} is COMPLETED; there is nothing to resume"):
        workshop.resume(ran.root)


def test_a_changed_recipe_is_refused(workshop: Workshop) -> None:
    """With the command that accepts the change."""
    stopped = workshop.run(STOPPING)
    path = workshop.write("r.yaml", STOPPING.replace("a.x_v1: 1", "a.x_v1: 2"))

    with pytest.raises(UsageError) as caught:
        workshop.resume(stopped.root)

    assert caught.value.code == "MS307"
    assert caught.value.message == f"{path} changed since run {stopped.root.name} began"
    assert f"matterstack resume {stopped.root.name} --accept-recipe-change" in caught.value.hint


def test_a_changed_step_runs_again_when_the_change_is_accepted(workshop: Workshop) -> None:
    """The others do not."""
    steps = (python("z", keys="args: {z.x_v1: 0}"), python("a", keys="args: {a.x_v1: 1}"), python("b", "Interrupt"))
    text = recipe(*steps)
    stopped = workshop.run(text)
    changed = text.replace("a.x_v1: 1", "a.x_v1: 2")
    workshop.write("r.yaml", changed)

    ran = workshop.resume(stopped.root, accept_changes=True)

    assert ran.outcome.context.to_dict() == {"a.x_v1": 2, "half.done_v1": 1, "z.x_v1": 0}
    assert [len(ran.attempts(task)) for task in ("z", "a", "b")] == [1, 2, 2]
    assert (ran.root / "recipe.yaml").read_text() == changed
    assert "tasks.redefined" in ran.events


def test_a_changed_scriptlet_is_refused_by_the_names_of_its_steps(workshop: Workshop) -> None:
    """The recipe is the same, but what it does is not."""
    stopped = workshop.run(STOPPING)
    path = workshop.folder / "steps.py"
    workshop.write("steps.py", path.read_text() + "\n# a remark\n")

    with pytest.raises(UsageError, match=f"changed since run {stopped.root.name} began: a, b") as caught:
        workshop.resume(stopped.root)
    assert caught.value.code == "MS307"

    assert workshop.resume(stopped.root, accept_changes=True).states == ["COMPLETED", "COMPLETED"]


def test_another_list_of_steps_is_never_accepted(workshop: Workshop) -> None:
    """That is another campaign."""
    stopped = workshop.run(STOPPING)
    workshop.write("r.yaml", STOPPING + f"- {python('c')}\n")

    with pytest.raises(UsageError, match="the recipe's list of steps changed") as caught:
        workshop.resume(stopped.root, accept_changes=True)

    assert (caught.value.code, caught.value.hint) == ("MS307", "start a new run")


def test_a_recipe_that_is_gone_is_replaced_by_the_one_that_was_kept(workshop: Workshop) -> None:
    """The run has its own copy."""
    stopped = workshop.run(STOPPING)
    (workshop.folder / "r.yaml").unlink()

    assert workshop.resume(stopped.root).states == ["COMPLETED", "COMPLETED"]


def test_a_history_that_was_changed_is_not_built_upon(workshop: Workshop) -> None:
    """Nobody could tell what the run had done."""
    stopped = workshop.run(STOPPING)
    connection = apsw.Connection(str(stopped.root / FILE_NAME))
    connection.execute("UPDATE events SET payload_json = '{}' WHERE seq = 3")
    connection.close()

    with pytest.raises(StoreError, match="changed from outside: event 3 was changed after it was written"):
        workshop.resume(stopped.root)


def test_a_row_that_was_changed_from_outside_is_not_built_upon(workshop: Workshop) -> None:
    """The error names the task, what its row says and what its events say."""
    stopped = workshop.run(STOPPING)
    with apsw.Connection(str(stopped.root / FILE_NAME)) as connection:
        connection.execute("UPDATE tasks SET status = 'COMPLETED'")

    with pytest.raises(StoreError, match=r"changed from outside: task 'b' is COMPLETED, and its events say PENDING"):
        workshop.resume(stopped.root)


def test_a_resumed_run_reports_what_was_done_before(workshop: Workshop) -> None:
    """So that a count of what is done can begin there."""
    stopped = workshop.run(STOPPING)
    notes = Notes()

    workshop.resume(stopped.root, reporter=notes)

    assert begun(notes).run_id == stopped.root.name
    assert (begun(notes).task_ids, begun(notes).done_before) == (("a", "b"), 1)


def test_nothing_is_left_behind(workshop: Workshop) -> None:
    """A run directory holds the records and nothing temporary."""
    ran = workshop.run(STOPPING)

    names = {path.name for path in ran.root.iterdir()}

    assert {"context.json", "recipe.yaml", "run.lock", "state.sqlite"} <= names
    assert names - {"state.sqlite-wal", "state.sqlite-shm"} == {
        "context.json",
        "recipe.yaml",
        "run.lock",
        "state.sqlite",
    }
    assert [path.name for path in ran.root.parent.iterdir()] == [ran.root.name]


def test_an_end_that_its_runner_is_telling_is_told_by_no_other(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though the first lets go while the second looks."""
    ran = workshop.run(recipe(python("a")))
    database = open_database(ran.root / FILE_NAME)
    lease = take(database)

    def let_go_and_read(run_root: Path) -> AbstractContextManager[Database]:
        lease.release()
        return reading(run_root)

    monkeypatch.setattr(runner, "reading", let_go_and_read)

    with pytest.raises(RunLockedError, match="has ended"):
        continue_run(ran.root)

    database.close()
