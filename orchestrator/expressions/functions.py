"""Offer the functions of the language and call them, so that nothing but a JSON value or a fault comes out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.expressions.context_reads import ABSENT, reach
from orchestrator.expressions.faults import FaultError
from orchestrator.expressions.limits import (
    MAX_DIGITS,
    MAX_RANGE,
    MAX_SIZE,
    Budget,
    is_json_number,
    refuse_above,
    weigh,
)
from orchestrator.jsonsafe import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of the language: how it is written, what it gives, and what it is counted as.

    ``effort`` is multiplied by the size of its arguments and of its result; 0 is for cost that does not depend on them.
    """

    usage: str
    meaning: str
    call: Callable[..., JsonValue]
    effort: int = 0


def call_function(
    name: str, arguments: Sequence[JsonValue], named: Mapping[str, JsonValue], budget: Budget
) -> JsonValue:
    """Give what a function makes of arguments that fit its parameters."""
    function = FUNCTIONS[name]
    if function.effort:
        sizes = (weigh(argument, budget.work_left) for argument in (*arguments, *named.values()))
        budget.spend(function.effort * sum(sizes))
    result = _result(name, arguments, named)
    if function.effort:
        budget.spend(function.effort * weigh(result, MAX_SIZE))
    return result


def as_text(value: JsonValue) -> str:
    """Give a string as it is and any other value as JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _result(name: str, arguments: Sequence[JsonValue], named: Mapping[str, JsonValue]) -> JsonValue:
    function = FUNCTIONS[name]
    try:
        result = function.call(*arguments, **named)
    except (TypeError, ValueError, OverflowError) as error:
        places = ", ".join("{}" for _ in arguments)
        hint = f"{function.usage}: {function.meaning}"
        raise FaultError(f"{name}({places}) is not possible", *arguments, hint=hint) from error
    if isinstance(result, (int, float)) and not is_json_number(result):
        raise FaultError(f"{name} gives {{}}, which JSON cannot carry", result)
    return result


# The wrappers below give built-in functions the fixed parameters that the language documents, and no others.


def _round(number: float, digits: int | None = None) -> JsonValue:
    if digits is not None and abs(digits) > MAX_DIGITS:
        raise FaultError(f"cannot round to {{}} digits, only up to {MAX_DIGITS}", digits)
    return round(number, digits)


def _smallest(first: Any, *others: Any) -> JsonValue:  # noqa: ANN401  whatever JSON values can be compared
    return min((first, *others) if others else first)  # type: ignore[no-any-return]


def _largest(first: Any, *others: Any) -> JsonValue:  # noqa: ANN401  whatever JSON values can be compared
    return max((first, *others) if others else first)  # type: ignore[no-any-return]


def _total(numbers: Sequence[float]) -> JsonValue:
    return sum(numbers)


def _in_order(values: Any, *, reverse: bool = False) -> JsonValue:  # noqa: ANN401  whatever JSON values can be compared
    return sorted(values, reverse=reverse)


def _is_close(a: float, b: float, rel_tol: float = 1e-9, abs_tol: float = 0) -> bool:
    return math.isclose(a, b, rel_tol=rel_tol, abs_tol=abs_tol)


def _to_float(x: str | float) -> float:
    return float(x)


def _to_integer(x: str | float) -> int:
    return int(x)


def _to_boolean(x: JsonValue) -> bool:
    return bool(x)


def _keys(x: dict[str, JsonValue]) -> JsonValue:
    return list(dict.keys(x))


def _values(x: dict[str, JsonValue]) -> JsonValue:
    return list(dict.values(x))


def _range(first: int, stop: int | None = None, step: int = 1) -> JsonValue:
    numbers = range(first) if stop is None else range(first, stop, step)
    if len(numbers) > MAX_RANGE:
        raise FaultError(f"a range of {{}} numbers, more than {MAX_RANGE:,}", len(numbers))
    return list(numbers)


def _join(parts: list[str], separator: str = "") -> str:
    refuse_above(MAX_SIZE, len(separator) * len(parts) + sum(map(len, parts)))
    return str.join(separator, parts)


def _starts(text: str, beginning: str) -> bool:
    return str.startswith(text, beginning)


def _ends(text: str, ending: str) -> bool:
    return str.endswith(text, ending)


def _has(container: object, path: str) -> bool:
    return reach(container, path) is not ABSENT


def _get(container: object, path: str, default: JsonValue = None) -> JsonValue:
    found = reach(container, path)
    return default if found is ABSENT else found  # type: ignore[return-value]


FUNCTIONS: Mapping[str, Function] = {
    "abs": Function(usage="abs(x)", meaning="the number without its sign", call=abs),
    "all": Function(usage="all(values)", meaning="whether every value is true", call=all, effort=1),
    "any": Function(usage="any(values)", meaning="whether a value is true", call=any, effort=1),
    "bool": Function(usage="bool(x)", meaning="False for 0, null and what is empty, else True", call=_to_boolean),
    "endswith": Function(usage="endswith(text, ending)", meaning="whether the text ends so", call=_ends),
    "float": Function(usage="float(x)", meaning="the number that a text or a number gives", call=_to_float, effort=1),
    "get": Function(
        usage="get(x, 'a.b', default=None)", meaning="what is there under a path, else the default", call=_get
    ),
    "has": Function(usage="has(x, 'a.b')", meaning="whether something is there under a path", call=_has),
    "int": Function(usage="int(x)", meaning="the integer of a text, or of a number cut to it", call=_to_integer),
    "isclose": Function(
        usage="isclose(a, b, rel_tol=1e-9, abs_tol=0)",
        meaning="whether two numbers are equal within a tolerance",
        call=_is_close,
    ),
    "join": Function(usage="join(texts, separator='')", meaning="the texts as one", call=_join, effort=1),
    "keys": Function(usage="keys(x)", meaning="the keys of a dict", call=_keys, effort=1),
    "len": Function(usage="len(x)", meaning="how many elements, keys or characters", call=len),
    "lower": Function(usage="lower(text)", meaning="the text in lower case", call=str.lower, effort=1),
    "max": Function(usage="max(values), max(a, b, ...)", meaning="the largest value", call=_largest, effort=1),
    "min": Function(usage="min(values), min(a, b, ...)", meaning="the smallest value", call=_smallest, effort=1),
    "range": Function(
        usage="range(stop), range(first, stop, step=1)",
        meaning=f"integers in a row, up to {MAX_RANGE:,} of them",
        call=_range,
        effort=5,
    ),
    "round": Function(usage="round(x, digits=None)", meaning="the number with fewer decimals", call=_round),
    "sorted": Function(usage="sorted(values, reverse=False)", meaning="the values in order", call=_in_order, effort=8),
    "startswith": Function(usage="startswith(text, beginning)", meaning="whether the text begins so", call=_starts),
    "str": Function(usage="str(x)", meaning="a text as it is, any other value as JSON", call=as_text, effort=4),
    "sum": Function(usage="sum(numbers)", meaning="the total of the numbers", call=_total, effort=1),
    "upper": Function(usage="upper(text)", meaning="the text in upper case", call=str.upper, effort=1),
    "values": Function(usage="values(x)", meaning="the values of a dict", call=_values, effort=1),
}
