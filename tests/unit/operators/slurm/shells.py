"""The shells that a site may have."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SHELLS = [
    pytest.param(
        (shutil.which(name) or name, *options),
        marks=pytest.mark.skipif(shutil.which(name) is None, reason=f"there is no {name}"),
        id=" ".join((name, *options)),
    )
    for name, *options in (("dash",), ("bash",), ("bash", "--posix"), ("busybox", "sh"))
]


def run(shell: tuple[str, ...], script: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Have a shell read a script from standard input, as a transport does."""
    return subprocess.run(
        [*shell, "-s"],
        input=script,
        cwd=folder,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
