"""Evaluate bare expressions over the values that a recipe may name."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from simpleeval import SimpleEval  # type: ignore[import-untyped]

from orchestrator.expressions.context_reads import (
    CONTEXT,
    Context,
    ContextKey,
    ContextPath,
    ContextValues,
    WholeContext,
    no_context_key,
)
from orchestrator.expressions.faults import FaultError, kind, suggestion
from orchestrator.expressions.functions import FUNCTIONS, call_function
from orchestrator.expressions.limits import Budget
from orchestrator.expressions.operators import calculate, compare, give_sign
from orchestrator.expressions.reading import parse
from orchestrator.jsonsafe import JsonValue

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

_CONSTANTS = {
    "false": "did you mean 'False'?",
    "none": "did you mean 'None'?",
    "null": "did you mean 'None'?",
    "true": "did you mean 'True'?",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an expression may name: ``names`` holds JSON values, ``ctx`` has those of the context by dotted key.

    Each key of ``ctx`` is read at most once in an evaluation. Results share parts with the scope and are not to be
    changed.
    """

    names: Mapping[str, JsonValue] = field(default_factory=dict)
    ctx: ContextValues = field(default_factory=dict[str, JsonValue])


def evaluate(text: str, scope: Scope) -> JsonValue:
    """Give the value of a bare expression; raise `ExpressionError` where it has none."""
    parsed = parse(text)
    try:
        return Evaluator(scope).value(parsed.tree)
    except FaultError as fault:
        raise parsed.failed(fault) from (None if parsed.is_secret else fault)


def evaluate_condition(text: str, scope: Scope) -> bool:
    """Give the value of a bare expression that must be exactly true or false; raise `ExpressionError` otherwise."""
    value = evaluate(text, scope)
    if isinstance(value, bool):
        return value
    hint = "compare it, as in 'len(x) > 0', or write bool(x)"
    raise parse(text).failed(FaultError(f"a condition is true or false, but {{}} is {kind(value)}", value, hint=hint))


class Evaluator(SimpleEval):  # type: ignore[misc]
    """Evaluates parts of one checked tree within one budget; raises `FaultError`.

    Truth, conditional values and slice bounds are simpleeval's; whatever could reach a Python object or grow without
    bound is replaced. The fixed table of methods stands in for the one that simpleeval builds for each evaluator.
    """

    def __init__(self, scope: Scope) -> None:
        self.names = scope.names
        self.context = Context(scope.ctx)
        self.loop_names: dict[str, JsonValue] = {}
        self.budget = Budget()

    def value(self, node: ast.expr) -> JsonValue:
        """Give the value of a part of the tree."""
        return self._eval(node)

    def _eval(self, node: ast.expr) -> JsonValue:
        self.budget.count()
        result: JsonValue = getattr(self, _METHODS[type(node)])(node)
        return result

    def _eval_name(self, node: ast.Name) -> JsonValue:
        for names in (self.loop_names, self.names):
            if node.id in names:
                return names[node.id]
        raise _undefined(node.id, {*self.names, *self.loop_names, CONTEXT})

    def _eval_context_path(self, node: ContextPath) -> JsonValue:
        for key, rest in node.splits:
            if key in self.context:
                return reduce(_attribute, rest, self.context[key])
        raise no_context_key(node.name, self.context)

    def _eval_context_key(self, node: ContextKey) -> JsonValue:
        key = self._eval(node.key)
        if type(key) is not str:
            raise FaultError("ctx[{}]: a context key is a string", key, hint="write ctx['area.name_v1']")
        if key not in self.context:
            raise no_context_key(key, self.context)
        return self.context[key]

    def _eval_whole_context(self, _: WholeContext) -> Context:
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
        return self.budget.built(part) if isinstance(key, slice) else part

    def _eval_unaryop(self, node: ast.UnaryOp) -> JsonValue:
        operand = self._eval(node.operand)
        return not operand if isinstance(node.op, ast.Not) else give_sign(node.op, operand)

    def _eval_binop(self, node: ast.BinOp) -> JsonValue:
        return calculate(node.op, self._eval(node.left), self._eval(node.right), self.budget)

    def _eval_compare(self, node: ast.Compare) -> JsonValue:
        left = self._eval(node.left)
        for operation, comparator in zip(node.ops, node.comparators, strict=True):
            right = self._eval(comparator)
            if not compare(operation, left, right, self.budget):
                return False
            left = right
        return True

    def _eval_call(self, node: ast.Call) -> JsonValue:
        name: str = node.func.id  # type: ignore[attr-defined]
        arguments = [self._eval(argument) for argument in node.args]
        named = {str(keyword.arg): self._eval(keyword.value) for keyword in node.keywords}
        return call_function(name, arguments, named, self.budget)

    def _eval_list(self, node: ast.List) -> JsonValue:
        return self.budget.built([self._eval(part) for part in node.elts])

    def _eval_dict(self, node: ast.Dict) -> JsonValue:
        pairs = zip(node.keys, node.values, strict=True)
        return self.budget.built({self._key(key): self._eval(value) for key, value in pairs})  # type: ignore[arg-type]

    def _eval_listcomp(self, node: ast.ListComp | ast.GeneratorExp) -> JsonValue:
        outside = dict(self.loop_names)
        values: JsonValue = [self._eval(node.elt) for _ in self._rounds(node.generators)]
        self.loop_names = outside
        return self.budget.built(values)

    def _eval_dictcomp(self, node: ast.DictComp) -> JsonValue:
        outside = dict(self.loop_names)
        values: JsonValue = {self._key(node.key): self._eval(node.value) for _ in self._rounds(node.generators)}
        self.loop_names = outside
        return self.budget.built(values)

    def _rounds(self, loops: Sequence[ast.comprehension]) -> Iterator[None]:
        """Bind the loop variables to one combination after another."""
        if not loops:
            yield
            return
        for value in self._iterated(loops[0].iter):
            self.budget.count()
            self.loop_names[loops[0].target.id] = value  # type: ignore[attr-defined]
            if all(self._eval(condition) for condition in loops[0].ifs):
                yield from self._rounds(loops[1:])

    def _iterated(self, node: ast.expr) -> Iterable[JsonValue]:
        values = self._eval(node)
        if not isinstance(values, (list, dict)):
            what = f"'for' goes through a list or the keys of a dict, but {{}} is {kind(values)}"
            raise FaultError(what, values)
        return values

    def _key(self, node: ast.expr) -> str:
        key = self._eval(node)
        if not isinstance(key, str):
            raise FaultError(f"the key {{}} of a dict is {kind(key)}", key, hint="write str(key)")
        return key


_METHODS: Mapping[type[ast.AST], str] = {
    ContextKey: "_eval_context_key",
    ContextPath: "_eval_context_path",
    WholeContext: "_eval_whole_context",
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


def _undefined(name: str, known: Iterable[str]) -> FaultError:
    if name in FUNCTIONS:
        return FaultError(f"{name!r} is a function", hint=f"call it: {FUNCTIONS[name].usage}")
    if name in NAMES:
        return FaultError(f"{name!r} has no value here", hint=f"it is {NAMES[name]}")
    hint = _CONSTANTS.get(name.lower()) or suggestion(name, known)
    return FaultError(f"the name {name!r} is not defined", hint=hint)


def _attribute(value: JsonValue, name: str) -> JsonValue:
    if not isinstance(value, dict):
        raise FaultError(f"{{}} is {kind(value)} and has no key {name!r}", value)
    if name not in value:
        raise FaultError(f"{{}} has no key {name!r}", value, hint=suggestion(name, value))
    return value[name]  # type: ignore[no-any-return]


def _no_part(container: JsonValue, key: object) -> FaultError:
    if isinstance(container, dict) and isinstance(key, str):
        return FaultError("{} has no key {}", container, key, hint=suggestion(key, container))
    if isinstance(container, (str, list)) and isinstance(key, int):
        return FaultError(f"{{}} has {len(container)} elements and none at {{}}", container, key)
    hint = "lists and strings take integers, dicts take strings"
    return FaultError(f"{{}} is {kind(container)} and has no element {{}}", container, key, hint=hint)
