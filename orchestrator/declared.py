"""Hold what a recipe gives its steps against what their scriptlets declare, as far as it is known before a run."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.catalog import ScriptletFile
from orchestrator.errors import Place, Problem
from orchestrator.expressions import has_expression
from orchestrator.keys import did_you_mean
from orchestrator.recipe.load import LoadedRecipe
from orchestrator.recipe.model import PythonStep

if TYPE_CHECKING:
    from pathlib import Path

    from jsonschema import ValidationError
    from jsonschema.protocols import Validator

CODE = "MS213"

_CONTEXT_VALUE = re.compile(r"\s*\$\{\{\s*ctx\.([A-Za-z_][\w.]*)\s*\}\}\s*")
_TYPES = {"integer": "number"}
# What `plainly_fits` understands; the first three say nothing of a value.
_PLAIN = frozenset(
    {"title", "description", "default", "type", "items", "properties", "required", "additionalProperties"}
)
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_ABOUT_KEYS = frozenset({"required", "additionalProperties", "unevaluatedProperties", "propertyNames"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """A context key that a step is declared to write, with the JSON Schema of its value."""

    step: str
    key: str
    schema: Mapping[str, Any]


def unfit(loaded: LoadedRecipe, files: Mapping[str, ScriptletFile | None]) -> Iterator[Problem]:
    """Give a problem, with its place, for every argument that cannot fit the schema of its scriptlet.

    An argument with an expression fits whatever it is, but for one that is a value of the context alone, of which an
    earlier step declares the type.
    """
    outputs: dict[str, list[_Output]] = {}
    validators: dict[tuple[Path, str], Validator | None] = {}
    for step in loaded.recipe.every_step():
        file = files.get(step.name)
        if not isinstance(step, PythonStep) or file is None:
            continue
        if file.params_schema is not None:
            if not plainly_fits(step.args, file.params_schema):
                named = (file.path, file.class_name)
                if named not in validators:
                    validators[named] = yield from _validator(file, loaded.place(step.name, "module"))
                yield from _misfits(loaded, step, file, validators[named])
            yield from _mistyped(loaded, step, file.params_schema, outputs)
        for key, schema in (file.outputs_schema or {}).items():
            known = outputs.setdefault(key, [])
            if isinstance(schema, dict) and not any(output.schema is schema for output in known):
                known.append(_Output(step=step.name, key=key, schema=schema))


def plainly_fits(value: object, schema: Any) -> bool:  # noqa: ANN401  a part of a JSON Schema
    """Tell whether a value, open parts apart, fits a schema that says no more than types and names.

    jsonschema is asked about all others, and what is wrong: loading it takes longer than all else that is checked.
    """
    if isinstance(value, str) and has_expression(value):
        return True
    if not isinstance(schema, dict) or not schema.keys() <= _PLAIN:
        return False
    said = schema.get("type")
    names = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    if said is not None and not any(type(value) in _PYTHON_TYPES.get(str(name), ()) for name in names):
        return False
    if isinstance(value, list):
        return "items" not in schema or all(plainly_fits(item, schema["items"]) for item in value)
    return not isinstance(value, dict) or _members_fit(value, schema)


def _members_fit(value: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if (
        not isinstance(properties, dict)
        or not isinstance(required, list)
        or not all(name in [*value] for name in required)
    ):
        return False
    if schema.get("additionalProperties", True) is not True and not value.keys() <= properties.keys():
        return False
    return all(plainly_fits(part, properties[name]) for name, part in value.items() if name in properties)


def _validator(file: ScriptletFile, place: Place | None) -> Generator[Problem, None, Validator | None]:
    """Make the validator of a scriptlet's params; give the problem, and no validator, where its schema is none."""
    from jsonschema import SchemaError

    from orchestrator.checks import make_validator  # noqa: PLC0415

    try:
        return make_validator(file.params_schema)
    except SchemaError as fault:
        message = f"params_schema of {file.class_name} is no JSON Schema: {fault.message}"
        yield Problem(CODE, message, place, f"mend it in {file.path.name}")
        return None


def _misfits(
    loaded: LoadedRecipe, step: PythonStep, file: ScriptletFile, validator: Validator | None
) -> Iterator[Problem]:
    errors = validator.iter_errors(step.args) if validator else ()
    meant: set[str] = set()
    for error in sorted(errors, key=lambda error: error.validator == "required"):
        if error.validator == "additionalProperties" and isinstance(error.instance, dict):
            for extra, hint in _extras(error):
                meant.add(hint)
                place = loaded.place(step.name, "args", *error.absolute_path, extra, of_key=True)
                yield Problem(CODE, f"{file.class_name} takes no param {extra!r}", place, hint)
        elif error.validator == "required" and not error.absolute_path:
            missing = error.message.split("'")[1]
            if f"did you mean {missing!r}?" not in meant:
                place = loaded.place(step.name, "args" if step.args else "module", of_key=bool(step.args))
                todo = f"add it to 'args': {_described(file, missing)}"
                yield Problem(CODE, f"{file.class_name} needs the param {missing!r}", place, todo)
        elif error.validator in _ABOUT_KEYS or not is_open(error.instance):
            path = tuple(error.absolute_path)
            message = f"{file.class_name}: {'.'.join(map(str, path))}: {error.message}"
            yield Problem(
                CODE, message, loaded.place(step.name, "args", *path), _described(file, str(next(iter(path), "")))
            )


def _extras(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Give the keys that a schema does not allow, each with what was probably meant."""
    properties = error.schema.get("properties", {}) if isinstance(error.schema, dict) else {}
    for key in error.instance if isinstance(error.instance, dict) else ():
        if key not in properties:
            yield key, did_you_mean(key, properties) or "it takes none"


def _described(file: ScriptletFile, param: str) -> str:
    """Give what a scriptlet says of a param."""
    properties = (file.params_schema or {}).get("properties", {})
    entry = properties.get(param, {}) if isinstance(properties, dict) else {}
    meaning = entry.get("description", "") if isinstance(entry, dict) else ""
    return f"{param}: {meaning}" if meaning else param


def _mistyped(
    loaded: LoadedRecipe, step: PythonStep, schema: Mapping[str, Any], outputs: Mapping[str, Sequence[_Output]]
) -> Iterator[Problem]:
    """Compare the type of a param with that of the context value that is given for it."""
    properties = schema.get("properties", {})
    for name, value in step.args.items():
        found = _CONTEXT_VALUE.fullmatch(value) if isinstance(value, str) else None
        taken = _types(properties.get(name)) if isinstance(properties, dict) else frozenset()
        if found is None or not taken:
            continue
        writers = {output.step: _types(_below(output, found[1])) for output in _writers(found[1], outputs)}
        if writers and all(given and not given & taken for given in writers.values()):
            writer, given = next(reversed(writers.items()))
            message = f"{name!r} takes {_named(taken)}, and {found[1]!r} of step {writer!r} is {_named(given)}"
            yield Problem(CODE, message, loaded.place(step.name, "args", name), "give a value of that type")


def _writers(path: str, outputs: Mapping[str, Sequence[_Output]]) -> list[_Output]:
    """Give the outputs that a path begins with the key of."""
    parts = path.split(".")
    return [output for end in range(len(parts)) for output in outputs.get(".".join(parts[: end + 1]), ())]


def _below(output: _Output, path: str) -> Any:  # noqa: ANN401  a part of a JSON Schema
    """Give the schema of a value at a path that begins with the output's key; None where it says nothing of that."""
    schema: Any = output.schema
    for part in path[len(output.key) + 1 :].split(".") if path != output.key else ():
        properties = schema.get("properties") if isinstance(schema, dict) else None
        schema = properties.get(part) if isinstance(properties, dict) else None
    return schema


def _types(schema: Any) -> frozenset[str]:  # noqa: ANN401  a part of a JSON Schema
    """Give the types that a schema plainly allows; nothing where it does not say."""
    said = schema.get("type") if isinstance(schema, dict) else None
    names = [said] if isinstance(said, str) else said if isinstance(said, list) else []
    return frozenset(_TYPES.get(name, name) for name in names)


def _named(types: frozenset[str]) -> str:
    return " or ".join(sorted(types))


def is_open(value: object) -> bool:
    """Tell whether an expression is in a value, so that only a run knows what it is."""
    if isinstance(value, str):
        return has_expression(value)
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(is_open(part) for part in parts)
