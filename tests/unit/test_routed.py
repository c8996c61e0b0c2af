"""Steps with an operator key run in a directory of their own, on whatever the key means here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.operators.local import command_line
from orchestrator.progress import Happening, RunSettled, TaskSeen
from orchestrator.states import AttemptState
from orchestrator.store.database import reading
from orchestrator.store.queries import read_open_attempts
from tests.unit.workshop import Notes, PowerCut, Ran, Workshop, python, recipe, shell

PATIENCE_SEC = 60.0
ROUTED = "operator_key: hpc.default, stdout: free"
UNTIL_GO = "for _ in $(seq 1200); do test -e $D/go && break; sleep 0.05; done"  # nobody waits for ever
LOCAL = """\
operators:
  human.default: { kind: human }
  hpc.default: { kind: hpc, backend: { type: local } }
  local.default: { kind: local }
"""


@pytest.fixture(name="site")
def _site(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Give a workshop in which the key hpc.default means this machine."""
    wire(workshop, monkeypatch, LOCAL)
    return workshop


def wire(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Say what operator keys mean."""
    monkeypatch.setenv("MATTERSTACK_OPERATORS_CONFIG", str(workshop.write("operators.yaml", text)))


def folder(ran: Ran, task: str, index: int = -1) -> Path:
    """Give the directory of an attempt at a task."""
    return ran.root / str(ran.attempts(task)[index].relative_path)


def test_it_works_in_its_own_directory(site: Workshop) -> None:
    """What it prints and leaves lies there, with its exit code."""
    ran = site.run(recipe(shell("a", "pwd; echo no >&2; echo 1 > left.txt", ROUTED)))

    where = folder(ran, "a")
    assert (where / "stdout.log").read_text() == f"{where}\n"
    assert [(where / name).read_text() for name in ("stderr.log", "left.txt", "exit_code")] == ["no\n", "1\n", "0\n"]


def test_what_it_left_is_kept_with_its_digest(site: Workshop) -> None:
    """But for what was given to it, and the files of the runner."""
    keys = f"{ROUTED}, files: {{in.txt: {{content: x}}}}"

    ran = site.run(recipe(shell("a", "mkdir d; printf 1 > d/left.txt", keys)))

    (attempt,) = ran.attempts("a")
    digest = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"
    assert attempt.operator_data["artifacts"] == [{"path": "d/left.txt", "sha256": digest, "size": 1}]


def test_people_are_told_where_it_stands(site: Workshop) -> None:
    """As soon as its operator has seen that."""
    notes = LettingEnd(site)

    site.run(held(site), reporter=notes)

    assert notes.seen[-1] is AttemptState.RUNNING


def test_files_are_put_beside_it(site: Workshop) -> None:
    """From a source, a value or a text, with the item in it."""
    site.write("given/source.txt", "from a file")
    files = "files: {a.txt: given/source.txt, b/c.json: {n: '${{ item }}'}, d.txt: {content: 'item ${{ item }}'}}"

    ran = site.run(recipe(shell("s", "cat a.txt b/c.json d.txt", f"{ROUTED}, foreach: [7], {files}")))

    assert (folder(ran, "s[7]") / "stdout.log").read_text() == 'from a file{"n":7}\nitem 7'


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere.txt", "file 'nowhere.txt' is not there"),
        ("/etc/passwd", "'/etc/passwd' leads out of the project, to /etc/passwd"),
        ("../outside.txt", "'../outside.txt' leads out of the project"),
    ],
)
def test_C2_C3_no_other_file_is_put_there(site: Workshop, name: str, reason: str) -> None:  # noqa: N802  rows of the fault matrix
    """A recipe reaches what lies in its project."""
    (site.folder.parent / "outside.txt").write_text("secret")

    ran = site.run(recipe(shell("a", "cat *", f"{ROUTED}, files: {{x.txt: {name}}}")))

    assert ran.states == ["FAILED"]
    assert ran.reasons[0].startswith(reason)


def test_a_python_step_travels_with_what_it_needs(site: Workshop) -> None:
    """It sees those values of the context alone, and what it writes comes back."""
    site.write(
        "away.py",
        "from orchestrator import BaseScriptlet\n"
        "class Away(BaseScriptlet):\n"
        "    needs = ('a.x_v1',)\n"
        "    def work(self, ctx, params):\n"
        "        return {'b.keys_v1': sorted(ctx), 'b.sum_v1': ctx['a.x_v1'] + params['y']}\n",
    )
    step = "{name: b, type: python, module: ./away.py, function: Away, operator_key: hpc.default, args: {y: 2}}"

    ran = site.run(recipe(step), context={"a.x_v1": 1, "a.other_v1": 5})

    assert ran.outcome.context["b.keys_v1"] == ["a.x_v1"]
    assert ran.outcome.context["b.sum_v1"] == 3
    assert (folder(ran, "b") / ".ms" / "away.py").is_file()


def test_a_needed_value_that_is_missing_is_told(site: Workshop) -> None:
    """Before anything is submitted."""
    ran = site.run(recipe(shell("a", "true", f"{ROUTED}, needs: [a.x_v1]")))

    assert (ran.states, ran.reasons) == (["FAILED"], ["needs: the context has no key 'a.x_v1'"])


def test_values_are_saved_from_its_files(site: Workshop) -> None:
    """Items collect into a map, as on this machine."""
    keys = (
        f"{ROUTED}, foreach: [Cu, Ni], files: {{in.json: '${{{{ {{\"e\": item}} }}}}'}}, save: {{s.e_v1: 'in.json:e'}}"
    )

    ran = site.run(recipe(shell("s", "true", keys)))

    assert ran.outcome.context["s.e_v1"] == {"Cu": "Cu", "Ni": "Ni"}


def test_a_script_travels_too(site: Workshop) -> None:
    """With its params, and answers with one JSON line."""
    site.write("scripts/say.sh", '#!/bin/sh\necho "{\\"status\\":\\"ok\\",\\"outputs\\":{\\"s.p_v1\\":$2}}"\n')
    step = "{name: s, type: shell, script: scripts/say.sh, operator_key: hpc.default, args: {n: 4}}"

    assert site.run(recipe(step)).outcome.context["s.p_v1"] == {"n": 4}


def test_what_it_must_leave_is_asked_for(site: Workshop) -> None:
    """By a pattern; the step has failed where nothing fits."""
    ran = site.run(recipe(shell("a", "touch x.log", f"{ROUTED}, fetch: {{required: [result.json, '*.log']}}")))

    assert ran.reasons == ["fetch.required: the step left no file that fits 'result.json'"]


def test_only_what_is_fetched_is_kept(site: Workshop) -> None:
    """Where the step says what that is."""
    fetch = "fetch: {optional: ['*.log'], exclude: [b.log]}"

    ran = site.run(recipe(shell("a", "touch a.log b.log c.txt", f"{ROUTED}, {fetch}")))

    assert [one["path"] for one in ran.attempts("a")[0].operator_data["artifacts"]] == ["a.log"]


def test_a_failure_is_told_with_its_exit_code(site: Workshop) -> None:
    """Its log is shown as that of other steps."""
    notes = Notes()

    ran = site.run(recipe(shell("a", "echo why >&2; exit 3", ROUTED)), reporter=notes)

    assert ran.reasons == ["the exit code is 3, not 0; last stderr line: why"]
    assert (ran.attempts("a")[0].outcome, notes.endings[-1].stderr) == ("exit 3", "why\n")


def test_F17_a_program_that_is_not_there_is_told(site: Workshop) -> None:  # noqa: N802  see above
    """And the run goes on by its policy."""
    step = "{name: a, type: shell, run: [no-such-program], allow_failure: true, operator_key: hpc.default}"

    ran = site.run(recipe(step, shell("b", "true", "stdout: free")))

    assert (ran.states, ran.attempts("a")[0].exit_code) == (["FAILED", "COMPLETED"], 127)
    assert "no-such-program" in ran.reasons[0]


@pytest.mark.parametrize("keys", ["timeout: 1s", "resources: {time_limit: 1s}"])
def test_it_is_ended_after_its_time(site: Workshop, keys: str) -> None:
    """With all that it started."""
    ran = site.run(recipe(shell("a", "sleep 30 & sleep 30", f"{ROUTED}, {keys}")))

    (attempt,) = ran.attempts("a")
    assert (attempt.status, attempt.outcome) == ("TIMEOUT", "timeout after 1s")
    until(lambda: not processes_of(attempt.attempt_id))


def test_its_memory_is_limited(site: Workshop) -> None:
    """A program that asks for more gets none."""
    step = [sys.executable, "-c", "x = bytearray(600_000_000); print(len(x))"]
    keys = f"run: {json.dumps(step)}, {ROUTED}, resources: {{memory_gb: 0.3}}"

    ran = site.run(recipe(f"{{name: a, type: shell, {keys}}}"))

    assert (ran.states, "MemoryError" in ran.attempts("a")[0].stderr) == (["FAILED"], True)


def test_it_knows_its_cores(site: Workshop) -> None:
    """By variables that numerical libraries read, and by the processors that it may use."""
    ran = site.run(recipe(shell("a", "echo $OMP_NUM_THREADS; nproc", f"{ROUTED}, resources: {{cores: 1}}")))

    assert (folder(ran, "a") / "stdout.log").read_text() == "1\n1\n"


def test_resources_grow_with_failures(site: Workshop) -> None:
    """By the factor that the step names."""
    retry = "resources: {cores: 1, memory_gb: 1}, retry: {max: 2, grow: {memory_gb: 2x}}"

    ran = site.run(recipe(shell("a", "exit 1", f"{ROUTED}, {retry}")))

    asked = [attempt.operator_data["work"]["resources"]["memory_gb"] for attempt in ran.attempts("a")]
    assert asked == [1.0, 2.0, 4.0]


def test_what_it_leaves_running_is_ended(site: Workshop) -> None:
    """The attempt ends with the program that it is."""
    ran = site.run(recipe(shell("a", "sleep 60 & echo $! > pid", ROUTED)))

    left = Path(f"/proc/{(folder(ran, 'a') / 'pid').read_text().strip()}/cmdline")
    until(lambda: not has_bytes(left))


@pytest.mark.parametrize("command", ['rm -rf "$PWD"', 'd="$PWD"; cd ..; mv "$d" "$d.x"; ln -s /etc "$d"'])
def test_a_step_that_removes_its_directory_has_failed(site: Workshop, command: str) -> None:
    """It alone: the others go on."""
    steps = [shell("a", command, f"{ROUTED}, allow_failure: true"), shell("b", "true", "stdout: free, depends_on: []")]

    ran = site.run(recipe(*steps))

    assert (ran.states, ran.attempts("a")[0].outcome) == (
        ["FAILED", "COMPLETED"],
        "its directory is gone, or is another one",
    )


def test_C4_hostile_entries_are_left_out(site: Workshop) -> None:  # noqa: N802  see above
    """Links, pipes and second names of files are not taken, and said to be left out."""
    (site.folder / "secret.txt").write_text("canary")
    steps = ["ln -s /etc/passwd a", f"ln {site.folder}/secret.txt b", "mkfifo c", "ln -s . d", "echo 1 > e"]

    ran = site.run(recipe(shell("s", "; ".join(steps), ROUTED)))

    found = ran.attempts("s")[0].operator_data
    assert [one["path"] for one in found["artifacts"]] == ["e"]
    assert [(one["path"], one["reason"]) for one in found["rejected_entries"]] == [
        ("a", "it is a link"),
        ("b", "it has another name elsewhere"),
        ("c", "it is no regular file"),
        ("d", "it is a link"),
    ]


def test_C4_a_sparse_file_is_not_read(site: Workshop) -> None:  # noqa: N802  see above
    """A terabyte of nothing would take hours to hash."""
    ran = site.run(recipe(shell("s", "truncate -s 1T huge", ROUTED)))

    (rejected,) = ran.attempts("s")[0].operator_data["rejected_entries"]
    assert rejected["path"] == "huge"


def test_a_dry_run_goes_through_every_state(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is run."""
    wire(
        workshop,
        monkeypatch,
        "operators: { hpc.default: { kind: hpc, backend: { type: local, dry_run: true } } }",
    )

    ran = workshop.run(recipe(shell("a", "touch /tmp/never", f"{ROUTED}, save: {{x.y_v1: 'r.json:e'}}")))

    assert (ran.states, ran.attempts("a")[0].outcome) == (["COMPLETED"], "dry run")
    kinds = [kind for kind in ran.events if kind.startswith("attempt.")]
    assert kinds == [
        "attempt.opened",
        "attempt.submitted",
        *["attempt.moved"] * 2,
        "attempt.collected",
        "attempt.closed",
    ]


def test_operators_of_one_kind_are_told_apart(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a backend of its own: one runs what it is handed, the other rehearses."""
    dev = "hpc.dev: { kind: hpc, backend: { type: local, dry_run: true } }"
    text = f"operators: {{ hpc.default: {{ kind: hpc, backend: {{ type: local }} }}, {dev} }}"
    monkeypatch.setenv("MATTERSTACK_OPERATORS_CONFIG", str(workshop.write("operators.yaml", text)))
    steps = [
        shell(key, f"touch {workshop.folder}/{key}", f"operator_key: hpc.{key}, stdout: free")
        for key in ("default", "dev")
    ]

    ran = workshop.run(recipe(*steps))

    assert {key: ran.attempts(key)[0].operator_key for key in ran.tasks} == {"default": "hpc.default", "dev": "hpc.dev"}
    assert ((workshop.folder / "default").exists(), (workshop.folder / "dev").exists()) == (True, False)


def test_no_more_run_at_once_than_the_site_allows(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are ready."""
    wire(
        workshop, monkeypatch, "operators: { hpc.default: { kind: hpc, max_concurrent: 2, backend: { type: local } } }"
    )
    # The first waits for a second; a third would come while both nap.
    meet = (
        "for _ in $(seq 1200); do test -e met && break; test $(ls running | wc -l) -ge 2 && touch met; sleep 0.05; done"
    )
    command = f"cd $D; touch running/$$; {meet}; ls running | wc -l; sleep 0.2; rm running/$$"
    (workshop.folder / "running").mkdir()

    ran = workshop.run(
        recipe(shell("a", command, f"{ROUTED}, foreach: [1, 2, 3, 4, 5], env: {{D: '{workshop.folder}'}}"))
    )

    counts = [int((folder(ran, f"a[{n}]") / "stdout.log").read_text()) for n in range(1, 6)]
    assert (ran.outcome.exit_status, max(counts)) == (0, 2)


def test_all_together_have_a_limit_too(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Across operators."""
    wire(workshop, monkeypatch, f"defaults: {{ max_concurrent_global: 1 }}\n{LOCAL}")
    command = "test ! -e $D; touch $D; sleep 0.1; rm $D"
    keys = f"stdout: free, parallel: true, env: {{D: '{workshop.folder}/busy'}}"
    steps = [
        shell(f"s{n}", command, f"{keys}, operator_key: {key}.default") for n, key in enumerate(["hpc", "local"] * 2)
    ]

    assert workshop.run(recipe(*steps)).states == ["COMPLETED"] * 4


def test_a_slow_operator_delays_no_other(site: Workshop) -> None:
    """Each is looked after on its own; a person is asked meanwhile and does not answer."""
    steps = [
        "{name: ask, type: human, instructions: 'Is it so?', deadline: {after: 1s, then: approve}}",
        shell("a", "true", f"{ROUTED}, depends_on: []"),
    ]
    notes = Notes()

    ran = site.run(recipe(*steps), reporter=notes, inline=False)

    assert ran.states == ["COMPLETED", "COMPLETED"]
    assert [one.task_id for one in notes.endings] == ["a", "ask"]


def killed_run(site: Workshop, text: str, begun: Path, number: signal.Signals = signal.SIGKILL) -> int:
    """Run a recipe in a process of its own, and end that when a file is there; give its exit status."""
    site.write("r.yaml", text)
    command = [sys.executable, "-m", "orchestrator", "run", "r.yaml", "--workspaces-dir", "workspaces"]
    process = subprocess.Popen(command, cwd=site.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until(begun.exists)
    process.send_signal(number)
    process.communicate(timeout=PATIENCE_SEC)
    return process.returncode


def held(site: Workshop) -> str:
    """Write a recipe with one step, which notes that it has begun and ends when `let_end` says so."""
    return recipe(
        shell("a", f"echo once >> $D/times; {UNTIL_GO}; echo done > left", f"{ROUTED}, env: {{D: {site.folder}}}")
    )


def let_end(site: Workshop) -> None:
    """Let that step end, and wait until it has, with its process."""
    (site.folder / "go").touch()
    (attempt,) = site.folder.glob("workspaces/*/runs/*/tasks/a/attempts/[!.]*")
    until(lambda: not processes_of(attempt.name))
    assert (attempt / "exit_code").exists()


class LettingEnd(Notes):
    """A reporter with which that step ends as soon as it is seen to run."""

    def __init__(self, site: Workshop) -> None:
        super().__init__()
        self._site = site

    @property
    def seen(self) -> list[AttemptState]:
        """Give the states in which the step was seen."""
        return [one.state for one in self.told if isinstance(one, TaskSeen) and one.task_id == "a"]

    def tell(self, happening: Happening) -> None:
        """Keep it."""
        super().tell(happening)
        if AttemptState.RUNNING in self.seen:
            (self._site.folder / "go").touch()


def test_it_outlives_its_runner(site: Workshop) -> None:
    """The next one takes over what still runs, and nothing is run twice."""
    killed_run(site, held(site), site.folder / "times")

    ran = site.resume(*site.runs(), reporter=LettingEnd(site))

    assert (ran.states, len(ran.attempts("a")), (site.folder / "times").read_text()) == (["COMPLETED"], 1, "once\n")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_F9_it_is_handed_over_when_its_runner_is_ended(site: Workshop, number: signal.Signals) -> None:  # noqa: N802  see above
    """By any signal; what ended meanwhile is collected by the next runner."""
    status = killed_run(site, held(site), site.folder / "times", number)
    let_end(site)
    ran = site.resume(*site.runs())

    assert status == (-9 if number is signal.SIGKILL else 128 + number)
    assert (ran.states, len(ran.attempts("a")), (site.folder / "times").read_text()) == (["COMPLETED"], 1, "once\n")


@pytest.mark.parametrize("in_part", [False, True])
def test_what_is_done_last_waits_for_attempts_that_go_on(site: Workshop, *, in_part: bool) -> None:
    """A furnace is not switched off under a measurement because the runner was interrupted."""
    log = site.folder / "log"
    last = f"finally: [{shell('off', f'echo off >> {log}', 'stdout: free')}]\n"
    keys = f"{ROUTED}, env: {{D: {site.folder}}}"
    text = recipe(shell("a", f"echo on >> {log}; {UNTIL_GO}; echo measured >> {log}", keys), head=last)
    if in_part:
        site.write("part.yaml", text)
        text = recipe("{name: used, type: recipe, uses: ./part.yaml}")

    killed_run(site, text, log, signal.SIGINT)
    assert log.read_text() == "on\n"
    (site.folder / "go").touch()
    ran = site.resume(*site.runs())

    assert (ran.outcome.status, log.read_text()) == ("COMPLETED", "on\nmeasured\noff\n")


def test_a_process_that_vanished_is_lost_and_begun_again(site: Workshop) -> None:
    """A restart of the machine is nobody's failure."""
    text = recipe(
        shell("a", "test -e $D/again || { touch $D/again; sleep 60; }", f"{ROUTED}, env: {{D: {site.folder}}}")
    )
    killed_run(site, text, site.folder / "again")
    kill_attempts(site.runs()[0])

    ran = site.resume(*site.runs())

    assert [attempt.status for attempt in ran.attempts("a")] == ["LOST", "COMPLETED"]


def test_F26_what_was_begun_on_another_host_is_not_begun_again(site: Workshop) -> None:  # noqa: N802  see above
    """It may run there still; where it has ended, it is collected."""
    killed_run(site, held(site), site.folder / "times")
    (root,) = site.runs()
    (claim,) = root.glob("tasks/a/attempts/*/.ms/claim")
    claim.write_text("1 elsewhere\n")

    assert site.resume(root, once=True).attempts("a")[0].status == "UNKNOWN"
    let_end(site)
    ran = site.resume(root)

    assert (ran.states, (site.folder / "times").read_text()) == (["COMPLETED"], "once\n")


def test_a_process_that_is_always_lost_fails(site: Workshop) -> None:
    """After as many times as infrastructure may fail; of the runner's own children the signal is known."""
    ran = site.run(recipe(shell("a", "kill -KILL 0", ROUTED)))

    (attempt,) = ran.attempts("a")
    assert (attempt.status, attempt.outcome) == ("FAILED", "signal SIGKILL")


def test_an_intent_without_effect_is_carried_out(site: Workshop) -> None:
    """A runner that died between the two leaves the attempt to the next one: it is the same attempt."""
    text = recipe(shell("a", "echo once >> $D/times", f"{ROUTED}, env: {{D: {site.folder}}}"))
    with pytest.raises(SystemExit):
        site.run(text, reporter=PowerCut())
    (root,) = site.runs()
    with reading(root) as database:
        assert [row.status for row in read_open_attempts(database)] == ["SUBMITTING"]

    ran = site.resume(*site.runs())

    assert (ran.states, len(ran.attempts("a")), (site.folder / "times").read_text()) == (["COMPLETED"], 1, "once\n")


def test_a_secret_reaches_it_and_stays_out_of_the_records(site: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its environment; also out of the logs in its directory."""
    monkeypatch.setenv("LAB_TOKEN", "correct-horse-battery")
    head = "secrets: {token: {env: LAB_TOKEN}}\n"
    keys = f"{ROUTED}, env: {{T: '${{{{ secrets.token }}}}'}}"

    ran = site.run(recipe(shell("a", 'echo $T; test -n "$T"', keys), head=head))

    assert ran.states == ["COMPLETED"]
    held = [path for path in ran.root.rglob("*") if path.is_file() and b"correct-horse" in path.read_bytes()]
    assert held == []


def test_step_exits_while_it_runs_and_collects_later(site: Workshop) -> None:
    """One call submits, a later one collects."""
    first = site.run(held(site), once=True)
    let_end(site)
    second = site.resume(first.root, once=True)

    assert (first.outcome.exit_status, second.outcome.exit_status) == (5, 0)
    assert len(second.attempts("a")) == 1


def test_what_goes_on_without_the_runner_is_told(site: Workshop) -> None:
    """Apart from what people are to answer."""
    notes = Notes()
    question = "- {name: q, type: human, instructions: '?', depends_on: []}\n"

    site.run(held(site) + question, once=True, reporter=notes)
    let_end(site)

    settled = notes.told[-1]
    assert isinstance(settled, RunSettled)
    assert (settled.goes_on, settled.questions) == (("a",), ("q",))


def test_failures_elsewhere_leave_it_alone(site: Workshop) -> None:
    """It ends by itself, as steps on this machine do."""
    steps = [shell("a", "sleep 0.4", f"{ROUTED}, parallel: true"), shell("b", "exit 1", "parallel: true, stdout: free")]

    ran = site.run(recipe(*steps), inline=False)

    assert ran.states == ["COMPLETED", "FAILED"]


def test_a_key_that_is_not_wired_is_refused(workshop: Workshop) -> None:
    """Before the run begins, with what there is."""
    assert workshop.refused(recipe(shell("a", "x", "operator_key: hpc.default"))) == [
        "r.yaml:2:50: error[MS214]: there is no operator 'hpc.default' where nobody wired anything"
    ]


def test_an_inline_step_reads_what_one_elsewhere_wrote(site: Workshop) -> None:
    """The context is one."""
    first = shell("a", 'echo \'{"status":"ok","outputs":{"a.x_v1":5}}\'', "operator_key: hpc.default")

    ran = site.run(recipe(first, python("b", keys="args: {n: '${{ ctx.a.x_v1 }}'}")))

    assert ran.states == ["COMPLETED", "COMPLETED"]


@pytest.mark.skipif(shutil.which("ps") is None, reason="there is no ps here")
def test_processes_are_told_apart_without_proc() -> None:
    """As where the system has no such folder."""
    process = subprocess.Popen(["sh", "-c", "read word", "some-attempt"], stdin=subprocess.PIPE)

    try:
        assert b"some-attempt" in command_line(process.pid).split()
    finally:
        process.kill()
        process.communicate()
    assert command_line(process.pid) == b""


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    patience = time.monotonic() + PATIENCE_SEC
    while not holds():
        assert time.monotonic() < patience, "it never came to that"
        time.sleep(0.02)


def has_bytes(path: Path) -> bool:
    """Tell whether there is a file with anything in it."""
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


def processes_of(attempt_id: str) -> list[int]:
    """Give the processes that have the id of an attempt among their arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if attempt_id.encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def kill_attempts(root: Path) -> None:
    """End the processes of a run's attempts as a restart of the machine would."""
    with reading(root) as database:
        ids = [row.attempt_id for row in read_open_attempts(database)]
    for pid in [pid for attempt_id in ids for pid in processes_of(attempt_id)]:
        os.killpg(pid, signal.SIGKILL)
