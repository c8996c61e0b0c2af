"""Tasks that are planned during the run become tasks of it, and campaigns in Python plan them round by round."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator import (
    Campaign,
    ExternalTask,
    GateTask,
    Task,
    TaskResult,
    Workflow,
    initialize_run,
    run_until_completion,
)
from orchestrator.campaign_file import load_campaign
from orchestrator.errors import ScriptletError
from orchestrator.frames import Parts
from orchestrator.runner import RunRequest, rerun_task, run
from orchestrator.session import DriveOptions
from orchestrator.states import RunState
from tests.unit.workshop import Notes, PowerCut, Ran, Workshop, recipe, shell

MAIN = """\
from orchestrator import Campaign, Task, Workflow


class Search(Campaign):
    initial_state = {"n": 0, "seen": []}

    def plan(self, state):
        if state["n"] >= 2:
            return None
        workflow = Workflow()
        workflow.add_task(Task(task_id="relax", command="expr 3 + $N > out.txt", env={"N": str(state["n"])}))
        files = {"in.txt": "${{ 1 + 1 }}"}
        workflow.add_task(Task(task_id="sum", command="cat in.txt", files=files, dependencies=["relax"]))
        return workflow

    def analyze(self, state, results):
        value = int(results["relax"].files["out.txt"].read_text())
        return {"n": state["n"] + 1, "seen": [*state["seen"], value]}


def get_campaign():
    return Search()
"""


QUESTION = {"name": "q", "type": "human", "instructions": "?"}


def planned(*tasks: object) -> list[str]:
    """Write steps that plan tasks and run them."""
    line = json.dumps({"status": "ok", "outputs": {"p.tasks_v1": list(tasks)}})
    plan = f"{{name: plan, type: shell, run: {json.dumps(['echo', line])}}}"
    return [plan, "{name: work, type: workflow, tasks: '${{ ctx.p.tasks_v1 }}'}"]


def task(name: str, command: str, **keys: object) -> dict[str, object]:
    """Give a step as a planning step gives it."""
    return {"name": name, "type": "shell", "run": command, "stdout": "free", "depends_on": [], **keys}


def test_planned_tasks_are_tasks_of_the_run(workshop: Workshop) -> None:
    """Under their own names, in an order in which they can run."""
    tasks = [task("b", "test -f here", depends_on=["a"]), task("a", "touch here")]

    ran = workshop.run(recipe(*planned(*tasks)))

    assert list(ran.tasks) == ["plan", "work", "a", "b"]
    assert set(ran.states) == {"COMPLETED"}


def test_no_tasks_are_no_failure(workshop: Workshop) -> None:
    """There is nothing to do."""
    ran = workshop.run(recipe(*planned(), shell("z", "true", "stdout: free")))

    assert (ran.states, ran.reasons[1]) == (["COMPLETED", "SKIPPED", "COMPLETED"], "there are no tasks")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('task_id="relax"', 'task_id="a b"', "campaign_tasks: task 'a b', name: step name 'a b' is not allowed"),
        ('dependencies=["relax"]', 'dependencies=["gone"]', "task 'sum', depends_on: step 'sum' depends on unknown"),
        ("files=files", 'files={"a": Path("no")}', "task 'sum': file 'no' is not there"),
        (
            "files=files",
            'time_limit_minutes="soon"',
            "task 'sum', resources.time_limit: expected a duration, got 'soon'",
        ),
        ("expr 3", "exit 3", "error[MS301]: task 'relax': the exit code is 3, not 0"),
        ("workflow = Workflow()", "raise ValueError('no')", "error[MS301]: campaign_plan: "),
    ],
)
def test_what_is_wrong_with_a_campaign_is_told_without_lines_that_nobody_wrote(
    workshop: Workshop, old: str, new: str, told: str
) -> None:
    """By the task and its key, and what to do."""
    notes = Notes()

    run_campaign(workshop, f"from pathlib import Path\n{MAIN.replace(old, new)}", notes)

    problem = next(one.problem for one in notes.endings if one.problem)
    assert (problem.place, told in str(problem)) == (None, True), str(problem)


@pytest.mark.parametrize(
    ("tasks", "reason"),
    [
        ([{"name": "a", "type": "shell"}], "neither 'run' nor 'script'"),
        ([{"name": "a", "type": "shell", "rum": "x", "run": "x"}], "unknown key 'rum'"),
        ([task("a", "x"), task("a", "x")], "is used twice"),
        ([task("a", "x", depends_on=["b"])], "depends on unknown step 'b'"),
        ([task("a", "x", operator_key="hpc.none")], "task 'a', operator_key: there is no operator 'hpc.none'"),
        ([task("a", "x"), {"name": "b"}], "task 'b': step 'b' lacks the key 'type'"),
        ([task("a", "x", resources={"cores": 0}, operator_key="local.default")], "task 'a', resources.cores: expected"),
        ([task("a", "x"), task("b", "x", cash={})], "task 'b', cash: unknown key 'cash' (did you mean 'cache'?)"),
        (["a"], "expected a list of steps"),
        ([task("plan", "x")], "task 'plan', name: another task of this round has it"),
        ([task("PLAN", "x")], "task 'PLAN', name: another task of this round has it"),
    ],
)
def test_what_cannot_be_run_fails_the_step(workshop: Workshop, tasks: list[object], reason: str) -> None:
    """With what is wrong; nothing of it is begun."""
    ran = workshop.run(recipe(*planned(*tasks)))

    assert (ran.states, reason in ran.reasons[1]) == (["COMPLETED", "FAILED"], True)


def test_the_tasks_of_a_run_that_goes_on_are_planned_once(workshop: Workshop) -> None:
    """However often its records are read for what they amount to."""
    plan = workshop.plan(recipe(*planned()))
    parts, work, begun = Parts(), plan.tasks[1], json.dumps({"tasks": [task("a", "true")]})

    first, again = (parts.of(work, begun, plan.project) for _ in range(2))

    assert [one.step for one in first.tasks] == ["a"]
    assert again is first


def test_texts_of_planned_tasks_are_taken_as_they_are(workshop: Workshop) -> None:
    """What a step gives is never looked through for expressions."""
    keys = {"operator_key": "local.default", "files": {"x.txt": {"content": "${{ 1 + 1 }} and ${{ inputs.x }}"}}}
    outputs = {"p.tasks_v1": [task("a", "cat x.txt", **keys)]}
    workshop.write("plan.json", json.dumps({"status": "ok", "outputs": outputs}))
    _, work = planned()

    ran = workshop.run(recipe("{name: plan, type: shell, run: [cat, plan.json]}", work))

    (attempt,) = ran.attempts("a")
    assert attempt.stdout == "${{ 1 + 1 }} and ${{ inputs.x }}"


def test_a_task_may_run_after_a_failure(workshop: Workshop) -> None:
    """Where it says so, though what it waits for has failed."""
    tasks = [
        task("a", "exit 1", allow_failure=True),
        task("b", "exit 1", depends_on=["a"], allow_failure=True),
        task("c", "true", depends_on=["b"], allow_dependency_failure=True),
    ]

    ran = workshop.run(recipe(*planned(*tasks)))

    assert {name: row.status for name, row in ran.tasks.items() if name in "abc"} == {
        "a": "FAILED",
        "b": "FAILED",
        "c": "COMPLETED",
    }


def test_it_goes_on_after_a_power_cut(workshop: Workshop) -> None:
    """With the tasks that were planned before."""
    text = recipe(
        *planned(task("a", "echo once >> times"), task("b", "true", depends_on=["a"])),
        shell("z", "true", "stdout: free"),
    )
    with pytest.raises(SystemExit):
        workshop.run(text, reporter=PowerCut())

    ran = workshop.run(text)

    assert set(ran.states) == {"COMPLETED"}
    assert (workshop.folder / "times").read_text() == "once\n"


def approve(ran: Ran, task_id: str) -> None:
    """Answer a question by a file."""
    folder = ran.root / (ran.attempts(task_id)[0].relative_path or "")
    (folder / "response.json").write_text('{"status": "COMPLETED", "data": {"approved": true}}')


def test_it_goes_on_while_a_planned_task_waits(workshop: Workshop) -> None:
    """Its tasks are known then, and are no steps that somebody added to the recipe."""
    first = workshop.run(recipe(*planned(QUESTION)), once=True)
    approve(first, "q")

    ran = workshop.resume(first.root)

    assert (first.outcome.exit_status, ran.states) == (5, ["COMPLETED", "COMPLETED", "COMPLETED"])


def test_it_goes_on_in_a_later_round(workshop: Workshop) -> None:
    """Where a task waits that the first round had too."""
    text = recipe(*planned(QUESTION)) + "repeat: { until: ctx._loop.index_v1 == 2, max: 2 }\n"
    first = workshop.run(text, once=True)
    approve(first, "q")
    second = workshop.resume(first.root, once=True)
    approve(second, "q@2")

    ran = workshop.resume(first.root)

    assert (second.outcome.exit_status, ran.outcome.status) == (5, RunState.COMPLETED)
    assert [row.status for row in ran.tasks.values() if row.step == "q"] == ["COMPLETED", "COMPLETED"]


def in_rounds(workshop: Workshop, *rounds: list[dict[str, object]]) -> str:
    """Give a recipe whose rounds plan these tasks, one list each."""
    for number, tasks in enumerate(rounds, start=1):
        workshop.write(f"plan{number}.json", json.dumps({"status": "ok", "outputs": {"p.tasks_v1": tasks}}))
    plan = "{name: plan, type: shell, run: [sh, -c, 'cat plan$N.json'], env: {N: '${{ ctx._loop.index_v1 }}'}}"
    return recipe(plan, planned()[1]) + f"repeat: {{ until: ctx._loop.index_v1 == {len(rounds)}, max: 9 }}\n"


def test_a_planned_task_keeps_its_name_where_no_earlier_one_has_it(workshop: Workshop) -> None:
    """The round is told only of those that would be confused otherwise."""
    text = in_rounds(workshop, [task("a", "true")], [task("b", "true")], [task("A", "true"), task("c", "true")])

    ran = workshop.run(text)

    assert [row.task_id for row in ran.tasks.values() if row.parent is not None] == ["a", "b", "A@3", "c"]


def test_names_stay_what_they_are_when_a_run_goes_on(workshop: Workshop) -> None:
    """Those of a later round too, whether they tell it or not."""
    question: dict[str, object] = {**QUESTION, "depends_on": []}
    text = in_rounds(workshop, [question], [{**question, "name": "other"}, question], [task("z", "true")])
    first = workshop.run(text, once=True)
    approve(first, "q")
    second = workshop.resume(first.root, once=True)
    approve(second, "other")
    approve(second, "q@2")

    ran = workshop.resume(first.root)

    assert [row.task_id for row in ran.tasks.values() if row.parent is not None] == ["q", "other", "q@2", "z"]
    assert set(ran.states) == {"COMPLETED"}


def test_a_planned_task_without_its_round_in_its_name_is_run_again_alone(workshop: Workshop) -> None:
    """Those planned beside it, whose names tell their round, do not come after it."""
    second = [task("a", "true"), task("c", "true"), task("d", "true", depends_on=["c"])]
    first = workshop.run(in_rounds(workshop, [task("a", "true")], second))

    ran = Ran(outcome=rerun_task(first.root, "c", recursive=True))

    counts = {name: ran.tasks[name].attempt_count for name in ("a", "a@2", "c", "d")}
    assert counts == {"a": 1, "a@2": 1, "c": 2, "d": 2}


def run_campaign(workshop: Workshop, text: str, notes: Notes | None = None) -> Ran:
    """Run the campaign of a workspace."""
    workshop.write("workspaces/demo/main.py", text)
    request = RunRequest(
        recipe=str(workshop.folder / "workspaces/demo"),
        workspaces_dir=workshop.folder / "workspaces",
        options=DriveOptions(inline=True, reporter=notes or Notes()),
    )
    return Ran(outcome=run(request))


def test_a_campaign_goes_round_until_it_plans_nothing(workshop: Workshop) -> None:
    """Each iteration sees the state that the one before left."""
    ran = run_campaign(workshop, MAIN)

    assert ran.outcome.status is RunState.COMPLETED
    assert ran.outcome.context["campaign.state_v1"] == {"n": 2, "seen": [3, 4]}
    assert [name for name in ran.tasks if name.startswith(("relax", "sum"))] == ["relax", "sum", "relax@2", "sum@2"]
    assert [entry.value_json for entry in ran.history("campaign.state_v1")][-1] == '{"n":2,"seen":[3,4]}'


def test_a_campaign_goes_round_again(workshop: Workshop) -> None:
    """Each analysis sees what came of its own round, though there are later ones."""
    first = run_campaign(workshop, MAIN)

    ran = Ran(outcome=rerun_task(first.root, "relax", DriveOptions(inline=True), recursive=True))

    assert (ran.outcome.status, ran.outcome.context["campaign.state_v1"]) == (
        RunState.COMPLETED,
        {"n": 2, "seen": [3, 4]},
    )


def test_texts_of_a_campaign_are_taken_as_they_are(workshop: Workshop) -> None:
    """A file may hold what looks like an expression."""
    ran = run_campaign(workshop, MAIN)

    assert ran.attempts("sum")[0].stdout == "${{ 1 + 1 }}"


def test_a_campaign_may_print_and_give_values_as_files(workshop: Workshop) -> None:
    """What it prints goes to the log; a value that is no text becomes JSON."""
    text = MAIN.replace("        value = int", "        print(results)\n        value = int")
    text = text.replace('{"in.txt": "${{ 1 + 1 }}"}', '{"in.txt": {"t": 300}}')

    ran = run_campaign(workshop, text)

    assert (ran.outcome.status, ran.attempts("sum")[0].stdout) == (RunState.COMPLETED, '{"t":300}\n')


def test_a_campaign_that_is_none_is_told(workshop: Workshop) -> None:
    """With what to write."""
    ran = run_campaign(workshop, "get_campaign = lambda: 3\n")

    assert ran.states[0] == "FAILED"
    assert "gives no Campaign" in ran.reasons[0]


def test_config_says_where_tasks_run_that_name_no_operator(workshop: Workshop) -> None:
    """As in older workspaces."""
    workshop.write("workspaces/demo/config.json", '{"execution_mode": "HPC"}')
    workshop.write(
        "workspaces/demo/operators.yaml", "operators: { hpc.default: { kind: hpc, backend: { type: local } } }\n"
    )

    ran = run_campaign(workshop, MAIN)

    assert ran.attempts("relax")[0].operator_key == "hpc.default"


def test_the_config_of_a_workspace_is_kept_with_the_run(workshop: Workshop) -> None:
    """Byte for byte, also where it says nothing about tasks."""
    text = '{"execution_mode": "Simulation",\n "lab": "b 12"}\n'
    workshop.write("workspaces/demo/config.json", text)

    ran = run_campaign(workshop, MAIN)

    assert (ran.outcome.run_root / "config.json").read_text(encoding="utf-8") == text


class Counting(Campaign):
    """Counts to two, with a gate that nobody need answer and a task that may fail."""

    initial_state = 0

    def plan(self, state: int) -> Workflow | None:
        """Plan one task and one that may fail."""
        if state >= 2:
            return None
        return Workflow([Task(task_id="a", command="echo 1"), Task(task_id="b", command="exit 1", allow_failure=True)])

    def analyze(self, state: int, results: dict[str, TaskResult]) -> int:  # type: ignore[override]
        """Count what came of the two."""
        assert {name: one.status for name, one in results.items()} == {"a": "COMPLETED", "b": "FAILED"}
        return state + 1


def test_a_program_drives_its_own_campaign(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Begun once, and driven until it is complete."""
    monkeypatch.chdir(workshop.folder)

    handle = initialize_run("counting", Counting(), workspaces_dir=workshop.folder / "workspaces")
    outcome = run_until_completion(handle, Counting())

    assert (outcome.status, outcome.context["campaign.state_v1"]) == (RunState.COMPLETED, 2)
    assert handle.run_root.parent.parent.name == "counting"


def test_gates_and_requests_become_steps() -> None:
    """Of the types that ask people and instruments."""
    workflow = Workflow([GateTask(task_id="g", message="Go on?"), ExternalTask(task_id="m", request_data={"t": 1})])

    gate, request = workflow.to_steps()

    assert (gate["type"], gate["instructions"]) == ("human", "Go on?")
    assert (request["type"], request["config"]) == ("experiment", {"t": 1})


def test_two_tasks_of_one_name_are_refused() -> None:
    """At once, where they are made."""
    with pytest.raises(ValueError, match="two tasks 'a'"):
        Workflow([Task(task_id="a"), Task(task_id="a")])


def test_a_folder_without_a_campaign_is_told(tmp_path: Path) -> None:
    """With what is missing."""
    with pytest.raises(ScriptletError, match="there is no"):
        load_campaign(tmp_path / "main.py")
