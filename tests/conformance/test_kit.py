"""The kit is what travels with a scriptlet to a machine where nothing is installed: old Python, standard library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from orchestrator.away import CHANGES, CONTEXT
from orchestrator.operators.imports import Imports
from orchestrator.operators.slurm.kit import MODULES, kit

ROOT = Path(__file__).resolve().parents[2]
OLDEST = (3, 8)
STEPS = sorted(path.stem for path in (ROOT / "scriptlets" / "steps").glob("[a-z]*.py"))
DOUBLE = """
from orchestrator import BaseScriptlet


class Double(BaseScriptlet):
    def work(self, ctx, params):
        return {"double.value_v1": ctx.get("mean.value_v1") * params["factor"]}
"""
BARE = ("-I", "-S")  # neither the environment's nor the user's packages, only the standard library


def project() -> dict[str, object]:
    """Read pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def kit_modules() -> list[str]:
    """Give the modules that the import rules call the kit, without the steps."""
    contracts = project()["tool"]["importlinter"]["contracts"]  # type: ignore[index]
    kit = next(contract for contract in contracts if contract["id"] == "kit")
    return [name for name in kit["source_modules"] if name.startswith("orchestrator.")]


def candidates() -> Iterator[Path]:
    """Give the interpreters that the PATH and pyenv offer."""
    for minor in range(OLDEST[1], sys.version_info.minor + 1):
        if found := shutil.which(f"python3.{minor}"):
            yield Path(found)
    yield from Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin/python3")


def version_of(interpreter: Path) -> tuple[int, ...]:
    """Ask an interpreter for its version; empty for one that does not start."""
    code = "import sys; print(*sys.version_info[:2])"
    answer = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=False)
    return tuple(int(part) for part in answer.stdout.split()) if answer.returncode == 0 else ()


@cache
def oldest_interpreter() -> Path | None:
    """Give the oldest interpreter from Python 3.8 on that is older than the one that runs the tests."""
    known = [(version_of(path), path) for path in candidates()]
    old = [(version, path) for version, path in known if OLDEST <= version < sys.version_info[:2]]
    return min(old)[1] if old else None


def lay_out(step: str, folder: Path) -> Path:
    """Copy the file of a shipped step and the modules that travel with it, and give its place."""
    path = ROOT / "scriptlets" / "steps" / f"{step}.py"
    imports = Imports(path, f"scriptlets.steps.{step}", ROOT)
    assert imports.missing == []
    for place, source in {**imports.files, f"scriptlets/steps/{step}.py": path}.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, folder / place)
    return folder / "scriptlets" / "steps" / f"{step}.py"


@pytest.fixture(name="old_python")
def _old_python() -> Path:
    found = oldest_interpreter()
    if found is None:
        pytest.skip("no Python between 3.8 and this one on the PATH or below pyenv")
    return found


@pytest.fixture(name="travelled")
def _travelled(tmp_path: Path) -> Path:
    """Lay out the kit's modules, and nothing else."""
    target = tmp_path / "travelled"
    (target / "orchestrator").mkdir(parents=True)
    for name in ("orchestrator.__init__", *kit_modules()):
        shutil.copy(ROOT / f"{name.replace('.', '/')}.py", target / "orchestrator")
    return target


def test_linter_and_import_rules_mean_the_same_kit() -> None:
    """Each module of the kit is also checked as Python 3.8."""
    targets = project()["tool"]["ruff"]["per-file-target-version"]  # type: ignore[index]

    checked = {name.removesuffix(".py").replace("/", ".") for name in targets if name.startswith("orchestrator/")}

    assert checked - {"orchestrator.__init__"} == set(kit_modules())
    assert set(targets.values()) == {"py38"}


@pytest.mark.parametrize("module", ["orchestrator", *kit_modules()])
def test_a_module_of_the_kit_imports_alone(module: str, old_python: Path, travelled: Path) -> None:
    """On the oldest Python, with nothing but the kit and the standard library in reach."""
    code = f"import sys; sys.path.insert(0, {str(travelled)!r}); import {module}"

    answer = subprocess.run([old_python, *BARE, "-c", code], capture_output=True, text=True, check=False)

    assert answer.stderr == ""
    assert answer.returncode == 0


def test_a_scriptlet_runs_where_only_the_kit_is(old_python: Path, travelled: Path, tmp_path: Path) -> None:
    """A shipped step works on the oldest Python as it does here."""
    source = tmp_path / "numbers.txt"
    source.write_text("1\n2\n4\n", encoding="utf-8")
    step = lay_out("compute_median", travelled)
    params = json.dumps({"src": str(source)})

    answer = subprocess.run(
        [old_python, *BARE, step, "--params", params, "--pretty"], capture_output=True, text=True, check=False
    )

    assert json.loads(answer.stdout)["outputs"] == {"numbers.median_v1": {"median": 2.0, "count": 3}}
    assert answer.returncode == 0


@pytest.mark.parametrize("step", STEPS)
def test_every_step_starts_where_only_the_kit_is(step: str, old_python: Path, travelled: Path) -> None:
    """None of the shipped steps needs more than the kit."""
    answer = subprocess.run(
        [old_python, *BARE, lay_out(step, travelled), "--help"], capture_output=True, text=True, check=False
    )

    assert answer.stderr == ""
    assert f"usage: {step}" in answer.stdout


def test_public_names_of_the_kit_need_nothing_else(old_python: Path, travelled: Path) -> None:
    """The names that a scriptlet imports from the top are there."""
    names = "BaseScriptlet, Context, get_logger, track_resources"
    code = f"import sys; sys.path.insert(0, {str(travelled)!r}); from orchestrator import {names}"

    answer = subprocess.run([old_python, *BARE, "-c", code], capture_output=True, text=True, check=False)

    assert answer.stderr == ""


def test_the_packed_kit_holds_what_the_import_rules_name() -> None:
    """The same bytes each time, so that a site gets them once."""
    assert set(MODULES) - {"__init__"} == {name.removeprefix("orchestrator.") for name in kit_modules()}
    first = kit()
    kit.cache_clear()

    assert kit() == first


def test_the_packed_kit_runs_a_scriptlet_class(old_python: Path, tmp_path: Path) -> None:
    """It reads its params and the context that it needs, and leaves its writes; modules beside it hide none of ours."""
    (tmp_path / "kit.zip").write_bytes(kit().content)
    (tmp_path / "json.py").write_text("raise RuntimeError('hidden')")
    (tmp_path / ".ms").mkdir()
    (tmp_path / CONTEXT).write_text('{"mean.value_v1": 3}')
    (tmp_path / "double.py").write_text(DOUBLE)
    environment = {**os.environ, "MATTERSTACK_PARAMS": '{"factor": 2}'}

    answer = subprocess.run(
        [old_python, *BARE, "kit.zip", "double.py", "numbers", "Double", "twice"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.stderr == ""
    assert json.loads(answer.stdout) == {"status": "ok", "outputs": ["double.value_v1"]}
    assert json.loads((tmp_path / CHANGES).read_text()) == [["double.value_v1", "6", "double"]]
