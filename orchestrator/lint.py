"""Give advice on a recipe that can be run: what is probably not meant, or will be hard to read, trust or share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator.catalog import ScriptletFile
from orchestrator.errors import MatterStackError, Place, Problem
from orchestrator.expressions import Read, Scope, has_expression, reads, resolve
from orchestrator.inputs import settle_inputs
from orchestrator.jsonsafe import JsonValue
from orchestrator.keys import did_you_mean
from orchestrator.plan import CheckedRecipe, check_recipe, settle_vars
from orchestrator.recipe.model import PythonStep, Recipe, RecipeStep, ShellStep, Step, WorkflowStep
from orchestrator.recipe.order import dependencies
from orchestrator.recipe.templates import expressions
from orchestrator.sources import DocPath
from orchestrator.strict_yaml import parse

_CONVENTION = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*\.[a-z0-9][a-z0-9_-]*_v[0-9]+")
_TELLS_SECRET = re.compile(r"token|passw(or)?d|secret|api_?key|credential", re.IGNORECASE)
# What YAML 1.1, which most other programs read, takes for a boolean or a number to the base 8 or 60.
_OTHERWISE = re.compile(r"(yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)|[-+]?0[0-7_]+|[-+]?[1-9][0-9_]*(:[0-5]?[0-9])+")


@dataclass(frozen=True, kw_only=True)
class _View:
    """A recipe as the rules see it."""

    checked: CheckedRecipe

    @property
    def recipe(self) -> Recipe:
        return self.checked.loaded.recipe

    @cached_property
    def document(self) -> dict[str, Any]:
        document = parse(self.checked.loaded.source)
        assert isinstance(document, dict)  # noqa: S101  it was read as a recipe before
        return document

    @cached_property
    def reads(self) -> list[tuple[Read, DocPath]]:
        """Give all that the expressions of the recipe read, and where."""
        return [(read, path) for text, path in expressions(self.document) for read in reads(text)]

    def file(self, step: Step) -> ScriptletFile | None:
        """Give the file that a step runs, if it runs one."""
        return self.checked.found.files.get(step.name)

    def place(self, step: Step, *below: str | int, of_key: bool = False) -> Place:
        """Give where a step says something."""
        return self.checked.loaded.place(step.name, *below, of_key=of_key)


def advise(recipe: str) -> list[Problem]:
    """Give the advice on a recipe, in the order of the file; raise `InvalidFileError` for one that cannot be run."""
    checked = check_recipe(recipe)
    view = _View(checked=checked)
    found = [*checked.loaded.warnings, *(problem for rule in _RULES for problem in rule(view))]
    return sorted(found, key=lambda one: (one.place.line, one.place.column) if one.place else (0, 0))


def _seed_dialect(view: _View) -> Iterator[Problem]:
    if "schema" not in view.document:
        place = view.checked.loaded.source.at(0)
        todo = f"matterstack upgrade {view.checked.loaded.source.name} --write"
        yield Problem("MS701", "the recipe does not say in which version of the language it is written", place, todo)


def _unwritten(view: _View) -> Iterator[Problem]:
    """Find context keys that are read and never written, in a recipe whose steps all say what they write."""
    if not all(_says_all(step, view) for step in view.recipe.every_step()):
        return
    written = {key for step in view.recipe.every_step() for key in _written(step, view)}
    for read, path in view.reads:
        if read.root != "ctx" or read.asked or not read.path or read.path.startswith("_"):
            continue
        parts = read.path.split(".")
        if not any(".".join(parts[:end]) in written for end in range(1, len(parts) + 1)):
            place = view.checked.loaded.source.place(path)
            todo = did_you_mean(read.path, written)
            yield Problem("MS702", f"no step writes {read.path!r}", place, todo)


def _written(step: Step, view: _View) -> Iterator[str]:
    """Give the context keys that a step surely writes."""
    yield from getattr(step, "save", {})
    if success := getattr(step, "success", None):
        yield from success.ctx_has_keys
    file = view.file(step)
    if file is not None:
        yield from file.outputs_schema or ()
    if isinstance(step, RecipeStep):
        yield from (f"{step.name}.{name}" for name in view.checked.found.subs[step.name].loaded.recipe.outputs)


def _says_all(step: Step, view: _View) -> bool:
    """Tell whether all that a step writes is known."""
    if isinstance(step, RecipeStep | WorkflowStep):
        return True
    if isinstance(step, ShellStep):
        return step.stdout == "free"
    file = view.file(step)
    return file is not None and file.outputs_schema is not None


def _unconventional(view: _View) -> Iterator[Problem]:
    for step in view.recipe.every_step():
        for key in getattr(step, "save", {}):
            if not _CONVENTION.fullmatch(key):
                place = view.place(step, "save", key, of_key=True)
                todo = f"write {f'{step.name}.{key}' if '.' not in key else key.lower()}{_version(key)}"
                yield Problem("MS703", f"the context key {key!r} has no area, or no version", place, todo)


def _version(key: str) -> str:
    return "" if re.search(r"_v[0-9]+$", key) else "_v1"


def _unused(view: _View) -> Iterator[Problem]:
    read = {(read.root, read.path.split(".")[0]) for read, _ in view.reads}
    declared: Mapping[str, Mapping[str, Any]] = {
        "inputs": view.recipe.inputs,
        "vars": view.recipe.vars,
        "secrets": view.recipe.secrets,
    }
    for root, names in declared.items():
        for name in names:
            if (root, name) not in read and (root, "") not in read:
                place = view.checked.loaded.source.place((root, name), of_key=True)
                yield Problem("MS704", f"nothing reads {root}.{name}", place, "remove it, or read it")


def _read_otherwise(view: _View) -> Iterator[Problem]:
    source = view.checked.loaded.source
    for value, path in _leaves(view.document, ()):
        if isinstance(value, str) and not _OTHERWISE.fullmatch(value):
            continue
        start, end = source.span(path)
        if _OTHERWISE.fullmatch(source.text[start:end]):
            message = f"{source.text[start:end]} is {value!r} here, and another value to programs that read YAML 1.1"
            yield Problem("MS705", message, source.place(path), f"write {_plainly(value)}")


def _leaves(value: JsonValue, path: DocPath) -> Iterator[tuple[JsonValue, DocPath]]:
    """Give the texts and whole numbers of a document with their paths."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _leaves(part, (*path, index))
    elif isinstance(value, str) or type(value) is int:
        yield value, path


def _plainly(value: JsonValue) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _unseen_files(view: _View) -> Iterator[Problem]:
    """Find files among the arguments of a step with a kept result, which the key of that result leaves out."""
    scope = _scope(view.checked)
    for step in view.recipe.every_step():
        if not isinstance(step, PythonStep | ShellStep) or not step.cache or step.foreach or step.matrix:
            continue
        files = step.cache.files if not isinstance(step.cache, bool) else ()
        known = {str(_resolved(name, scope)) for name in files}
        for value, path in _leaves(dict(step.args), ()):
            name = _resolved(value, scope)
            if isinstance(name, str) and name not in known and _is_file(name):
                message = f"the kept result of {step.name!r} is taken over also when {name!r} has changed"
                place = view.place(step, "args", *path)
                yield Problem("MS706", message, place, f"add it to the step's 'cache': {{ files: [{value}] }}")


def _scope(checked: CheckedRecipe) -> Scope:
    """Give the inputs and constants as far as they have values without those of a run."""
    try:
        inputs = settle_inputs(checked.loaded.recipe.inputs, {}, checked.project)
        return Scope(names={"inputs": inputs, "vars": settle_vars(checked.loaded, inputs)})
    except MatterStackError:
        return Scope(names={})


def _resolved(value: JsonValue, scope: Scope) -> JsonValue:
    try:
        return resolve(value, scope)
    except MatterStackError:
        return None


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def _written_twice(view: _View) -> Iterator[Problem]:
    """Find steps side by side that both surely write one key."""
    if view.recipe.on_conflict == "last_write_wins":
        return
    waits = dependencies(view.recipe.steps)
    last: dict[str, Step] = {}
    for step in view.recipe.steps:
        for key in dict.fromkeys(_written(step, view)):
            other = last.get(key)
            last[key] = step
            if other is None or other.when or step.when or _is_ordered(other.name, step.name, waits):
                continue
            message = f"{step.name!r} and {other.name!r} both write {key!r}, and none waits for the other"
            todo = "let one depend on the other, write two keys, or set 'on_conflict: last_write_wins'"
            yield Problem("MS707", message, view.place(step, "name"), todo)


def _is_ordered(one: str, other: str, waits: Mapping[str, Sequence[str]]) -> bool:
    return _waits_for(other, one, waits) or _waits_for(one, other, waits)


def _waits_for(step: str, other: str, waits: Mapping[str, Sequence[str]]) -> bool:
    seen, waiting = {step}, [step]
    while waiting:
        before = [name for name in waits.get(waiting.pop(), ()) if name not in seen]
        if other in before:
            return True
        seen.update(before)
        waiting.extend(before)
    return False


def _open_secrets(view: _View) -> Iterator[Problem]:
    for step in view.recipe.every_step():
        for group in ("env", "args"):
            for name, value in getattr(step, group, {}).items():
                if isinstance(value, str) and value and not has_expression(value) and _TELLS_SECRET.search(name):
                    place = view.place(step, group, name)
                    todo = "declare it under 'secrets', and hand it over by 'env'"
                    yield Problem("MS708", f"{group}.{name} looks like a secret, and is written here", place, todo)


_RULES: tuple[Callable[[_View], Iterator[Problem]], ...] = (
    _seed_dialect,
    _unwritten,
    _unconventional,
    _unused,
    _read_otherwise,
    _unseen_files,
    _written_twice,
    _open_secrets,
)
