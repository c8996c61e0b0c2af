"""The pages of events and files describe what runs leave behind."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from orchestrator.store.database import Database, create_database, reading
from orchestrator.store.events import iterate_events
from tests.docs.documents import REFERENCE, ROOT, rows, section
from tests.docs.terminal import Exchange, follow, type_in
from tests.legacy import put_run

EVENTS = REFERENCE / "events.md"
FILES = REFERENCE / "files.md"
LISTED = {kind: payload for kind, payload, _ in rows(EVENTS.read_text(encoding="utf-8").partition("## States")[0])}

ENDING = """\
schema: matterstack/recipe/v1
steps:
  - { name: first, type: python, module: ./end.py }
  - { name: second, type: python, module: ./end.py }
finally:
  - { name: last, type: shell, stdout: free, run: [date] }
"""
END = """\
import signal
from pathlib import Path

from orchestrator import BaseScriptlet


class End(BaseScriptlet):
    def work(self, ctx, params):
        for number in (signal.SIGKILL, signal.SIGINT):
            if not Path(number.name).exists():
                Path(number.name).touch()
                signal.raise_signal(number)
"""
FAILING = """\
schema: matterstack/recipe/v1
steps:
  - { name: skipped, type: shell, run: [date], when: 1 > 2 }
  - { name: failing, type: shell, run: [date] }
  - { name: blocked, type: shell, run: [date] }
"""
FANNED = """\
schema: matterstack/recipe/v1
steps:
  - { name: each, type: shell, foreach: [1, 2], stdout: free, run: [date] }
outputs: { state: steps.each.status }
repeat: { until: "True", max: 2 }
"""
BESIDE = """\
schema: matterstack/recipe/v1
on_conflict: fail
steps:
  - { name: a, type: shell, parallel: true, stdout: free, run: [date], save: { n.x_v1: "1" } }
  - { name: b, type: shell, parallel: true, stdout: free, run: [date], save: { n.x_v1: "2" } }
"""


ASKING = """\
schema: matterstack/recipe/v1
steps:
  - { name: review, type: human, instructions: Is it so?, deadline: { after: 0.1, then: approve } }
"""
REHEARSED = """\
schema: matterstack/recipe/v1
timeout: 0.5
steps:
  - { name: relax, type: shell, run: [date], operator_key: hpc.default, timeout: 5 }
  - { name: review, type: human, instructions: Is it so? }
"""
FRUGAL = """\
schema: matterstack/recipe/v1
budget: { core_hours: 1.5 }
steps:
  - { name: list, type: shell, run: [echo, '{"status": "ok", "outputs": {"list.n_v1": [1, 2]}}'] }
  - { name: each, type: shell, foreach: "${{ ctx.list.n_v1 }}", operator_key: hpc.default, stdout: free,
      run: [sleep, "0.5"], resources: { cores: 1, time_limit: 1h } }
"""
REHEARSAL = """\
operators:
  hpc.default: { kind: hpc, backend: { type: local, dry_run: true } }
  human.default: { kind: human }
"""


LOCAL = """\
operators:
  hpc.default: { kind: hpc, backend: { type: local } }
  human.default: { kind: human }
"""
AFTER = "  - { name: after, type: shell, run: [date] }\n"
GIVE_UP = "matterstack reset-run @last review --action delete"
OTHERS = {"fanned": FANNED, "beside": BESIDE}


def run_root(checkout: Path, name: str, recipe: str, *commands: str) -> Path:
    """Write a recipe, type commands, and give the directory of its one run."""
    (checkout / f"{name}.yaml").write_text(recipe, encoding="utf-8")
    for command in commands:
        type_in(checkout, Exchange(command=command, shown=""))
    (found,) = (checkout / "workspaces" / name / "runs").iterdir()
    return found


def killed_and_interrupted(checkout: Path) -> Path:
    """Kill the runner of a run, interrupt the next one, change the recipe, and go on to the end."""
    (checkout / "end.py").write_text(END, encoding="utf-8")
    inline = "matterstack run ending.yaml --isolation inline"
    run_root(checkout, "ending", ENDING, inline, inline)
    changed = ENDING.replace("second,", "second, env: { A: b },")
    return run_root(checkout, "ending", changed, "matterstack resume --accept-recipe-change")


def without_its_log(checkout: Path) -> Path:
    """Kill the runner of a run, remove its log, and go on to the end."""
    (checkout / "SIGKILL").unlink()
    killed = run_root(checkout, "unlogged", ENDING, "matterstack run unlogged.yaml --isolation inline")
    (killed / "state.sqlite-wal").unlink()
    return run_root(checkout, "unlogged", ENDING, "matterstack resume")


def failed(checkout: Path) -> Path:
    """Run a recipe whose steps are skipped, fail and are blocked, and look at it."""
    return run_root(checkout, "failing", FAILING, "matterstack run failing.yaml", "matterstack status")


def wired(checkout: Path) -> Path:
    """Go on with a failed run by another wiring, refused and then forced, and change what it has kept."""
    for name, key in (("a", "hpc.default"), ("b", "hpc.other")):
        text = f"operators: {{ {key}: {{ kind: hpc, backend: {{ type: local }} }} }}\n"
        (checkout / f"{name}.yaml").write_text(text, encoding="utf-8")
    retry = "matterstack retry --operators-config b.yaml"
    run = "matterstack run wired.yaml --operators-config a.yaml"
    elsewhere = "MATTERSTACK_OPERATORS_CONFIG=a.yaml matterstack retry"
    root = run_root(checkout, "wired", FAILING, run, retry, f"{retry} --force-wiring-override", elsewhere)
    (root / "operators_snapshot" / "operators.yaml").write_text("operators: {}\n", encoding="utf-8")
    type_in(checkout, Exchange(command="matterstack retry", shown=""))
    return root


def steered(checkout: Path) -> Path:
    """Cancel a run that asks people, and give up what it asked."""
    begin = "matterstack init steered.yaml"
    commands = (begin, "matterstack step", "matterstack pause @last", "matterstack cancel @last")
    return run_root(checkout, "steered", ASKING.replace("0.1", "1h") + AFTER, *commands, GIVE_UP)


def older(checkout: Path) -> Path:
    """Go on with a run of an earlier version."""
    root = put_run(checkout / "workspaces" / "legacy_demo" / "runs", 1)
    (checkout / "local.yaml").write_text(LOCAL, encoding="utf-8")
    rerun = f"matterstack rerun {root.name} report --operators-config local.yaml"
    type_in(checkout, Exchange(command=rerun, shown=""))
    return root


def history(run_root: Path) -> dict[str, str]:
    """Give the kinds of events that a run recorded, with the fields of their payloads."""
    with reading(run_root) as database:
        return {event.kind: "` `".join(sorted(json.loads(event.payload_json))) for event in iterate_events(database)}


def kinds_in_code() -> Iterator[str]:
    """Give the kinds that the code writes; of one that is put together, what stands before the state."""
    for path in (ROOT / "orchestrator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "append_event":
                kind = node.args[1]
                yield ast.literal_eval(kind.values[0] if isinstance(kind, ast.JoinedStr) else kind)


def columns(database: Database) -> list[list[str]]:
    """Give the tables and views of a state file with their columns, as the page writes them."""
    tables = database.all("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY rowid")
    return [[name, "` `".join(row[1] for row in database.all(f"PRAGMA table_info({name})"))] for (name,) in tables]


def test_events_are_those_of_real_runs(checkout: Path) -> None:
    """Runs that are killed, interrupted or cancelled, lose their log, fan out or fail record all the page lists."""
    runs = [killed_and_interrupted(checkout), without_its_log(checkout), failed(checkout)]
    runs += [steered(checkout), wired(checkout), run_root(checkout, "asking", ASKING, "matterstack run asking.yaml")]
    runs += [run_root(checkout, name, text, f"matterstack run {name}.yaml") for name, text in OTHERS.items()]
    (checkout / "rehearsal.yaml").write_text(REHEARSAL, encoding="utf-8")
    rehearsed = "matterstack run rehearsed.yaml --operators-config rehearsal.yaml"
    runs.append(run_root(checkout, "rehearsed", REHEARSED, rehearsed))
    type_in(checkout, Exchange(command="matterstack rerun @last b", shown=""))
    runs.append(older(checkout))
    runs.append(run_root(checkout, "frugal", FRUGAL, "matterstack run frugal.yaml --operators-config local.yaml"))

    assert {kind: payload for run in runs for kind, payload in history(run).items()} == LISTED


def test_every_kind_of_event_in_the_code_is_listed() -> None:
    """No part of the program writes a kind that the page does not know."""
    assert [kind for kind in kinds_in_code() if not any(known.startswith(kind) for known in LISTED)] == []


def test_tables_are_those_of_a_state_file(tmp_path: Path) -> None:
    """The page lists every table with its columns in their order."""
    database = create_database(tmp_path / "state.sqlite")

    assert [row[:2] for row in rows(section(FILES, "## state.sqlite"))] == columns(database)
    database.close()


def test_files_are_those_of_a_run(checkout: Path) -> None:
    """The example on the page shows the files that a run leaves."""
    follow(checkout, FILES)


def test_older_runs_are_read_as_the_page_shows(checkout: Path) -> None:
    """Its commands show what a real run of schema 1 holds."""
    put_run(checkout / "workspaces" / "legacy_demo" / "runs", 1)
    (checkout / "site.yaml").write_text(LOCAL, encoding="utf-8")

    follow(checkout, REFERENCE / "older-runs.md")


def test_every_file_of_a_run_is_listed(checkout: Path) -> None:
    """What lies in a run directory, also of one that was looked at, is explained."""
    folder = failed(checkout)

    assert {path.name for path in folder.iterdir()} - {
        row[0] for row in rows(FILES.read_text(encoding="utf-8"))
    } == set()
