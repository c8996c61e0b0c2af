"""Run a command as another user of the machine: load everything, become that user, then run it.

As a program: ``other_user.py UID GID UMASK ARGUMENT…``. Whoever starts it is root.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator.checks import mismatch
from orchestrator.cli.main import run_command_line

HERE = Path(__file__).parents[3]
# Numbers that no machine gives to anybody.
ADA, BOB, EVE = 61_001, 61_002, 61_003
LAB = 62_001


def run_as(
    uid: int, *arguments: object, folder: Path, gid: int = LAB, umask: int = 0o022
) -> subprocess.CompletedProcess[str]:
    """Run the command with these arguments as a user whose one group is ``gid``, in a folder."""
    words = [sys.executable, __file__, uid, gid, umask, *arguments]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE), "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [str(word) for word in words], cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False
    )


@contextlib.contextmanager
def being(uid: int, gid: int = LAB) -> Iterator[None]:
    """Let this process be another user while the block lasts; root comes back."""
    _load_all()
    groups, group = os.getgroups(), os.getgid()
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(group, group, group)
        os.setgroups(groups)


def _modules() -> Iterator[str]:
    """Name all that is loaded when it is first needed, which may lie where only root may read."""
    for package in ("encodings", "orchestrator", "scriptlets"):
        found = importlib.import_module(package)
        yield from (one.name for one in pkgutil.walk_packages(found.__path__, f"{package}."))


@functools.cache
def _load_all() -> None:
    for name in _modules():
        if not name.endswith(("__main__", "pytest_plugin")):
            with contextlib.suppress(ImportError):  # an encoding of another system
                importlib.import_module(name)
    mismatch("data", 1, {"type": "string", "$schema": "https://json-schema.org/draft/2020-12/schema"})


def _main() -> None:
    uid, gid, umask, *arguments = sys.argv[1:]
    _load_all()
    os.setgroups([])
    os.setresgid(int(gid), int(gid), int(gid))
    os.setresuid(int(uid), int(uid), int(uid))
    os.umask(int(umask))
    sys.argv = ["matterstack", *arguments]
    sys.exit(run_command_line())


if __name__ == "__main__":
    _main()
