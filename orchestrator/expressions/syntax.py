"""Refuse every construct of Python that is not in the language, before anything is evaluated."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Mapping
from inspect import signature
from typing import Any

from orchestrator.expressions.context_reads import is_context
from orchestrator.expressions.faults import FaultError
from orchestrator.expressions.functions import FUNCTIONS
from orchestrator.expressions.limits import MAX_LOOPS, MAX_NESTING, is_json_number
from orchestrator.expressions.operators import ARITHMETIC, COMPARISONS, SIGNS
from orchestrator.keys import did_you_mean

KnownNames = Mapping[str, Collection[str] | None]

_ELSEWHERE = {
    "item": "only steps with 'foreach' or 'matrix' have an item",
    "secrets": "a secret reaches a step by its 'env', and nothing else",
    "result": "the envelope of a step is known in its 'success' and 'save' only",
}
_CHECKED = (ast.expr, ast.keyword, ast.comprehension)


def check_tree(tree: ast.expr) -> None:
    """Raise `FaultError` at the first node that is not allowed, or where the tree is too deep."""
    level: list[ast.AST] = [tree]
    for _ in range(MAX_NESTING):
        for node in level:
            _check_node(node)
        level = [child for node in level for child in ast.iter_child_nodes(node) if isinstance(child, _CHECKED)]
        if not level:
            return
    raise FaultError(f"it is nested deeper than {MAX_NESTING} levels", hint="compute parts of it in a step")


def check_names(tree: ast.expr, known: KnownNames) -> None:
    """Raise `FaultError` at the first name that is neither a root nor a loop variable, or is not below its root."""
    _check_names(tree, known, frozenset())


def _check_names(node: ast.AST, known: KnownNames, loops: frozenset[str]) -> None:
    """Check a part of a tree where the variables of the ``loops`` around it count."""
    if isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp):
        for loop in node.generators:
            _check_names(loop.iter, known, loops)
            loops |= {loop.target.id} if isinstance(loop.target, ast.Name) else frozenset()
            for condition in loop.ifs:
                _check_names(condition, known, loops)
        for value in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            _check_names(value, known, loops)
        return
    if isinstance(node, ast.Name) and node.id not in {*known, *loops}:
        raise FaultError(f"the name {node.id!r} is not defined", hint=_where_defined(node.id, known), node=node)
    root, name = _below_root(node)
    names = None if root in loops else known.get(root)
    if names is not None and name.partition("[")[0] not in names:
        raise FaultError(f"{root!r} has no {name!r}", hint=did_you_mean(name, names), node=node)  # type: ignore[arg-type]
    for part in (*node.args, *node.keywords) if isinstance(node, ast.Call) else ast.iter_child_nodes(node):
        _check_names(part, known, loops)


def _where_defined(name: str, known: KnownNames) -> str:
    return _ELSEWHERE.get(name) or did_you_mean(name, known)


def _below_root(node: ast.AST) -> tuple[str, str]:
    """Give the root and the name of ``root.name`` and ``root['name']``; nothing for another node."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return node.value.id, node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant):
        return node.value.id, str(node.slice.value)
    return "", ""


def _check_node(node: ast.AST) -> None:
    check = _CHECKS.get(type(node))
    if check is None:
        name, hint = _REFUSED.get(type(node), (type(node).__name__.lower(), ""))
        raise FaultError(f"{name} is not allowed", hint=hint, node=node if isinstance(node, ast.expr) else None)
    check(node)


def _accept(_: ast.AST) -> None:
    """Let a node pass that can do no harm, whatever it holds."""


def _check_constant(node: ast.Constant) -> None:
    value = node.value
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise FaultError("a string with half a surrogate pair", node=node)
    elif value is not None and not is_json_number(value):
        hint = "use strings, numbers within ±(2^53-1), True, False and None"
        raise FaultError("a literal that is no JSON value", hint=hint, node=node)


def _check_name(node: ast.Name) -> None:
    _refuse_double_underscore(node.id, node)


def _check_attribute(node: ast.Attribute) -> None:
    _refuse_double_underscore(node.attr, node)


def _refuse_double_underscore(name: str, node: ast.expr) -> None:
    if name.startswith("__"):
        raise FaultError(f"the name {name!r} begins with two underscores", hint="rename it", node=node)


def _check_sign(node: ast.UnaryOp) -> None:
    if type(node.op) not in SIGNS and not isinstance(node.op, ast.Not):
        raise FaultError("the operator '~' is not allowed", hint="use 'not'", node=node)


def _check_operator(node: ast.BinOp) -> None:
    if type(node.op) not in ARITHMETIC:
        hint = "use 'and', 'or', and the operators + - * / // % **"
        raise FaultError(f"the operator '{_REFUSED_OPERATORS[type(node.op)]}' is not allowed", hint=hint, node=node)


def _check_comparison(node: ast.Compare) -> None:
    if not COMPARISONS.keys() >= {type(operation) for operation in node.ops}:
        raise FaultError("'is' is not allowed", hint="use '==' or '!='", node=node)


def _check_dict(node: ast.Dict) -> None:
    if None in node.keys:
        raise FaultError("unpacking with '**' is not allowed", hint="name the keys", node=node)


def _check_call(node: ast.Call) -> None:
    if isinstance(node.func, ast.Attribute):
        name = node.func.attr
        hint = f"call a function: {name}(x)" if name in FUNCTIONS else did_you_mean("", FUNCTIONS)
        raise FaultError(f"the method call '.{name}()' is not allowed", hint=hint, node=node)
    if not isinstance(node.func, ast.Name):
        hint = did_you_mean("", FUNCTIONS)
        raise FaultError("only a function can be called, by its name", hint=hint, node=node)
    if node.func.id not in FUNCTIONS:
        hint = did_you_mean(node.func.id, FUNCTIONS)
        raise FaultError(f"there is no function {node.func.id!r}", hint=hint, node=node)
    _check_arguments(node, node.func.id)


def _check_arguments(node: ast.Call, name: str) -> None:
    function = FUNCTIONS[name]
    named = {keyword.arg: keyword for keyword in node.keywords if keyword.arg}
    if len(named) < len(node.keywords) or any(isinstance(argument, ast.Starred) for argument in node.args):
        raise FaultError("unpacking arguments is not allowed", hint=function.usage, node=node)
    try:
        signature(function.call).bind(*node.args, **named)
    except TypeError as error:
        raise FaultError(f"{name}: {error}", hint=f"write {function.usage}", node=node) from error


def _check_loops(node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> None:
    if len(node.generators) > MAX_LOOPS:
        raise FaultError(f"more than {MAX_LOOPS} 'for' in one comprehension", node=node)
    for loop in node.generators:
        if not isinstance(loop.target, ast.Name) or is_context(loop.target):
            hint = "write 'for x in …' with a name other than ctx"
            raise FaultError("the loop variable must be one name", hint=hint, node=loop.target)
        if loop.is_async:
            raise FaultError("'async' is not allowed", node=node)


_CHECKS: Mapping[type[ast.AST], Callable[[Any], None]] = {
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
