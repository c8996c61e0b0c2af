"""Of all wirings that there are, the one from the strongest source is in force; nothing falls through in silence."""

from __future__ import annotations

import dataclasses
import itertools
import os
from pathlib import Path

import pytest

from orchestrator.errors import InfrastructureError, InvalidFileError, UsageError
from orchestrator.sources import Source
from orchestrator.wiring.options import VARIABLE, WiringOptions
from orchestrator.wiring.reading import read_wiring
from orchestrator.wiring.resolution import Resolved, WiringSource, resolve_wiring


def wiring(name: str) -> str:
    """Write a wiring that can be told from others."""
    return f"operators: {{ local.{name}: {{ kind: local }} }}\n"


@pytest.fixture(name="site")
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder in which all files lie that could be in force, but for that of the workspace."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    (tmp_path / "w").mkdir()
    for name in ("cli", "env"):
        (tmp_path / f"{name}.yaml").write_text(wiring(name))
    (tmp_path / "hpc.yaml").write_text("workspace_root: /s\nssh: { host: old }\n")
    (tmp_path / "profiles.yaml").write_text("profiles: { p: { type: local } }\n")
    return tmp_path


KEPT = Resolved(
    source=WiringSource.RUN_PERSISTED, wiring=read_wiring(Source.from_text("kept", wiring("kept"))), path=Path("x")
)


@pytest.mark.parametrize(
    "there",
    [
        chosen
        for count in range(len(WiringSource))
        for chosen in itertools.combinations(
            ("CLI_OVERRIDE", "RUN_PERSISTED", "WORKSPACE_DEFAULT", "ENV_VAR", "LEGACY_HPC_CONFIG", "LEGACY_PROFILE"),
            count,
        )
    ],
    ids="+".join,
)
def test_the_strongest_source_wins(site: Path, monkeypatch: pytest.MonkeyPatch, there: tuple[str, ...]) -> None:
    """Whichever others there are."""
    if "WORKSPACE_DEFAULT" in there:
        (site / "w" / "operators.yaml").write_text(wiring("workspace"))
    if "ENV_VAR" in there:
        monkeypatch.setenv(VARIABLE, "env.yaml")
    options = WiringOptions(
        operators_config=Path("cli.yaml") if "CLI_OVERRIDE" in there else None,
        hpc_config=Path("hpc.yaml") if "LEGACY_HPC_CONFIG" in there else None,
        profile="p" if "LEGACY_PROFILE" in there else None,
    )

    found = resolve_wiring(site / "w", options, KEPT if "RUN_PERSISTED" in there else None)

    assert found.source is max((WiringSource[name] for name in there), default=WiringSource.NONE)
    assert options.is_wired(site / "w") == bool({*there} - {"RUN_PERSISTED"})


def test_the_file_is_that_of_its_source(site: Path) -> None:
    """With its path and the digest of its bytes."""
    found = resolve_wiring(site / "w", WiringOptions(operators_config=Path("cli.yaml")))

    assert (found.path, list(found.wiring.operators)) == (site / "cli.yaml", ["local.cli"])


def test_older_files_become_operators(site: Path) -> None:
    """A cluster, or a profile of a file, is what hpc.default means; the others are built in."""
    cluster = resolve_wiring(site / "w", WiringOptions(hpc_config=Path("hpc.yaml"))).wiring.operators
    profile = resolve_wiring(site / "w", WiringOptions(profile="p")).wiring.operators

    assert list(cluster) == list(profile) == ["local.default", "hpc.default", "human.default", "experiment.default"]
    assert [wired["hpc.default"].backend.type for wired in (cluster, profile) if wired["hpc.default"].backend] == [
        "slurm",
        "local",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (WiringOptions(operators_config=Path("gone.yaml")), "--operators-config: gone.yaml does not exist"),
        (WiringOptions(hpc_config=Path("gone.yaml")), "--hpc-config: gone.yaml does not exist"),
        (WiringOptions(profile="p", profiles_config=Path("gone.yaml")), "--config: gone.yaml does not exist"),
        (WiringOptions(profile="q"), "profiles.yaml has no profile 'q'"),
    ],
)
def test_a_file_that_is_named_must_be_there(site: Path, options: WiringOptions, message: str) -> None:
    """Nothing else is tried in its place."""
    with pytest.raises(UsageError) as caught:
        resolve_wiring(site / "w", options)

    assert caught.value.message == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (WiringOptions(hpc_config=Path("gone.yaml")), "--hpc-config: gone.yaml does not exist"),
        (WiringOptions(profile="p", profiles_config=Path("gone.yaml")), "--config: gone.yaml does not exist"),
    ],
)
@pytest.mark.parametrize("stronger", [{"operators_config": Path("cli.yaml")}, {}])
def test_a_file_that_is_named_must_be_there_also_where_another_is_stronger(
    site: Path, options: WiringOptions, message: str, stronger: dict[str, Path]
) -> None:
    """Who names a file means it."""
    with pytest.raises(UsageError) as caught:
        resolve_wiring(site / "w", dataclasses.replace(options, **stronger), KEPT)  # type: ignore[arg-type]

    assert caught.value.message == message


def test_a_folder_in_the_place_of_a_wiring_is_told_to_be_one(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that everybody may write, whose rights nobody need change."""
    (site / "shared").mkdir()
    (site / "shared").chmod(0o1777)
    monkeypatch.setenv(VARIABLE, "shared")

    with pytest.raises(InvalidFileError) as caught:
        resolve_wiring(site / "w", WiringOptions())

    assert [problem.message for problem in caught.value.problems] == ["'shared' is a directory"]


def test_a_variable_that_names_nothing_is_an_error(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a silent fall to what is built in."""
    monkeypatch.setenv(VARIABLE, "gone.yaml")

    with pytest.raises(UsageError, match=r"MATTERSTACK_OPERATORS_CONFIG: gone\.yaml does not exist"):
        resolve_wiring(site / "w", WiringOptions())


@pytest.mark.parametrize("content", ["operators: [", "", "operators: {}"])
def test_a_default_that_is_wrong_is_an_error(site: Path, content: str) -> None:
    """It is there, so it counts."""
    (site / "w" / "operators.yaml").write_text(content)

    with pytest.raises(InvalidFileError):
        resolve_wiring(site / "w", WiringOptions())


def test_a_file_that_everybody_may_write_is_refused(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was found; who names it has looked at it."""
    for path in (site / "w" / "operators.yaml", site / "env.yaml", site / "cli.yaml"):
        path.write_text(wiring("open"))
        path.chmod(0o666)

    with pytest.raises(InfrastructureError, match="everybody may write it"):
        resolve_wiring(site / "w", WiringOptions())
    assert resolve_wiring(site / "w", WiringOptions(operators_config=Path("cli.yaml"))).path == site / "cli.yaml"
    (site / "w" / "operators.yaml").unlink()
    monkeypatch.setenv(VARIABLE, "env.yaml")
    with pytest.raises(InfrastructureError, match="everybody may write it"):
        resolve_wiring(site / "w", WiringOptions())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to somebody else")
def test_H5_a_file_of_somebody_else_is_refused(site: Path) -> None:  # noqa: N802  row of the fault matrix
    """It says which programs run as the user who starts the run."""
    path = site / "w" / "operators.yaml"
    path.write_text(wiring("theirs"))
    os.chown(path, 12345, 12345)

    with pytest.raises(InfrastructureError, match="belongs to somebody else"):
        resolve_wiring(site / "w", WiringOptions())


def test_a_default_that_leads_nowhere_is_an_error(site: Path) -> None:
    """It is there, and says nothing."""
    (site / "w" / "operators.yaml").symlink_to("/nonexistent")

    with pytest.raises(UsageError, match="leads nowhere"):
        resolve_wiring(site / "w", WiringOptions())


@pytest.mark.parametrize("cluster", ["type: [slurm]", "type: { a: 1 }"])
def test_a_cluster_of_no_kind_is_an_error(site: Path, cluster: str) -> None:
    """Whatever stands there."""
    (site / "hpc.yaml").write_text(f"{cluster}\nworkspace_root: /s\n")

    with pytest.raises(InvalidFileError) as caught:
        resolve_wiring(site / "w", WiringOptions(hpc_config=Path("hpc.yaml")))

    (problem,) = caught.value.problems
    assert (str(problem.place), problem.message[:19]) == ("hpc.yaml:1:7", "there is no backend")


def test_a_name_that_is_too_long_is_an_error(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file can have it."""
    monkeypatch.setenv(VARIABLE, "x" * 300)

    with pytest.raises(UsageError, match="does not exist"):
        resolve_wiring(site / "w", WiringOptions())
