"""Read the text of a bare expression into a checked tree, once for each text."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import lru_cache

from orchestrator.errors import ExpressionError
from orchestrator.expressions.context_reads import ContextReads
from orchestrator.expressions.faults import FaultError, quoted
from orchestrator.expressions.limits import MAX_LENGTH
from orchestrator.expressions.syntax import KnownNames, check_names, check_tree

OPENING = "${{"
CLOSING = "}}"

_CACHED = 1_024
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_ESCAPES = frozenset("\\'\"nrtxu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """An expression whose tree was checked and may be evaluated any number of times."""

    text: str
    tree: ast.expr
    is_secret: bool

    def failed(self, fault: FaultError) -> ExpressionError:
        """Give the error of a fault met in evaluation; where secrets are read it holds no value, not even in a hint."""
        message = f"expression {quoted(self.text)}: {fault.told(is_secret=self.is_secret)}"
        return ExpressionError(message, hint="" if self.is_secret else fault.hint)


def check_syntax(text: str, known: KnownNames | None = None) -> None:
    """Raise `ExpressionError` unless the text is one bare expression of allowed constructs and functions.

    With ``known``, it may name nothing else: the roots, and below a root what is listed, unless that is None.
    """
    parsed = parse(text)
    if known is None:
        return
    try:
        check_names(parsed.tree, known)
    except FaultError as fault:
        raise _unreadable(text, fault.text, fault.hint, _offset(text, fault.node)) from fault


@lru_cache(maxsize=_CACHED)
def parse(text: str) -> Parsed:
    """Give the checked tree of a bare expression; raise `ExpressionError` (MS207) with the offset of what is wrong."""
    _check_text(text)
    tree = _tree(text)
    is_secret = any(isinstance(node, ast.Name) and node.id == "secrets" for node in ast.walk(tree))
    try:
        check_tree(tree)
        return Parsed(text=text, tree=ContextReads().visit(tree), is_secret=is_secret)
    except FaultError as fault:
        raise _unreadable(text, fault.text, fault.hint, _offset(text, fault.node)) from fault


def _unreadable(text: str, what: str, hint: str, offset: int) -> ExpressionError:
    message = f"expression {quoted(text)} cannot be read: {what}"
    return ExpressionError(message, hint=hint, code="MS207", offset=offset)


def _check_text(text: str) -> None:
    """Refuse what the parser would answer with a warning, a crash or a long wait."""
    if not text.strip():
        raise _unreadable(text, "it is empty", "write a condition or a value, as in 'inputs.cutoff > 0'", 0)
    if len(text) > MAX_LENGTH:
        what = f"it has {len(text):,} characters, more than {MAX_LENGTH:,}"
        raise _unreadable(text, what, "compute the value in a step", MAX_LENGTH)
    if OPENING in text:
        hint = "this place holds a bare expression: leave '${{' and '}}' away"
        raise _unreadable(text, "'${{' inside an expression", hint, text.index(OPENING))
    for escape in _ESCAPE.finditer(text):
        if escape[1] not in _ESCAPES:
            hint = r"write '\\' for a backslash"
            raise _unreadable(text, f"unknown escape {escape[0]!r}", hint, escape.start())


def _tree(text: str) -> ast.expr:
    try:
        return ast.parse(text.lstrip(), mode="eval").body
    except SyntaxError as error:
        what, offset = _syntax_fault(text, error)
        raise _unreadable(text, what, _syntax_hint(text, offset), offset) from error
    except (RecursionError, MemoryError) as error:
        raise _unreadable(text, "it is nested too deeply", "compute parts of it in a step", 0) from error
    except ValueError as error:
        raise _unreadable(text, "it holds a character that text cannot have", "", 0) from error


def _syntax_hint(text: str, offset: int) -> str:
    if text[offset : offset + 1] == "=":
        return "write '==' to compare"
    return "put brackets round an expression of several lines" if "\n" in text.strip() else ""


def _syntax_fault(text: str, error: SyntaxError) -> tuple[str, int]:
    """Give what is wrong and the character where; the parser reports the end of the text as column 0."""
    if not error.offset:
        return "it ends where more is expected", len(text.rstrip())
    start = _line_start(text, error.lineno or 1)
    return error.msg[:1].lower() + error.msg[1:], min(start + error.offset - 1, len(text))


def _offset(text: str, node: ast.expr | None) -> int:
    """Give the character at which a node begins; the parser counts lines and UTF-8 bytes."""
    if node is None:
        return 0
    start = _line_start(text, node.lineno)
    return start + len(text[start:].encode()[: node.col_offset].decode(errors="ignore"))


def _line_start(text: str, line: int) -> int:
    """Give the character at which the parser's line begins; it was given the text without its margin."""
    bare = text.lstrip()
    return len(text) - len(bare) + sum(len(before) + 1 for before in bare.split("\n")[: line - 1])
