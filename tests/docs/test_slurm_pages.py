"""The pages about clusters do what they say, name all that there is, and name tests that exist."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from orchestrator.operators.slurm import names
from orchestrator.states import AttemptState
from orchestrator.testing.fake_slurm import FakeSlurm
from orchestrator.wiring.model import Keep, Slurm, SlurmBackend, Ssh
from tests.docs.documents import DOCS, REFERENCE, ROOT, rows, section
from tests.docs.terminal import follow

PAGE = REFERENCE / "slurm.md"
_ROW = re.compile(r"S([1-9]|1[0-9]|2[0-8])|F(3|26|29|3[0-9])|C6|E6|D[1-9]")


def named(heading: str) -> set[str]:
    """Give what stands in the first column of the tables under a heading."""
    return {name for cells in rows(section(PAGE, heading)) for name in re.split(r"`?,? `", cells[0])}


def test_the_first_job_runs_as_it_is_told(checkout: Path, tmp_path: Path) -> None:
    """With a cluster of this machine in the place of the reader's."""
    with FakeSlurm(tmp_path / "cluster") as slurm:
        programs = f"{checkout / '.venv' / 'bin'}{os.pathsep}{slurm.bin}{os.pathsep}{os.environ['PATH']}"
        env = {"PATH": programs, "HOME": str(tmp_path), "MATTERSTACK_POLL_FLOOR": "0.1"}

        follow(
            checkout,
            DOCS / "how-to" / "slurm.md",
            changes={"      ssh: { host: cluster }": "      poll_every: 0.2"},
            env=env,
        )


def test_all_keys_of_the_backend_are_explained() -> None:
    """Those of its parts too."""
    told = {name.strip("`") for cells in rows(section(PAGE, "## The backend")) for name in cells[0].split("`, `")}

    assert told == {name for kind in (SlurmBackend, Ssh, Slurm, Keep) for name in kind.model_fields if name != "type"}


def test_all_files_on_the_cluster_are_explained() -> None:
    """Each that lies in the operator's own folder there."""
    told = {
        name.strip("`") for cells in rows(section(PAGE, "## Files on the cluster")) for name in cells[0].split("`, `")
    }
    files = {names.SCRIPT, names.FOLDERS, names.JOB, names.LOCK, names.LOG, names.PAYLOAD, names.SECRETS}

    assert {Path(file).name for file in files | {names.CLAIM, names.EXIT}} <= told


@pytest.mark.parametrize("page", [PAGE, DOCS / "how-to" / "slurm.md"], ids=["reference", "how-to"])
def test_all_states_of_a_job_are_explained(page: Path) -> None:
    """Those that an attempt with an operator goes through."""
    text = page.read_text(encoding="utf-8")
    states = {"SUBMITTING", "UNKNOWN", "SUBMITTED", "QUEUED", "RUNNING", "MISSING", "COMPLETED", "FAILED_INIT", "LOST"}

    assert states <= {state.value for state in AttemptState}
    assert [state for state in states if f"`{state}`" not in text] == []


def test_every_row_names_tests_that_exist() -> None:
    """Whatever is claimed is shown."""
    table = rows(section(PAGE, "## What is shown by which test"))
    claimed = {number: tests for number, _, tests in table}

    assert {number for number in claimed if _ROW.fullmatch(number)} == claimed.keys()
    # S1 to S28, thirteen rows of F, C6, E6, and D1 to D9.
    assert len(claimed) == 28 + 13 + 2 + 9
    missing = [test for tests in claimed.values() for test in tests.split("` `") if not _exists(test.strip("`"))]
    assert missing == []


def _exists(test: str) -> bool:
    file, _, name = test.partition("::")
    path = ROOT / "tests" / file
    return path.is_file() and re.search(rf"^def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
