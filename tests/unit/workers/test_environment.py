"""Steps see the user's environment without what would put foreign code into them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import Context
from orchestrator.workers.calls import Call, Done, PythonCall
from orchestrator.workers.pool import WorkerPool, step_environment

INJECTIONS = {
    "LD_PRELOAD": "/nowhere.so",
    "LD_AUDIT": "/nowhere.so",
    "DYLD_INSERT_LIBRARIES": "/nowhere.dylib",
    "BASH_ENV": "evil.sh",
    "ENV": "evil.sh",
    "BASH_FUNC_ls%%": "() { touch canary; }",
    "PYTHONPATH": "evil",
    "PYTHONSTARTUP": "evil.py",
    "PYTHONHOME": "/nowhere",
    "PYTHONWARNINGS": "error",
}


def test_variables_that_inject_code_are_left_out() -> None:
    """Everything else passes."""
    source = {**INJECTIONS, "PATH": "/bin", "HOME": "/root", "LD_LIBRARY_PATH": "/opt/lib", "PYENV_ROOT": "/x"}

    assert step_environment(source) == {
        "PATH": "/bin",
        "HOME": "/root",
        "LD_LIBRARY_PATH": "/opt/lib",
        "PYENV_ROOT": "/x",
    }


@pytest.fixture(name="hostile")
def _hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay traps in the environment and in the current folder, before any pool is made."""
    for name, value in INJECTIONS.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "evil").mkdir()
    for trap in ("json.py", "yaml.py", "sitecustomize.py", "evil/json.py", "evil/sitecustomize.py"):
        (tmp_path / trap).write_text("open('canary', 'w')", encoding="utf-8")
    (tmp_path / "evil.sh").write_text("touch canary", encoding="utf-8")


@pytest.mark.usefixtures("hostile")
def test_a_python_step_is_not_injected(run_step: Callable[..., Done], tmp_path: Path) -> None:
    """Neither variables nor files of the current folder take the place of the libraries."""
    done = run_step("import yaml; print(os.environ.get('ENV'), json.dumps(yaml.safe_load('[1]')))")

    assert (done.stdout, done.stderr, done.fault) == ("None [1]\n", "", "")
    assert not (tmp_path / "canary").exists()


@pytest.mark.usefixtures("hostile")
def test_a_program_is_not_injected(run_program: Callable[..., Done], tmp_path: Path) -> None:
    """Shells and interpreters that a step starts see nothing of it either."""
    script = "ls >/dev/null; python3 -c 'import sys; print(\"evil\" in sys.path)'; env | grep -c -e ^LD_ -e ^BASH"

    done = run_program("bash", "-c", f"cd /; {script}")

    assert (done.stdout, done.stderr) == ("False\n0\n", "")
    assert not (tmp_path / "canary").exists()


def test_the_project_comes_after_the_libraries(tmp_path: Path, write_step: Callable[[str], PythonCall]) -> None:
    """A project's own modules are found, and cannot stand before those of the standard library."""
    (tmp_path / "json.py").write_text("raise SystemError", encoding="utf-8")
    (tmp_path / "my_lab.py").write_text("GAIN = 7", encoding="utf-8")
    pool = WorkerPool(Context(), folders=[str(tmp_path)])
    pool.start(Call(attempt_id="a1", step="s", target=write_step("import json, my_lab; print(my_lab.GAIN)")))

    while not (finished := pool.wait(30.0)):
        pass

    assert finished[0].stdout == "7\n"
    pool.close()


def test_the_steps_of_a_project_find_each_other(tmp_path: Path, write_step: Callable[[str], PythonCall]) -> None:
    """A project's package of scriptlets has the same name as the one that ships, and both are in reach."""
    steps = tmp_path / "scriptlets" / "steps"
    steps.mkdir(parents=True)
    (steps / "lab_gain.py").write_text("GAIN = 7", encoding="utf-8")
    body = "from scriptlets.steps import lab_gain, load_numbers; print(lab_gain.GAIN, load_numbers.__name__)"
    pool = WorkerPool(Context(), folders=[str(tmp_path)])
    pool.start(Call(attempt_id="a1", step="s", target=write_step(body)))

    while not (finished := pool.wait(30.0)):
        pass

    assert finished[0].stdout == "7 scriptlets.steps.load_numbers\n"
    pool.close()
