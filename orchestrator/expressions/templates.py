"""Fill in templates: texts that hold expressions between ``${{`` and ``}}``."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.errors import ExpressionError
from orchestrator.expressions.evaluation import Scope, evaluate
from orchestrator.expressions.faults import SHOWN
from orchestrator.expressions.functions import as_text
from orchestrator.expressions.limits import MAX_LENGTH, MAX_SIZE, SIZED
from orchestrator.expressions.reading import CLOSING, OPENING, check_syntax
from orchestrator.expressions.syntax import KnownNames
from orchestrator.jsonsafe import JsonValue

_TOKEN = re.compile(r"\\.|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[{}]", re.DOTALL)
_DEPTHS = {"{": 1, "}": -1}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A part of a template, as plain text or as an expression, and the character at which it begins."""

    text: str
    offset: int
    is_expression: bool


def has_expression(text: str) -> bool:
    """Tell whether the text holds ``${{``."""
    return OPENING in text


def check_template(text: str, known: KnownNames | None = None) -> None:
    """Raise `ExpressionError` unless every ``${{ expression }}`` in the text is closed and can be read.

    ``known`` is that of `check_syntax`.
    """
    for piece in _pieces(text):
        if piece.is_expression:
            _check_expression(piece, known)


def expressions_in(text: str) -> list[str]:
    """Give the expressions of a template that can be read, without ``${{`` and ``}}``."""
    return [piece.text for piece in _pieces(text) if piece.is_expression]


def resolve(value: JsonValue, scope: Scope) -> JsonValue:
    """Give the value with every ``${{ expression }}`` in its strings evaluated, at all depths; keys stay as they are.

    A string that is one expression and nothing else becomes that expression's value. In any other, strings are put in
    as they are and all else as JSON. A value without expressions is returned itself. What an expression gives is never
    searched for expressions. Raises `ExpressionError`.
    """
    if isinstance(value, str):
        return _filled(value, scope) if OPENING in value else value
    if isinstance(value, list):
        parts = [resolve(part, scope) if type(part) in SIZED else part for part in value]
        return value if all(map(operator.is_, parts, value)) else parts
    if isinstance(value, dict):
        members = {key: resolve(part, scope) if type(part) in SIZED else part for key, part in value.items()}
        return value if all(map(operator.is_, members.values(), value.values())) else members
    return value


def _filled(text: str, scope: Scope) -> JsonValue:
    pieces = tuple(_pieces(text))
    if len(pieces) == 1:
        return evaluate(pieces[0].text, scope)
    filled = ""
    for piece in pieces:
        filled += as_text(evaluate(piece.text, scope)) if piece.is_expression else piece.text
        if len(filled) > max(MAX_SIZE, len(text)):
            what = f"text {text[:SHOWN]!r} with its expressions filled in has more than {MAX_SIZE:,} characters"
            raise ExpressionError(what, hint="pass the value by itself")
    return filled


def _check_expression(piece: _Piece, known: KnownNames | None) -> None:
    try:
        check_syntax(piece.text, known)
    except ExpressionError as error:
        offset = piece.offset + error.offset
        raise ExpressionError(error.message, hint=error.hint, code=error.code, offset=offset) from error


def _pieces(text: str) -> Iterator[_Piece]:
    end = 0
    while (opening := text.find(OPENING, end)) >= 0:
        if opening > end:
            yield _Piece(text=text[end:opening], offset=end, is_expression=False)
        start = opening + len(OPENING)
        closing = _closing(text, opening)
        yield _Piece(text=text[start:closing], offset=start, is_expression=True)
        end = closing + len(CLOSING)
    if end < len(text):
        yield _Piece(text=text[end:], offset=end, is_expression=False)


def _closing(text: str, opening: int) -> int:
    """Give the place of the ``}}`` that ends an expression, past quoted text and the braces of dicts."""
    start = opening + len(OPENING)
    depth = 0
    for token in _TOKEN.finditer(text, start, start + MAX_LENGTH + len(CLOSING)):
        if token[0] == "}" and depth == 0 and text.startswith(CLOSING, token.start()):
            return token.start()
        depth = max(depth + _DEPTHS.get(token[0], 0), 0)
    shown = text[opening : opening + SHOWN]
    hint = f"close it with '}}}}' within {MAX_LENGTH:,} characters"
    raise ExpressionError(f"'${{{{' is not closed: {shown!r}", hint=hint, code="MS207", offset=opening)
