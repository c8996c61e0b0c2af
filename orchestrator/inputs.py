"""Settle a recipe's inputs: given values, else defaults, each of the declared type and within its bounds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.catalog import Project
from orchestrator.errors import InvalidFileError, UsageError
from orchestrator.jsonsafe import JsonValue, check_json_safe
from orchestrator.keys import did_you_mean
from orchestrator.recipe.model import Input
from orchestrator.sources import Source
from orchestrator.strict_yaml import parse

_TEXTS = ("string", "path")


def settle_inputs(
    declared: Mapping[str, Input], given: Mapping[str, JsonValue], project: Project
) -> dict[str, JsonValue]:
    """Give every declared input its value.

    Text given for an input that is no text is read as a YAML scalar, as ``--set limit=3`` needs it. A default path is
    looked up from the current directory, then the recipe's folder, then the project. Raises `UsageError` (MS209).
    """
    unknown = next((name for name in given if name not in declared), None)
    if unknown is not None:
        hint = did_you_mean(unknown, declared) or "the recipe declares no inputs"
        raise UsageError(f"the recipe has no input {unknown!r}", hint=hint, code="MS209")
    return {name: _settle(name, entry, given, project) for name, entry in declared.items()}


def read_settings(settings: tuple[str, ...]) -> dict[str, str]:
    """Read ``NAME=VALUE`` settings; raise `UsageError` for one without an equals sign."""
    pairs = [setting.partition("=") for setting in settings]
    for name, equals, _ in pairs:
        if not equals:
            raise UsageError(f"--set {name!r} has no '='", hint="as in: --set limit=3")
    return {name.removeprefix("inputs."): value for name, _, value in pairs}


def _settle(name: str, entry: Input, given: Mapping[str, JsonValue], project: Project) -> JsonValue:
    if name not in given:
        if entry.required:
            wanted = f"it is {entry.description!r}" if entry.description else f"it is of type {entry.type}"
            raise UsageError(f"input {name!r} has no value; {wanted}", hint=f"add --set {name}=VALUE", code="MS209")
        default: JsonValue = entry.default
        return _found(default, project) if entry.type == "path" and isinstance(default, str) else default
    value = given[name]
    if isinstance(value, str) and value.strip() and entry.type not in _TEXTS:
        value = _typed(name, value)
    check_json_safe(value, f"input {name}")
    if complaint := entry.complaint(value):
        hint = entry.description or f"its type is {entry.type}"
        raise UsageError(f"input {name!r}: {complaint}", hint=hint, code="MS209")
    return value


def _typed(name: str, text: str) -> JsonValue:
    try:
        return parse(Source.from_text(f"--set {name}", text))
    except InvalidFileError as error:
        message = f"input {name!r}: {error.problems[0].message}"
        raise UsageError(message, hint="give a number, true, false, [..] or {..}", code="MS209") from error


def _found(default: str, project: Project) -> str:
    """Give the first place where a default path exists; as written when it exists here or nowhere."""
    if Path(default).exists():
        return default
    folders = (project.recipe_folder, project.root)
    return next((str(folder / default) for folder in folders if (folder / default).exists()), default)
