"""Clusters are checked, trusted and logged in to by commands, and runs ask for a code before they begin."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.acceptance.program import Ended, Project, finish, reads, until
from tests.acceptance.slurm_projects import RealProject, real_project
from tests.hpc.stack import Centre
from tests.integration.window import Terminal
from tests.integration.window import until as until_shown

pytestmark = pytest.mark.slurm

PATIENCE = {"MATTERSTACK_POLL_FLOOR": "0.1"}
OK = 'echo \'{"status": "ok", "outputs": []}\''


@dataclass(frozen=True, slots=True, kw_only=True)
class Wired:
    """A project that is wired to a login of the centre, and knows the hosts of a file of its own."""

    project: Project
    known: Path
    root: Path

    def call(self, *words: str) -> Ended:
        """Run the program without a terminal."""
        return self.project.call(*words, env=PATIENCE)

    def check(self) -> dict[str, tuple[str, str]]:
        """Give the verdict and what to do of each thing that `operators check` looked at."""
        rows = self.call("operators", "check", "demo", "hpc.default").table
        return {row["what"]: (row["verdict"], row["todo"]) for row in rows}


def wired(centre: Centre, folder: Path, host: str, *, knows: bool) -> Wired:
    """Wire a project to a host."""
    known, root = folder / "known", centre.home() / f"root-{folder.name}"
    if knows:
        shutil.copy(centre["KNOWN_HOSTS"], known)
    config = centre.config(folder, known_hosts=known)
    backend: dict[str, object] = {"type": "slurm", "workspace_root": str(root), "poll_every": 0.2, "grace": 1.0}
    backend["ssh"] = {"host": host, "config_path": str(config)}
    project = Project(folder=folder / "project")
    project.write("matterstack.toml", "")
    operators = {"hpc.default": {"kind": "hpc", "backend": backend}, "local.default": {"kind": "local"}}
    project.write("workspaces/demo/operators.yaml", yaml.safe_dump({"operators": operators}))
    away = {"name": "away", "type": "shell", "operator_key": "hpc.default", "run": ["sh", "-c", OK]}
    steps = [away, {"name": "here", "type": "shell", "run": ["sh", "-c", OK], "depends_on": []}]
    project.write("workspaces/demo/recipe.yaml", yaml.safe_dump({"steps": steps}))
    return Wired(project=project, known=known, root=root)


@pytest.fixture(name="unknown")
def _unknown(centre: Centre, tmp_path: Path) -> Wired:
    return wired(centre, tmp_path, "alpha", knows=False)


@pytest.fixture(name="guarded")
def _guarded(centre: Centre, tmp_path: Path) -> Iterator[Wired]:
    made = wired(centre, tmp_path, "otp", knows=True)
    yield made
    shutil.rmtree(made.root, ignore_errors=True)


@pytest.fixture(name="terminal")
def _terminal(tmp_path: Path) -> Iterator[Terminal]:
    made = Terminal(tmp_path / "tmux", size=(160, 40))
    yield made
    made.close()


def test_a_real_cluster_is_found_good(centre: Centre, tmp_path: Path) -> None:
    """All that is looked at is there, and nothing stays."""
    with real_project(tmp_path, centre) as demo:
        demo.wire(slurm={"partition": "batch"}, poll_every=60.0)

        ended = demo.call("operators", "check", "demo", "hpc.default")

        assert ended.status == 0, ended.stdout
        assert [row for row in ended.table if row["verdict"] == "FAIL"] == []
        assert "a small job would start" in ended.stdout
        assert (demo.root.exists(), demo.jobs()) == (False, [])


def test_s15_a_real_cluster_refuses_what_is_wired_wrongly(centre: Centre, tmp_path: Path) -> None:
    """Slurm's own words are told, and what to do."""
    with real_project(tmp_path, centre) as demo:
        _refuses(demo, {"partition": "nope"}, "slurm.partition")
        _refuses(demo, {"account": "nope"}, "slurm.account")
        _refuses(demo, {"qos": "nope"}, "slurm.qos")


def _refuses(demo: RealProject, slurm: dict[str, str], todo: str) -> None:
    demo.wire(slurm=slurm)
    ended = demo.call("operators", "check", "demo", "hpc.default")
    failed = {row["what"]: row for row in ended.table if row["verdict"] == "FAIL"}
    assert ended.status == 6, ended.stdout
    assert todo in failed["sbatch --test-only"]["todo"], ended.stdout


def test_s16_a_run_says_how_its_host_is_trusted(unknown: Wired) -> None:
    """What needs the host waits, and goes on once somebody trusts it."""
    runner = unknown.project.start("run", "demo", env=PATIENCE)
    until(lambda: "trust-host alpha" in unknown.call("status", "@last").stdout)
    reads(runner, "then: matterstack operators trust-host alpha")
    told = reads(runner, "until then, away waits")
    runner.send_signal(signal.SIGINT)
    finish(runner)

    assert told.startswith("  = ")


def test_s16_a_host_is_trusted_by_its_fingerprint(centre: Centre, unknown: Wired) -> None:
    """Nobody is trusted unseen: without a terminal, the fingerprint has to be given, and the right one."""
    before = unknown.check()["host key"]
    asked = unknown.call("operators", "trust-host", "hpc.default")
    wrong = unknown.call("operators", "trust-host", "hpc.default", "--fingerprint", "SHA256:nope")
    fingerprint = asked.stderr.rpartition("--fingerprint ")[2].strip()
    assert not unknown.known.exists()
    trusted = unknown.call("operators", "trust-host", "alpha", "--fingerprint", fingerprint)
    again = unknown.call("operators", "trust-host", "hpc.default")

    assert before == ("FAIL", "compare it with what the site publishes, then: matterstack operators trust-host alpha")
    assert (asked.status, wrong.status, trusted.status, again.status) == (2, 6, 0, 0), trusted.stderr
    assert "error[MS806]" in wrong.stderr
    assert "are known" in again.stderr
    assert unknown.check()["host key"] == ("ok", "")


def test_s16_a_changed_key_is_refused(centre: Centre, unknown: Wired) -> None:
    """It is said what to do, and nothing is written."""
    other = (
        Path(centre["KNOWN_HOSTS"])
        .read_text(encoding="utf-8")
        .replace("AAAAC3NzaC1lZDI1NTE5AAAAI", "AAAAC3NzaC1lZDI1NTE5AAAAJ")
    )
    unknown.known.write_text(other, encoding="utf-8")

    ended = unknown.call("operators", "trust-host", "hpc.default", "--fingerprint", "SHA256:any")

    assert (ended.status, "error[MS807]" in ended.stderr, "ssh-keygen -R" in ended.stderr) == (6, True, True)
    assert unknown.known.read_text(encoding="utf-8") == other


def test_s16_a_person_compares_on_a_terminal(unknown: Wired, terminal: Terminal) -> None:
    """They see the fingerprint and say yes."""
    terminal.start(unknown.project, "operators", "trust-host", "alpha", env=PATIENCE)
    until_shown(terminal, lambda screen: "Is it the same?" in screen)
    assert "SHA256:" in terminal.screen()
    terminal.press("y", "Enter")

    screen = terminal.finish()

    assert ("status 0" in screen, "Host trusted" in screen) == (True, True), screen


def test_s19_login_asks_on_a_terminal(centre: Centre, guarded: Wired, terminal: Terminal) -> None:
    """It tells who is let in, and shows nothing of what was typed."""
    code = centre["OTP_CODES"].split()[-1]
    terminal.start(guarded.project, "operators", "login", "hpc.default", env=PATIENCE)
    until_shown(terminal, lambda screen: "Verification code:" in screen)
    terminal.press(*code, "Enter")

    screen = terminal.finish()

    assert ("status 0" in screen, f"Logged in: {centre.user()} at otp" in screen) == (True, True), screen
    assert code not in screen


def test_s19_a_run_asks_once_before_it_begins(centre: Centre, guarded: Wired, terminal: Terminal) -> None:
    """Then its steps run on the cluster, and nothing is asked while the live lines are drawn."""
    code = centre["OTP_CODES"].split()[-2]
    terminal.start(guarded.project, "run", "demo", env=PATIENCE)
    until_shown(terminal, lambda screen: "Verification code:" in screen)
    assert "recipe.yaml" not in terminal.screen()
    terminal.press(*code, "Enter")

    screen = terminal.finish()

    assert ("status 0" in screen, screen.count("Verification code")) == (True, 1), screen
    assert code.encode() not in b"".join(
        path.read_bytes() for path in guarded.project.folder.rglob("*") if path.is_file()
    )


def test_s19_without_a_terminal_other_work_goes_on(guarded: Wired) -> None:
    """What is to be done at the site waits, with a note that says why."""
    runner = guarded.project.start("run", "demo", env=PATIENCE)
    until(lambda: _is_noted(guarded))
    until(lambda: _statuses(guarded) == {"away": "RUNNING", "here": "COMPLETED"})
    runner.terminate()

    assert finish(runner).status == 143


def plans_it_on_the_way(guarded: Wired) -> None:
    """Let the step at the site be planned by another one, after something else."""
    here = {"name": "here", "type": "shell", "run": ["sh", "-c", OK]}
    away = {"name": "away", "type": "shell", "operator_key": "hpc.default", "run": ["sh", "-c", OK]}
    steps = [here, {"name": "planning", "type": "workflow", "tasks": [away]}]
    guarded.project.write("workspaces/demo/recipe.yaml", yaml.safe_dump({"steps": steps}))


def test_s19_a_run_asks_when_a_site_is_first_due(centre: Centre, guarded: Wired, terminal: Terminal) -> None:
    """Once, and nothing is drawn over what is typed."""
    plans_it_on_the_way(guarded)
    code = centre["OTP_CODES"].split()[-3]
    terminal.start(guarded.project, "run", "demo", env=PATIENCE)
    until_shown(terminal, lambda screen: "Verification code:" in screen)
    assert "here" in terminal.screen()
    terminal.press(*code, "Enter")

    screen = terminal.finish()

    assert ("status 0" in screen, screen.count("Verification code")) == (True, 1), screen


def test_s19_a_site_that_is_first_due_without_a_terminal_is_waited_for(guarded: Wired) -> None:
    """The run, ``status`` and ``explain`` say what to do."""
    plans_it_on_the_way(guarded)
    runner = guarded.project.start("run", "demo", env=PATIENCE)
    todo = "try it with: matterstack operators login hpc.default"
    until(lambda: todo in guarded.call("explain", "@last").stdout)
    tasks = {row["task"]: (row["status"], row["reason"]) for row in guarded.call("status", "@last").table}
    (attempt,) = guarded.call("attempts", "@last", "away").table
    reads(runner, todo)
    runner.terminate()
    finish(runner)

    assert (tasks["away"][0], todo in tasks["away"][1]) == ("RUNNING", True)
    assert attempt["status"] == "SUBMITTING"


def _statuses(guarded: Wired) -> dict[str, str]:
    return {row["task"]: row["status"] for row in guarded.call("status", "@last").table}


def _is_noted(guarded: Wired) -> bool:
    told = guarded.call("attempts", "@last", "away", "--json")
    notes = [str(row["operator_data"].get("note")) for row in json.loads(told.stdout or "[]")]
    return any("needs login" in note for note in notes)


def test_the_real_accounting_tells_what_was_used(centre: Centre, tmp_path: Path) -> None:
    """The times are there once the accounting has the job."""
    with real_project(tmp_path, centre) as demo:
        work = "n=0; while test $n -lt 200000; do n=$((n + 1)); done"
        demo.recipe(
            {"name": "busy", "run": ["sh", "-c", f"{work}; {OK}"], "resources": {"cores": 1, "time_limit": "2m"}}
        )
        assert demo.run().status == 0

        until(lambda: _used(demo)["cpu_sec"])

        assert _used(demo)["time_sec"] is not None


def _used(demo: RealProject) -> dict[str, float | None]:
    used: dict[str, float | None] = demo.call("report", "@last", "--efficiency", "--json").answer[0]["used"]
    return used
