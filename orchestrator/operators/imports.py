"""Find the modules of its project that a scriptlet imports, which travel with it."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.machinery import PathFinder
from itertools import islice
from pathlib import Path

from orchestrator.catalog import syntax_of
from orchestrator.operators.slurm.kit import MODULES
from orchestrator.paths import package_root

_PROGRAM = "orchestrator"
_SHIPPED = "scriptlets"
_PACKAGE = "__init__.py"
_INSTALLED = ("site-packages", "dist-packages")
# Gives the files of a module by its name.
_Finder = Callable[[str], Mapping[str, Path]]
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_ASSIGNMENTS = ast.Assign | ast.AnnAssign | ast.AugAssign


@dataclass(frozen=True, slots=True)
class Imports:
    """What a scriptlet's file, which is imported as ``module``, imports of its project below ``root``, and so on.

    One in a function, an ``if`` or a ``try`` is followed as well, and is the file's own matter where it leads nowhere.
    """

    path: Path
    module: str
    root: Path

    @property
    def files(self) -> Mapping[str, Path]:
        """Give the files that can travel, by their paths below a folder of modules."""
        return self._reached(only_loaded=False)

    @property
    def missing(self) -> Sequence[str]:
        """Name what cannot travel, though a file always imports it as it is loaded."""
        loaded = {self.path: self._package, **_packages(self._reached(only_loaded=True))}
        missing: list[str] = []
        for file, within in loaded.items():
            names = dict.fromkeys(_imported(file, within, only_loaded=True))
            lost = [name for name in names if _stays(name, file, self.root)]
            whole = [name for name in lost if name.rpartition(".")[0] not in lost]
            missing += whole if file == self.path else [f"{name} (in {file.name})" for name in whole]
        return missing

    @property
    def _package(self) -> str:
        return self.module.rpartition(".")[0]

    def _reached(self, *, only_loaded: bool) -> dict[str, Path]:
        return _reached(self.path, self._package, _finder(self.root), only_loaded=only_loaded)


def _reached(path: Path, package: str, files_of: _Finder, *, only_loaded: bool) -> dict[str, Path]:
    """Give the files of the project that a file imports, and these in turn, by their paths."""
    found: dict[str, Path] = {}
    waiting = {path: package}
    while waiting:
        file, within = waiting.popitem()
        names = _imported(file, within, only_loaded=only_loaded)
        new = {place: one for name in names for place, one in files_of(name).items() if place not in found}
        found |= new
        waiting |= _packages(new)
    return found


def _packages(files: Mapping[str, Path]) -> dict[Path, str]:
    """Give for each file the package in which its own imports begin."""
    return {file: place.rpartition("/")[0].replace("/", ".") for place, file in files.items()}


def _imported(path: Path, package: str, *, only_loaded: bool) -> tuple[str, ...]:
    """Give the names that a file imports, or only those of modules that it always imports as it is loaded."""
    try:
        loaded, others = _read(path, package, path.stat().st_mtime_ns)
    except OSError:  # told where it is packed
        return ()
    return loaded if only_loaded else loaded + others


@lru_cache(maxsize=1024)
def _read(path: Path, package: str, _mtime_ns: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the names of modules that a file always imports as it is loaded, and others that it may."""
    try:
        module = syntax_of(path)
    except SyntaxError:  # told by the job, with the line
        return (), ()
    loaded = tuple(name for node in module.body for name in _names(node, package))
    inner = (name for node in _inner(module) for name in _names(node, package))
    return loaded, (*inner, *(_offered(module, package) if path.name == _PACKAGE else ()))


def _inner(module: ast.Module) -> Iterator[ast.AST]:
    """Give the statements in the blocks of a module's statements; a table of data has far more expressions."""
    waiting: list[ast.AST] = [*module.body]
    while waiting:
        below = [node for block in _BLOCKS for node in getattr(waiting[-1], block, ())]
        waiting[-1:] = below
        yield from below


def _offered(module: ast.Module, package: str) -> Iterator[str]:
    """Give what ``from package import *`` takes from a package, which loads those that are modules."""
    for statement in module.body:
        inside = list(ast.walk(statement)) if isinstance(statement, _ASSIGNMENTS) else []
        if any(isinstance(node, ast.Name) and node.id == "__all__" for node in inside):
            texts = (node.value for node in inside if isinstance(node, ast.Constant))
            yield from (f"{package}.{text}" for text in texts if isinstance(text, str) and text.isidentifier())


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


def _finder(root: Path) -> _Finder:
    """Give what finds the files that Python loads for a module of the project: its own, and of the packages around it.

    They are given by their paths below a folder of modules, and each is looked for once. Where a module that is
    installed here has the name of one of the project, it is the one that is meant.
    """

    @cache
    def files_of(name: str) -> Mapping[str, Path]:
        top, above = name.partition(".")[0], name.rpartition(".")[0]
        if top in ("", _PROGRAM) or top in sys.stdlib_module_names or (top != _SHIPPED and _is_installed(top)):
            return {}
        stem = name.replace(".", "/")
        folders = (package_root(), root) if top == _SHIPPED else (root,)
        places = ((folder, place) for folder in folders for place in (f"{stem}/{_PACKAGE}", f"{stem}.py"))
        own = {place: folder / place for folder, place in islice(filter(_is_file, places), 1)}
        return {**(files_of(above) if above else {}), **own}

    return files_of


def _is_file(place: tuple[Path, str]) -> bool:
    """Tell whether a folder has a file; as for Python, what may not be looked at is not there."""
    folder, name = place
    return os.path.isfile(f"{folder}/{name}")  # noqa: PTH113  a Path raises there, and costs more


def _stays(name: str, file: Path, root: Path) -> bool:
    """Tell whether a module is one of this program that the kit has not, or lies beside a file where none is found.

    One that is installed here is meant where it has the same name, and no file means itself.
    """
    top, _, below = name.partition(".")
    if top == _PROGRAM:
        module = below.partition(".")[0]
        return module not in ("", *MODULES) and _has(package_root() / _PROGRAM, module)
    if top in ("", _SHIPPED) or top in sys.stdlib_module_names:
        return not top
    return top != file.stem and _has(file.parent, top) and not _has(root, top) and not _is_installed(top)


@cache
def _is_installed(module: str) -> bool:
    """Tell whether steps that run here find a module where packages are installed, as they look nowhere else."""
    folders = [entry for entry in sys.path if Path(entry).name in _INSTALLED]
    spec = PathFinder.find_spec(module, folders)
    return spec is not None and spec.origin is not None


def _has(folder: Path, module: str) -> bool:
    below = f"{folder}/{module}"
    return _is_file((folder, f"{module}.py")) or (os.path.isdir(below) and any(Path(below).rglob("*.py")))  # noqa: PTH112
