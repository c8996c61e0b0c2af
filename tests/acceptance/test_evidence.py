"""A third party can check an evidence with the tools of its own system, and it says the same whenever it is made."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.context import Change
from orchestrator.invoke import call_core
from orchestrator.states import AttemptState, RunState, TaskState
from orchestrator.store.attempts import AttemptResult, close_attempt, open_attempt
from orchestrator.store.database import close_opened, opened
from orchestrator.store.runs import set_run_state
from tests.acceptance.program import COMMAND, ROOT, Project, environment, finish, until

RECIPE = """\
schema: matterstack/recipe/v1
workspace: lab
steps:
  - name: a
    type: shell
    run: |
      echo "sent correct-horse-battery" >&2
      echo '{"status": "ok", "outputs": {"n.x_v1": 1.50}}'
  - { name: review, type: human, instructions: Is it so?, deadline: { after: 0.1, then: approve } }
  - { name: each, type: shell, foreach: [b, a], stdout: free, run: [date] }
"""
WIRING = "operators: { local.default: { kind: local }, human.default: { kind: human } }\n"
MANY = 10_000
# A small process starts the program and measures it: what a large one starts is taken to be as large from the first.
MEASURE = """\
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.fixture(name="lab")
def _lab(project: Project) -> Project:
    """Make a project whose run has ended."""
    project.write("recipe.yaml", RECIPE)
    project.write("workspaces/lab/operators.yaml", WIRING)
    assert project.call("run", "recipe.yaml").status == 0
    return project


def run_root(project: Project) -> Path:
    """Give the directory of the one run."""
    return project.run_folders()[-1]


def everything(folder: Path) -> dict[str, bytes]:
    """Give all files below a folder by their names."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def by_hand(**params: object) -> dict[str, Any]:
    """Run the core scriptlet as a program of its own, and give its answer."""
    script = str(ROOT / "scriptlets" / "core" / "export_evidence.py")
    command = [sys.executable, script, "--params", json.dumps(params), "--pretty"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env=environment())
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def test_an_evidence_is_where_the_run_is(lab: Project) -> None:
    """Its path is the result."""
    ended = lab.call("export-evidence", "@last")

    assert (ended.status, ended.stdout) == (0, f"{run_root(lab) / 'evidence'}\n")
    assert ended.stderr == ""


def test_programs_get_one_object(lab: Project) -> None:
    """With what they need to keep of it."""
    ended = lab.call("export-evidence", "@last", "--json", "--output", "out/here")

    answer, folder = ended.answer, lab.folder / "out" / "here"
    assert (answer["run_id"], answer["path"], answer["is_complete"]) == (run_root(lab).name, str(folder), True)
    assert answer["manifest_sha256"] == hashlib.sha256((folder / "manifest-sha256.txt").read_bytes()).hexdigest()
    assert answer["files"] == len(everything(folder))
    assert answer["events_head"] == json.loads((folder / "bundle.json").read_bytes())["events"]["head"]
    assert [answer[name] for name in ("missing", "changed", "refused", "withheld", "secrets_unread")] == [[]] * 5
    assert not (run_root(lab) / "evidence").exists()


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there are no coreutils")
def test_E9_coreutils_check_an_evidence(lab: Project) -> None:
    """As they are, and they see a change."""
    lab.call("export-evidence", "@last")
    check = ["sha256sum", "--check", "--strict", "--quiet", "manifest-sha256.txt"]

    good = subprocess.run(check, cwd=run_root(lab) / "evidence", capture_output=True, text=True, check=False)
    (run_root(lab) / "evidence" / "report.md").write_text("fine", encoding="utf-8")
    bad = subprocess.run(check, cwd=run_root(lab) / "evidence", capture_output=True, text=True, check=False)

    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert (bad.returncode, bad.stdout) == (1, "report.md: FAILED\n")


def test_E6_an_evidence_is_the_same_whenever_and_wherever_it_is_made(lab: Project) -> None:
    """From another directory, in another zone and language, by another spelling of the run, or by hand."""
    lab.call("export-evidence", "@last")
    first = everything(run_root(lab) / "evidence")
    elsewhere = {"TZ": "Pacific/Auckland", "LANG": "de_DE.UTF-8", "LC_ALL": "C", "HOME": "/nowhere"}
    before = os.umask(0o077)
    try:
        for seed in ("1", "2"):
            env = {**elsewhere, "PYTHONHASHSEED": seed}
            ended = lab.call("export-evidence", str(run_root(lab)), env=env, cwd=Path("/"))
            assert ended.status == 0, ended.stderr
            assert everything(run_root(lab) / "evidence") == first
    finally:
        os.umask(before)
    moved = Project(folder=lab.folder.with_name("moved"))
    lab.folder.rename(moved.folder)

    assert by_hand(run_root=str(run_root(moved)), output=str(moved.folder / "by-hand"))["status"] == "ok"

    assert everything(moved.folder / "by-hand") == first


def test_nothing_of_the_machine_is_in_the_bundle(lab: Project) -> None:
    """But where the wiring came from, which is a contract, and who was asked."""
    lab.call("export-evidence", "@last")

    bundle = json.loads((run_root(lab) / "evidence" / "bundle.json").read_bytes())
    wired = bundle["data"]["operator_wiring"].pop("resolved_path")
    for task in bundle["data"]["tasks"].values():
        for attempt in (*task["attempts"], *filter(None, [task["current_attempt"]])):
            attempt["operator_data"].pop("host", None)
    assert wired.endswith("/workspaces/lab/operators.yaml")
    assert str(lab.folder) not in json.dumps(bundle)
    assert os.uname().nodename not in json.dumps(bundle)


def test_an_evidence_can_be_made_of_an_archive(lab: Project) -> None:
    """Of a run that nobody may write to."""
    archive = lab.folder / "archive"
    shutil.copytree(run_root(lab), archive / run_root(lab).name)
    lab.call("export-evidence", "@last")
    for path in (*archive.rglob("*"), archive):
        path.chmod(0o555 if path.is_dir() else 0o444)

    ended = lab.call("export-evidence", str(archive / run_root(lab).name), "--output", "out")

    assert ended.status == 0, ended.stderr
    assert everything(lab.folder / "out") == everything(run_root(lab) / "evidence")


def test_F46_what_is_missing_is_exported_and_told(lab: Project) -> None:
    """By the exit status too, unless that is allowed."""
    (instructions,) = run_root(lab).glob("tasks/review/attempts/*/instructions.md")
    instructions.unlink()

    told = lab.call("export-evidence", "@last")
    allowed = lab.call("export-evidence", "@last", "--allow-missing", "--json")

    name = f"review/{instructions.parent.name}/instructions.md"
    assert (told.status, allowed.status, allowed.answer["missing"]) == (4, 0, [name])
    assert f"error[MS507]: {name} is gone" in told.stderr
    assert told.stdout == f"{run_root(lab) / 'evidence'}\n"


def test_F45_a_wiring_that_was_tampered_with_is_refused(lab: Project) -> None:
    """As by every command that goes on with the run, and the run says so."""
    lab.call("export-evidence", "@last")
    before = everything(run_root(lab) / "evidence")
    path = run_root(lab) / "operators_snapshot" / "operators.yaml"
    path.write_text("operators: {}\n", encoding="utf-8")

    ended = lab.call("export-evidence", "@last")
    answer = by_hand(run_root=str(run_root(lab)))

    assert (ended.status, "error[MS215]" in ended.stderr) == (2, True)
    assert answer["reason"] == f"{run_root(lab).name}: operators_snapshot/operators.yaml was changed"
    assert everything(run_root(lab) / "evidence") == before
    kinds = [kind for kind, _ in lab.events() if kind.startswith("wiring.")]
    assert kinds == ["wiring.persisted", "wiring.tampered", "wiring.tampered"]
    path.write_text(WIRING, encoding="utf-8")
    assert lab.call("export-evidence", "@last").status == 0


def test_E7_a_secret_that_is_known_since_is_found_and_masked(lab: Project) -> None:
    """The evidence that was made before it was known is replaced by one without it."""
    assert lab.call("export-evidence", "@last").status == 0
    env = {"LAB_KEY": "correct-horse-battery"}

    refused = lab.call("export-evidence", "@last", "--secret-env", "LAB_KEY", env=env)
    masked = lab.call("export-evidence", "@last", "--secret-env", "LAB_KEY", "--redact", env=env)

    assert (refused.status, refused.stdout, "error[MS211]" in refused.stderr) == (2, "", True)
    assert "correct-horse-battery" not in refused.stderr
    assert masked.status == 0
    assert "note: recipe.yaml is left out: a secret is in it" in masked.stderr
    assert b"correct-horse-battery" not in b"".join(everything(run_root(lab) / "evidence").values())


def test_an_export_while_the_run_is_driven_says_that_there_will_be_more(project: Project) -> None:
    """And hinders nobody."""
    waits = "touch ready; for _ in $(seq 1200); do test -e go && break; sleep 0.05; done"
    project.write("recipe.yaml", f'steps: [{{ name: a, type: shell, stdout: free, run: "{waits}" }}]\n')
    runner = project.start("run", "recipe.yaml")
    try:
        until((project.folder / "ready").exists)
        ended = project.call("export-evidence", "@last", "--json")
    finally:
        (project.folder / "go").touch()
        finish(runner)

    assert (ended.status, ended.answer["is_complete"], runner.returncode) == (0, False, 0)
    assert "this is what there is so far" in ended.stderr


def many_attempts(root: Path) -> Path:
    """Record a run of very many attempts that each said something."""
    run = root / "20260102_030405_0a1b2c3d"
    names = [f"s{number}" for number in range(MANY)]
    tasks = [{"task_id": name, "step": name, "definition_sha256": "0" * 64} for name in names]
    about = {"workspace_slug": "w", "recipe_name": "r.yaml", "recipe_text": "steps: []\n", "inputs": {}}
    call_core("open_run", {"run_root": str(run), **about, "tasks": tasks})
    database = opened(run)
    with database.transaction():
        set_run_state(database, RunState.RUNNING)
        for name in names:
            attempt_id, _ = open_attempt(database, name, {}, "local.default")
            change = Change(f"n.{name}_v1", "1.5", name)
            result = AttemptResult(
                status=AttemptState.COMPLETED,
                task_status=TaskState.COMPLETED,
                stderr="said " * 1000,
                changes=(change,),
            )
            close_attempt(database, name, attempt_id, result)
        set_run_state(database, RunState.COMPLETED)
    close_opened(run)
    return run


@pytest.mark.slow
def test_very_many_attempts_take_little_memory(tmp_path: Path) -> None:
    """What the run holds is not in memory all at once: that would be 50 MB of text alone."""
    command = [*COMMAND, "export-evidence", str(many_attempts(tmp_path)), "--output", str(tmp_path / "out")]
    measure = [sys.executable, "-c", MEASURE, *command]
    ended = subprocess.run(measure, env=environment(), capture_output=True, text=True, check=True)

    bundle = json.loads((tmp_path / "out" / "bundle.json").read_bytes())
    unit = 1 if sys.platform == "darwin" else 1024
    assert bundle["attempts"]["count"] == MANY
    assert int(ended.stdout.splitlines()[-1]) * unit / 1e6 < 150
