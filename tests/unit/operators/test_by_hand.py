"""Core scriptlets that are run by hand ask each operator once, however many attempts it has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.invoke import call_core
from orchestrator.runner import RunRequest, run
from orchestrator.session import DriveOptions
from orchestrator.wiring.options import WiringOptions
from tests.unit.wiring.distribution import MODULE, install

RECIPE = """\
schema: matterstack/recipe/v1
steps:
  - { name: left, type: shell, run: ['true'], operator_key: hpc.default, parallel: true }
  - { name: right, type: shell, run: ['true'], operator_key: hpc.default, parallel: true }
"""
WIRING = "operators:\n  hpc.default: { kind: hpc, backend: { type: robot, arm: left } }\n"
# A robot that says of each attempt that it goes on, and writes down that it was made.
SLOW = MODULE.replace(
    "        while self._held:\n", "        while self._held and not Path(__file__).with_name('slow').exists():\n"
).replace(
    "        return Robot(backend.arm)\n",
    '        with Path(__file__).with_name("made").open("a") as file:\n'
    '            file.write("once\\n")\n'
    "        return Robot(backend.arm)\n",
)


def test_an_operator_is_asked_once_for_all_that_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two attempts of one key are two of one look, as two jobs of a cluster are."""
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    monkeypatch.delitem(sys.modules, "lab_robots", raising=False)
    package = install(tmp_path / "site-packages", module=SLOW).parent
    (package / "slow").touch()
    for name, text in (
        ("matterstack.toml", '[plugins]\nallow = ["lab-robots==1.2"]\n'),
        ("recipe.yaml", RECIPE),
        ("operators.yaml", WIRING),
    ):
        (tmp_path / name).write_text(text)
    options = DriveOptions(asked=WiringOptions(operators_config=tmp_path / "operators.yaml"), once=True)
    request = RunRequest(recipe=str(tmp_path / "recipe.yaml"), workspaces_dir=tmp_path / "runs", options=options)
    run_root = run(request).run_root
    (package / "made").unlink()

    polled = call_core("poll_attempts", {"run_root": str(run_root)})

    assert list(polled["_attempts.polled_v1"].values()) == ["RUNNING", "RUNNING"]
    assert (package / "made").read_text() == "once\n"

    (package / "slow").unlink()
    polled = call_core("poll_attempts", {"run_root": str(run_root)})
    assert list(polled["_attempts.polled_v1"].values()) == ["ended", "ended"]
