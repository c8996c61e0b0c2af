"""Make a machine refuse: files that may not grow, and system calls that fail."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def can_trace() -> bool:
    """Tell whether strace is there and allowed to look into processes."""
    return shutil.which("strace") is not None and not subprocess.call(["strace", "-o", "/dev/null", "true"])


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def failing(calls: str, trace: Path, code: str, words: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run Python code with the checkout as its folder, and let each of these system calls fail as a bad disk would."""
    inject = ["strace", "-f", "-o", str(trace), "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO"]
    command = [*inject, sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Lay a small file system of its own over a folder; skip where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a file system")
    folder.mkdir()
    answer = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, check=False)
    if answer.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
