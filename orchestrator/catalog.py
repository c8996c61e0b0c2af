"""Find the file behind a step's ``module`` or ``script``, and refuse what the project does not allow.

Nothing is imported here: a module is found by its file, and its class by reading the file's text.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from orchestrator.errors import InvalidFileError, MissingClassError, Problem, ScriptletError
from orchestrator.keys import did_you_mean
from orchestrator.paths import SETTINGS_NAME, package_root

DEFAULT_MODULES = ("scriptlets.*",)

_DECLARED = frozenset({"requires_process", "parallelizable", "needs", "params_schema", "outputs_schema"})
_DOTTED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptletFile:
    """The file that a step runs; ``class_name`` is empty for a script, and the rest is what a class declares.

    The schemas are None where there are none that can be read without importing the file.
    """

    path: Path
    sha256: str
    class_name: str = ""
    requires_process: bool = False
    parallelizable: bool = False
    needs: tuple[str, ...] = ()
    params_schema: Mapping[str, Any] | None = None
    outputs_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What a recipe may reach: its own folder, its project's root, and the modules the project allows."""

    recipe_folder: Path
    root: Path
    allowed_modules: tuple[str, ...] = DEFAULT_MODULES


def read_project(recipe_folder: Path, root: Path) -> Project:
    """Read the project's ``matterstack.toml``, when it has one; raise `InvalidFileError` for a wrong one."""
    path = root / SETTINGS_NAME
    if not path.is_file():
        return Project(recipe_folder=recipe_folder, root=root)
    import tomllib

    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidFileError([Problem("MS108", f"{path}: {error}", help="mend the file")]) from error
    allow = settings.get("allow", {})
    modules = allow.get("modules", list(DEFAULT_MODULES)) if isinstance(allow, dict) else None
    if not isinstance(modules, list) or not all(isinstance(name, str) for name in modules):
        raise InvalidFileError([Problem("MS106", f"{path}: [allow] modules is not a list of names")])
    return Project(recipe_folder=recipe_folder, root=root, allowed_modules=tuple(modules))


def find_module(project: Project, module: str, class_name: str) -> ScriptletFile:
    """Find the file of ``module``, a dotted name or a path to a ``.py`` file, and check that it defines the class.

    Raises `ScriptletError` with code MS205 for what is not allowed and MS206 for what is not there.
    """
    path = _module_path(project, module)
    classes = _classes(path, _stamp(path))
    if class_name not in classes:
        raise MissingClassError(f"{module!r} has no class {class_name!r}", hint=did_you_mean(class_name, classes))
    declared = classes[class_name]
    return ScriptletFile(
        path=path,
        sha256=file_sha256(path),
        class_name=class_name,
        requires_process=declared.get("requires_process") is True,
        parallelizable=declared.get("parallelizable") is True,
        needs=tuple(sorted(filter(_is_text, _sequence(declared.get("needs"))))),
        params_schema=_mapping(declared.get("params_schema")),
        outputs_schema=_mapping(declared.get("outputs_schema")),
    )


def find_script(project: Project, script: str) -> ScriptletFile:
    """Find a script given relative to the recipe, then to the project's root; errors as in `find_module`."""
    candidates = [folder / script for folder in (project.recipe_folder, project.root, package_root())]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        raise ScriptletError(f"script {script!r} is not there", hint=_looked_in(candidates), code="MS206")
    _check_below(path, [project.recipe_folder, project.root, package_root()], script)
    return ScriptletFile(path=path, sha256=file_sha256(path))


def find_file(project: Project, name: str) -> Path:
    """Find a file that a step is given, relative to the recipe, then to the project's root; errors as above."""
    candidates = [project.recipe_folder / name, project.root / name]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        hint = f"{_looked_in(candidates)}; a text that is no path is written as {{content: …}}"
        raise ScriptletError(f"file {name!r} is not there", hint=hint, code="MS206")
    _check_below(path, [project.recipe_folder, project.root], name)
    return path


def find_recipe(project: Project, uses: str) -> Path:
    """Find a recipe that another one uses, given relative to that; errors as in `find_module`."""
    path = project.recipe_folder / uses
    if not path.is_file():
        raise ScriptletError(f"recipe {uses!r} is not there", hint=_looked_in([path]), code="MS206")
    _check_below(path, [project.recipe_folder, project.root], uses)
    return path


def file_sha256(path: Path) -> str:
    """Give the digest of a scriptlet's file, read anew when the file changed."""
    return _digest(path, _stamp(path))


def check_unchanged(file: ScriptletFile) -> None:
    """Raise `ScriptletError` (MS307) when a file is not what it was when it was found."""
    try:
        if file_sha256(file.path) == file.sha256:
            return
        message = f"{file.path} changed since the run began"
    except OSError as error:
        message = f"{file.path} cannot be read any more: {(error.strerror or '').lower()}"
    raise ScriptletError(message, hint="start a new run, which takes the file as it is then", code="MS307")


def _module_path(project: Project, module: str) -> Path:
    if module.endswith(".py"):
        path = project.recipe_folder / module
        if not path.is_file():
            raise ScriptletError(f"module file {module!r} is not there", hint=_looked_in([path]), code="MS206")
        _check_below(path, [project.recipe_folder], module)
        return path
    if not _DOTTED.fullmatch(module) or not _is_allowed(project, module):
        raise ScriptletError(
            f"module {module!r} is not allowed; allowed: {', '.join(project.allowed_modules)}",
            hint=f"list it in {SETTINGS_NAME} under [allow] modules, or give a path such as './step.py'",
            code="MS205",
        )
    relative = Path(*module.split("."))
    candidates = [(root / relative).with_suffix(".py") for root in (project.root, package_root())]
    path = next((path for path in candidates if path.is_file()), candidates[0])
    if not path.is_file():
        raise ScriptletError(f"module {module!r} is not there", hint=_module_hint(path, module), code="MS206")
    _check_below(path, [project.root, package_root()], module)
    return path


def _is_allowed(project: Project, module: str) -> bool:
    """Match whole dotted parts: ``scriptlets.*`` allows ``scriptlets.steps.x`` and not ``scriptlets_evil``."""
    return any(fnmatchcase(module, pattern) for pattern in project.allowed_modules)


def _check_below(path: Path, roots: list[Path], name: str) -> None:
    """Refuse a path that leaves all ``roots``, by ``..`` or through a symbolic link."""
    real = path.resolve()
    if not any(real.is_relative_to(root.resolve()) for root in roots):
        raise ScriptletError(
            f"{name!r} leads out of the project, to {real}", hint="keep it below the recipe's folder", code="MS205"
        )


def _module_hint(path: Path, module: str) -> str:
    parent = module.rpartition(".")[0]
    folders = (path.parent, package_root().joinpath(*parent.split(".")))
    files = (sibling for folder in folders for sibling in folder.glob("*.py") if sibling.stem != "__init__")
    siblings = {f"{parent}.{sibling.stem}" for sibling in files}
    return did_you_mean(module, siblings) or _looked_in([path])


def _looked_in(candidates: list[Path]) -> str:
    return "looked for " + ", ".join(dict.fromkeys(str(path) for path in candidates))


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


@functools.lru_cache(maxsize=1024)
def _digest(path: Path, _stamp: tuple[int, int, int]) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.lru_cache(maxsize=1024)
def _classes(path: Path, _stamp: tuple[int, int, int]) -> dict[str, dict[str, Any]]:
    """Give the classes of a file by name, each with what it declares by literals."""
    try:
        tree = syntax_of(path)
    except SyntaxError as error:
        raise ScriptletError(f"{path} is not valid Python: {error}", code="MS206") from error
    return {node.name: dict(declarations_of(node)) for node in tree.body if isinstance(node, ast.ClassDef)}


def syntax_of(path: Path) -> ast.Module:
    """Read the file of a module without importing it; raise `SyntaxError` for one that Python cannot read."""
    try:
        with warnings.catch_warnings(action="ignore"):  # whoever imports the file is warned
            return ast.parse(path.read_bytes(), filename=str(path))
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error) or "too deeply nested") from error


def declarations_of(node: ast.ClassDef) -> Iterator[tuple[str, Any]]:
    """Give what the text of a scriptlet's class declares by literals: its flags, what it needs, and its schemas."""
    for line in node.body:
        if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
            targets = line.targets if isinstance(line, ast.Assign) else [line.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            with contextlib.suppress(ValueError):  # it is no literal
                if _DECLARED.intersection(names):
                    value = ast.literal_eval(line.value)
                    yield from ((name, value) for name in names)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, tuple | list) else ()


def _mapping(value: object) -> Mapping[str, Any] | None:
    return value if isinstance(value, dict) else None
