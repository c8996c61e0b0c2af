"""No secret that is known when an evidence is exported is in it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.evidence.export import Request, export
from tests.unit.evidence.bundles import attempt_folder, bundle_of, everything, exported, left_run, lines_of
from tests.unit.workshop import Ran, Workshop, recipe, shell

SECRET = "correct-horse-battery-é"  # noqa: S105  it opens nothing
LEAKING = (
    f"echo 'sent {SECRET}' >&2; "
    f'echo \'{{"status": "ok", "outputs": {{"n.token_v1": "{SECRET}", "n.map_v1": {{"{SECRET}": [1]}}}}}}\''
)


@pytest.fixture(name="leaking")
def _leaking(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Run a step that writes down what nobody declared to be a secret; a variable holds it."""
    monkeypatch.setenv("LAB_KEY", SECRET)
    return workshop.run(recipe(shell("a", LEAKING)))


def test_E7_an_evidence_is_searched_again_for_a_secret_that_is_known_since(leaking: Ran) -> None:  # noqa: N802  a row of the fault matrix
    """What was exported before it was known stays, and nothing more is exported."""
    exported(leaking.root)
    before = everything(leaking.root / "evidence")

    with pytest.raises(UsageError, match=r"nothing was exported: attempts/000000.jsonl: a secret at byte") as caught:
        exported(leaking.root, secret_env=("LAB_KEY",))

    assert (caught.value.code, caught.value.hint) == ("MS211", "add --redact, which masks it in a new evidence")
    assert everything(leaking.root / "evidence") == before
    assert SECRET not in caught.value.message


def test_a_secret_is_masked_when_that_is_asked_for(leaking: Ran) -> None:
    """Before anything is hashed; the bundle counts how often, and names the files that were left out."""
    exported(leaking.root, redact=True, secret_env=("LAB_KEY",))

    bundle, files = bundle_of(leaking.root), everything(leaking.root / "evidence")
    assert [name for name, content in files.items() if SECRET.encode() in content] == []
    assert bundle["data"]["context"] == {"n.token_v1": "***", "n.map_v1": {"***": [1]}}
    assert lines_of(leaking.root / "evidence" / "attempts")[0]["stderr"] == "sent ***\n"
    assert bundle["redaction"]["values_redacted"] > 0
    assert bundle["redaction"]["files_withheld"] == ["recipe.yaml"]
    assert bundle["data"]["recipe"]["state"] == "withheld"


def test_a_file_with_a_secret_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its place stands how large it was; no digest of it is told, from which a short secret could be guessed."""
    monkeypatch.setenv("LAB_KEY", SECRET)
    run_root = left_run(tmp_path, {"a.log": SECRET.encode(), "b.log": b"nothing"})

    found = exported(run_root, redact=True, secret_env=("LAB_KEY",))

    one, other = bundle_of(run_root)["artifacts"]
    assert (one["state"], one["recorded_sha256"], other["state"]) == ("withheld", None, "kept")
    assert (run_root / "evidence" / one["path"]).read_bytes() == b'{"size":24,"withheld":true}\n'
    digest = hashlib.sha256(SECRET.encode()).hexdigest().encode()
    assert [name for name, content in everything(run_root / "evidence").items() if digest in content] == []
    assert found.faults["withheld"] == [f"relax/{attempt_folder(run_root).name}/a.log"]


def test_the_digest_of_a_masked_value_is_masked_too(leaking: Ran) -> None:
    """The line of its event says so, since its hash is that of what was recorded."""
    digest = hashlib.sha256(f'"{SECRET}"'.encode()).hexdigest()
    exported(leaking.root)
    assert digest.encode() in everything(leaking.root / "evidence")["events/000000.jsonl"]

    exported(leaking.root, redact=True, secret_env=("LAB_KEY",))

    assert digest.encode() not in b"".join(everything(leaking.root / "evidence").values())
    (event,) = [one for one in lines_of(leaking.root / "evidence" / "events") if one["kind"] == "attempt.closed"]
    assert (event["redacted"], event["payload"]["writes"]["n.token_v1"]) == (True, "***")


def test_a_wiring_with_a_secret_is_left_out_as_a_whole(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its metadata and history name its digest."""
    monkeypatch.setenv("LAB_KEY", SECRET)
    wiring = f"operators: {{ local.default: {{ kind: local }} }}  # {SECRET}\n"
    workshop.write("workspaces/r/operators.yaml", wiring)
    ran = workshop.run(recipe(shell("a", 'echo \'{"status": "ok"}\'')))

    exported(ran.root, redact=True, secret_env=("LAB_KEY",))

    digest = hashlib.sha256(wiring.encode()).hexdigest().encode()
    assert digest not in b"".join(everything(ran.root / "evidence").values())
    assert bundle_of(ran.root)["data"]["operator_wiring"]["sha256"] is None


def test_a_secret_in_the_name_of_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masking it would break the way to it."""
    monkeypatch.setenv("LAB_KEY", SECRET)
    run_root = left_run(tmp_path, {f"{SECRET}.log": b""})

    with pytest.raises(UsageError, match=r"\*\*\*.log: a secret is in its name"):
        exported(run_root, redact=True, secret_env=("LAB_KEY",))

    assert not (run_root / "evidence").exists()


NAMED = """
secrets: { lab: { env: LAB_KEY } }
steps:
- name: a
  type: shell
  operator_key: local.default
  stdout: free
  env: { KEY: "${{ secrets.lab }}" }
  run: echo 1 > "$KEY.txt"; echo 2 > b.txt
  fetch: { optional: ["*.txt"] }
"""


@pytest.mark.parametrize("redact", [False, True])
def test_a_file_whose_name_the_run_has_masked_is_withheld(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, *, redact: bool
) -> None:
    """It is there, under a name that nobody may know: it is not gone."""
    monkeypatch.setenv("LAB_KEY", "horse-battery")
    ran = workshop.run(NAMED)

    found = exported(ran.root, redact=redact)

    named = {artifact["name"]: artifact for artifact in bundle_of(ran.root)["artifacts"]}
    assert (named["***.txt"]["state"], named["b.txt"]["state"]) == ("withheld", "kept")
    assert (ran.root / "evidence" / named["***.txt"]["path"]).read_bytes() == b'{"size":2,"withheld":true}\n'
    assert [name.rpartition("/")[2] for name in found.faults["withheld"]] == ["***.txt"]
    assert found.faults["missing"] == []


def test_a_file_whose_name_the_run_has_masked_can_be_gone(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file with such a name is left."""
    monkeypatch.setenv("LAB_KEY", "horse-battery")
    ran = workshop.run(NAMED)
    (left,) = ran.root.glob("tasks/a/attempts/*/horse-battery.txt")
    left.unlink()

    assert [name.rpartition("/")[2] for name in exported(ran.root).faults["missing"]] == ["***.txt"]


def test_the_digest_of_a_file_with_a_secret_in_its_name_and_in_it_is_masked(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short secret could be guessed from it."""
    monkeypatch.setenv("LAB_KEY", "horse-battery")
    ran = workshop.run(NAMED.replace("echo 1", 'echo "$KEY"'))

    exported(ran.root, redact=True)

    digest = hashlib.sha256(b"horse-battery\n").hexdigest().encode()
    assert [name for name, content in everything(ran.root / "evidence").items() if digest in content] == []


def test_a_snapshot_that_names_the_digest_of_what_is_withheld_is_withheld_too(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a step was to do holds what nobody declared to be a secret."""
    ran = workshop.run(recipe(shell("a", f"echo {SECRET}", "operator_key: local.default, stdout: free")))
    monkeypatch.setenv("LAB_KEY", SECRET)

    found = exported(ran.root, redact=True, secret_env=("LAB_KEY",))

    names = [name.rpartition("/")[2] for name in found.faults["withheld"]]
    assert names == ["recipe.yaml", "manifest.json", "work.json", "stdout.log"]


def test_a_secret_that_the_recipe_declares_is_looked_for(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any option."""
    monkeypatch.setenv("LAB_TOKEN", "the-one-of-that-time")
    ran = workshop.run(recipe(shell("a", LEAKING), head="secrets: { lab: { env: LAB_TOKEN } }\n"))
    assert exported(ran.root).unread == ()
    monkeypatch.setenv("LAB_TOKEN", SECRET)

    with pytest.raises(UsageError, match=r"a secret at byte"):
        exported(ran.root)


def test_a_secret_that_cannot_be_read_is_named(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the run was, it was masked before it was written down; elsewhere nobody has it."""
    monkeypatch.setenv("LAB_TOKEN", SECRET)
    ran = workshop.run(recipe(shell("a", LEAKING), head="secrets: { lab: { env: LAB_TOKEN } }\n"))
    monkeypatch.delenv("LAB_TOKEN")

    assert exported(ran.root).unread == ("secret 'lab': $LAB_TOKEN is not set",)


def test_secrets_of_a_recipe_that_is_gone_are_named(workshop: Workshop) -> None:
    """Nobody knows any more what it declares."""
    workshop.write("used.yaml", recipe(shell("a", 'echo \'{"status": "ok"}\'')))
    ran = workshop.run(recipe("{name: sub, type: recipe, uses: ./used.yaml}"))
    (workshop.folder / "used.yaml").unlink()

    (reason,) = exported(ran.root).unread

    assert reason.startswith("what a recipe declares that cannot be read: ")
    assert bundle_of(ran.root)["data"]["tasks"].keys() == {"sub", "sub/a"}


@pytest.mark.parametrize(("value", "reason"), [(None, "is not set"), ("abc", "has 3 characters")])
def test_a_variable_that_is_named_must_hold_a_secret(
    leaking: Ran, monkeypatch: pytest.MonkeyPatch, value: str | None, reason: str
) -> None:
    """A slip in its name must not pass for a search that found nothing."""
    monkeypatch.delenv("LAB_KEY")
    if value is not None:
        monkeypatch.setenv("LAB_KEY", value)

    with pytest.raises(UsageError, match=reason):
        export(Request(run_root=leaking.root, secret_env=("LAB_KEY",)))
