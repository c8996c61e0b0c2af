"""The commands about operators say what is wrong with a cluster, and steer what it takes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.acceptance.program import Ended, finish, reads, until
from tests.acceptance.slurm_projects import IMPATIENT, FakeProject, fake_project

OK = 'echo \'{"status": "ok", "outputs": []}\''


@pytest.fixture(name="demo")
def _demo(tmp_path: Path) -> Iterator[FakeProject]:
    with fake_project(tmp_path) as made:
        yield made


def verdicts(ended: Ended) -> dict[str, str]:
    """Give what `operators check` says of each thing it looked at."""
    return {row["what"]: row["verdict"] for row in ended.table}


def statuses(demo: FakeProject) -> dict[str, str]:
    """Give the states of the tasks of the last run."""
    return {row["task"]: row["status"] for row in demo.call("status", "@last").table}


def test_check_finds_a_good_cluster_good(demo: FakeProject) -> None:
    """It looks at all there is, and leaves nothing there, not even the folder that a run will make."""
    ended = demo.call("operators", "check", "demo", "hpc.default")

    assert ended.status == 0, ended.stdout
    assert set(verdicts(ended).values()) == {"ok"}
    assert {"reach", "programs", "python", "clock", "workspace_root", "space"} < verdicts(ended).keys()
    assert {"slurm", "accounting", "partition", "sbatch --test-only"} < verdicts(ended).keys()
    assert (demo.root.exists(), list(demo.root.parent.glob(".ms-check*")), demo.cluster.jobs()) == (False, [], [])


def test_s27_check_warns_of_a_clock_that_is_wrong(demo: FakeProject) -> None:
    """By more than a minute."""
    demo.says("date", "echo $(($(/bin/date +%s) + 900))")

    ended = demo.call("operators", "check", "demo", "hpc.default")

    (row,) = (row for row in ended.table if row["what"] == "clock")
    assert row["verdict"] == "warn"
    assert 890 < int(row["found"].split(" ")[0]) < 910


def test_s15_check_asks_slurm_whether_it_takes_jobs(demo: FakeProject) -> None:
    """A partition that is not there fails twice, with what to do."""
    demo.wire(slurm={"partition": "nope"})

    ended = demo.call("operators", "check", "demo", "hpc.default", "--json")

    failed = [finding for finding in ended.answer["findings"] if finding["verdict"] == "FAIL"]
    assert (ended.status, ended.answer["ok"]) == (6, False)
    assert [finding["what"] for finding in failed] == ["partition", "sbatch --test-only"]
    assert all("slurm.partition" in finding["todo"] for finding in failed)


@pytest.mark.parametrize(
    ("wiring", "settings", "failing"),
    [
        ({"python": "/nowhere/python3"}, {}, "python"),
        ({"slurm": {"setup": "module_that_is_not_there"}}, {}, "setup"),
        ({"slurm": {"setup": "exit 3"}}, {}, "setup"),
        ({"slurm": {"setup": "if then"}}, {}, "setup"),
        ({"workspace_root": "/proc/nobody"}, {}, "workspace_root"),
        ({"workspace_root": "$NOBODY_SET_THIS/runs"}, {}, "workspace_root"),
        ({}, {"controller": "down", "patience_sec": 0.1}, "slurm"),
        ({}, {"accounting": "down"}, "accounting"),
        ({"poll_every": 290.0}, {"min_job_age_sec": 300.0}, "poll_every"),
    ],
)
def test_check_names_what_is_wrong(
    demo: FakeProject, wiring: dict[str, object], settings: dict[str, object], failing: str
) -> None:
    """Each fault has a row of its own that says what to do."""
    demo.wire(**wiring)
    demo.cluster.set(**settings)

    ended = demo.call("operators", "check", "demo", "hpc.default")

    bad = [row for row in ended.table if row["verdict"] != "ok"]
    assert [row["what"] for row in bad] == [failing]
    assert all(row["todo"] for row in bad)
    assert ended.status == (6 if bad[0]["verdict"] == "FAIL" else 0)


def test_check_knows_what_needs_none(demo: FakeProject) -> None:
    """Files and people need none; a driver has to be there, and an address to answer."""
    demo.project.write(
        "workspaces/demo/operators.yaml",
        "operators:\n"
        "  experiment.files: {kind: experiment}\n"
        "  experiment.driver: {kind: experiment, backend: {type: command, command: [no-such-driver]}}\n"
        "  experiment.web: {kind: experiment, backend: {type: http, url: 'http://127.0.0.1:9'}}\n"
        "  human.default: {kind: human}\n",
    )

    ended = demo.call("operators", "check", "demo")

    found = {row["operator_key"]: (row["what"], row["verdict"]) for row in ended.table}
    assert ended.status == 6
    assert found == {
        "experiment.files": ("nothing", "ok"),
        "experiment.driver": ("driver", "FAIL"),
        "experiment.web": ("reach", "FAIL"),
        "human.default": ("nothing", "ok"),
    }


def test_check_of_a_key_that_is_not_wired_says_which_are(demo: FakeProject) -> None:
    """A slip is told."""
    ended = demo.call("operators", "check", "demo", "hpc.defualt")

    assert (ended.status, "did you mean 'hpc.default'?" in ended.stderr) == (2, True)


@pytest.mark.parametrize("command", ["list", "check"])
def test_a_workspace_that_is_not_there_is_told(demo: FakeProject, command: str) -> None:
    """Nobody is shown what is built in as what a misspelt workspace has."""
    ended = demo.call("operators", command, "dmeo")

    assert (ended.status, "did you mean 'demo'?" in ended.stderr) == (2, True)


def test_a_paused_operator_takes_on_nothing_new(demo: FakeProject) -> None:
    """What it has goes on, and so does everything else; it is told of where one looks."""
    demo.recipe(
        {"name": "first", "run": ["sh", "-c", f"until test -e {demo.root}/go; do sleep 0.1; done; {OK}"]},
        {"name": "second", "run": ["sh", "-c", OK], "depends_on": ["first"]},
    )
    here = {"name": "here", "type": "shell", "run": ["sh", "-c", OK], "depends_on": ["first"]}
    recipe = demo.project.folder / "workspaces/demo/recipe.yaml"
    recipe.write_text(recipe.read_text() + yaml.safe_dump([here]))
    runner = demo.project.start("run", "demo", env=demo.env)
    until(lambda: [job for job in demo.cluster.jobs() if job["state"] == "RUNNING"])

    paused = demo.call("operators", "pause", "hpc.default", "--reason", "maintenance")
    said = reads(runner, "hpc.default was paused by")
    (demo.root / "go").touch()
    until(lambda: statuses(demo).get("here") == "COMPLETED")
    time.sleep(1.0)
    waiting = statuses(demo)
    listed = {row["operator_key"]: row["paused"] for row in demo.call("operators", "list", "demo").table}
    shown = demo.call("status", "@last").stderr
    resumed = demo.call("operators", "resume", "hpc.default")
    ended = finish(runner)

    assert (paused.status, resumed.status, ended.status) == (0, 0, 0), ended.stderr
    assert (waiting["first"], waiting["second"]) == ("COMPLETED", "PENDING")
    assert len(demo.cluster.jobs()) == 2
    assert (listed["human.default"], "maintenance" in listed["hpc.default"]) == ("", True)
    assert all("hpc.default was paused by" in text for text in (said, shown)), (said, shown)


def test_a_run_begun_under_a_pause_submits_nothing(demo: FakeProject) -> None:
    """`step` says what it waits for; a pause for the run alone is one for no other."""
    demo.recipe({"name": "only", "run": ["sh", "-c", OK]})
    demo.call("init", "demo")
    demo.call("operators", "pause", "hpc.default", "--run", "@last")

    stepped = demo.call("step", "@last")

    assert (stepped.status, demo.cluster.jobs()) == (5, [])
    assert "hpc.default" in stepped.stderr
    assert demo.call("run", "demo", "--new").status == 0


def test_pausing_twice_or_resuming_what_goes_on_is_told(demo: FakeProject) -> None:
    """Each says so and changes nothing."""
    assert demo.call("operators", "resume", "hpc.default").status == 2
    assert demo.call("operators", "pause", "hpc.default").status == 0
    assert "paused already" in demo.call("operators", "pause", "hpc.default").stderr


@pytest.mark.parametrize("of_run", [False, True], ids=["everywhere", "of a run"])
def test_what_waits_after_a_refusal_is_not_submitted_while_paused(demo: FakeProject, of_run: bool) -> None:
    """It says who has paused the operator, and is submitted once that goes on."""
    which = ["hpc.default", *(["--run", "@last"] if of_run else [])]
    demo.recipe({"name": "one", "run": ["sh", "-c", OK]})
    demo.says("sbatch", "echo 'sbatch: error: QOSMaxSubmitJobPerUserLimit' >&2; exit 1")
    runner = demo.start("run", "demo")
    until(lambda: "tried again at 20" in demo.call("status", "@last").stdout)
    assert "tried again, less and less often" in demo.call("explain", "@last").stdout

    assert demo.call("operators", "pause", *which).status == 0
    until(lambda: "was paused by" in demo.call("attempts", "@last", "one", "--json").answer[0]["operator_data"]["note"])
    before = len(demo.calls("sbatch"))
    demo.says("sbatch")
    time.sleep(4.0)

    assert len(demo.calls("sbatch")) == before
    assert demo.call("operators", "resume", *which).status == 0
    assert finish(runner).status == 0


def test_check_asks_for_no_interval_that_operators_yaml_may_not_have(
    demo: FakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that soon forgets what has ended is looked at no sooner for that."""
    monkeypatch.setitem(IMPATIENT, "MATTERSTACK_POLL_FLOOR", "30")
    demo.wire(poll_every=60.0)
    demo.cluster.set(min_job_age_sec=15.0)

    ended = demo.call("operators", "check", "demo", "hpc.default")

    assert (ended.status, verdicts(ended)["poll_every"]) == (0, "ok")
