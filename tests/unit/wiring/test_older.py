"""An older hpc.yaml is what a backend of operators.yaml means, and what the run keeps of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import InvalidFileError
from orchestrator.sources import Source
from orchestrator.wiring.model import SlurmBackend
from orchestrator.wiring.options import WiringOptions
from orchestrator.wiring.reading import Wiring, read_wiring
from orchestrator.wiring.resolution import resolve_wiring

WIRING = """\
operators:
  hpc.old:  # the old one
    backend:
      type: hpc_yaml
      path: clusters/hpc.yaml
    kind: hpc
  hpc.flow: { kind: hpc, backend: { type: hpc_yaml, path: clusters/hpc.yaml }, max_concurrent: 7 }
  local.default: { kind: local }
"""
CLUSTER = 'workspace_root: /scratch/me\npoll_every: 60s\nslurm: { partition: batch, setup: "module load ü\\nx" }\n'


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Path:
    (tmp_path / "clusters").mkdir()
    (tmp_path / "operators.yaml").write_text(WIRING, encoding="utf-8")
    (tmp_path / "clusters" / "hpc.yaml").write_text(CLUSTER, encoding="utf-8")
    return tmp_path


def resolved(site: Path) -> Wiring:
    """Resolve the wiring of a workspace."""
    return resolve_wiring(site, WiringOptions()).wiring


def wrong(site: Path, cluster: str) -> list[str]:
    """Give what is wrong with a cluster, each with its place."""
    (site / "clusters" / "hpc.yaml").write_text(cluster, encoding="utf-8")
    with pytest.raises(InvalidFileError) as caught:
        resolved(site)
    return [
        f"{Path(problem.place.file).name}:{problem.place.line}:{problem.place.column} {problem.message}"
        for problem in caught.value.problems
        if problem.place
    ]


@pytest.mark.parametrize("above", ["", "hpc", "cluster"])
def test_an_older_file_is_the_cluster_that_it_describes(site: Path, above: str) -> None:
    """It may stand below a key of its own."""
    if above:
        text = "".join(f"  {line}\n" for line in CLUSTER.splitlines())
        (site / "clusters" / "hpc.yaml").write_text(f"{above}:\n{text}", encoding="utf-8")

    operators = resolved(site).operators

    for key in ("hpc.old", "hpc.flow"):
        backend = operators[key].backend
        assert isinstance(backend, SlurmBackend)
        assert (backend.workspace_root, backend.slurm.setup) == ("/scratch/me", "module load ü\nx")
        assert not operators[key].is_idle
    assert (list(operators), operators["hpc.flow"].max_concurrent) == (["hpc.old", "hpc.flow", "local.default"], 7)


def test_what_a_run_keeps_needs_the_file_no_more(site: Path) -> None:
    """The text of the wiring says what the file said; the rest of it stays as it was."""
    kept = resolved(site).source
    (site / "clusters" / "hpc.yaml").unlink()

    again = read_wiring(Source.from_text("operators_snapshot/operators.yaml", kept.text))

    assert isinstance(again.operators["hpc.old"].backend, SlurmBackend)
    assert again.sha256 == kept.sha256
    assert kept.text.startswith('operators:\n  hpc.old:  # the old one\n    backend:\n      {"type": "slurm", ')
    assert kept.text.endswith("  local.default: { kind: local }\n")


def test_what_the_file_says_now_is_another_wiring(site: Path) -> None:
    """So a run that goes on by it is refused unless that is forced."""
    before = resolved(site).sha256
    (site / "clusters" / "hpc.yaml").write_text("workspace_root: /elsewhere\n", encoding="utf-8")

    assert resolved(site).sha256 != before


def test_faults_are_told_where_they_stand_in_the_older_file(site: Path) -> None:
    """Beside those of operators.yaml."""
    assert wrong(site, "workspace_root: /s\nqueue: long\n")[0] == "hpc.yaml:2:1 unknown key 'queue'"
    assert wrong(site, "hpc:\n  workspace_root: s\n")[0].startswith("hpc.yaml:2:19 expected an absolute folder")
    assert wrong(site, "type: lsf\n")[0] == "hpc.yaml:1:7 there is no backend 'lsf'"
    assert wrong(site, "a: [")[0].startswith("hpc.yaml:")
    assert wrong(site, "[]")[0] == "hpc.yaml:1:1 expected a mapping, got a list"
    (site / "operators.yaml").write_text(WIRING + "more: 1\n", encoding="utf-8")
    told = wrong(site, "queue: long\n")
    assert {one.partition(":")[0] for one in told} == {"operators.yaml", "hpc.yaml"}


def test_an_older_file_that_is_not_there_is_an_error(site: Path) -> None:
    """Its path says where it was looked for."""
    (site / "clusters" / "hpc.yaml").unlink()

    with pytest.raises(InvalidFileError) as caught:
        resolved(site)

    assert "clusters/hpc.yaml" in str(caught.value.problems[0])


def test_no_secret_of_an_older_file_is_shown(site: Path) -> None:
    """Somebody may have written a password there."""
    (site / "clusters" / "hpc.yaml").write_text("workspace_root: /s\npassword: hunter2\n", encoding="utf-8")

    with pytest.raises(InvalidFileError) as caught:
        resolved(site)

    assert all("hunter2" not in str(problem.place and problem.place.text) for problem in caught.value.problems)
