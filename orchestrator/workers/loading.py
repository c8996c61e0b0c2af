"""Load a scriptlet class from its file, again only when the file changed, and run it as one step."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from orchestrator.context import Context
from orchestrator.errors import ScriptletError
from orchestrator.scriptlet import BaseScriptlet, exit_code_of, guarded, reason_of
from orchestrator.workers.calls import PythonCall

_loaded: dict[str, tuple[str, ModuleType]] = {}


def load_class(path: Path, module: str, class_name: str, sha256: str) -> type[BaseScriptlet]:
    """Import ``path`` as ``module`` and return its class; ``sha256`` tells one state of the file from another.

    Raises `ScriptletError` when the import fails or what is found is not a scriptlet.
    """
    found = getattr(_module(path, module, sha256), class_name, None)
    if not isinstance(found, type) or not issubclass(found, BaseScriptlet):
        raise ScriptletError(
            f"{class_name!r} in {path} is not a scriptlet class", hint=f"write: class {class_name}(BaseScriptlet)"
        )
    return found


def run_class(target: PythonCall, step: str, params: Mapping[str, Any], env: Mapping[str, str], ctx: Context) -> int:
    """Run a scriptlet with extra environment variables; return its exit code, also where it calls `sys.exit`."""

    def call() -> int:
        with surroundings(env):
            try:
                scriptlet = load_class(target.path, target.module, target.class_name, target.sha256)
                return exit_code_of(scriptlet().run(ctx, dict(params)))
            except SystemExit as error:
                if isinstance(error.code, str):
                    print(error.code, file=sys.stderr)  # noqa: T201  as Python itself does at the end of a program
                return exit_code_of(error.code)

    return guarded(step, call)


@contextmanager
def surroundings(changes: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a step; undo them, and any change of directory, when it has ended."""
    directory = os.getcwd()  # noqa: PTH109  a Path costs more and is not needed
    before = dict(os.environ) if changes else {}
    os.environ.update(changes)
    try:
        yield
    finally:
        os.chdir(directory)
        if changes:
            os.environ.clear()
            os.environ.update(before)


def _module(path: Path, module: str, sha256: str) -> ModuleType:
    known = _loaded.get(str(path))
    if known and known[0] == sha256:
        return known[1]
    present = sys.modules.get(module)
    if not known and present is not None and getattr(present, "__file__", None) == str(path):
        loaded = present
    else:
        loaded = _import(path, module)
    _loaded[str(path)] = (sha256, loaded)
    return loaded


def _import(path: Path, module: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(module, path)
    if spec is None or spec.loader is None:
        raise ScriptletError(f"{path} cannot be imported as Python", hint="name the file with the ending .py")
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded
    try:
        spec.loader.exec_module(loaded)
    except SystemExit:
        sys.modules.pop(module, None)
        raise
    except Exception as error:
        sys.modules.pop(module, None)
        raise ScriptletError(f"importing {path} failed: {reason_of(error)}") from error
    return loaded
