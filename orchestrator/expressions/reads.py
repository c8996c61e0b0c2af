"""List what an expression reads, by name, without evaluating it."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from orchestrator.expressions.context_reads import CONTEXT, TAKE_CONTEXT, ContextKey, ContextPath, WholeContext
from orchestrator.expressions.reading import parse


@dataclass(frozen=True, slots=True)
class Read:
    """A value that is read: its root, such as ``ctx`` or ``inputs``, and its dotted path below it, "" for all of it.

    ``asked`` tells that the expression asks whether the value is there, by ``has`` or ``get``.
    """

    root: str
    path: str
    asked: bool = False


def reads(text: str) -> list[Read]:
    """List what a bare expression reads; raise `ExpressionError` where it cannot be read."""
    visitor = _Reads()
    visitor.visit(parse(text).tree)
    return visitor.found


class _Reads(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: list[Read] = []

    def visit_ContextPath(self, node: ContextPath) -> None:
        """Take ``ctx.a.b``."""
        self.found.append(Read(CONTEXT, node.name))

    def visit_ContextKey(self, node: ContextKey) -> None:
        """Take ``ctx['a.b']``, and what the key is made of."""
        self.found.append(Read(CONTEXT, _constant(node.key)))
        self.visit(node.key)

    def visit_Call(self, node: ast.Call) -> None:
        """Take ``has(ctx, 'a.b')``, and the arguments of any other function."""
        rest = node.args
        if isinstance(node.func, ast.Name) and node.func.id in TAKE_CONTEXT:
            start, path, *default = node.args
            if isinstance(start, ast.Name | WholeContext):
                root = start.id if isinstance(start, ast.Name) else CONTEXT
                self.found.append(Read(root, _constant(path), asked=True))
                rest = [path, *default]
        for part in (*rest, *node.keywords):
            self.visit(part)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Take ``inputs.a.b``."""
        self._take(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Take ``inputs['a']``, and what the key is made of."""
        self._take(node)

    def visit_Name(self, node: ast.Name) -> None:
        """Take a name by itself, all of what it stands for."""
        self.found.append(Read(node.id, ""))

    def _take(self, node: ast.expr) -> None:
        parts: list[str] = []
        while isinstance(node, ast.Attribute | ast.Subscript):
            if isinstance(node, ast.Subscript):
                self.visit(node.slice)
            parts.append(_constant(node.slice) if isinstance(node, ast.Subscript) else node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            known = parts[::-1]
            self.found.append(Read(node.id, ".".join(known[: known.index("")] if "" in known else known)))
        else:
            self.visit(node)


def _constant(node: ast.AST) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""
