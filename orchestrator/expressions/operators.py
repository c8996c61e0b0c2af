"""Calculate with JSON values and compare them, so that nothing but a JSON value or a fault comes out."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.expressions.faults import FaultError, kind
from orchestrator.expressions.limits import MAX_EXPONENT, MAX_SIZE, SIZED, Budget, is_json_number, weigh
from orchestrator.jsonsafe import JsonValue


def _power(base: float, exponent: float) -> JsonValue:
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1 and exponent > MAX_EXPONENT:
        raise OverflowError
    return base**exponent  # type: ignore[no-any-return]


def _contains(part: JsonValue, whole: JsonValue) -> bool:
    return operator.contains(whole, part)  # type: ignore[arg-type]


def _lacks(part: JsonValue, whole: JsonValue) -> bool:
    return not operator.contains(whole, part)  # type: ignore[arg-type]


ARITHMETIC: Mapping[type[ast.operator], tuple[str, Callable[[Any, Any], JsonValue]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", _power),
}
SIGNS: Mapping[type[ast.unaryop], tuple[str, Callable[[Any], JsonValue]]] = {
    ast.UAdd: ("+", operator.pos),
    ast.USub: ("-", operator.neg),
}
COMPARISONS: Mapping[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
    ast.Eq: ("==", operator.eq),
    ast.NotEq: ("!=", operator.ne),
    ast.Lt: ("<", operator.lt),
    ast.LtE: ("<=", operator.le),
    ast.Gt: (">", operator.gt),
    ast.GtE: (">=", operator.ge),
    ast.In: ("in", _contains),
    ast.NotIn: ("not in", _lacks),
}

_MEMBERSHIP = frozenset({ast.In, ast.NotIn})
_NUMBERS = frozenset({int, float, bool})
_FAILURES: Mapping[type[ArithmeticError], str] = {
    OverflowError: "is beyond the numbers that JSON carries",
    ZeroDivisionError: "divides by zero",
}


def calculate(operation: ast.operator, left: JsonValue, right: JsonValue, budget: Budget) -> JsonValue:
    """Calculate with two numbers, put two texts or two lists together, or repeat one."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _number(operation, left, right)
    symbol, calculated = ARITHMETIC[type(operation)]
    size = _joined_size(operation, left, right)
    if size is None:
        what = f"{{}} {symbol} {{}} would calculate with {kind(left)} and {kind(right)}"
        raise FaultError(what, left, right, hint="convert with str(x), float(x) or int(x)")
    if size > MAX_SIZE:
        what = f"{{}} {symbol} {{}} has more than {MAX_SIZE:,} elements and characters"
        raise FaultError(what, left, right, hint="compute it in a step")
    budget.spend(size)
    return calculated(left, right)


def give_sign(operation: ast.unaryop, operand: JsonValue) -> JsonValue:
    """Give a number with the sign."""
    symbol, signed = SIGNS[type(operation)]
    if type(operand) not in _NUMBERS:
        raise FaultError(f"{symbol} {{}} needs a number, not {kind(operand)}", operand)
    return signed(operand)


def compare(operation: ast.cmpop, left: JsonValue, right: JsonValue, budget: Budget) -> bool:
    """Compare two values, of kinds that can be compared."""
    symbol, compared = COMPARISONS[type(operation)]
    if type(left) in SIZED or type(right) in SIZED:
        budget.spend(_comparison_cost(operation, left, right, budget.work_left))
    try:
        return compared(left, right)
    except TypeError as error:
        what = f"{{}} {symbol} {{}} would compare {kind(left)} with {kind(right)}"
        raise FaultError(what, left, right, hint="compare values of one kind") from error


def _number(operation: ast.operator, left: JsonValue, right: JsonValue) -> JsonValue:
    symbol, calculated = ARITHMETIC[type(operation)]
    try:
        result = calculated(left, right)
    except (OverflowError, ZeroDivisionError) as error:
        raise FaultError(f"{{}} {symbol} {{}} {_FAILURES[type(error)]}", left, right) from error
    if not is_json_number(result):
        raise FaultError(f"{{}} {symbol} {{}} {_FAILURES[OverflowError]}", left, right)
    return result


def _joined_size(operation: ast.operator, left: JsonValue, right: JsonValue) -> int | None:
    """Give the size of two texts or lists put together or of one repeated, or None where neither is asked for."""
    kinds = {type(left), type(right)}
    if isinstance(operation, ast.Add) and kinds in ({str}, {list}):
        return weigh(left, MAX_SIZE) + weigh(right, MAX_SIZE)
    if isinstance(operation, ast.Mult) and kinds in ({str, int}, {list, int}):
        whole, times = (right, left) if isinstance(left, int) else (left, right)
        return weigh(whole, MAX_SIZE) * max(int(times), 0)  # type: ignore[arg-type]
    return None


def _comparison_cost(operation: ast.cmpop, left: JsonValue, right: JsonValue, limit: int) -> int:
    if type(operation) in _MEMBERSHIP:
        sized = [] if type(right) is dict else [left, right]
    else:
        sized = [left, right] if type(left) is type(right) else []
    return sum(weigh(value, limit) for value in sized)
