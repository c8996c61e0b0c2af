"""Pack what a scriptlet class needs on a machine where nothing is installed: one archive that Python runs as it is."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# The kit, as the rules for imports in pyproject.toml name it.
MODULES = (
    "__init__",
    "away",
    "campaign",
    "campaign_file",
    "context",
    "envelope",
    "errors",
    "files",
    "jsonsafe",
    "keys",
    "log",
    "scriptlet",
)

_PACKAGE = Path(__file__).resolve().parents[2]
_MAIN = """\
import sys
from pathlib import Path

from orchestrator.away import run_away

sys.exit(run_away(Path(sys.argv[1]), *sys.argv[2:]))
"""
# The same bytes come of the same modules whenever they are packed.
_PACKED_AT = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """The archive and the name by which a site keeps it; another version has another name."""

    name: str
    content: bytes


@cache
def kit() -> Kit:
    """Pack the kit of this version: ``python3 KIT FILE MODULE CLASS STEP`` runs the class of a scriptlet's file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", _MAIN.encode())
        for module in MODULES:
            _add(archive, f"orchestrator/{module}.py", (_PACKAGE / f"{module}.py").read_bytes())
    content = packed.getvalue()
    return Kit(name=f"kit-{hashlib.sha256(content).hexdigest()[:16]}.zip", content=content)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _PACKED_AT)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)
