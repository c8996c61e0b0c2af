"""Find the modules of its project that a scriptlet imports, which travel with it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

from orchestrator.operators.slurm.kit import MODULES
from orchestrator.paths import package_root

_PROGRAM = "orchestrator"
_SHIPPED = "scriptlets"
_PACKAGE = "__init__.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imports:
    """What the file of a scriptlet imports, and what those modules import in turn.

    ``files`` can travel, by their paths below a folder of modules. ``missing`` names what cannot, though a file always
    imports it as it is loaded.
    """

    files: Mapping[str, Path]
    missing: Sequence[str]


def imports_of(path: Path, module: str, root: Path) -> Imports:
    """Follow the imports of a scriptlet's file, which is imported as ``module``, through its project below ``root``.

    One in a function, an ``if`` or a ``try`` is followed as well, and is the file's own matter where it leads nowhere.
    """
    package = module.rpartition(".")[0]
    loaded = {path: package, **_packages(_reached(path, package, root, only_loaded=True))}
    missing: list[str] = []
    for file, within in loaded.items():
        names = dict.fromkeys(_imported(file, within, file.stat().st_mtime_ns, only_loaded=True))
        lost = [name for name in names if _stays(name, file.parent, root)]
        whole = [name for name in lost if name.rpartition(".")[0] not in lost]
        missing += whole if file == path else [f"{name} (in {file.name})" for name in whole]
    return Imports(files=_reached(path, package, root, only_loaded=False), missing=missing)


def _reached(path: Path, package: str, root: Path, *, only_loaded: bool) -> dict[str, Path]:
    """Give the files of the project that a file imports, and these in turn, by their paths."""
    found: dict[str, Path] = {}
    waiting = {path: package}
    while waiting:
        file, within = waiting.popitem()
        names = _imported(file, within, file.stat().st_mtime_ns, only_loaded=only_loaded)
        new = {place: one for name in names for place, one in _files(name, root) if place not in found}
        found |= new
        waiting |= _packages(new)
    return found


def _packages(files: Mapping[str, Path]) -> dict[Path, str]:
    """Give for each file the package in which its own imports begin."""
    return {file: place.rpartition("/")[0].replace("/", ".") for place, file in files.items()}


@lru_cache(maxsize=1024)
def _imported(path: Path, package: str, _mtime_ns: int, *, only_loaded: bool) -> tuple[str, ...]:
    """Give the names that a file imports, or only those of modules that it always imports as it is loaded."""
    try:
        module = ast.parse(path.read_bytes(), filename=str(path))
    except (OSError, SyntaxError, ValueError):  # told where it is packed, or by the job with the line
        return ()
    return tuple(name for node in (module.body if only_loaded else ast.walk(module)) for name in _names(node, package))


def _names(node: ast.AST, package: str) -> Iterator[str]:
    """Give the modules that a statement imports; what it takes from one may be a module too."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = _absolute(node, package)
        yield from (base, *(f"{base}.{alias.name}" for alias in node.names))


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """Give the module of a statement; one that leads out of the package stays as it is written."""
    parents = package.split(".") if package else []
    if node.level > len(parents):
        return f"{'.' * node.level}{node.module or ''}"
    above = parents[: len(parents) - node.level + 1] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def _files(name: str, root: Path) -> Iterator[tuple[str, Path]]:
    """Give the files that Python loads for a module of the project, by their paths; those of packages around it too."""
    parts = name.split(".")
    if not parts[0] or parts[0] == _PROGRAM or parts[0] in sys.stdlib_module_names:
        return
    folders = (package_root(), root) if parts[0] == _SHIPPED else (root,)
    for count in range(1, len(parts) + 1):
        stem = "/".join(parts[:count])
        places = ((place, folder / place) for folder in folders for place in (f"{stem}/{_PACKAGE}", f"{stem}.py"))
        yield from islice(((place, path) for place, path in places if path.is_file()), 1)


def _stays(name: str, folder: Path, root: Path) -> bool:
    """Tell whether a module is one of this program that the kit has not, or of a folder that no module is found in."""
    top, _, below = name.partition(".")
    if top == _PROGRAM:
        module = below.partition(".")[0]
        return module not in ("", *MODULES) and _has(package_root() / _PROGRAM, module)
    if top in ("", _SHIPPED) or top in sys.stdlib_module_names:
        return not top
    return _has(folder, top) and not _has(root, top)


def _has(folder: Path, module: str) -> bool:
    return (folder / f"{module}.py").is_file() or any((folder / module).rglob("*.py"))
