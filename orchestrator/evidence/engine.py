"""Say which program wrote an evidence."""

from __future__ import annotations

import functools
import hashlib

from orchestrator import __version__
from orchestrator.paths import package_root


def engine() -> dict[str, str]:
    """Give the name, the version and the digest of the program."""
    return {"name": "matterstack", "version": __version__, "sha256": _digest()}


@functools.cache
def _digest() -> str:
    """Give the SHA-256 over the digests and names of the program's modules."""
    root = package_root()
    digest = hashlib.sha256()
    for path in sorted(path for part in ("orchestrator", "scriptlets/core") for path in (root / part).rglob("*.py")):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{content}  {path.relative_to(root).as_posix()}\n".encode())
    return digest.hexdigest()
