"""Read, check, evaluate and explain the expressions of a recipe, which see plain JSON values and nothing else."""

from __future__ import annotations

import ast
import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from inspect import Signature, signature
from itertools import chain, islice
from types import NoneType
from typing import Any

from simpleeval import SimpleEval  # type: ignore[import-untyped]

from orchestrator.errors import ExpressionError
from orchestrator.jsonsafe import MAX_DEPTH, MAX_INTEGER, JsonValue
from orchestrator.keys import did_you_mean

MAX_LENGTH = 4_096
MAX_NESTING = 64
MAX_LOOPS = 4
MAX_NODES = 100_000
MAX_SIZE = 1_000_000
MAX_WORK = 2_000_000
MAX_RANGE = 10_000
MAX_DIGITS = 30
MAX_EXPONENT = 64
SHOWN = 60

NAMES = {
    "inputs": "the inputs of the recipe",
    "vars": "the constants that the recipe declares",
    "secrets": "the secrets that the recipe declares",
    "env": "the environment variables that the recipe may read",
    "ctx": "the context: ctx.area.name_v1, or ctx['area.name_v1']",
    "steps": "what became of the steps so far, by name",
    "item": "the item of a step with foreach or matrix",
    "result": "the envelope of the step that has just ended",
    "run": "the run: its id and its folder",
    "recipe": "the recipe: its name and its file",
    "fixtures": "the pytest fixtures that the recipe asks for",
}

_OPENING = "${{"
_CLOSING = "}}"
_CONTEXT = "ctx"
_SHOWN_TEXT = 200
_SUGGESTED_FROM = 1_000
_SUGGESTED_LENGTH = 200
_PREFIX_EXAMPLES = 5
_PATH_LENGTH = 1_000
_PATH_PARTS = 32
_CACHED = 1_024
_ABSENT = object()
_NUMBERS = frozenset({int, float, bool})
_SIZED = frozenset({str, list, dict})
_KINDS = {
    NoneType: "null",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "a dict",
}
_CONSTANTS = {
    "false": "did you mean 'False'?",
    "none": "did you mean 'None'?",
    "null": "did you mean 'None'?",
    "true": "did you mean 'True'?",
}
_ESCAPES = frozenset("\\'\"nrtxu")
_TEMPLATE_TOKEN = re.compile(r"\\.|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[{}]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an expression may name: ``names`` holds JSON values, ``ctx`` is the flat mapping of dotted context keys.

    Of ``ctx`` only ``key in ctx``, ``ctx[key]`` and iteration are used, each key at most once in an evaluation, so
    its values may be read when asked for. Results share parts with the scope and are not to be changed.
    """

    names: Mapping[str, JsonValue] = field(default_factory=dict)
    ctx: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of the language: how it is written, what it gives, and what it is counted as.

    ``effort`` is multiplied by the size of its arguments and of its result; 0 is for cost that does not depend on them.
    """

    usage: str
    meaning: str
    call: Callable[..., JsonValue]
    effort: int = 0


class _FaultError(Exception):
    """What is wrong inside an expression; its values stay apart from ``text`` so that a secret is never written."""

    def __init__(self, text: str, *values: object, hint: str = "", node: ast.expr | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.values = values
        self.hint = hint
        self.node = node

    def told(self, *, is_secret: bool) -> str:
        """Give the message with each value, or with the kind of each where the expression reads secrets."""
        return self.text.format(*(_kind(value) if is_secret else _shown(value) for value in self.values))


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "a value")


def _shown(value: object) -> str:
    """Write a value the way expressions write it, cut after 60 characters; a large one is not written out first."""
    text = ""
    for part in _written(value):
        text += part
        if len(text) > SHOWN:
            return text[: SHOWN - 1] + "…"
    return text


def _written(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        members = ((f"{key[:SHOWN]!r}: ", part) for key, part in value.items())
        yield from _bracketed("{", members, "}")
    elif isinstance(value, list):
        yield from _bracketed("[", (("", part) for part in value), "]")
    else:
        yield repr(value[: SHOWN + 1] if isinstance(value, str) else value)


def _bracketed(opening: str, members: Iterable[tuple[str, object]], closing: str) -> Iterator[str]:
    yield opening
    separator = ""
    for label, member in members:
        yield separator + label
        yield from _written(member)
        separator = ", "
    yield closing


def _quoted(text: str) -> str:
    bare = text.strip()
    return repr(bare if len(bare) <= _SHOWN_TEXT else bare[:_SHOWN_TEXT] + "…")


def _suggestion(name: str, known: Iterable[str]) -> str:
    short = (key for key in islice(known, _SUGGESTED_FROM) if len(key) <= _SUGGESTED_LENGTH)
    return did_you_mean(name[:_SUGGESTED_LENGTH], short)


def _weigh(value: object, limit: int) -> int:
    """Count the elements and characters of a value, at all depths; refuse one above ``limit`` without counting on."""
    if type(value) not in _SIZED:
        return 1
    if isinstance(value, str):
        return len(value)
    total, level = 0, [value]
    for _ in range(MAX_DEPTH):
        total += sum(map(len, level))  # type: ignore[arg-type]
        _refuse_above(limit, total)
        parts = [part for whole in level for part in _members(whole) if type(part) in _SIZED]
        total += sum(len(part) for part in parts if type(part) is str)
        _refuse_above(limit, total)
        level = [part for part in parts if type(part) is not str]
        if not level:
            return total
    raise _FaultError(f"a value is nested deeper than {MAX_DEPTH} levels")


def _members(whole: Any) -> Iterable[Any]:  # noqa: ANN401  a list or a dict of JSON values
    return whole if type(whole) is list else chain(whole, whole.values())


def _refuse_above(limit: int, size: int) -> None:
    if size > limit:
        raise _FaultError(f"a value has more than {limit:,} elements and characters", hint="compute it in a step")


def _is_json_number(value: object) -> bool:
    if isinstance(value, int):
        return -MAX_INTEGER <= value <= MAX_INTEGER
    return isinstance(value, float) and math.isfinite(value)


def _text(value: JsonValue) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


# The wrappers below give built-in functions the fixed parameters that the language documents, and no others.


def _round(number: float, digits: int | None = None) -> JsonValue:
    if digits is not None and abs(digits) > MAX_DIGITS:
        raise _FaultError(f"cannot round to {{}} digits, only up to {MAX_DIGITS}", digits)
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
        raise _FaultError(f"a range of {{}} numbers, more than {MAX_RANGE:,}", len(numbers))
    return list(numbers)


def _join(parts: list[str], separator: str = "") -> str:
    _refuse_above(MAX_SIZE, len(separator) * len(parts) + sum(map(len, parts)))
    return str.join(separator, parts)


def _starts(text: str, beginning: str) -> bool:
    return str.startswith(text, beginning)


def _ends(text: str, ending: str) -> bool:
    return str.endswith(text, ending)


def _has(container: object, path: str) -> bool:
    return _reach(container, path) is not _ABSENT


def _get(container: object, path: str, default: JsonValue = None) -> JsonValue:
    found = _reach(container, path)
    return default if found is _ABSENT else found  # type: ignore[return-value]


def _reach(container: object, path: str) -> object:
    """Go down a dotted path whose beginning may be a key that holds dots; give `_ABSENT` where it leads nowhere."""
    parts = str.split(path, ".")
    if len(path) > _PATH_LENGTH or len(parts) > _PATH_PARTS:
        raise _FaultError(f"a path has more than {_PATH_LENGTH:,} characters or {_PATH_PARTS} parts")
    if not isinstance(container, (dict, _Context)):
        return _ABSENT
    for key, rest in _candidates(parts):
        if key in container:
            return reduce(_step_down, rest, container[key])
    return _ABSENT


def _step_down(value: object, key: str) -> object:
    return value.get(key, _ABSENT) if isinstance(value, dict) else _ABSENT


def _candidates(parts: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """List every way to split a path into a dotted key and what to look up in its value, longest key first."""
    return tuple((".".join(parts[:end]), tuple(parts[end:])) for end in range(len(parts), 0, -1))


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
        meaning="integers in a row, up to 10,000 of them",
        call=_range,
        effort=5,
    ),
    "round": Function(usage="round(x, digits=None)", meaning="the number with fewer decimals", call=_round),
    "sorted": Function(usage="sorted(values, reverse=False)", meaning="the values in order", call=_in_order, effort=8),
    "startswith": Function(usage="startswith(text, beginning)", meaning="whether the text begins so", call=_starts),
    "str": Function(usage="str(x)", meaning="a text as it is, any other value as JSON", call=_text, effort=4),
    "sum": Function(usage="sum(numbers)", meaning="the total of the numbers", call=_total, effort=1),
    "upper": Function(usage="upper(text)", meaning="the text in upper case", call=str.upper, effort=1),
    "values": Function(usage="values(x)", meaning="the values of a dict", call=_values, effort=1),
}

_TAKE_CONTEXT = frozenset({"has", "get"})


@lru_cache(maxsize=len(FUNCTIONS))
def _signature(name: str) -> Signature:
    return signature(FUNCTIONS[name].call)


def _power(base: float, exponent: float) -> JsonValue:
    if isinstance(base, int) and isinstance(exponent, int) and abs(base) > 1 and exponent > MAX_EXPONENT:
        raise OverflowError
    return base**exponent  # type: ignore[no-any-return]


def _contains(part: JsonValue, whole: JsonValue) -> bool:
    return operator.contains(whole, part)  # type: ignore[arg-type]


def _lacks(part: JsonValue, whole: JsonValue) -> bool:
    return not operator.contains(whole, part)  # type: ignore[arg-type]


_ARITHMETIC: Mapping[type[ast.operator], tuple[str, Callable[[Any, Any], JsonValue]]] = {
    ast.Add: ("+", operator.add),
    ast.Sub: ("-", operator.sub),
    ast.Mult: ("*", operator.mul),
    ast.Div: ("/", operator.truediv),
    ast.FloorDiv: ("//", operator.floordiv),
    ast.Mod: ("%", operator.mod),
    ast.Pow: ("**", _power),
}
_SIGNS: Mapping[type[ast.unaryop], tuple[str, Callable[[Any], JsonValue]]] = {
    ast.UAdd: ("+", operator.pos),
    ast.USub: ("-", operator.neg),
}
_COMPARISONS: Mapping[type[ast.cmpop], tuple[str, Callable[[Any, Any], bool]]] = {
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


class _ContextPath(ast.expr):
    """Attributes that begin at ``ctx``, with every way to split them into a key and what to look up in its value."""

    def __init__(self, parts: tuple[str, ...]) -> None:
        super().__init__()
        self.parts = parts
        self.candidates = _candidates(parts)


class _ContextKey(ast.expr):
    """The subscript ``ctx[key]``."""

    def __init__(self, key: ast.expr) -> None:
        super().__init__()
        self.key = key


class _WholeContext(ast.expr):
    """The name ``ctx`` where a function looks a path up in it."""


def _is_context(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == _CONTEXT


class _ContextReads(ast.NodeTransformer):
    """Puts one node in place of each read of the context, and refuses ``ctx`` wherever it is not read."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Join the attributes that begin at ``ctx``."""
        parts: list[str] = []
        start: ast.expr = node
        while isinstance(start, ast.Attribute):
            parts.append(start.attr)
            start = start.value
        return _ContextPath(tuple(reversed(parts))) if _is_context(start) else self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Mark a subscript of ``ctx`` itself."""
        return _ContextKey(self.visit(node.slice)) if _is_context(node.value) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Let ``ctx`` be the first argument of the functions that look a path up."""
        takes_context = isinstance(node.func, ast.Name) and node.func.id in _TAKE_CONTEXT
        if takes_context and node.args and _is_context(node.args[0]):
            node.args[0] = _WholeContext()
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Refuse ``ctx`` as a value."""
        if _is_context(node):
            hint = "name a key, as in ctx.area.name_v1, or ask has(ctx, 'area.name_v1')"
            raise _FaultError("ctx is not a value by itself", hint=hint, node=node)
        return node


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    """An expression whose tree was checked and may be evaluated any number of times."""

    text: str
    tree: ast.expr
    is_secret: bool


@lru_cache(maxsize=_CACHED)
def _parse(text: str) -> _Parsed:
    _check_text(text)
    tree = _tree(text)
    is_secret = any(isinstance(node, ast.Name) and node.id == "secrets" for node in ast.walk(tree))
    try:
        _check_tree(tree)
        return _Parsed(text=text, tree=_ContextReads().visit(tree), is_secret=is_secret)
    except _FaultError as fault:
        raise _unreadable(text, fault.text, fault.hint, _offset(text, fault.node)) from fault


def _unreadable(text: str, what: str, hint: str, offset: int) -> ExpressionError:
    message = f"expression {_quoted(text)} cannot be read: {what}"
    return ExpressionError(message, hint=hint, code="MS207", offset=offset)


def _check_text(text: str) -> None:
    """Refuse what the parser would answer with a warning, a crash or a long wait."""
    if not text.strip():
        raise _unreadable(text, "it is empty", "write a condition or a value, as in 'inputs.cutoff > 0'", 0)
    if len(text) > MAX_LENGTH:
        what = f"it has {len(text):,} characters, more than {MAX_LENGTH:,}"
        raise _unreadable(text, what, "compute the value in a step", MAX_LENGTH)
    if _OPENING in text:
        hint = "this place holds a bare expression: leave '${{' and '}}' away"
        raise _unreadable(text, "'${{' inside an expression", hint, text.index(_OPENING))
    for escape in re.finditer(r"\\(.?)", text, re.DOTALL):
        if escape[1] not in _ESCAPES:
            hint = r"write '\\' for a backslash"
            raise _unreadable(text, f"unknown escape {escape[0]!r}", hint, escape.start())


def _tree(text: str) -> ast.expr:
    margin = len(text) - len(text.lstrip())
    try:
        return ast.parse(text[margin:], mode="eval").body
    except SyntaxError as error:
        what, offset = _syntax_fault(text, margin, error)
        hint = "put brackets round an expression of several lines" if "\n" in text.strip() else ""
        raise _unreadable(text, what, hint, offset) from error
    except (RecursionError, MemoryError) as error:
        raise _unreadable(text, "it is nested too deeply", "compute parts of it in a step", 0) from error
    except ValueError as error:
        raise _unreadable(text, "it holds a character that text cannot have", "", 0) from error


def _syntax_fault(text: str, margin: int, error: SyntaxError) -> tuple[str, int]:
    """Give what is wrong and the character where; the parser reports the end of the text as column 0."""
    if not error.offset:
        return "it ends where more is expected", len(text.rstrip())
    start = margin + _line_start(text[margin:], error.lineno or 1)
    return error.msg[:1].lower() + error.msg[1:], min(start + error.offset - 1, len(text))


def _offset(text: str, node: ast.expr | None) -> int:
    """Give the character at which a node begins; the parser counts lines and UTF-8 bytes."""
    if node is None:
        return 0
    margin = len(text) - len(text.lstrip())
    start = margin + _line_start(text[margin:], node.lineno)
    return start + len(text[start:].encode()[: node.col_offset].decode(errors="ignore"))


def _line_start(text: str, line: int) -> int:
    return sum(len(before) + 1 for before in text.split("\n")[: line - 1])


def _check_tree(tree: ast.expr) -> None:
    level: list[ast.AST] = [tree]
    for _ in range(MAX_NESTING):
        for node in level:
            _check_node(node)
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, _CHECKED)]
        if not level:
            return
    raise _FaultError(f"it is nested deeper than {MAX_NESTING} levels", hint="compute parts of it in a step")


_CHECKED = (ast.expr, ast.keyword, ast.comprehension)


def _check_node(node: ast.AST) -> None:
    check = _NODE_CHECKS.get(type(node))
    if check is None:
        name, hint = _REFUSED.get(type(node), (type(node).__name__.lower(), ""))
        raise _FaultError(f"{name} is not allowed", hint=hint, node=node if isinstance(node, ast.expr) else None)
    check(node)


def _accept(_: ast.AST) -> None:
    """Let a node pass that can do no harm, whatever it holds."""


def _check_constant(node: ast.Constant) -> None:
    value = node.value
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise _FaultError("a string with half a surrogate pair", node=node)
    elif value is not None and not _is_json_number(value):
        raise _FaultError(
            "a literal that is no JSON value",
            hint="use strings, numbers within ±(2^53-1), True, False and None",
            node=node,
        )


def _check_name(node: ast.Name) -> None:
    _refuse_double_underscore(node.id, node)


def _check_attribute(node: ast.Attribute) -> None:
    _refuse_double_underscore(node.attr, node)


def _refuse_double_underscore(name: str, node: ast.expr) -> None:
    if name.startswith("__"):
        raise _FaultError(f"the name {name!r} begins with two underscores", hint="rename it", node=node)


def _check_sign(node: ast.UnaryOp) -> None:
    if type(node.op) not in _SIGNS and not isinstance(node.op, ast.Not):
        raise _FaultError("the operator '~' is not allowed", hint="use 'not'", node=node)


def _check_operator(node: ast.BinOp) -> None:
    if type(node.op) not in _ARITHMETIC:
        hint = "use 'and', 'or', and the operators + - * / // % **"
        raise _FaultError(f"the operator '{_REFUSED_OPERATORS[type(node.op)]}' is not allowed", hint=hint, node=node)


def _check_comparison(node: ast.Compare) -> None:
    if not _COMPARISONS.keys() >= {type(operation) for operation in node.ops}:
        raise _FaultError("'is' is not allowed", hint="use '==' or '!='", node=node)


def _check_dict(node: ast.Dict) -> None:
    if None in node.keys:
        raise _FaultError("unpacking with '**' is not allowed", hint="name the keys", node=node)


def _check_call(node: ast.Call) -> None:
    if isinstance(node.func, ast.Attribute):
        hint = f"call a function: {node.func.attr}(x)" if node.func.attr in FUNCTIONS else _functions_hint("")
        raise _FaultError(f"the method call '.{node.func.attr}()' is not allowed", hint=hint, node=node)
    if not isinstance(node.func, ast.Name):
        raise _FaultError("only a function can be called, by its name", hint=_functions_hint(""), node=node)
    if node.func.id not in FUNCTIONS:
        hint = _functions_hint(node.func.id)
        raise _FaultError(f"there is no function {node.func.id!r}", hint=hint, node=node)
    _check_arguments(node, node.func.id)


def _functions_hint(name: str) -> str:
    return did_you_mean(name, FUNCTIONS)


def _check_arguments(node: ast.Call, name: str) -> None:
    named = {keyword.arg: keyword for keyword in node.keywords if keyword.arg}
    if len(named) < len(node.keywords) or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise _FaultError("unpacking arguments is not allowed", hint=FUNCTIONS[name].usage, node=node)
    try:
        _signature(name).bind(*node.args, **named)
    except TypeError as error:
        raise _FaultError(f"{name}: {error}", hint=f"write {FUNCTIONS[name].usage}", node=node) from error


def _check_loops(node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> None:
    if len(node.generators) > MAX_LOOPS:
        raise _FaultError(f"more than {MAX_LOOPS} 'for' in one comprehension", node=node)
    for loop in node.generators:
        if not isinstance(loop.target, ast.Name) or _is_context(loop.target):
            hint = "write 'for x in …' with a name other than ctx"
            raise _FaultError("the loop variable must be one name", hint=hint, node=loop.target)
        if loop.is_async:
            raise _FaultError("'async' is not allowed", node=node)


_NODE_CHECKS: Mapping[type[ast.AST], Callable[[Any], None]] = {
    ast.Attribute: _check_attribute,
    ast.BinOp: _check_operator,
    ast.BoolOp: _accept,
    ast.Call: _check_call,
    ast.Compare: _check_comparison,
    ast.Constant: _check_constant,
    ast.Dict: _check_dict,
    ast.DictComp: _check_loops,
    ast.GeneratorExp: _check_loops,
    ast.IfExp: _accept,
    ast.List: _accept,
    ast.ListComp: _check_loops,
    ast.Name: _check_name,
    ast.Slice: _accept,
    ast.Subscript: _accept,
    ast.UnaryOp: _check_sign,
    ast.comprehension: _accept,
    ast.keyword: _accept,
}
_REFUSED_OPERATORS: Mapping[type[ast.operator], str] = {
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.MatMult: "@",
    ast.RShift: ">>",
}
_REFUSED: Mapping[type[ast.AST], tuple[str, str]] = {
    ast.JoinedStr: ("an f-string", "join texts with '+' or join([...])"),
    ast.Lambda: ("a lambda", "use a comprehension"),
    ast.NamedExpr: ("an assignment", "compare with '=='"),
    ast.Set: ("a set", "write a list: [a, b]"),
    ast.SetComp: ("a set", "write a list: [x for x in …]"),
    ast.Starred: ("unpacking with '*'", "join lists with '+'"),
    ast.Tuple: ("a tuple", "write a list: [a, b]"),
}


class _Context:
    """The context as one evaluation sees it: a key is read once, so its value cannot change on the way."""

    __slots__ = ("_mapping", "_values")

    def __init__(self, mapping: Mapping[str, JsonValue]) -> None:
        self._mapping = mapping
        self._values: dict[str, JsonValue] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._values or key in self._mapping

    def __getitem__(self, key: str) -> JsonValue:
        if key not in self._values:
            self._values[key] = self._mapping[key]
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._mapping)

    def __repr__(self) -> str:
        return _CONTEXT


class _Evaluator(SimpleEval):  # type: ignore[misc]
    """Evaluates one checked tree, once, within fixed numbers of nodes and of elements handled.

    Truth, conditional values and slice bounds are simpleeval's; whatever could reach a Python object or grow without
    bound is replaced. The fixed tables stand in for those that simpleeval builds for each evaluator.
    """

    def __init__(self, scope: Scope) -> None:
        self.names = scope.names
        self.context = _Context(scope.ctx)
        self.loop_names: dict[str, JsonValue] = {}
        self.nodes_left = MAX_NODES
        self.work_left = MAX_WORK

    def value(self, node: ast.expr) -> JsonValue:
        """Give the value of a part of the tree."""
        return self._eval(node)

    def compare(self, operation: ast.cmpop, left: JsonValue, right: JsonValue) -> bool:
        """Compare two values, of kinds that can be compared."""
        symbol, compare = _COMPARISONS[type(operation)]
        kinds = type(left), type(right)
        if not _SIZED.isdisjoint(kinds):
            self._spend(self._comparison_cost(operation, left, right))
        try:
            return compare(left, right)
        except TypeError as error:
            what = f"{{}} {symbol} {{}} would compare {_kind(left)} with {_kind(right)}"
            raise _FaultError(what, left, right, hint="compare values of one kind") from error

    def _eval(self, node: ast.expr) -> JsonValue:
        self._count()
        result: JsonValue = getattr(self, _METHODS[type(node)])(node)
        return result

    def _count(self) -> None:
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise _FaultError(f"it takes more than {MAX_NODES:,} operations", hint="compute it in a step")

    def _comparison_cost(self, operation: ast.cmpop, left: JsonValue, right: JsonValue) -> int:
        if type(operation) in _MEMBERSHIP:
            sized = [] if type(right) is dict else [left, right]
        else:
            sized = [left, right] if type(left) is type(right) else []
        return sum(_weigh(value, self.work_left) for value in sized)

    def _spend(self, work: int) -> None:
        self.work_left -= work
        if self.work_left < 0:
            what = f"it goes through more than {MAX_WORK:,} elements and characters"
            raise _FaultError(what, hint="compute it in a step")

    def _made(self, value: JsonValue) -> JsonValue:
        """Count a value that was just built, and refuse one too large or too deep."""
        self._spend(_weigh(value, MAX_SIZE))
        return value

    def _eval_name(self, node: ast.Name) -> JsonValue:
        for names in (self.loop_names, self.names):
            if node.id in names:
                return names[node.id]
        raise self._undefined(node.id)

    def _undefined(self, name: str) -> _FaultError:
        if name in FUNCTIONS:
            return _FaultError(f"{name!r} is a function", hint=f"call it: {FUNCTIONS[name].usage}")
        if name in NAMES:
            return _FaultError(f"{name!r} has no value here", hint=f"it is {NAMES[name]}")
        known = {*self.names, *self.loop_names, _CONTEXT}
        hint = _CONSTANTS.get(name.lower()) or _suggestion(name, known)
        return _FaultError(f"the name {name!r} is not defined", hint=hint)

    def _eval_context_path(self, node: _ContextPath) -> JsonValue:
        for key, rest in node.candidates:
            if key in self.context:
                return reduce(_attribute, rest, self.context[key])
        raise _no_context_key(".".join(node.parts), self.context)

    def _eval_context_key(self, node: _ContextKey) -> JsonValue:
        key = self._eval(node.key)
        if type(key) is not str:
            raise _FaultError("ctx[{}]: a context key is a string", key, hint="write ctx['area.name_v1']")
        if key not in self.context:
            raise _no_context_key(key, self.context)
        return self.context[key]

    def _eval_whole_context(self, _: _WholeContext) -> _Context:
        return self.context

    def _eval_attribute(self, node: ast.Attribute) -> JsonValue:
        return _attribute(self._eval(node.value), node.attr)

    def _eval_subscript(self, node: ast.Subscript) -> JsonValue:
        container: Any = self._eval(node.value)
        key: Any = self._eval(node.slice)
        try:
            part: JsonValue = container[key]
        except (TypeError, KeyError, IndexError, ValueError) as error:
            raise _no_part(container, key) from error
        return self._made(part) if isinstance(key, slice) else part

    def _eval_unaryop(self, node: ast.UnaryOp) -> JsonValue:
        operand = self._eval(node.operand)
        if isinstance(node.op, ast.Not):
            return not operand
        symbol, sign = _SIGNS[type(node.op)]
        if type(operand) not in _NUMBERS:
            raise _FaultError(f"{symbol} {{}} needs a number, not {_kind(operand)}", operand)
        return sign(operand)

    def _eval_binop(self, node: ast.BinOp) -> JsonValue:
        left, right = self._eval(node.left), self._eval(node.right)
        symbol, calculate = _ARITHMETIC[type(node.op)]
        if type(left) in _NUMBERS and type(right) in _NUMBERS:
            return _calculated(symbol, calculate, left, right)
        size = _joined_size(node.op, left, right)
        if size is None:
            what = f"{{}} {symbol} {{}} would calculate with {_kind(left)} and {_kind(right)}"
            raise _FaultError(what, left, right, hint="convert with str(x), float(x) or int(x)")
        if size > MAX_SIZE:
            what = f"{{}} {symbol} {{}} has more than {MAX_SIZE:,} elements and characters"
            raise _FaultError(what, left, right, hint="compute it in a step")
        self._spend(size)
        return calculate(left, right)

    def _eval_compare(self, node: ast.Compare) -> JsonValue:
        left = self._eval(node.left)
        for operation, comparator in zip(node.ops, node.comparators, strict=True):
            right = self._eval(comparator)
            if not self.compare(operation, left, right):
                return False
            left = right
        return True

    def _eval_call(self, node: ast.Call) -> JsonValue:
        name: str = node.func.id  # type: ignore[attr-defined]
        function = FUNCTIONS[name]
        arguments = [self._eval(argument) for argument in node.args]
        named = {str(keyword.arg): self._eval(keyword.value) for keyword in node.keywords}
        if function.effort:
            sizes = (_weigh(argument, self.work_left) for argument in (*arguments, *named.values()))
            self._spend(function.effort * sum(sizes))
        try:
            result = function.call(*arguments, **named)
        except (TypeError, ValueError, OverflowError) as error:
            shown = ", ".join("{}" for _ in arguments)
            hint = f"{function.usage}: {function.meaning}"
            raise _FaultError(f"{name}({shown}) is not possible", *arguments, hint=hint) from error
        if type(result) in _NUMBERS and not _is_json_number(result):
            raise _FaultError(f"{name} gives {{}}, which JSON cannot carry", result)
        if function.effort:
            self._spend(function.effort * _weigh(result, MAX_SIZE))
        return result

    def _eval_list(self, node: ast.List) -> JsonValue:
        return self._made([self._eval(part) for part in node.elts])

    def _eval_dict(self, node: ast.Dict) -> JsonValue:
        pairs = zip(node.keys, node.values, strict=True)
        return self._made({self._key(key): self._eval(value) for key, value in pairs})  # type: ignore[arg-type]

    def _eval_listcomp(self, node: ast.ListComp | ast.GeneratorExp) -> JsonValue:
        outside = dict(self.loop_names)
        values: JsonValue = [self._eval(node.elt) for _ in self._rounds(node.generators)]
        self.loop_names = outside
        return self._made(values)

    def _eval_dictcomp(self, node: ast.DictComp) -> JsonValue:
        outside = dict(self.loop_names)
        values: JsonValue = {self._key(node.key): self._eval(node.value) for _ in self._rounds(node.generators)}
        self.loop_names = outside
        return self._made(values)

    def _rounds(self, loops: Sequence[ast.comprehension]) -> Iterator[None]:
        """Bind the loop variables to one combination after another."""
        if not loops:
            yield
            return
        for value in self._iterated(loops[0].iter):
            self._count()
            self.loop_names[loops[0].target.id] = value  # type: ignore[attr-defined]
            if all(self._eval(condition) for condition in loops[0].ifs):
                yield from self._rounds(loops[1:])

    def _iterated(self, node: ast.expr) -> Iterable[JsonValue]:
        values = self._eval(node)
        if not isinstance(values, (list, dict)):
            what = f"'for' goes through a list or the keys of a dict, but {{}} is {_kind(values)}"
            raise _FaultError(what, values)
        return values

    def _key(self, node: ast.expr) -> str:
        key = self._eval(node)
        if not isinstance(key, str):
            raise _FaultError(f"the key {{}} of a dict is {_kind(key)}", key, hint="write str(key)")
        return key


_METHODS: Mapping[type[ast.AST], str] = {
    _ContextKey: "_eval_context_key",
    _ContextPath: "_eval_context_path",
    _WholeContext: "_eval_whole_context",
    ast.Attribute: "_eval_attribute",
    ast.BinOp: "_eval_binop",
    ast.BoolOp: "_eval_boolop",
    ast.Call: "_eval_call",
    ast.Compare: "_eval_compare",
    ast.Constant: "_eval_constant",
    ast.Dict: "_eval_dict",
    ast.DictComp: "_eval_dictcomp",
    ast.GeneratorExp: "_eval_listcomp",
    ast.IfExp: "_eval_ifexp",
    ast.List: "_eval_list",
    ast.ListComp: "_eval_listcomp",
    ast.Name: "_eval_name",
    ast.Slice: "_eval_slice",
    ast.Subscript: "_eval_subscript",
    ast.UnaryOp: "_eval_unaryop",
}
_FAILURES: Mapping[type[ArithmeticError], str] = {
    OverflowError: "is beyond the numbers that JSON carries",
    ZeroDivisionError: "divides by zero",
}


def _calculated(
    symbol: str, calculate: Callable[[Any, Any], JsonValue], left: JsonValue, right: JsonValue
) -> JsonValue:
    try:
        result = calculate(left, right)
    except (OverflowError, ZeroDivisionError) as error:
        raise _FaultError(f"{{}} {symbol} {{}} {_FAILURES[type(error)]}", left, right) from error
    if not _is_json_number(result):
        raise _FaultError(f"{{}} {symbol} {{}} {_FAILURES[OverflowError]}", left, right)
    return result


def _joined_size(operation: ast.operator, left: JsonValue, right: JsonValue) -> int | None:
    """Give the size of two texts or lists put together or of one repeated, or None where neither is asked for."""
    kinds = {type(left), type(right)}
    if isinstance(operation, ast.Add) and kinds in ({str}, {list}):
        return _weigh(left, MAX_SIZE) + _weigh(right, MAX_SIZE)
    if isinstance(operation, ast.Mult) and kinds in ({str, int}, {list, int}):
        whole, times = (right, left) if isinstance(left, int) else (left, right)
        return _weigh(whole, MAX_SIZE) * max(int(times), 0)  # type: ignore[arg-type]
    return None


def _attribute(value: JsonValue, name: str) -> JsonValue:
    if not isinstance(value, dict):
        raise _FaultError(f"{{}} is {_kind(value)} and has no key {name!r}", value)
    if name not in value:
        raise _FaultError(f"{{}} has no key {name!r}", value, hint=_suggestion(name, value))
    return value[name]  # type: ignore[no-any-return]


def _no_part(container: JsonValue, key: object) -> _FaultError:
    if isinstance(container, dict) and isinstance(key, str):
        return _FaultError("{} has no key {}", container, key, hint=_suggestion(key, container))
    if isinstance(container, (str, list)) and isinstance(key, int):
        return _FaultError(f"{{}} has {len(container)} elements and none at {{}}", container, key)
    hint = "lists and strings take integers, dicts take strings"
    return _FaultError(f"{{}} is {_kind(container)} and has no element {{}}", container, key, hint=hint)


def _no_context_key(name: str, context: Iterable[str]) -> _FaultError:
    below = sorted(key for key in context if key.startswith(name + "."))
    if not below:
        return _FaultError("the context has no key {}", name, hint=_suggestion(name, context))
    some = ", ".join(below[:_PREFIX_EXAMPLES]) + (" …" if len(below) > _PREFIX_EXAMPLES else "")
    return _FaultError("{} is only a prefix of context keys", name, hint=f"name one of: {some}")


def has_expression(text: str) -> bool:
    """Tell whether the text holds ``${{``."""
    return _OPENING in text


def check_syntax(text: str) -> None:
    """Raise `ExpressionError` unless the text is one bare expression of allowed constructs and functions."""
    _parse(text)


def check_template(text: str) -> None:
    """Raise `ExpressionError` unless every ``${{ expression }}`` in the text can be read and is closed."""
    if _OPENING in text:
        for piece in _pieces(text):
            _check_piece(piece)


def evaluate(text: str, scope: Scope) -> JsonValue:
    """Give the value of a bare expression; raise `ExpressionError` where it has none."""
    parsed = _parse(text)
    try:
        value: JsonValue = _Evaluator(scope).value(parsed.tree)
    except _FaultError as fault:
        raise _failed(parsed, fault) from (None if parsed.is_secret else fault)
    return value


def evaluate_condition(text: str, scope: Scope) -> bool:
    """Give the value of a bare expression that must be exactly true or false; raise `ExpressionError` otherwise."""
    value = evaluate(text, scope)
    if isinstance(value, bool):
        return value
    hint = "compare it, as in 'len(x) > 0', or write bool(x)"
    fault = _FaultError(f"a condition is true or false, but {{}} is {_kind(value)}", value, hint=hint)
    raise _failed(_parse(text), fault)


def resolve(value: JsonValue, scope: Scope) -> JsonValue:
    """Give the value with every ``${{ expression }}`` in its strings evaluated, at all depths; keys stay as they are.

    A string that is one expression and nothing else becomes that expression's value. In any other, strings are put in
    as they are and all else as JSON. A value without expressions is returned itself. What an expression gives is never
    searched for expressions. Raises `ExpressionError`.
    """
    if isinstance(value, str):
        return _resolved_text(value, scope) if _OPENING in value else value
    if isinstance(value, list):
        parts = [resolve(part, scope) if type(part) in _SIZED else part for part in value]
        return value if all(map(operator.is_, parts, value)) else parts
    if isinstance(value, dict):
        members = {key: resolve(part, scope) if type(part) in _SIZED else part for key, part in value.items()}
        return value if all(map(operator.is_, members.values(), value.values())) else members
    return value


def explain(text: str, scope: Scope) -> str:
    """Give, in one line, the values that a failed condition compared, as in ``3 == 4``.

    Of ``a and b`` it is the first false part. Each value is cut to 60 characters; an expression that reads secrets
    explains nothing. Raises `ExpressionError` where `evaluate` does.
    """
    parsed = _parse(text)
    if parsed.is_secret:
        return "values are kept secret"
    try:
        return _explained(parsed.tree, scope)
    except _FaultError as fault:
        raise _failed(parsed, fault) from fault


def _failed(parsed: _Parsed, fault: _FaultError) -> ExpressionError:
    message = f"expression {_quoted(parsed.text)}: {fault.told(is_secret=parsed.is_secret)}"
    return ExpressionError(message, hint=fault.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A part of a template, as plain text or as an expression, and the character at which it begins."""

    text: str
    offset: int
    is_expression: bool


@lru_cache(maxsize=_CACHED)
def _short_pieces(text: str) -> tuple[_Piece, ...]:
    return tuple(_split(text))


def _pieces(text: str) -> tuple[_Piece, ...]:
    # A long text is split again each time, so that the cache cannot grow with it.
    return _short_pieces(text) if len(text) <= MAX_LENGTH else tuple(_split(text))


def _split(text: str) -> Iterator[_Piece]:
    end = 0
    while (opening := text.find(_OPENING, end)) >= 0:
        if opening > end:
            yield _Piece(text=text[end:opening], offset=end, is_expression=False)
        start = opening + len(_OPENING)
        closing = _closing(text, opening)
        yield _Piece(text=text[start:closing], offset=start, is_expression=True)
        end = closing + len(_CLOSING)
    if end < len(text):
        yield _Piece(text=text[end:], offset=end, is_expression=False)


def _closing(text: str, opening: int) -> int:
    """Give the place of the ``}}`` that ends an expression, past quoted text and the braces of dicts."""
    start = opening + len(_OPENING)
    depth = 0
    for token in _TEMPLATE_TOKEN.finditer(text, start, start + MAX_LENGTH + len(_CLOSING)):
        if token[0] == "}" and depth == 0 and text.startswith(_CLOSING, token.start()):
            return token.start()
        depth = max(depth + _DEPTHS.get(token[0], 0), 0)
    shown = text[opening : opening + SHOWN]
    hint = f"close it with '}}}}' within {MAX_LENGTH:,} characters"
    raise ExpressionError(f"'${{{{' is not closed: {shown!r}", hint=hint, code="MS207", offset=opening)


_DEPTHS = {"{": 1, "}": -1}


def _check_piece(piece: _Piece) -> None:
    if not piece.is_expression:
        return
    try:
        _parse(piece.text)
    except ExpressionError as error:
        offset = piece.offset + error.offset
        raise ExpressionError(error.message, hint=error.hint, code=error.code, offset=offset) from error


def _resolved_text(text: str, scope: Scope) -> JsonValue:
    pieces = _pieces(text)
    if len(pieces) == 1:
        return evaluate(pieces[0].text, scope)
    filled = "".join(_filled(piece, scope) if piece.is_expression else piece.text for piece in pieces)
    if len(filled) > max(MAX_SIZE, len(text)):
        what = f"text {text[:SHOWN]!r} with its expressions filled in has more than {MAX_SIZE:,} characters"
        raise ExpressionError(what, hint="pass the value by itself")
    return filled


def _filled(piece: _Piece, scope: Scope) -> str:
    value = evaluate(piece.text, scope)
    try:
        _weigh(value, MAX_SIZE)
    except _FaultError as fault:
        raise _failed(_parse(piece.text), fault) from fault
    return _text(value)


def _explained(node: ast.expr, scope: Scope) -> str:
    explanation = _EXPLANATIONS.get(type(node))
    # Each part has its own evaluator: explaining evaluates more than the condition did and must not run out before it.
    return explanation(node, scope) if explanation else _shown(_Evaluator(scope).value(node))


def _explained_comparison(node: ast.Compare, scope: Scope) -> str:
    evaluator = _Evaluator(scope)
    left, explanation = evaluator.value(node.left), ""
    for operation, comparator in zip(node.ops, node.comparators, strict=True):
        right = evaluator.value(comparator)
        explanation = f"{_shown(left)} {_COMPARISONS[type(operation)][0]} {_shown(right)}"
        if not evaluator.compare(operation, left, right):
            break
        left = right
    return explanation


def _explained_logic(node: ast.BoolOp, scope: Scope) -> str:
    """Explain the parts up to the one that decides: of ``and`` only that one, of ``or`` each."""
    is_or = isinstance(node.op, ast.Or)
    shown: list[str] = []
    for part in node.values:
        shown.append(_explained(part, scope))
        if bool(_Evaluator(scope).value(part)) is is_or:
            break
    return " or ".join(shown) if is_or else shown[-1]


def _explained_sign(node: ast.UnaryOp, scope: Scope) -> str:
    if isinstance(node.op, ast.Not):
        return f"not {_explained(node.operand, scope)}"
    return _shown(_Evaluator(scope).value(node))


def _explained_choice(node: ast.IfExp, scope: Scope) -> str:
    return _explained(node.body if _Evaluator(scope).value(node.test) else node.orelse, scope)


def _explained_call(node: ast.Call, scope: Scope) -> str:
    evaluator = _Evaluator(scope)
    arguments = [_shown(evaluator.value(argument)) for argument in node.args]
    named = [f"{keyword.arg}={_shown(evaluator.value(keyword.value))}" for keyword in node.keywords]
    return f"{node.func.id}({', '.join(arguments + named)})"  # type: ignore[attr-defined]


_EXPLANATIONS: Mapping[type[ast.AST], Callable[[Any, Scope], str]] = {
    ast.BoolOp: _explained_logic,
    ast.Call: _explained_call,
    ast.Compare: _explained_comparison,
    ast.IfExp: _explained_choice,
    ast.UnaryOp: _explained_sign,
}
