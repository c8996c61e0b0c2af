"""Explain a condition by the values that decided it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.expressions.evaluation import Evaluator, Scope
from orchestrator.expressions.faults import FaultError, shown
from orchestrator.expressions.operators import COMPARISONS, compare
from orchestrator.expressions.reading import parse


def explain(text: str, scope: Scope) -> str:
    """Give, in one line, the values that a failed condition compared, as in ``3 == 4``.

    Of ``a and b`` it is the first false part. Each value is cut to 60 characters; an expression that reads secrets
    explains nothing. Raises `ExpressionError` where `evaluate` does.
    """
    parsed = parse(text)
    if parsed.is_secret:
        return "values are kept secret"
    try:
        return _explained(parsed.tree, scope)
    except FaultError as fault:
        raise parsed.failed(fault) from fault


def _explained(node: ast.expr, scope: Scope) -> str:
    explanation = _EXPLANATIONS.get(type(node), _value)
    return explanation(node, scope)


def _value(node: ast.expr, scope: Scope) -> str:
    # Each part has its own evaluator: explaining evaluates more than the condition did and must not run out before it.
    return shown(Evaluator(scope).value(node))


def _comparison(node: ast.Compare, scope: Scope) -> str:
    evaluator = Evaluator(scope)
    left, explanation = evaluator.value(node.left), ""
    for operation, comparator in zip(node.ops, node.comparators, strict=True):
        right = evaluator.value(comparator)
        explanation = f"{shown(left)} {COMPARISONS[type(operation)][0]} {shown(right)}"
        if not compare(operation, left, right, evaluator.budget):
            break
        left = right
    return explanation


def _logic(node: ast.BoolOp, scope: Scope) -> str:
    """Explain the parts up to the one that decides: of ``and`` only that one, of ``or`` each."""
    is_or = isinstance(node.op, ast.Or)
    explained: list[str] = []
    for part in node.values:
        explained.append(_explained(part, scope))
        if bool(Evaluator(scope).value(part)) is is_or:
            break
    return " or ".join(explained) if is_or else explained[-1]


def _sign(node: ast.UnaryOp, scope: Scope) -> str:
    return f"not {_explained(node.operand, scope)}" if isinstance(node.op, ast.Not) else _value(node, scope)


def _choice(node: ast.IfExp, scope: Scope) -> str:
    return _explained(node.body if Evaluator(scope).value(node.test) else node.orelse, scope)


def _call(node: ast.Call, scope: Scope) -> str:
    evaluator = Evaluator(scope)
    arguments = [shown(evaluator.value(argument)) for argument in node.args]
    named = [f"{keyword.arg}={shown(evaluator.value(keyword.value))}" for keyword in node.keywords]
    return f"{node.func.id}({', '.join(arguments + named)})"  # type: ignore[attr-defined]


_EXPLANATIONS: Mapping[type[ast.AST], Callable[[Any, Scope], str]] = {
    ast.BoolOp: _logic,
    ast.Call: _call,
    ast.Compare: _comparison,
    ast.IfExp: _choice,
    ast.UnaryOp: _sign,
}
