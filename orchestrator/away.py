"""Run a scriptlet class away from the runner: params and context come from files, and its writes go into one.

It is started as ``python away.py FILE MODULE CLASS STEP`` in the directory of the attempt, by whatever carries the
attempt out. ``FILE`` is imported as ``MODULE``; the modules that it imports of its project lie there as well.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    # Run as a script, this folder comes first on the path, where its modules would hide others of the same name.
    sys.path[:] = [str(Path(__file__).resolve().parents[1]), *sys.path[1:]]

from orchestrator.context import Context
from orchestrator.errors import ScriptletError
from orchestrator.files import replace_file
from orchestrator.scriptlet import BaseScriptlet, exit_code_of, guarded, read_params

CONTEXT, CHANGES, MODULES = Path(".ms/context.json"), Path(".ms/changes.json"), Path(".ms/modules")


def run_away(path: Path, module: str, class_name: str, step: str) -> int:
    """Run the class in a file and return its exit code; what it wrote to the context is left beside it."""
    ctx = Context(_values(CONTEXT)).fork(who=step)
    code = guarded(step, lambda: exit_code_of(_load(path, module, class_name)().run(ctx, _params())))
    changes = [[change.key, change.text, change.who] for change in ctx.history()]
    replace_file(CHANGES, json.dumps(changes).encode())
    return code


def _params() -> dict[str, Any]:
    return read_params(os.environ.get("MATTERSTACK_PARAMS", "{}"))


def _values(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return values


def _load(path: Path, name: str, class_name: str) -> Any:  # noqa: ANN401  a class that only the file knows
    # Last, as the project's modules are where the runner is: what is installed comes before them.
    sys.path.append(str(MODULES.absolute()))
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ScriptletError(f"{path} cannot be imported as Python")
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    found = getattr(module, class_name, None)
    if not isinstance(found, type) or not issubclass(found, BaseScriptlet):
        raise ScriptletError(f"{class_name!r} in {path.name} is not a scriptlet class")
    return found


if __name__ == "__main__":
    sys.exit(run_away(Path(sys.argv[1]), *sys.argv[2:]))
