"""Every scriptlet that ships keeps the contract, run by hand from somewhere else."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.context import Context
from orchestrator.invoke import call_core, core_scriptlet
from orchestrator.store.attempts import attempt_token
from orchestrator.store.database import close_opened
from orchestrator.testing.conformance import check_scriptlet
from tests.legacy import put_run

ROOT = Path(__file__).resolve().parents[2]
NUMBERS = str(ROOT / "data" / "numbers.csv")
RUN_ID = "20260102_030405_0a1b2c3d"
ISOLATED = (sys.executable, "-I")


@dataclass(frozen=True)
class Case:
    """What a scriptlet needs to succeed."""

    params: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] | None = None


def open_run(folder: Path) -> dict[str, Any]:
    """Say what a run of one task begins with."""
    return {
        "run_root": str(folder / RUN_ID),
        "workspace_slug": "screening",
        "recipe_name": "recipe.yaml",
        "recipe_text": "steps: []\n",
        "inputs": {},
        "tasks": [{"task_id": "load", "step": "load", "definition_sha256": "0" * 64}],
    }


def opened_run(folder: Path) -> str:
    """Begin a run and give its directory."""
    call_core("open_run", open_run(folder))
    return str(folder / RUN_ID)


def ended_run(folder: Path) -> str:
    """Begin a run and cancel it."""
    run_root = opened_run(folder)
    call_core("close_run", {"run_root": run_root, "status": "CANCELLED"})
    close_opened(run_root)
    return run_root


def older_run(folder: Path) -> dict[str, Any]:
    """Give a run of an earlier version and say what it goes by."""
    root = put_run(folder, 3)
    definitions = dict.fromkeys(("relax_cu", "relax_ni", "review", "report"), "0" * 64)
    inputs = {"recipe_path": "recipe.yaml", "recipe_sha256": "0" * 64}
    return {"run_root": str(root), "recipe_text": "steps: []\n", "inputs": inputs, "definitions": definitions}


def opened_attempt(folder: Path) -> dict[str, Any]:
    """Begin an attempt and say how it ends."""
    run_root = opened_run(folder)
    call_core("open_attempt", {"run_root": run_root, "task_id": "load", "operator_key": "local.default"})
    close_opened(run_root)
    attempt_id = attempt_token(RUN_ID, "load", 1)
    ids = {"task_id": "load", "attempt_id": attempt_id}
    return {"run_root": run_root, **ids, "status": "FAILED", "task_status": "FAILED"}


def asking_attempt(folder: Path, *, submit: bool = False, answer: bool = False) -> dict[str, Any]:
    """Begin an attempt that asks people; ask them, and let one answer."""
    run_root = opened_run(folder)
    asked = {"operator_key": "human.default", "params": {"instructions": "Is it so?"}, "work": {"step": "load"}}
    which = {"run_root": run_root, "task_id": "load", "attempt_id": attempt_token(RUN_ID, "load", 1)}
    call_core("open_attempt", {"run_root": run_root, "task_id": "load", **asked})
    if submit:
        call_core("submit_attempt", which)
    if answer:
        call_core("record_response", answered(which))
    close_opened(run_root)
    return which


def answered(which: dict[str, Any]) -> dict[str, Any]:
    """Say what a person answers to an attempt."""
    response = {"status": "COMPLETED", "data": {"approved": True}}
    return {"run_root": which["run_root"], "task_id": which["task_id"], "response": response}


def campaign(folder: Path) -> str:
    """Write a campaign of one task; give its file."""
    path = folder / "main.py"
    path.write_text(
        "from orchestrator import Campaign, Task, Workflow\n"
        "class One(Campaign):\n"
        "    def plan(self, state):\n"
        "        return Workflow([Task(task_id='a', command='true')])\n"
        "def get_campaign():\n"
        "    return One()\n"
    )
    return str(path)


WIRING = {
    "source": "CLI_OVERRIDE",
    "resolved_path": "operators.yaml",
    "text": "operators: { local.default: { kind: local } }\n",
    "sha256": "7b0a7c5e7f3d0e0a6c8a5a1c6a3a8c0f6f3f4b7c5d1e2f3a4b5c6d7e8f901234",
}


CASES: dict[str, Callable[[Path], Case]] = {
    "core/cancel_attempt.py": lambda folder: Case(asking_attempt(folder, submit=True)),
    "core/collect_attempt.py": lambda folder: Case(asking_attempt(folder, submit=True, answer=True)),
    "core/poll_attempts.py": lambda folder: Case(asking_attempt(folder, submit=True)),
    "core/record_response.py": lambda folder: Case(answered(asking_attempt(folder, submit=True))),
    "core/recover_attempt.py": lambda folder: Case(asking_attempt(folder)),
    "core/close_attempt.py": lambda folder: Case(opened_attempt(folder)),
    "core/close_run.py": lambda folder: Case({"run_root": opened_run(folder), "status": "CANCELLED"}),
    "core/export_evidence.py": lambda folder: Case({"run_root": opened_run(folder)}),
    "core/inherit_run.py": lambda folder: Case(older_run(folder)),
    "core/open_attempt.py": lambda folder: Case(
        {"run_root": opened_run(folder), "task_id": "load", "operator_key": "local.default"}
    ),
    "core/open_run.py": lambda folder: Case(open_run(folder)),
    "core/request_run.py": lambda folder: Case({"run_root": opened_run(folder), "request": "pause"}),
    "core/reset_task.py": lambda folder: Case({"run_root": opened_run(folder), "task_id": "load", "action": "reset"}),
    "core/resolve_wiring.py": lambda folder: Case({"workspace": str(folder)}),
    "core/revive_run.py": lambda folder: Case({"run_root": ended_run(folder)}),
    "core/snapshot_wiring.py": lambda folder: Case({"run_root": opened_run(folder), "wiring": WIRING}),
    "core/submit_attempt.py": lambda folder: Case(asking_attempt(folder)),
    "shell/sanitize_csv.sh": lambda folder: Case({"src": NUMBERS, "dst": str(folder / "clean.csv")}),
    "shell/enrich_csv.sh": lambda folder: Case({"src": NUMBERS, "dst": str(folder / "rich.csv"), "column": "n"}),
    "steps/analyze_campaign.py": lambda folder: Case(
        {"main": campaign(folder)}, {"campaign.state_v1": 1, "_campaign.results_v1": {}}
    ),
    "steps/plan_campaign.py": lambda folder: Case({"main": campaign(folder)}),
    "steps/aggregate_metrics.py": lambda _: Case({"keys": ["a.b_v1"]}, {"a.b_v1": 1}),
    "steps/cache_numbers.py": lambda folder: Case({"dst": str(folder / "kept.txt")}, {"numbers.values_v1": [1, 2]}),
    "steps/cleanup_intermediate.py": lambda _: Case({"paths": ["*.tmp"]}),
    "steps/compute_mean.py": lambda _: Case({"src": NUMBERS}),
    "steps/compute_metrics.py": lambda _: Case(context={"numbers.values_v1": [1, 2]}),
    "steps/compute_std.py": lambda _: Case({"src": NUMBERS}),
    "steps/inject_failure.py": lambda folder: Case({"times": 0, "counter": str(folder / "calls.txt")}),
    "steps/prime_factor_analysis.py": lambda _: Case({"numbers": [12, 97]}),
    "steps/resource_audit.py": lambda _: Case(
        context={"_runner.step_metrics_v1": {"a": {"duration_sec": 1.0, "cpu_sec": 0.5, "max_rss_mb": 40.0}}}
    ),
    "steps/validate_numbers.py": lambda _: Case({"minimum": 0}, {"numbers.values_v1": [1, 2]}),
    "steps/compute_median.py": lambda _: Case({"src": NUMBERS}),
    "steps/compute_numbers.py": lambda _: Case({"src": NUMBERS}),
    "steps/generate_report.py": lambda folder: Case({"out": str(folder / "report.md")}, {"a.b_v1": 1}),
    "steps/load_numbers.py": lambda _: Case({"src": NUMBERS}),
    "steps/normalize_numbers.py": lambda _: Case(context={"numbers.values_v1": [1, 2]}),
}


def test_every_scriptlet_that_ships_is_checked() -> None:
    """A new one is listed here."""
    shipped = [path for path in (ROOT / "scriptlets").glob("*/*") if path.suffix in (".py", ".sh")]

    names = {path.relative_to(ROOT / "scriptlets").as_posix() for path in shipped if not path.stem.startswith("_")}

    assert names == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_scriptlet_keeps_the_contract(name: str, tmp_path: Path) -> None:
    """With good params and with bad ones."""
    case = CASES[name](tmp_path)
    path = ROOT / "scriptlets" / name
    command = [*(ISOLATED if path.suffix == ".py" else ()), str(path)]
    if case.context is not None:
        (tmp_path / "context.json").write_text(json.dumps(case.context), encoding="utf-8")
        command += ["--ctx", str(tmp_path / "context.json")]

    check_scriptlet(command, case.params)


CORE = sorted(path.stem for path in (ROOT / "scriptlets" / "core").glob("[a-z]*.py"))


def reasons(name: str, params: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a core scriptlet as by hand, which must fail without a traceback; give the reason."""
    assert core_scriptlet(name).run(Context(), params) == 1
    said = capsys.readouterr()
    assert said.err == ""
    envelope: dict[str, Any] = json.loads(said.out)
    assert (envelope["status"], envelope["step"]) == ("error", name)
    return str(envelope["reason"])


@pytest.mark.parametrize("name", CORE)
def test_a_core_scriptlet_says_which_param_is_wrong(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is missing, one that is misspelt, which is told of once, and one of another type."""
    schema: Any = core_scriptlet(name).params_schema
    good = dict.fromkeys(schema["required"], "x")
    first = schema["required"][0]
    rest = {param: value for param, value in good.items() if param != first}

    assert f"the param {first!r} is missing" in reasons(name, {}, capsys)
    misspelt = reasons(name, {**rest, f"{first}s": "x"}, capsys)
    assert f"there is no param '{first}s'; did you mean {first!r}?" in misspelt
    assert f"{first!r} is missing" not in misspelt
    wanted = schema["properties"][first]["type"]
    assert f"the param {first!r}: 3 is not of type {wanted!r}" in reasons(name, {**good, first: 3}, capsys)


@pytest.mark.parametrize(
    ("name", "param", "told"),
    [
        ("request_run", {"request": "paus"}, "the param 'request': 'paus' is not one of ['cancel'"),
        ("close_run", {"status": "DONE"}, "the param 'status': 'DONE' is not one of ['COMPLETED'"),
        ("poll_attempts", {"sighting": {}}, "the param 'task_id' is missing; the param 'attempt_id' is missing"),
        ("open_attempt", {"task_id": "load"}, "the param 'operator_key' is missing"),
    ],
)
def test_a_core_scriptlet_takes_no_other_value(
    name: str, param: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of those that it lists; and nothing is routed that nobody has routed."""
    assert told in reasons(name, {"run_root": "nowhere", **param}, capsys)


@pytest.mark.parametrize(
    "name", ["cancel_attempt", "close_attempt", "collect_attempt", "poll_attempts", "recover_attempt", "submit_attempt"]
)
@pytest.mark.parametrize("ids", [{"task_id": "lode"}, {"attempt_id": "0123456789abcdef"}])
def test_a_core_scriptlet_does_nothing_to_an_attempt_that_is_not_there(
    name: str, ids: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not say that all is well."""
    known, schema = opened_attempt(tmp_path), core_scriptlet(name).params_schema
    params = {key: value for key, value in known.items() if schema and key in schema["properties"]}

    assert "has no attempt" in reasons(name, {**params, **ids}, capsys)
