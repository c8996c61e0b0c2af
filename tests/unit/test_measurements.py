"""Steps of type experiment wait for an instrument, whoever drives the run meanwhile; nothing is measured twice."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator.progress import TaskWaiting
from tests.unit.workshop import Notes, Ran, Workshop, recipe, shell

FURNACE = f"[{json.dumps(sys.executable)}, -m, orchestrator.testing.furnace, --state, STATE, --seconds, 'SECONDS']"
RESULT = {"status": "COMPLETED", "data": {"yield": 0.5}}


def experiment(name: str, keys: str = "") -> str:
    """Write a step that measures."""
    return f"{{name: {name}, type: experiment{keys and f', {keys}'}}}"


def by_driver(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, *, seconds: float = 0.2) -> Path:
    """Wire a furnace behind a driver program; give where it keeps what it remembers."""
    state = workshop.folder / "furnace"
    command = FURNACE.replace("STATE", str(state)).replace("SECONDS", str(seconds))
    text = (
        f"operators: {{ experiment.default: {{ kind: experiment, backend: {{ type: command, command: {command} }} }} }}"
    )
    monkeypatch.setenv("MATTERSTACK_OPERATORS_CONFIG", str(workshop.write("operators.yaml", text)))
    return state


def answer_by_file(workshop: Workshop, document: object) -> None:
    """Give the result of every measurement that is asked for, by hand."""

    def write() -> None:
        for _ in range(3000):
            found = list(workshop.folder.glob("workspaces/*/runs/*/tasks/*/attempts/[!.]*/experiment_request.json"))
            for path in found:
                path.with_name("experiment_result.json").write_text(json.dumps(document))
            if found:
                return
            time.sleep(0.02)

    threading.Thread(target=write).start()


def folder(ran: Ran, task: str) -> Path:
    """Give the directory of the last attempt at a task."""
    return ran.root / str(ran.attempts(task)[-1].relative_path)


def test_a_result_is_a_value_of_the_step(workshop: Workshop) -> None:
    """It comes by a file, where nobody has wired anything."""
    answer_by_file(workshop, RESULT)
    steps = [
        experiment("m", "config: {temp: 300}"),
        shell("b", "true", "stdout: free, when: len(ctx.m.result_v1) == 1"),
    ]

    ran = workshop.run(recipe(*steps))

    assert ran.states == ["COMPLETED", "COMPLETED"]
    request = json.loads((folder(ran, "m") / "experiment_request.json").read_text())
    assert (request["task_id"], request["config"]) == ("m", {"temp": 300})


def test_a_driver_measures(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are kept with the attempt."""
    by_driver(workshop, monkeypatch)

    ran = workshop.run(recipe(experiment("m", "config: {temperature_c: 900, minutes: 30}")))

    (attempt,) = ran.attempts("m")
    assert ran.outcome.context["m.result_v1"]["thickness_nm"] > 1  # type: ignore[index,call-overload,operator]
    assert "reflectance.csv" in [one["path"] for one in attempt.operator_data["artifacts"]]


def wire_driver(workshop: Workshop, program: str) -> None:
    """Wire an instrument to a driver program."""
    backend = f"backend: {{ type: command, command: [{program}] }}"
    workshop.write(
        "workspaces/r/operators.yaml",
        f"operators: {{ experiment.default: {{ kind: experiment, {backend} }} }}",
    )


def test_F17_a_driver_that_is_not_there_begins_no_run(workshop: Workshop) -> None:  # noqa: N802  rule of the fault matrix
    """With the step that needs it, where it is wired, and what to do."""
    wire_driver(workshop, "no-such-driver")

    (problem,) = workshop.refused(recipe(experiment("m")))

    where = "workspaces/r/operators.yaml"
    assert problem.endswith(f"error[MS604]: experiment.default in {where}: there is no program 'no-such-driver'")


def test_F17_a_driver_that_vanishes_fails_the_attempt(workshop: Workshop) -> None:  # noqa: N802  as above
    """It was told nothing, so nothing can come of it; the run goes on by its policy."""
    driver = workshop.write("driver", "#!/no/such/interpreter\n")
    driver.chmod(0o755)
    wire_driver(workshop, str(driver))

    ran = workshop.run(recipe(experiment("m", "allow_failure: true"), shell("b", "true", "stdout: free")))

    assert (ran.states, ran.attempts("m")[0].status) == (["FAILED", "COMPLETED"], "FAILED_INIT")
    assert "driver 'driver', called with 'start': it cannot be started: no such file" in ran.reasons[0]


def test_a_driver_that_vanishes_is_asked_for_what_it_measures(workshop: Workshop) -> None:
    """The measurement may be under way, so the run waits, and says why."""
    driver = workshop.write("driver", '#!/bin/sh\nrm "$0"; echo \'{"state": "running"}\'\n')
    driver.chmod(0o755)
    wire_driver(workshop, str(driver))
    first = workshop.run(recipe(experiment("m")), once=True)

    second = workshop.resume(first.root, once=True)

    (attempt,) = second.attempts("m")
    assert (second.outcome.exit_status, attempt.status) == (5, "WAITING_EXTERNAL")
    assert "called with 'poll': it cannot be started: no such file" in attempt.operator_data["note"]


def test_what_it_refuses_is_a_failure(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its own words."""
    by_driver(workshop, monkeypatch)

    ran = workshop.run(recipe(experiment("m", "config: {temperature_c: -900, minutes: 30}")))

    assert ran.states == ["FAILED"]
    assert "temperature_c" in ran.reasons[0]


def test_a_result_that_does_not_fit_is_a_failure(workshop: Workshop) -> None:
    """Of its schema."""
    answer_by_file(workshop, RESULT)
    schema = "{type: object, properties: {yield: {type: string}}}"

    ran = workshop.run(recipe(experiment("m", f"result_schema: {schema}")))

    assert ran.reasons == ["the exit code is 1, not 0: result.yield: 0.5 is not of type 'string'"]


def test_it_is_not_measured_again_after_a_stop(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next runner asks what came of it."""
    remembered = by_driver(workshop, monkeypatch, seconds=3600) / "furnace.json"
    text = recipe(experiment("m", "config: {temperature_c: 900, minutes: 30}"))

    first = workshop.run(text, once=True)
    told = json.loads(remembered.read_text())
    remembered.write_text(json.dumps({token: {**one, "began": 0} for token, one in told.items()}))
    second = workshop.resume(first.root)

    assert (first.outcome.exit_status, second.states, len(second.attempts("m"))) == (5, ["COMPLETED"], 1)
    assert [one["measured"] for one in json.loads(remembered.read_text()).values()] == [1]


def test_what_takes_too_long_is_stopped(workshop: Workshop) -> None:
    """Nobody answers, and the step has failed, in the hands of others."""
    notes = Notes()

    ran = workshop.run(recipe(experiment("m", "timeout: 1s")), reporter=notes)

    assert (ran.states, ran.attempts("m")[0].status) == (["FAILED"], "TIMEOUT")
    assert (folder(ran, "m") / "experiment_abort.json").exists()
    assert [one.is_away for one in notes.endings] == [True]
    assert ran.attempts("m")[0].duration_sec >= 1  # type: ignore[operator]


def test_a_driver_that_cannot_be_reached_ends_all_the_same(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time; the records say that it was not told to stop."""
    text = "operators: { experiment.default: { kind: experiment, backend: { type: command, command: ['false'] } } }"
    monkeypatch.setenv("MATTERSTACK_OPERATORS_CONFIG", str(workshop.write("operators.yaml", text)))
    notes = Notes()

    ran = workshop.run(recipe(experiment("m", "timeout: 1s")), reporter=notes)

    (attempt,) = ran.attempts("m")
    assert (attempt.status, "false" in attempt.operator_data["not_told_to_stop"]) == ("TIMEOUT", True)


@pytest.mark.parametrize(
    ("backend", "told"),
    [
        ("{ type: files }", "waits for experiment_result.json in the attempt's directory"),
        ("{ type: command, command: [SLOW] }", "waits for the instrument; its driver is asked for the result"),
    ],
)
def test_what_it_waits_for_depends_on_how_the_instrument_is_reached(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, backend: str, told: str
) -> None:
    """A file is awaited only by who looks for one."""
    driver = workshop.write("slow", '#!/bin/sh\ncat > /dev/null\necho \'{"state": "waiting"}\'\n')
    driver.chmod(0o755)
    text = (
        f"operators: {{ experiment.default: {{ kind: experiment, backend: {backend.replace('SLOW', str(driver))} }} }}"
    )
    monkeypatch.setenv("MATTERSTACK_OPERATORS_CONFIG", str(workshop.write("operators.yaml", text)))
    notes = Notes()

    workshop.run(recipe(experiment("m")), reporter=notes, once=True)

    assert [one.todo for one in notes.told if isinstance(one, TaskWaiting)] == [told]


def test_instruments_take_turns(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One measurement at a time, as the furnace itself would demand."""
    by_driver(workshop, monkeypatch)
    keys = "foreach: [800, 900, 1000], config: {temperature_c: '${{ item }}', minutes: 30}"

    ran = workshop.run(recipe(experiment("m", keys)))

    assert ran.states == ["COMPLETED"] * 4
