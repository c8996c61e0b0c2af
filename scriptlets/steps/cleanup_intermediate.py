"""Remove files that only the steps of a run needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.files import remove_file
from orchestrator.scriptlet import Outputs, Params, Schema


class CleanupIntermediate(BaseScriptlet):
    """Remove files and write ``cleanup.removed_v1`` with their paths and bytes.

    Params: ``paths``, files or patterns such as ``build/*.tmp``, relative to the working directory and never above it;
    what is not there is no error. Folders stay.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "required": ["paths"],
        "additionalProperties": False,
        "properties": {
            "paths": {
                "type": "array",
                "items": {"type": "string"},
                "description": "files or patterns below the working directory",
            }
        },
    }
    outputs_schema: ClassVar[Schema] = {"cleanup.removed_v1": {"type": "object"}}

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse anything but a list of paths below the working directory."""
        paths = params.get("paths")
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise ValueError("missing paths: a list of files or patterns")
        for path in paths:
            if Path(path).is_absolute() or ".." in Path(path).parts or not Path(path).parts:
                raise ValueError(f"{path!r} is not a path below the working directory")

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Remove what is there; links are removed, not what they point at."""
        here = Path()
        found = sorted({path for pattern in params["paths"] for path in here.glob(pattern) if not path.is_dir()})
        removed = {"paths": [str(path) for path in found], "bytes": sum(path.lstat().st_size for path in found)}
        for path in found:
            remove_file(path)
        return {"cleanup.removed_v1": removed}


if __name__ == "__main__":
    CleanupIntermediate.main()
