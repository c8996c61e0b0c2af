"""A run keeps its wiring and goes on by it without any option, whatever becomes of the file that it came from."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.program import COMMAND, Ended, Project, environment

RECIPE = """\
schema: matterstack/recipe/v1
workspace: lab
steps:
  - { name: a, type: shell, run: [date], stdout: free }
  - { name: b, type: shell, run: "test -f ok", stdout: free }
"""
FIRST = "# Ours\noperators:\n  local.default: { kind: local }\n  hpc.default: { kind: hpc, backend: { type: local } }\n"
OTHER = "operators: { local.other: { kind: local } }\n"
NAMES = ["history.jsonl", "metadata.json", "operators.yaml"]


@pytest.fixture(name="lab")
def _lab(project: Project) -> Project:
    """Make a project whose workspace has a wiring, and whose run fails until somebody makes a file."""
    project.write("recipe.yaml", RECIPE)
    project.write("workspaces/lab/operators.yaml", FIRST)
    project.write("other.yaml", OTHER)
    return project


def run_root(project: Project) -> Path:
    """Give the directory of the one run."""
    (found,) = (project.folder / "workspaces" / "lab" / "runs").iterdir()
    return found


def snapshot(project: Project) -> Path:
    """Give the folder in which the run has kept its wiring."""
    return run_root(project) / "operators_snapshot"


def history(project: Project) -> list[str]:
    """Give the events of the wiring, as the file tells them."""
    lines = (snapshot(project) / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["event"] for line in lines]


def recorded(project: Project) -> list[str]:
    """Give the events of the wiring, as the state file has them."""
    kinds = (kind for kind, _ in project.events() if kind.startswith("wiring."))
    return [f"WIRING_{kind.removeprefix('wiring.').upper()}" for kind in kinds]


def metadata(project: Project) -> dict[str, Any]:
    """Give what the run says of its wiring."""
    found: dict[str, Any] = json.loads((snapshot(project) / "metadata.json").read_text(encoding="utf-8"))
    return found


def retry(project: Project, *words: str) -> Ended:
    """Go on with the run."""
    return project.call("retry", "@last", *words)


def test_the_default_of_a_workspace_is_found_and_kept(lab: Project) -> None:
    """Without any option, byte for byte."""
    lab.call("run", "recipe.yaml")

    kept = metadata(lab)
    assert sorted(path.name for path in snapshot(lab).iterdir()) == NAMES
    assert (snapshot(lab) / "operators.yaml").read_text(encoding="utf-8") == FIRST
    assert (kept["schema_version"], kept["effective"]["source"]) == (1, "WORKSPACE_DEFAULT")
    assert kept["effective"]["resolved_path"] == str(lab.folder / "workspaces" / "lab" / "operators.yaml")
    assert kept["provenance"]["workspace_slug"] == "lab"
    assert history(lab) == recorded(lab) == ["WIRING_PERSISTED"]


def test_a_run_without_wiring_keeps_none(project: Project) -> None:
    """What is built in need not be kept."""
    project.write("recipe.yaml", RECIPE)

    project.call("run", "recipe.yaml")

    assert not snapshot(project).exists()
    line = "Operator wiring: source=NONE sha256=none snapshot=none"
    assert line in project.call("explain", "@last").stdout


def test_a_run_goes_on_when_its_file_is_gone(lab: Project) -> None:
    """Routing and provenance stay what they were, and explain says so."""
    lab.call("run", "recipe.yaml", "--operators-config", "other.yaml")
    (lab.folder / "other.yaml").unlink()
    lab.write("ok", "")

    ended = retry(lab)

    assert ended.status == 0
    assert "note:" not in ended.stderr
    assert metadata(lab)["effective"]["source"] == "CLI_OVERRIDE"
    assert metadata(lab)["provenance"]["cli"] == {"operators_config": "other.yaml", "force_wiring_override": False}
    assert history(lab) == ["WIRING_PERSISTED"]
    line = f"Operator wiring: source=CLI_OVERRIDE sha256={metadata(lab)['effective']['sha256']} snapshot="
    assert line in lab.call("explain", "@last").stdout


def test_the_same_bytes_given_again_change_nothing(lab: Project) -> None:
    """From wherever they come."""
    lab.call("run", "recipe.yaml")
    before = {path.name: path.read_bytes() for path in snapshot(lab).iterdir()}
    lab.write("copy.yaml", FIRST)

    ended = retry(lab, "--operators-config", "copy.yaml", "--force-wiring-override")

    assert ended.status == 1
    assert {path.name: path.read_bytes() for path in snapshot(lab).iterdir()} == before


def test_other_bytes_are_refused(lab: Project) -> None:
    """Nothing of the run changes but its history, and the next command finds what failed as it was."""
    lab.call("run", "recipe.yaml")
    status = lab.call("status", "@last").stdout

    ended = retry(lab, "--operators-config", "other.yaml")

    assert (ended.status, "MS215" in ended.stderr, "--force-wiring-override" in ended.stderr) == (2, True, True)
    assert lab.call("status", "@last").stdout == status
    assert (snapshot(lab) / "operators.yaml").read_text(encoding="utf-8") == FIRST
    assert history(lab) == recorded(lab) == ["WIRING_PERSISTED", "WIRING_OVERRIDE_REFUSED"]


def test_other_bytes_are_taken_by_force(lab: Project) -> None:
    """The former wiring is kept under its digest, and named."""
    lab.call("run", "recipe.yaml")
    first = metadata(lab)

    ended = retry(lab, "--operators-config", "other.yaml", "--force-wiring-override")

    kept, digest = metadata(lab), first["effective"]["sha256"]
    assert ended.status == 1
    assert (snapshot(lab) / "operators.yaml").read_text(encoding="utf-8") == OTHER
    assert (snapshot(lab) / f"operators-{digest[:16]}.yaml").read_text(encoding="utf-8") == FIRST
    assert (kept["effective"]["source"], kept["created_at_utc"]) == ("CLI_OVERRIDE", first["created_at_utc"])
    assert history(lab) == recorded(lab) == ["WIRING_PERSISTED", "WIRING_OVERRIDE_FORCED"]
    last = (snapshot(lab) / "history.jsonl").read_text(encoding="utf-8").splitlines()[-1]
    assert json.loads(last)["details"] == {"prior_sha256": digest}


def changed(project: Project, path: Path) -> list[str]:
    """Give the lines by which a run says that a file has changed meanwhile."""
    run_id = run_root(project).name
    command = f"matterstack resume {run_id} --operators-config {path} --force-wiring-override"
    return [f"{path} has changed since run {run_id} kept it; the run goes on with what it kept", command]


@pytest.mark.parametrize(
    ("name", "options"),
    [("workspaces/lab/operators.yaml", ()), ("mine.yaml", ("--operators-config", "mine.yaml"))],
    ids=["found", "named"],
)
def test_a_file_that_changes_meanwhile_is_told_of(lab: Project, name: str, options: tuple[str, ...]) -> None:
    """Once, with the command that makes the run go by it, which works."""
    lab.write("mine.yaml", FIRST)
    assert "note:" not in lab.call("run", "recipe.yaml", *options).stderr
    lab.write(name, FIRST + "# More\n")
    text, command = changed(lab, lab.folder / name)

    again, explained = retry(lab), lab.call("explain", "@last").stdout

    assert again.stderr.count("note:") == 1
    assert f"note: {text}\n  = to go on by the file:  {command}\n" in again.stderr
    assert f"not used: {text}; to go on by the file: {command}" in explained
    forced = retry(lab, *command.split()[3:])
    assert "note:" not in forced.stderr
    assert history(lab) == ["WIRING_PERSISTED", "WIRING_OVERRIDE_FORCED"]
    assert "not used" not in lab.call("explain", "@last").stdout


def test_a_file_that_can_be_read_no_more_has_changed(lab: Project) -> None:
    """The run needs it no more, and goes on."""
    lab.call("run", "recipe.yaml")
    lab.write("workspaces/lab/operators.yaml", "operators: [")
    lab.write("ok", "")

    ended = retry(lab)

    assert ended.status == 0
    assert f"note: {lab.folder}/workspaces/lab/operators.yaml has changed" in ended.stderr


def test_H4_a_variable_that_changes_meanwhile_has_no_effect(lab: Project) -> None:
    """The run goes on by what it has kept."""
    (lab.folder / "workspaces" / "lab" / "operators.yaml").unlink()
    lab.write("env.yaml", FIRST)
    lab.call("run", "recipe.yaml", env={"MATTERSTACK_OPERATORS_CONFIG": "env.yaml"})
    lab.write("ok", "")

    ended = lab.call("retry", "@last", env={"MATTERSTACK_OPERATORS_CONFIG": "other.yaml"})

    assert (ended.status, metadata(lab)["effective"]["source"], history(lab)) == (0, "ENV_VAR", ["WIRING_PERSISTED"])
    line = f"not used: {lab.folder / 'other.yaml'}, which $MATTERSTACK_OPERATORS_CONFIG has named meanwhile"
    assert line in lab.call("explain", "@last").stdout


def test_H4_a_variable_that_changes_meanwhile_is_noted_once(lab: Project) -> None:
    """For each other file, and one that is not there is another; the same bytes elsewhere are not."""
    lab.write("copy.yaml", FIRST)
    lab.call("run", "recipe.yaml")

    for name in ("copy.yaml", "other.yaml", "other.yaml", "gone.yaml", "gone.yaml"):
        lab.call("retry", "@last", env={"MATTERSTACK_OPERATORS_CONFIG": name})

    noted = [payload for kind, payload in lab.events() if kind == "variable.ignored"]
    assert [Path(one["path"]).name for one in noted] == ["other.yaml", "gone.yaml"]
    assert [one["sha256"] for one in noted] == [hashlib.sha256(OTHER.encode()).hexdigest(), ""]
    assert history(lab) == ["WIRING_PERSISTED"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", ["deleted", "emptied", "edited"])
def test_F45_a_snapshot_that_was_changed_is_refused(lab: Project, name: str, change: str) -> None:
    """The state file knows what it was, and notes that it is not."""
    lab.call("run", "recipe.yaml")
    path = snapshot(lab) / name
    if change == "deleted":
        path.unlink()
    else:
        path.write_bytes(b"" if change == "emptied" else path.read_bytes().replace(b"a", b"e", 1))

    ended = retry(lab)

    assert (ended.status, f"operators_snapshot/{name}" in ended.stderr) == (2, True)
    assert recorded(lab) == ["WIRING_PERSISTED", "WIRING_TAMPERED"]
    assert f"operators_snapshot/{name}" in lab.call("explain", "@last").stdout.replace(
        "snapshot=operators_snapshot", ""
    )


def test_F45_a_snapshot_that_was_removed_is_written_anew_on_demand(lab: Project) -> None:
    """The state file holds all of it, and notes that it was gone."""
    lab.call("run", "recipe.yaml")
    before = (snapshot(lab) / "operators.yaml").read_bytes()
    shutil.rmtree(snapshot(lab))
    refused = retry(lab)
    lab.write("ok", "")

    ended = retry(lab, "--force-wiring-override")

    assert "--force-wiring-override" in refused.stderr
    assert (ended.status, (snapshot(lab) / "operators.yaml").read_bytes()) == (0, before)
    assert history(lab) == recorded(lab) == ["WIRING_PERSISTED", "WIRING_TAMPERED", "WIRING_TAMPERED"]
    assert metadata(lab)["effective"]["source"] == "WORKSPACE_DEFAULT"


def test_H4_a_wiring_that_was_changed_everywhere_is_refused(lab: Project) -> None:
    """File, metadata and the row in the state file agree, and the chain of events says that it was another."""
    lab.call("run", "recipe.yaml")
    with closing(sqlite3.connect(run_root(lab) / "state.sqlite")) as connection:
        (row,) = connection.execute("SELECT value_json FROM run_inputs WHERE name = 'wiring'").fetchone()
        changed = {**json.loads(row), "text": OTHER}
        connection.execute("UPDATE run_inputs SET value_json = ? WHERE name = 'wiring'", (json.dumps(changed),))
        connection.commit()
    (snapshot(lab) / "operators.yaml").write_text(OTHER)

    ended = retry(lab)

    assert (ended.status, "the wiring that is kept is not the one of its events" in ended.stderr) == (6, True)


@pytest.mark.parametrize("cut", [1, 30, 120])
def test_F43_a_torn_history_is_healed(lab: Project, cut: int) -> None:
    """A crash leaves the beginning of the file."""
    lab.call("run", "recipe.yaml")
    retry(lab, "--operators-config", "other.yaml")
    path = snapshot(lab) / "history.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])

    ended = retry(lab)

    assert (ended.status, path.read_bytes()) == (1, whole)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--operators-config", "gone.yaml"), "--operators-config: gone.yaml does not exist"),
        (("--operators-config", "bad.yaml"), "bad.yaml:1:14: there are no operators"),
        (("--hpc-config", "x", "--profile", "y"), "--hpc-config and --profile are both given"),
        (("--config", "x"), "--config is given without --profile"),
    ],
)
def test_a_wiring_that_cannot_be_read_begins_no_run(lab: Project, words: tuple[str, ...], reason: str) -> None:
    """The answer names the file and the place."""
    lab.write("bad.yaml", "operators:   {}\n")

    ended = lab.call("run", "recipe.yaml", *words)

    assert ended.answer["reason"] == reason
    assert not (lab.folder / "workspaces" / "lab" / "runs").exists()


def test_core_scriptlets_do_the_same_by_hand(lab: Project) -> None:
    """They say what is in force, and keep it."""
    lab.call("run", "recipe.yaml")
    root = Path(__file__).resolve().parents[2]

    def by_hand(name: str, **params: str) -> dict[str, Any]:
        command = [sys.executable, str(root / "scriptlets" / "core" / f"{name}.py"), "--params", json.dumps(params)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment(None))
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    resolved = by_hand("resolve_wiring", workspace=str(run_root(lab).parent.parent), run_root=str(run_root(lab)))
    kept = by_hand("snapshot_wiring", run_root=str(run_root(lab)))

    assert (resolved["status"], kept["status"], history(lab)) == ("ok", "ok", ["WIRING_PERSISTED"])


def test_operators_are_listed_with_the_limit_that_holds(lab: Project) -> None:
    """Said, inherited or built in; what has none says so."""
    lab.write(
        "limits.yaml",
        """\
operators:
  human.default: { kind: human }
  human.few: { kind: human, max_concurrent: 3 }
  experiment.x: { kind: experiment }
""",
    )

    table = lab.call("operators", "list", "lab", "--operators-config", "limits.yaml").table

    limits = {row["operator_key"]: row["max_concurrent"] for row in table}
    listed = [limits[key] for key in ("human.default", "human.few", "experiment.x")]
    assert listed == ["no limit", "3", "1"]


def test_operators_are_listed_with_their_source(lab: Project) -> None:
    """Of a workspace, and of a run."""
    lab.call("run", "recipe.yaml")

    listed = json.loads(lab.call("operators", "list", "lab", "--json").stdout)
    (lab.folder / "workspaces" / "lab" / "operators.yaml").unlink()
    kept = json.loads(lab.call("operators", "list", "--run", "@last", "--json").stdout)
    built_in = json.loads(lab.call("operators", "list", "lab", "--json").stdout)

    assert [one["source"] for one in (listed, kept, built_in)] == ["WORKSPACE_DEFAULT", "RUN_PERSISTED", "NONE"]
    assert [row["operator_key"] for row in kept["operators"]] == ["local.default", "hpc.default"]
    assert listed["sha256"] == kept["sha256"] != built_in["sha256"]
    assert COMMAND
