"""Find what an expression reads of the context, whose keys hold dots, so that a path can be split in several ways."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import Protocol

from orchestrator.expressions.faults import FaultError, suggestion
from orchestrator.jsonsafe import JsonValue

CONTEXT = "ctx"
ABSENT = object()
TAKE_CONTEXT = frozenset({"has", "get"})

_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_PREFIX_EXAMPLES = 5
_PATH_LENGTH = 1_000
_PATH_PARTS = 32


class ContextValues(Protocol):
    """What a context must offer to be read: JSON values under dotted keys, each read when asked for."""

    def __contains__(self, key: object, /) -> bool:
        """Tell whether there is such a key, without reading its value."""

    def __getitem__(self, key: str, /) -> JsonValue:
        """Give the value of a key that is there."""

    def __iter__(self) -> Iterator[str]:
        """Go through the keys."""


class ContextPath(ast.expr):
    """Attributes that begin at ``ctx``, with every way to split them into a key and what to look up in its value."""

    def __init__(self, parts: Sequence[str]) -> None:
        super().__init__()
        self.name = ".".join(parts)
        self.splits = _splits(parts)


class ContextKey(ast.expr):
    """The subscript ``ctx[key]``."""

    def __init__(self, key: ast.expr) -> None:
        super().__init__()
        self.key = key


class WholeContext(ast.expr):
    """The name ``ctx`` where a function looks a path up in it."""


class ContextReads(ast.NodeTransformer):
    """Puts one node in place of each read of the context, and refuses ``ctx`` wherever it is not read."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Join the attributes that begin at ``ctx``."""
        parts: list[str] = []
        start: ast.expr = node
        while isinstance(start, ast.Attribute):
            parts.append(start.attr)
            start = start.value
        return ContextPath(parts[::-1]) if is_context(start) else self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Mark a subscript of ``ctx`` itself."""
        return ContextKey(self.visit(node.slice)) if is_context(node.value) else self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Let ``ctx`` be the first argument of the functions that look a path up."""
        takes_context = isinstance(node.func, ast.Name) and node.func.id in TAKE_CONTEXT
        if takes_context and node.args and is_context(node.args[0]):
            node.args[0] = WholeContext()
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Refuse ``ctx`` as a value, and know the constants also as YAML and JSON write them."""
        if node.id in _CONSTANTS and isinstance(node.ctx, ast.Load):
            return ast.copy_location(ast.Constant(_CONSTANTS[node.id]), node)
        if is_context(node):
            hint = "name a key, as in ctx.area.name_v1, or ask has(ctx, 'area.name_v1')"
            raise FaultError("ctx is not a value by itself", hint=hint, node=node)
        return node


class Context:
    """The context as one evaluation sees it: a key is read once, so its value cannot change on the way."""

    __slots__ = ("_source", "_values")

    def __init__(self, source: ContextValues) -> None:
        self._source = source
        self._values: dict[str, JsonValue] = {}

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key, without reading its value."""
        return key in self._values or key in self._source

    def __getitem__(self, key: str) -> JsonValue:
        """Give the value of a key that is there."""
        if key not in self._values:
            self._values[key] = self._source[key]
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        """Go through the keys."""
        return iter(self._source)

    def __repr__(self) -> str:
        """Give what stands for it in an expression."""
        return CONTEXT


def is_context(node: ast.AST) -> bool:
    """Tell whether the node is the name ``ctx``."""
    return isinstance(node, ast.Name) and node.id == CONTEXT


def reach(container: object, path: str) -> object:
    """Go down a dotted path whose beginning may be a key that holds dots; give `ABSENT` where it leads nowhere."""
    parts = str.split(path, ".")
    if len(path) > _PATH_LENGTH or len(parts) > _PATH_PARTS:
        raise FaultError(f"a path has more than {_PATH_LENGTH:,} characters or {_PATH_PARTS} parts")
    if not isinstance(container, (dict, Context)):
        return ABSENT
    for key, rest in _splits(parts):
        if key in container:
            return reduce(_step_down, rest, container[key])
    return ABSENT


def no_context_key(name: str, context: Iterable[str]) -> FaultError:
    """Give the fault of a key that is not in the context, with the keys that begin like it or resemble it."""
    below = sorted(key for key in context if key.startswith(name + "."))
    if not below:
        return FaultError("the context has no key {}", name, hint=suggestion(name, context))
    some = ", ".join(below[:_PREFIX_EXAMPLES]) + (" …" if len(below) > _PREFIX_EXAMPLES else "")
    return FaultError("{} is only a prefix of context keys", name, hint=f"name one of: {some}")


def _step_down(value: object, key: str) -> object:
    return value.get(key, ABSENT) if isinstance(value, dict) else ABSENT


def _splits(parts: Sequence[str]) -> tuple[tuple[str, Sequence[str]], ...]:
    """List every way to split a path into a dotted key and what to look up in its value, longest key first."""
    return tuple((".".join(parts[:end]), parts[end:]) for end in range(len(parts), 0, -1))
