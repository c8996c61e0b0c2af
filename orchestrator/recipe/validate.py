"""Build the recipe from the value of its file, and put every fault the model finds into plain words at its place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from orchestrator.errors import Problem
from orchestrator.jsonsafe import JsonValue
from orchestrator.recipe.model import STEP_LISTS, Recipe, Step
from orchestrator.recipe.words import closest, shown
from orchestrator.sources import MAX_PROBLEMS, DocPath, Source, refusal

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

_MOST_FAULTS = 10_000
_STEP_KEY_DEPTH = 3

_EXPECTED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_type": "a whole number",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
    "too_short": "at least one item",
    "tuple_type": "a list",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}
_TYPE_OF_KEY = {
    "run": "shell",
    "script": "shell",
    "module": "python",
    "function": "python",
    "uses": "recipe",
    "tasks": "workflow",
    "instructions": "human",
    "config": "experiment",
}
_NO_INCLUDES = "recipes do not include others; run one by a step of type recipe with 'uses'"
_ELSEWHERE = {
    "allow": "the allow-list stands in matterstack.toml, under [allow] modules",
    "environment": "write 'env'",
    "extends": _NO_INCLUDES,
    "import": _NO_INCLUDES,
    "include": _NO_INCLUDES,
    "loop": "write 'foreach' in a step, or 'repeat' beside the steps",
    "operators": "operators are wired in operators.yaml; a step names one by 'operator_key'",
}
# What other tools call the keys of a step.
_SYNONYMS = {
    "cmd": "run",
    "command": "run",
    "depends": "depends_on",
    "id": "name",
    "if": "when",
    "params": "args",
    "with": "args",
}
_UNIONS = (Union, UnionType)
_QUOTED = re.compile(r"'([^']*)'")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """One fault in our words: where it is, and the path of the key that is missing or was meant."""

    code: str = "MS106"
    message: str
    todo: str = ""
    path: DocPath
    of_key: bool = False
    meant: DocPath = ()


def validate(document: dict[str, JsonValue], source: Source) -> tuple[Recipe | None, list[Problem]]:
    """Give the recipe and no problems, or no recipe and the problems of every key and value in it."""
    try:
        return Recipe.model_validate(document), []
    except ValidationError as error:
        details = _details(error, source)
    details += islice(_later_details(document, details, source), MAX_PROBLEMS)
    return None, _told([_fault(detail, document, Recipe) for detail in details], (), source)


def _told(faults: Iterable[_Fault], path: DocPath, source: Source) -> list[Problem]:
    """Give faults of a part of a file as problems; a key that is missing because it is misspelt is told of once."""
    faults = list(faults)
    mistyped = {fault.meant for fault in faults if fault.code == "MS101" and fault.meant}
    return [
        Problem(fault.code, fault.message, source.place((*path, *fault.path), of_key=fault.of_key), fault.todo)
        for fault in faults
        if fault.code != "MS107" or fault.meant not in mistyped
    ]


def readable_part(document: dict[str, JsonValue]) -> Recipe:
    """Give a recipe of the steps that are right in themselves, for those who look at steps only."""
    lists = {name: document.get(name) for name in STEP_LISTS}
    return Recipe.model_validate(
        {
            name: [step for step in (steps if isinstance(steps, list) else ()) if _fits(step)]
            for name, steps in lists.items()
        }
    )


def _fits(step: JsonValue) -> bool:
    try:
        Recipe.model_validate({"steps": [step]})
    except ValidationError:
        return False
    return True


def _details(error: ValidationError, source: Source) -> list[ErrorDetails]:
    if error.error_count() > _MOST_FAULTS:
        message = f"{error.error_count()} keys or values are wrong"
        raise refusal([Problem("MS109", message, source.at(0), "check that this is a recipe")]) from error
    return error.errors(include_url=False)


def _later_details(
    document: dict[str, JsonValue], details: Iterable[ErrorDetails], source: Source
) -> Iterator[ErrorDetails]:
    """Go on behind the step at which the model stopped in each list, one step at a time."""
    places = [detail["loc"] for detail in details]
    stops = {place[0]: place[1] for place in places if place[0] in STEP_LISTS and len(place) > 1}
    for name, stop in stops.items():
        steps: Any = document[str(name)]
        for index in range(int(stop) + 1, len(steps)):
            yield from _step_details(steps[index], (name, index), source)


def _step_details(step: JsonValue, path: DocPath, source: Source) -> list[ErrorDetails]:
    try:
        Recipe.model_validate({"steps": [step]})
    except ValidationError as error:
        return [{**detail, "loc": (*path, *detail["loc"][2:])} for detail in _details(error, source)]
    return []


def part_problems(kind: type[BaseModel], part: JsonValue, path: DocPath, source: Source) -> list[Problem]:
    """Give the problems of a part of a file that a model of its own describes, which stands at ``path``."""
    try:
        kind.model_validate(part)
    except ValidationError as error:
        details = _details(error, source)
    else:
        return []
    return _told([_fault(detail, part, kind) for detail in details], path, source)


def _fault(detail: ErrorDetails, document: JsonValue, root: type[BaseModel]) -> _Fault:
    path = _document_path(detail["loc"], document)
    kind, value = detail["type"], detail["input"]
    if kind in _EXPECTED:
        return _Fault(message=f"expected {_EXPECTED[kind]}, got {shown(value)}", todo=_cure(kind, value), path=path)
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return _Fault(message=f"expected {words} {detail['ctx'][bound]:g}, got {shown(value)}", path=path)
    return _TRANSLATORS.get(kind, _own_fault)(detail, path, root)


def _cure(kind: str, value: object) -> str:
    """Say what to do about a value of the wrong type."""
    if value is None:
        return "write a value, or remove the key"
    is_single = isinstance(value, str | int | float)
    cures = {
        "string_type": f"put it in quotes: '{json.dumps(value)}'" if is_single else "",
        "tuple_type": f"write [{value if _is_plain(value) else shown(value)}]"
        if is_single
        else "begin each item with '- '",
        "bool_type": "write true or false, without quotes",
    }
    return cures.get(kind, "remove the quotes" if _is_quoted_number(value) else "")


def _is_plain(value: object) -> bool:
    return isinstance(value, str) and value.isidentifier()


def _is_quoted_number(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value) is not None


def _own_fault(detail: ErrorDetails, path: DocPath, _root: type[BaseModel]) -> _Fault:
    """Take over a fault of our own words, or one of the model's that has no entry in the tables."""
    context = detail.get("ctx", {})
    if not detail["type"].startswith("MS"):
        return _Fault(message=detail["msg"].lower(), path=path)
    of_key = detail["loc"][-1:] == ("[key]",)
    path = (*path, *context["below"])
    return _Fault(code=detail["type"], message=context["message"], todo=context["todo"], path=path, of_key=of_key)


def _missing_key(detail: ErrorDetails, path: DocPath, root: type[BaseModel]) -> _Fault:
    key = str(detail["loc"][-1])
    name = detail["input"].get("name") if path and path[0] in STEP_LISTS else None
    message = f"step {shown(name)} lacks the key {key!r}" if isinstance(name, str) else f"the key {key!r} is missing"
    field = _fields(_type_at(detail["loc"][:-1], root)).get(key)
    meaning = (field.description or "") if field else ""
    return _Fault(code="MS107", message=message, todo=f"{key}: {meaning}", path=path, meant=(*path, key))


def _missing_type(detail: ErrorDetails, path: DocPath, _root: type[BaseModel]) -> _Fault:
    """Tell which type the other keys of a step speak for."""
    step = detail["input"]
    if mistyped := closest("type", step):
        return _unknown(mistyped, (*path, mistyped), "type")
    meant = next((_TYPE_OF_KEY[key] for key in step if key in _TYPE_OF_KEY), "shell")
    name = f"step {shown(step['name'])}" if isinstance(step.get("name"), str) else "a step"
    todo = f"add 'type: {meant}'"
    return _Fault(code="MS107", message=f"{name} lacks the key 'type'", todo=todo, path=path, meant=(*path, "type"))


def _wrong_type(detail: ErrorDetails, path: DocPath, _root: type[BaseModel]) -> _Fault:
    options = _QUOTED.findall(detail["ctx"]["expected_tags"])
    return _one_of(options, detail["ctx"]["tag"], (*path, "type"))


def _wrong_choice(detail: ErrorDetails, path: DocPath, _root: type[BaseModel]) -> _Fault:
    return _one_of(_QUOTED.findall(detail["ctx"]["expected"]), detail["input"], path)


def _one_of(options: list[str], value: object, path: DocPath) -> _Fault:
    close = closest(value, options) if isinstance(value, str) else ""
    message = f"expected {'one of ' if len(options) > 1 else ''}{', '.join(options)}; got {shown(value)}"
    return _Fault(message=message, todo=f"did you mean {close!r}?" if close else "", path=path)


def _unknown_key(detail: ErrorDetails, path: DocPath, root: type[BaseModel]) -> _Fault:
    key = str(detail["loc"][-1])
    if root is not Recipe:
        meant = closest(key, _fields(_type_at(detail["loc"][:-1], root)))
        todo = f"did you mean {meant!r}?" if meant else "remove it"
        message = f"unknown key {shown(key)}"
        return _Fault(code="MS101", message=message, todo=todo, path=path, of_key=True, meant=(*path[:-1], meant))
    owners = [tag for tag, fields in _step_keys().items() if key in fields]
    if owners and len(path) == _STEP_KEY_DEPTH and path[0] in STEP_LISTS:
        todo = f"only steps of type {' or '.join(owners)} have it"
        return _Fault(code="MS101", message=f"unknown key {key!r}", todo=todo, path=path, of_key=True)
    return _unknown(key, path, closest(key, _fields(_type_at(detail["loc"][:-1], root))))


@cache
def _step_keys() -> dict[str, frozenset[str]]:
    """Give the keys that each type of step has."""
    kinds = get_args(get_args(Step)[0])
    return {_tag(kind): frozenset(_fields(kind)) for kind in kinds}


def _unknown(key: str, path: DocPath, meant: str) -> _Fault:
    suggestion = f"did you mean {meant!r}?" if meant else "remove it, or check its indentation"
    if len(path) == _STEP_KEY_DEPTH and key in _SYNONYMS:
        meant = _SYNONYMS[key]
        suggestion = f"write {meant!r}"
    elif path == ("name",):
        suggestion = "a recipe has the name of its file; 'test_meta' holds its id and title"
    todo = _ELSEWHERE.get(key, suggestion)
    message = f"unknown key {shown(key)}"
    return _Fault(code="MS101", message=message, todo=todo, path=path, of_key=True, meant=(*path[:-1], meant))


def _document_path(place: DocPath, document: JsonValue) -> DocPath:
    """Give the path in the document of a place in the model, which also names the members of unions."""
    if place[:1] and place[0] in STEP_LISTS:
        place = (*place[:2], *place[3:])
    path: list[str | int] = []
    node: Any = document
    for part in place:
        # What is left names a member of a union or a key that is missing.
        if part in (node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()):
            node = node[part]
            path.append(part)
    return tuple(path)


def _type_at(place: DocPath, root: type[BaseModel]) -> Any:  # noqa: ANN401  a type of the model
    """Give the type that a model has for a place in it."""
    kind: Any = root
    for part in place:
        kind = _type_below(kind, part)
    return kind


def _type_below(kind: Any, part: str | int) -> Any:  # noqa: ANN401  a type of the model
    kind = _plain(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in _UNIONS:
        return next((member for member in arguments if _tag(member) == part), None)
    if origin in {dict, tuple}:
        return arguments[1] if origin is dict else arguments[0]
    field = _fields(kind).get(str(part))
    return field.annotation if field else None


def _plain(kind: Any) -> Any:  # noqa: ANN401  a type of the model
    """Take away what only says that a value may be left out or how it is checked."""
    members = [member for member in get_args(kind) if member is not NoneType]
    if get_origin(kind) is Annotated or (get_origin(kind) in _UNIONS and len(members) == 1):
        return _plain(members[0])
    return kind


def _tag(kind: Any) -> str:  # noqa: ANN401  a type of the model
    field = _fields(kind).get("type")
    choices = get_args(field.annotation) if field else ()
    return str(choices[0]) if len(choices) == 1 else ""


def _fields(kind: Any) -> dict[str, FieldInfo]:  # noqa: ANN401  a type of the model
    """Give the fields of a part of the model by their keys in the file; nothing for another type."""
    kind = _plain(kind)
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in kind.model_fields.items()}


_TRANSLATORS: dict[str, Callable[[ErrorDetails, DocPath, type[BaseModel]], _Fault]] = {
    "extra_forbidden": _unknown_key,
    "literal_error": _wrong_choice,
    "missing": _missing_key,
    "union_tag_invalid": _wrong_type,
    "union_tag_not_found": _missing_type,
}
