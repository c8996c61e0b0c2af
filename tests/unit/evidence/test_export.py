"""An evidence tells all of a run, and each of its files is what the manifest says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import rfc8785

from orchestrator.errors import StoreError, UsageError
from orchestrator.evidence import attempts as attempts_module
from orchestrator.evidence import events as events_module
from orchestrator.evidence.export import Request, export
from orchestrator.evidence.redaction import without_home
from orchestrator.runner import retry_run
from orchestrator.session import DriveOptions
from orchestrator.store.database import close_opened, opened
from orchestrator.store.leases import take
from tests.unit.evidence.bundles import (
    attempt_folder,
    bundle_of,
    everything,
    exported,
    left_run,
    lines_of,
)
from tests.unit.workshop import Ran, Workshop, python, recipe, shell

OK = 'echo \'{"status": "ok"}\''
WIRING = "# Ours\noperators: { local.default: { kind: local }, human.default: { kind: human } }\n"
REVIEW = "{name: review, type: human, instructions: 'Is it so?', deadline: {after: 0.05, then: approve}}"
FILES = {"result.json": b"{}", "figures/a b.svg": b"<svg/>"}
RECORDS = ["README.md", "bundle.json", "context/final.json", "context/history.jsonl", "events/000000.jsonl"]
OTHERS = ["manifest-sha256.txt", "recipe.yaml", "report.md", "schemas/evidence-bundle-1.json"]


@pytest.fixture(name="ran")
def _ran(workshop: Workshop) -> Ran:
    """Run some steps, one of them for people, in a workspace with a wiring of its own, and export that."""
    workshop.write("workspaces/r/operators.yaml", WIRING)
    keys = "args: {n.x_v1: 1.5, n.text_v1: 'a | b'}"
    ran = workshop.run(recipe(python("a", keys=keys), REVIEW, shell("b", OK, "when: 1 > 2"), head="tags: [demo]\n"))
    exported(ran.root)
    return ran


OF_A_QUESTION = (
    "instructions.md",
    "manifest.json",
    "schema.json",
    "config_snapshot/manifest.json",
    "config_snapshot/work.json",
)


def test_an_evidence_has_these_files(ran: Ran) -> None:
    """And no others."""
    attempt = ran.attempts("review")[0].attempt_id
    files = [f"artifacts/review/{attempt}/{name}" for name in OF_A_QUESTION]
    snapshot = [f"operators_snapshot/{name}" for name in ("history.jsonl", "metadata.json", "operators.yaml")]

    found = sorted(everything(ran.root / "evidence"))

    assert found == sorted([*RECORDS, *OTHERS, *files, *snapshot, "attempts/000000.jsonl"])


def test_the_manifest_has_the_digest_of_every_other_file(ran: Ran) -> None:
    """In the order of the bytes of their names."""
    files = everything(ran.root / "evidence")
    manifest = files.pop("manifest-sha256.txt").decode()

    assert manifest == "".join(
        f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files, key=str.encode)
    )


def test_the_bundle_has_what_programs_rely_on(ran: Ran) -> None:
    """The names are a contract."""
    bundle = bundle_of(ran.root)

    task, attempt = bundle["data"]["tasks"]["review"], bundle["data"]["tasks"]["review"]["current_attempt"]
    assert (bundle["run_status"], bundle["status_reason"], bundle["is_complete"]) == ("COMPLETED", None, True)
    assert (bundle["workspace_slug"], bundle["tags"]) == ("r", ["demo"])
    assert (bundle["task_counts"]["total"], bundle["task_counts"]["skipped"]) == (3, 1)
    assert {"image", "command", "status", "operator_type", "operator_key", "external_id", "results"} <= task.keys()
    assert task["attempts"] == [attempt]
    assert (task["operator_key"], attempt["operator_key"], attempt["operator_type"]) == (
        *["human.default"] * 2,
        "human",
    )
    assert task["results"] == {"review.response_v1": {"approved": True}}
    assert bundle["data"]["tasks"]["a"]["command"] == "./steps.py:Write"
    assert bundle["data"]["tasks"]["b"]["current_attempt"] is None
    assert bundle["data"]["context"]["n.x_v1"] == 1.5
    assert bundle["data"]["recipe"]["state"] == "kept"


def test_the_bundle_is_canonical(ran: Ran) -> None:
    """So are the context and every line."""
    files = everything(ran.root / "evidence")

    for name in ("bundle.json", "context/final.json"):
        assert files[name] == rfc8785.dumps(json.loads(files[name]))
    for name in ("events/000000.jsonl", "attempts/000000.jsonl", "context/history.jsonl"):
        assert all(line == rfc8785.dumps(json.loads(line)) for line in files[name].splitlines())


def test_the_bundle_was_generated_when_the_run_last_changed(ran: Ran) -> None:
    """Not when it was exported, so that it says the same however often it is."""
    bundle = bundle_of(ran.root)

    last = lines_of(ran.root / "evidence" / "events")[-1]
    assert bundle["generated_at"] == last["at_utc"]
    assert bundle["data"]["events_head"] == {"seq": last["seq"], "hash": last["hash"]}


def test_the_history_can_be_checked_without_this_program(ran: Ran) -> None:
    """Each line holds the hash of the one before."""
    head = hashlib.sha256(f"matterstack-events-v1\n{ran.root.name}".encode()).hexdigest()

    for event in lines_of(ran.root / "evidence" / "events"):
        assert event["prev"] == head
        head = event.pop("hash")
        assert hashlib.sha256(rfc8785.dumps(event)).hexdigest() == head

    assert head == bundle_of(ran.root)["events"]["head"]


def test_the_wiring_is_told_and_copied(ran: Ran) -> None:
    """Byte for byte."""
    folder, bundle = ran.root / "evidence", bundle_of(ran.root)

    wiring, report = bundle["data"]["operator_wiring"], (folder / "report.md").read_text(encoding="utf-8")
    assert wiring.keys() == {"source", "sha256", "snapshot_relpath", "resolved_path", "created_at_utc"}
    assert (wiring["source"], wiring["sha256"]) == ("WORKSPACE_DEFAULT", hashlib.sha256(WIRING.encode()).hexdigest())
    assert everything(folder / "operators_snapshot") == everything(ran.root / "operators_snapshot")
    assert (folder / wiring["snapshot_relpath"]).read_text(encoding="utf-8") == WIRING
    words = report[report.index("## Operator Wiring") :].partition("Copied into this evidence export under:")[2]
    assert words.split("##")[0].split() == [
        *("-", "`operators_snapshot/operators.yaml`", "-", "`operators_snapshot/metadata.json`"),
        *("-", "`operators_snapshot/history.jsonl`"),
    ]


def test_a_run_without_wiring_says_so(workshop: Workshop) -> None:
    """Nothing is copied then."""
    ran = workshop.run(recipe(shell("a", OK)))

    exported(ran.root)

    assert bundle_of(ran.root)["data"]["operator_wiring"]["source"] == "NONE"
    assert "Nobody wired anything" in (ran.root / "evidence" / "report.md").read_text(encoding="utf-8")
    assert not (ran.root / "evidence" / "operators_snapshot").exists()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/ada/lab/operators.yaml", "<redacted-home>/lab/operators.yaml"),
        ("/Users/ada/x.yaml", "<redacted-home>/x.yaml"),
        ("/root", "<redacted-home>"),
        ("/rooted/x.yaml", "/rooted/x.yaml"),
        ("/srv/home/ada/x.yaml", "/srv/home/ada/x.yaml"),
        ("", ""),
    ],
)
def test_homes_are_redacted(path: str, shown: str, tmp_path: Path) -> None:
    """Whatever $HOME is where the export is made."""
    assert without_home(path, tmp_path) == shown


def test_what_the_report_shows_breaks_no_table(workshop: Workshop) -> None:
    """Nor a terminal, nor a page."""
    ran = workshop.run(recipe(shell("a", 'echo \'{"status": "error", "reason": "a|b\\u001b[1m\\n<b>"}\'; exit 1')))

    exported(ran.root)

    report = (ran.root / "evidence" / "report.md").read_text(encoding="utf-8")
    (row,) = [line for line in report.splitlines() if line.startswith("| a |")]
    assert (row.count(" | "), "a\\|b" in row, "\x1b" in report, "<b>" in report) == (4, True, False, False)


def test_a_run_that_has_not_settled_is_not_complete(workshop: Workshop) -> None:
    """It may be exported all the same."""
    ran = workshop.run(recipe(shell("a", OK), shell("b", OK)), break_at=("b",))

    assert not exported(ran.root).is_complete

    assert bundle_of(ran.root)["is_complete"] is False
    assert bundle_of(ran.root)["ended_at"] is None


def test_a_run_whose_runner_has_not_let_it_go_is_not_complete(ran: Ran) -> None:
    """Although it has ended."""
    lease = take(opened(ran.root))
    try:
        assert not exported(ran.root).is_complete
    finally:
        lease.release()
        close_opened(ran.root)


def test_files_of_attempts_are_copied(tmp_path: Path) -> None:
    """With the records of their operator, and nothing else that lies beside them."""
    run_root = left_run(tmp_path, FILES)
    folder = attempt_folder(run_root)
    (folder / "scratch.bin").write_bytes(b"1")
    (folder / "stdout.log").write_bytes(b"done\n")
    (folder / "config_snapshot" / "deep").mkdir(parents=True)
    (folder / "config_snapshot" / "deep" / "c.yaml").write_bytes(b"{}")

    exported(run_root)

    bundle = bundle_of(run_root)
    names = ["config_snapshot/deep/c.yaml", "figures/a b.svg", "result.json", "stdout.log"]
    assert [(one["name"], one["state"]) for one in bundle["artifacts"]] == [(name, "kept") for name in names]
    assert bundle["artifacts"][1]["media_type"] == "image/svg+xml"
    attempt = bundle["data"]["tasks"]["relax"]["current_attempt"]
    assert (attempt["artifact_missing"], attempt["artifact_changed"]) == (False, False)
    assert everything(run_root / "evidence" / attempt["artifact_path"])["result.json"] == b"{}"
    assert bundle["data"]["tasks"]["relax"]["command"] == ["relax", "--fast"]


def test_F46_a_file_that_is_gone_is_told(tmp_path: Path) -> None:  # noqa: N802  a row of the fault matrix
    """In the bundle, in the report and to whoever asked."""
    run_root = left_run(tmp_path, FILES)
    (attempt_folder(run_root) / "result.json").unlink()

    found = exported(run_root)

    (gone,) = [one for one in bundle_of(run_root)["artifacts"] if one["state"] == "missing"]
    assert (gone["name"], gone["recorded_sha256"]) == ("result.json", hashlib.sha256(b"{}").hexdigest())
    assert bundle_of(run_root)["data"]["tasks"]["relax"]["current_attempt"]["artifact_missing"] is True
    name = f"relax/{attempt_folder(run_root).name}/result.json"
    assert found.faults["missing"] == [name]
    assert f"`{name}` is gone" in (run_root / "evidence" / "report.md").read_text(encoding="utf-8")


def test_F46_a_file_that_was_changed_is_told(tmp_path: Path) -> None:  # noqa: N802  see above
    """It is copied as it is, beside the digest of what it was."""
    run_root = left_run(tmp_path, FILES)
    (attempt_folder(run_root) / "result.json").write_bytes(b"[]")

    exported(run_root)

    (changed,) = [one for one in bundle_of(run_root)["artifacts"] if one["state"] == "changed"]
    assert changed["sha256"] == hashlib.sha256(b"[]").hexdigest()
    assert changed["recorded_sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert bundle_of(run_root)["data"]["tasks"]["relax"]["current_attempt"]["artifact_changed"] is True


def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    """Also where no file of it was declared."""
    run_root = left_run(tmp_path, {}, declared={})

    assert [name.rpartition("/")[2] for name in exported(run_root).faults["missing"]] == ["."]

    assert bundle_of(run_root)["data"]["tasks"]["relax"]["current_attempt"]["artifact_missing"] is True


def test_a_question_that_was_changed_after_its_answer_is_told(ran: Ran) -> None:
    """The run knows what was asked."""
    attempt = ran.attempts("review")[0]
    (ran.root / str(attempt.relative_path) / "instructions.md").write_text("Is it not so?", encoding="utf-8")

    assert exported(ran.root).faults["changed"] == [f"review/{attempt.attempt_id}/instructions.md"]


def test_a_recipe_that_was_changed_is_told(ran: Ran) -> None:
    """It is no file of an attempt, and counts like one."""
    with (ran.root / "recipe.yaml").open("a", encoding="utf-8") as file:
        file.write("# added\n")

    assert exported(ran.root).faults["changed"] == ["recipe.yaml"]
    assert bundle_of(ran.root)["data"]["recipe"]["state"] == "changed"


def test_a_run_without_a_recipe_is_exported(tmp_path: Path) -> None:
    """A program may have begun it."""
    run_root = left_run(tmp_path, {})
    (run_root / "recipe.yaml").unlink()
    database = opened(run_root)
    with database.transaction():
        database.write("DELETE FROM run_inputs")
    close_opened(run_root)

    exported(run_root)

    recipe = bundle_of(run_root)["data"]["recipe"]
    assert (recipe["sha256"], recipe["state"]) == (None, None)


def link(path: Path) -> None:
    """Put a link in the place of a file."""
    path.unlink()
    path.symlink_to("/etc/hostname")


def hard_link(path: Path) -> None:
    """Give a file a second name."""
    (path.parent / "other").hardlink_to(path)


def folder(path: Path) -> None:
    """Put a directory in the place of a file."""
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("make", [link, hard_link, folder])
def test_C4_what_is_no_file_of_its_own_is_not_copied(tmp_path: Path, make: Callable[[Path], None]) -> None:  # noqa: N802  see above
    """It is told of."""
    run_root = left_run(tmp_path, {"result.json": b"{}"})
    make(attempt_folder(run_root) / "result.json")

    exported(run_root)

    (refused,) = bundle_of(run_root)["artifacts"]
    assert (refused["state"], refused["path"]) == ("refused", None)


@pytest.mark.parametrize("name", ["../result.json", "/etc/passwd", "a//b", "a\nb", "a\\b", "./a", "e\u0301"])
def test_C1_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:  # noqa: N802  see above
    """Whatever the operator recorded."""
    run_root = left_run(tmp_path, {"a": b"1"}, declared={name: b""})

    exported(run_root)

    assert [one["state"] for one in bundle_of(run_root)["artifacts"]] == ["refused"]


def test_a_linked_folder_leads_nowhere(tmp_path: Path) -> None:
    """No part of the way to a file may be a link."""
    run_root = left_run(tmp_path, FILES)
    attempt = attempt_folder(run_root)
    (attempt / "figures").rename(tmp_path / "elsewhere")
    (attempt / "figures").symlink_to(tmp_path / "elsewhere")

    exported(run_root)

    assert [one["state"] for one in bundle_of(run_root)["artifacts"]] == ["refused", "kept"]


def test_nothing_is_left_beside_an_evidence(ran: Ran) -> None:
    """The former one and the folder in which it was made are gone."""
    before = sorted(path.name for path in ran.root.iterdir())

    exported(ran.root)

    assert sorted(path.name for path in ran.root.iterdir()) == before


@pytest.mark.parametrize("text", ["notes", "manifest-sha256.txt"])
def test_an_evidence_takes_the_place_of_nothing_else(ran: Ran, tmp_path: Path, text: str) -> None:
    """A directory with other files is refused, and stays as it is."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text(text, encoding="utf-8")

    with pytest.raises(UsageError, match=r"mine holds notes, which is no part of an evidence"):
        export(Request(run_root=ran.root, output=tmp_path / "mine"))

    assert everything(tmp_path / "mine") == {"notes": text.encode()}


def test_signatures_are_no_obstacle(ran: Ran) -> None:
    """They are of the former evidence, and go with it."""
    (ran.root / "evidence" / "sig").mkdir()
    (ran.root / "evidence" / "sig" / "manifest.sig").touch()

    exported(ran.root)

    assert not (ran.root / "evidence" / "sig").exists()


def test_records_that_do_not_hold_are_no_evidence(ran: Ran) -> None:
    """The former evidence stays."""
    before = everything(ran.root / "evidence")
    database = opened(ran.root)
    with database.transaction():
        database.write("UPDATE tasks SET status = 'FAILED' WHERE task_id = 'a'")
    close_opened(ran.root)

    with pytest.raises(StoreError, match=r"was changed from outside: task 'a' is FAILED"):
        exported(ran.root)

    assert everything(ran.root / "evidence") == before


@pytest.mark.parametrize("module", [events_module, attempts_module])
def test_many_lines_are_in_several_files(ran: Ran, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """Of which all but the last have as many as may be."""
    kind = module.__name__.rpartition(".")[2]
    whole = lines_of(ran.root / "evidence" / kind)
    monkeypatch.setattr(module, "SEGMENT_LINES", 1)

    exported(ran.root)

    segments = bundle_of(ran.root)[kind]["segments"]
    assert [(part["file"], part["count"]) for part in segments] == [
        (f"{kind}/{number:06d}.jsonl", 1) for number in range(len(whole))
    ]
    assert lines_of(ran.root / "evidence" / kind) == whole


def test_a_later_attempt_changes_nothing_of_the_lines_before(workshop: Workshop) -> None:
    """So a file that is full stays what it is."""
    ran = workshop.run(recipe(shell("a", "test -f ok && " + OK), shell("b", OK)), fail_fast=False)
    exported(ran.root)
    before = everything(ran.root / "evidence")
    workshop.write("ok", "")
    retry_run(ran.root, DriveOptions(inline=True))

    exported(ran.root)

    after = everything(ran.root / "evidence")
    for name in ("attempts/000000.jsonl", "events/000000.jsonl", "context/history.jsonl"):
        assert after[name].startswith(before[name])
    assert after["attempts/000000.jsonl"] != before["attempts/000000.jsonl"]
