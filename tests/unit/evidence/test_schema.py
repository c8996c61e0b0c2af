"""The schema of the bundle takes every bundle that is exported, and nothing that is like one."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.unit.evidence.bundles import SCHEMA, VALIDATOR, attempt_folder, bundle_of, exported, left_run
from tests.unit.workshop import Workshop, python, recipe, shell

DIGEST = "0" * 64
GONE = "(this key is gone)"

# Where in a bundle, and what stands there instead.
MUTATIONS: list[tuple[str, object]] = [
    ("schema", "matterstack/evidence-bundle/v2"),
    ("schema_version", 2),
    ("schema_version", GONE),
    ("run_id", "../x"),
    ("run_status", "DONE"),
    ("run_status", "completed"),
    ("is_complete", "true"),
    ("generated_at", "2026-01-02 03:04:05"),
    ("generated_at", GONE),
    ("created_at", "2026-01-02T03:04:05+00:00"),
    ("hostname", "lab1"),
    ("status_reason", 1),
    ("tags", "demo"),
    ("recipe/sha256", DIGEST.upper().replace("0", "G")),
    ("engine/pid", 1),
    ("task_counts/total", -1),
    ("task_counts/lost", 0),
    ("task_counts/completed", GONE),
    ("events/head", "abc"),
    ("events/segments", []),
    ("events/segments/0/file", "/events/000000.jsonl"),
    ("attempts/segments/0/count", 0),
    ("redaction/rules", ["nothing"]),
    ("redaction/files_withheld", ["../x"]),
    ("data/events_head/seq", 0),
    ("data/operator_wiring/source", "GUESSED"),
    ("data/operator_wiring/sha256", GONE),
    ("data/environment/uid", 0),
    ("data/recipe/state", "torn"),
    ("data/more", {}),
    ("data/tasks/relax/attempts", GONE),
    ("data/tasks/relax/results", []),
    ("data/tasks/relax/status", "OK"),
    ("data/tasks/relax/command", 1),
    ("data/tasks/relax/current_attempt/attempt_index", 0),
    ("data/tasks/relax/current_attempt/artifact_missing", None),
    ("data/tasks/relax/current_attempt/artifact_path", "a/../../x"),
    ("data/tasks/relax/current_attempt/operator_data", None),
    ("data/tasks/relax/attempts/0/host", "lab1"),
    ("artifacts/0/sha256", None),
    ("artifacts/0/path", None),
    ("artifacts/0/state", "lost"),
    ("artifacts/0/size", 1.5),
    ("artifacts/1/path", "artifacts/x"),
]


@pytest.fixture(name="bundle", scope="module")
def _bundle(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Export a run of whose files one is kept and one is gone."""
    run_root = left_run(tmp_path_factory.mktemp("run"), {"a.json": b"{}", "b.json": b"{}"})
    (attempt_folder(run_root) / "b.json").unlink()
    exported(run_root)
    return bundle_of(run_root)


def test_the_schema_is_one() -> None:
    """Of the newest draft, with a name."""
    Draft202012Validator.check_schema(SCHEMA)

    assert SCHEMA["$id"] == "urn:matterstack:schema:evidence-bundle:1"


def objects(schema: object) -> Iterator[dict[str, Any]]:
    """Give all parts of a schema that say which keys an object has."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            yield schema
        yield from (found for part in schema.values() for found in objects(part))
    elif isinstance(schema, list):
        yield from (found for part in schema for found in objects(part))


def test_the_schema_is_closed() -> None:
    """Every object whose keys are ours has those keys, all of them, and no others."""
    assert [part for part in objects(SCHEMA) if part["additionalProperties"] is not False] == []
    assert [part for part in objects(SCHEMA) if part["required"] != list(part["properties"])] == []
    assert len(list(objects(SCHEMA))) > 10


def test_the_schema_travels_with_the_evidence(tmp_path: Path) -> None:
    """So that nobody needs a network to check it."""
    run_root = left_run(tmp_path, {})

    exported(run_root)

    copied = run_root / "evidence" / "schemas" / "evidence-bundle-1.json"
    assert json.loads(copied.read_text(encoding="utf-8")) == SCHEMA


@pytest.mark.parametrize(("where", "value"), MUTATIONS, ids=lambda part: str(part)[:40])
def test_E8_a_bundle_that_was_changed_does_not_fit(bundle: dict[str, Any], where: str, value: object) -> None:  # noqa: N802  a row of the acceptance list
    """Whichever part of it is missing, added, or of another kind."""
    changed = copy.deepcopy(bundle)
    *way, last = where.split("/")
    part: Any = changed
    for name in way:
        part = part[int(name) if isinstance(part, list) else name]
    if value == GONE:
        del part[last]
    else:
        part[last] = value

    assert not VALIDATOR.is_valid(changed)


OK = 'echo \'{"status": "ok"}\''
RECIPES = {
    "one that failed": recipe(shell("a", "exit 3"), shell("b", OK)),
    "one with a skip": recipe(shell("a", OK, "when: 1 > 2"), shell("b", OK)),
    "one with a retry": recipe(python("a", "FailFirst", "args: {times: 1}, retry: {max: 1}")),
    "one that fans out": recipe(shell("each", OK, "foreach: [1, 'a b']")),
    "one in rounds": recipe(shell("a", OK), head="repeat: {until: 'False', max: 2}\n"),
    "one that asks": recipe("{name: q, type: human, instructions: 'é?', deadline: {after: 0.05, then: fail}}"),
    "one that uses another": recipe("{name: sub, type: recipe, uses: ./used.yaml}"),
    "one without arguments": recipe(python("a", keys="args: {n.x_v1: '${{ 1 / 0 }}'}")),
}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("keep_going", [True, False], ids=["going on", "stopping"])
def test_bundles_of_all_kinds_of_runs_fit(workshop: Workshop, name: str, keep_going: bool) -> None:
    """Whatever came of them."""
    workshop.write("used.yaml", recipe(shell("a", OK)))
    ran = workshop.run(RECIPES[name], fail_fast=not keep_going)

    exported(ran.root)

    assert bundle_of(ran.root)["run_id"] == ran.root.name
