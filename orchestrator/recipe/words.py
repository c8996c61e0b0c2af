"""Define the single words of a recipe: which texts are names, keys, paths and durations, and what they mean."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, LiteralString, TypeVar

from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from orchestrator.errors import ContextError
from orchestrator.jsonsafe import JsonValue
from orchestrator.keys import check_context_key, is_workspace_slug

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

MAX_SECONDS = 10 * 366 * 86_400

T = TypeVar("T")

_STEP_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_OPERATOR_KEY = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)+")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")
_FACTOR = re.compile(r"([0-9]+(?:\.[0-9]+)?)x")
_CLOCK_TIME = re.compile(r"[0-9]+(:[0-9]+)+")

_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LEGACY_KEYS = {kind: f"{kind}.default" for kind in ("hpc", "local", "human", "experiment")}
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
_LOADER_VARIABLE = re.compile(
    r"(LD|DYLD)_.*|PATH|IFS|ENV|CDPATH|GLOBIGNORE|PROMPT_COMMAND|PS4|SHELLOPTS|ZDOTDIR|BASH(OPTS|_ENV|_FUNC_.*)"
    r"|PYTHON(BREAKPOINT|EXECUTABLE|HOME|INSPECT|PATH|PLATLIBDIR|STARTUP|USERBASE|WARNINGS)|PERL(LIB|5DB|5LIB|5OPT)"
    r"|RUBY(LIB|OPT)|NODE_(OPTIONS|PATH)|(JAVA_TOOL|JDK_JAVA|_JAVA)_OPTIONS|GIT_(EXEC_PATH|SSH|SSH_COMMAND)"
    r"|GCONV_PATH|LOCPATH|NLSPATH|HOSTALIASES"
)
_OWN_PREFIX = "MATTERSTACK_"
_ROUTING_VARIABLE = "MATTERSTACK_OPERATOR"
_LONGEST_SHOWN = 60
_LEAST_LIKENESS = 0.65


def fault(code: LiteralString, message: str, todo: str, *below: str | int) -> PydanticCustomError:
    """Make the error of a value: our code, what is wrong, what to do, and where below the value it is."""
    return PydanticCustomError(code, "{message}", {"message": message, "todo": todo, "below": below})


def shown(value: object) -> str:
    """Write a value the way it would stand in YAML, shortened."""
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}…")
    return json.dumps(value)


def closest(word: str, known: Iterable[str]) -> str:
    """Give the known word that was probably meant, or nothing."""
    from difflib import get_close_matches  # needed only where something is wrong

    return next(iter(get_close_matches(word, list(known), n=1, cutoff=_LEAST_LIKENESS)), "")


def _text(text: str) -> str:
    if text.strip():
        return text
    raise fault("MS106", "expected text, got nothing", "write it, or remove the key")


def _step_name(text: str) -> str:
    if not _STEP_NAME.fullmatch(text):
        todo = "use letters, digits, '_' and '-', at most 100 of them and no '-' at the start"
        raise fault("MS201", f"step name {shown(text)} is not allowed", todo)
    if text.lower() in _DEVICES:
        raise fault("MS201", f"step name {text!r} is a device on Windows, so no folder can have it", "choose another")
    return text


def _identifier(text: str) -> str:
    if _IDENTIFIER.fullmatch(text):
        return text
    raise fault("MS201", f"name {shown(text)} is not allowed", "use letters, digits and '_', and no digit at the start")


def _variable(text: str) -> str:
    if not _VARIABLE.fullmatch(text):
        todo = "use capital letters, digits and '_', as in 'SITE_NAME'"
        raise fault("MS201", f"environment variable {shown(text)} is not allowed", todo)
    if _LOADER_VARIABLE.fullmatch(text):
        todo = "set it where the runner is started, or inside the script"
        raise fault("MS201", f"environment variable {text!r} changes which code is loaded", todo)
    if text.startswith(_OWN_PREFIX) and text != _ROUTING_VARIABLE:
        raise fault("MS201", f"environment variable {text!r} belongs to the runner", "choose another name")
    return text


def _operator_key(text: str) -> str:
    key = _LEGACY_KEYS.get(text.lower(), text)
    if not _OPERATOR_KEY.fullmatch(key):
        todo = "write kind and name in lower case, as in 'hpc.default'"
        raise fault("MS201", f"operator key {shown(text)} is not allowed", todo)
    return key


def _read_key(text: str) -> str:
    try:
        return check_context_key(text, own=True)
    except ContextError as error:
        raise fault("MS401", error.message, error.hint) from error


def _written_key(text: str) -> str:
    if text.startswith("_"):
        todo = "rename it; keys that begin with '_' are the runner's"
        raise fault("MS401", f"context key {shown(text)} cannot be written", todo)
    return _read_key(text)


def _workspace(text: str) -> str:
    if is_workspace_slug(text):
        return text
    todo = "write a folder name such as 'screening' or 'demos/screening'"
    raise fault("MS201", f"workspace {shown(text)} is not allowed", todo)


def _module(text: str) -> str:
    if text.endswith(".py"):
        return _path_inside(text)
    if not _MODULE.fullmatch(text):
        todo = "write a dotted name such as 'scriptlets.steps.load', or a path such as './load.py'"
        raise fault("MS205", f"module {shown(text)} is not a dotted name", todo)
    return text


def _path_inside(text: str) -> str:
    """Refuse a path that leaves the folder it is relative to, or that is no path at all."""
    parts = [part for part in text.split("/") if part != "."]
    if not parts or "" in parts or ".." in parts or text.startswith("~") or ":" in text or "\\" in text:
        todo = "write a path that stays below its folder, with '/' between the parts"
        raise fault("MS205", f"path {shown(text)} is not allowed", todo)
    return text


def _seconds(value: Any) -> float:  # noqa: ANN401  whatever stands in the file
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    number = float(match[1]) * _UNIT_SECONDS[match[2]] if match else value
    if isinstance(number, bool | str) or not isinstance(number, int | float):
        clock = isinstance(value, str) and _CLOCK_TIME.fullmatch(value)
        todo = "write '12h' or '90m', not a clock time" if clock else "write seconds, or '30s', '5m', '2h', '1d'"
        raise fault("MS106", f"expected a duration, got {shown(value)}", todo)
    if not 0 < number <= MAX_SECONDS:
        raise fault("MS106", f"expected a duration above 0 and below ten years, got {shown(value)}", "")
    return float(number)


def _factor(value: Any) -> float:  # noqa: ANN401  whatever stands in the file
    match = _FACTOR.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) <= 1:
        raise fault("MS106", f"expected a factor above 1, got {shown(value)}", "write it as '2x' or '1.5x'")
    return float(match[1])


def _scalar(value: Any) -> str | float | bool:  # noqa: ANN401  whatever stands in the file
    if isinstance(value, str | int | float | bool):
        return value
    raise fault("MS106", f"expected text, a number or a boolean, got {shown(value)}", "give larger values by 'args'")


def _items(value: Any) -> str | list[Any]:  # noqa: ANN401  whatever stands in the file
    if isinstance(value, str | list):
        return value
    raise fault("MS106", f"expected a list or one expression, got {shown(value)}", "write [a, b] or '${{ ctx.key }}'")


def _mark(value: Any) -> str | dict[str, Any]:  # noqa: ANN401  whatever stands in the file
    if isinstance(value, str):
        return _identifier(value)
    if isinstance(value, dict) and len(value) == 1:
        return {_identifier(name): arguments for name, arguments in value.items()}
    raise fault("MS106", f"expected a marker, got {shown(value)}", "write its name, or {name: arguments}")


@dataclass(frozen=True, slots=True, eq=False)
class _Word:
    """Marks a type whose values are texts, or with ``takes_any`` anything, that a function checks and reads.

    Says the core schema itself, because working it out from annotations would take most of the time to load a recipe.
    """

    read: Callable[[Any], Any]
    json_schema: dict[str, JsonValue]
    takes_any: bool = False

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        if self.takes_any:
            return core_schema.no_info_plain_validator_function(self.read)
        return core_schema.no_info_after_validator_function(self.read, core_schema.str_schema())

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, JsonValue]:
        return copy.deepcopy(self.json_schema)


@dataclass(frozen=True, slots=True, eq=False)
class _Adjusted:
    """Marks a type whose core schema is the usual one after one change."""

    change: Callable[[CoreSchema], CoreSchema]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return self.change(handler(source))


def _not_null(schema: CoreSchema) -> CoreSchema:
    """Let a key be left out but not be null, so that a forgotten value is an error."""
    inner: CoreSchema = schema["schema"] if schema["type"] == "nullable" else schema
    return inner


def _from_list(schema: CoreSchema) -> CoreSchema:
    """Let a list of the file become a tuple."""
    return {**schema, "strict": False}


def _first_fault_only(schema: CoreSchema) -> CoreSchema:
    """Stop at the first item that is wrong; whoever wants the faults of all asks again, item by item."""
    return {**_from_list(schema), "fail_fast": True}


def _filled(values: tuple[T, ...]) -> tuple[T, ...]:
    # Not a minimum length, which would be reported once more wherever an item is wrong.
    if values:
        return values
    raise fault("MS106", "expected at least one item, got an empty list", "add one, or remove the key")


def _switchable(schema: CoreSchema) -> CoreSchema:
    """Let true stand for the mapping with nothing in it, and false for leaving it out."""
    either = core_schema.union_schema([core_schema.bool_schema(), _not_null(schema)])
    return core_schema.no_info_before_validator_function(_switch, schema, json_schema_input_schema=either)


def _switch(value: Any) -> Any:  # noqa: ANN401  whatever stands in the file
    return ({} if value else None) if isinstance(value, bool) else value


def _command(_: CoreSchema) -> CoreSchema:
    """Take a list of texts or one text, and complain about the form that was meant."""
    parts = core_schema.tuple_variable_schema(core_schema.str_schema(), strict=False)
    forms: dict[Any, CoreSchema] = {
        "list": core_schema.no_info_after_validator_function(_filled, parts),
        "text": core_schema.no_info_after_validator_function(_text, core_schema.str_schema()),
    }
    return core_schema.tagged_union_schema(forms, lambda value: "list" if isinstance(value, list) else "text")


def _like(pattern: re.Pattern[str]) -> dict[str, JsonValue]:
    return {"type": "string", "pattern": f"^{pattern.pattern}$"}


_TEXT: dict[str, JsonValue] = {"type": "string", "minLength": 1}
_DURATIONS: dict[str, JsonValue] = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, _like(_DURATION)]}
_SCALARS: dict[str, JsonValue] = {"type": ["string", "number", "boolean"]}
_ITEMS: dict[str, JsonValue] = {"anyOf": [{"type": "array"}, {"type": "string", "pattern": r"^\$\{\{.*\}\}$"}]}
_MARKS: dict[str, JsonValue] = {
    "anyOf": [{"type": "string"}, {"type": "object", "minProperties": 1, "maxProperties": 1}]
}

Maybe = Annotated[T | None, _Adjusted(_not_null)]
Listed = Annotated[tuple[T, ...], _Adjusted(_from_list)]
Many = Annotated[tuple[T, ...], _Adjusted(_first_fault_only)]
Switchable = Annotated[T | None, _Adjusted(_switchable)]
Text = Annotated[str, _Word(_text, _TEXT)]
StepName = Annotated[str, _Word(_step_name, _like(_STEP_NAME))]
Identifier = Annotated[str, _Word(_identifier, _like(_IDENTIFIER))]
Variable = Annotated[str, _Word(_variable, _like(_VARIABLE))]
OperatorKey = Annotated[str, _Word(_operator_key, _TEXT)]
Workspace = Annotated[str, _Word(_workspace, _TEXT)]
ContextKey = Annotated[str, _Word(_read_key, _TEXT)]
WrittenKey = Annotated[str, _Word(_written_key, _TEXT)]
Module = Annotated[str, _Word(_module, _TEXT)]
InnerPath = Annotated[str, _Word(_path_inside, _TEXT)]
Seconds = Annotated[float, _Word(_seconds, _DURATIONS, takes_any=True)]
Factor = Annotated[float, _Word(_factor, _like(_FACTOR), takes_any=True)]
Scalar = Annotated[str | int | float | bool, _Word(_scalar, _SCALARS, takes_any=True)]
Items = Annotated[str | list[Any], _Word(_items, _ITEMS, takes_any=True)]
Mark = Annotated[str | dict[str, Any], _Word(_mark, _MARKS, takes_any=True)]
Command = Annotated[str | tuple[str, ...], _Adjusted(_command)]
