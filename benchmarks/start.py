"""Time how soon the program answers, and how much memory it takes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.chains import HERE, python_recipe

ROUNDS = 7

# What reading a recipe rests on, with one model, since the first one loads the rest of pydantic.
_LIBRARIES = "import click, yaml, pydantic\nclass Model(pydantic.BaseModel): x: int"

_COMPLETE = 'source "$1"; COMP_WORDS=(matterstack ctx get ""); COMP_CWORD=3; _matterstack; test ${#COMPREPLY[@]} -gt 0'


def main(argv: list[str]) -> None:
    """Print the table; ``--quick`` takes fewer rounds."""
    rounds = 3 if "--quick" in argv else ROUNDS
    python = _median(lambda: timed([sys.executable, "-c", "pass"])[0], rounds)
    print(f"{'what':<44}{'ms':>8}{'bound':>8}{'MB':>7}{'bound':>7}   (python -c pass: {python * 1e3:.0f} ms)")
    with tempfile.TemporaryDirectory(dir=HERE) as name:
        folder = Path(name)
        (folder / "touch.py").write_bytes((HERE / "steps" / "touch.py").read_bytes())
        for count in (10, 1000, 10_000):
            (folder / f"chain{count}.yaml").write_text(python_recipe(count), encoding="utf-8")
        _rows(folder, rounds)


def _rows(folder: Path, rounds: int) -> None:
    ms = [sys.executable, "-m", "orchestrator"]
    runs = ["--workspaces-dir", str(folder / "runs"), "--new"]
    _row("the libraries alone", [sys.executable, "-c", _LIBRARIES], None, None, rounds)
    _row("--version", [*ms, "--version"], 80, None, rounds)
    _row("validate, 10 steps", [*ms, "validate", str(folder / "chain10.yaml")], 200, None, rounds)
    _row("validate, 10,000 steps", [*ms, "validate", str(folder / "chain10000.yaml")], 2000, 300, 3)
    _row(
        "run, 1,000 steps in a worker (memory)", [*ms, "run", "-q", str(folder / "chain1000.yaml"), *runs], None, 80, 3
    )
    kept = folder / "kept.yaml"
    kept.write_text(python_recipe(1000).replace(" }\n", ", cache: true }\n"), encoding="utf-8")
    cached = [*ms, "run", "-q", str(kept), *runs]
    timed(cached)
    _row("run, 1,000 cached steps", cached, 1000, None, 3)
    script = folder / "complete.sh"
    script.write_bytes(subprocess.run([*ms, "completion", "bash"], check=True, capture_output=True).stdout)
    _row(
        "bash with the script, one completion",
        ["bash", "--norc", "-c", _COMPLETE, "bash", str(script)],
        80,
        None,
        rounds,
    )
    first = _median(lambda: _first_step_sec(folder), rounds)
    print(f"{'run, until the first step has begun':<44}{first * 1e3:>8.0f}{300:>8}")


def _row(name: str, command: Sequence[str], bound_ms: int | None, bound_mb: int | None, rounds: int) -> None:
    results = [timed(command) for _ in range(rounds)]
    sec, mb = (statistics.median(column) for column in zip(*results, strict=True))
    print(f"{name:<44}{sec * 1e3:>8.0f}{bound_ms or '':>8}{mb:>7.0f}{bound_mb or '':>7}", flush=True)


def timed(command: Sequence[str]) -> tuple[float, float]:
    """Run a command; give its seconds and its peak memory in MB."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=HERE.parent)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} exited with {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def _first_step_sec(folder: Path) -> float:
    """Give the seconds from the launch until the step's own code notes the time in a file."""
    mark, path = folder / "began", folder / "first.yaml"
    path.write_text(
        "schema: matterstack/recipe/v1\nsteps:\n"
        f"  - {{ name: s, type: python, module: ./mark.py, args: {{ to: {mark} }} }}\n",
        encoding="utf-8",
    )
    (folder / "mark.py").write_text(_MARK, encoding="utf-8")
    began = time.time()
    timed(
        [
            sys.executable,
            "-m",
            "orchestrator",
            "run",
            "-q",
            str(path),
            "--workspaces-dir",
            str(folder / "runs"),
            "--new",
        ]
    )
    return float(mark.read_text(encoding="utf-8")) - began


_MARK = """\
import pathlib, time
from orchestrator import BaseScriptlet

class Mark(BaseScriptlet):
    def work(self, ctx, params):
        pathlib.Path(params["to"]).write_text(str(time.time()))
"""


def _median(measure: Callable[[], float], rounds: int) -> float:
    return statistics.median(measure() for _ in range(rounds))


if __name__ == "__main__":
    main(sys.argv[1:])
