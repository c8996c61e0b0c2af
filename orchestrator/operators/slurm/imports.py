"""Tell what the file of a scriptlet imports that does not travel with it to a cluster."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from orchestrator.operators.slurm.kit import MODULES
from orchestrator.paths import package_root

_PROGRAM = "orchestrator"
# They come with the program, and the kit has none of them.
_STEPS = "scriptlets"


def left_behind(path: Path, root: Path) -> list[str]:
    """Give the modules that a file always imports as it is loaded, and that only this program or its project has.

    The project lies below ``root``. An import in a function, an ``if`` or a ``try`` is the file's own matter.
    """
    names = dict.fromkeys(_imported(ast.parse(path.read_bytes(), filename=str(path))))
    return [name for name in names if _stays(name, (root, path.parent))]


def _imported(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.level, node.module) == (0, _PROGRAM):
            yield from (f"{_PROGRAM}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{'.' * node.level}{node.module or ''}"


def _stays(name: str, folders: tuple[Path, ...]) -> bool:
    top, _, below = name.partition(".")
    if top == _PROGRAM:
        module = below.partition(".")[0]
        return module not in ("", *MODULES) and _has(package_root() / _PROGRAM, module)
    if top in sys.stdlib_module_names:
        return False
    return top in ("", _STEPS) or any(_has(folder, top) for folder in folders)


def _has(folder: Path, module: str) -> bool:
    return (folder / f"{module}.py").is_file() or any((folder / module).rglob("*.py"))
