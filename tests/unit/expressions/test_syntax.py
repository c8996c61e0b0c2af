"""What is not in the language is refused before anything is evaluated."""

from __future__ import annotations

import pytest

from orchestrator.errors import ExpressionError
from orchestrator.expressions import check_syntax


@pytest.mark.parametrize(
    "text",
    [
        "().__class__",
        "ctx.__class__",
        "item.__class__",
        "__import__('os')",
        "open('x')",
        "item.sizes.append(4)",
        "'{:>1000000000}'.format(1)",
        "(lambda: 1)()",
        "f'{item}'",
        "(y := 1)",
        "{1, 2}",
        "(1, 2)",
        "[*x]",
        "{**item}",
        "len(*x)",
        "len(**x)",
        "1 << 1000000000",
        "item | item",
        "~1",
        "1 is 1",
        "b'bytes'",
        "1j",
        "1e999",
        "9007199254740992",
        r"'\d'",
        "...",
        "[a for a, b in x]",
        "[1 for a in x for b in x for c in x for d in x for e in x]",
        "len()",
        "isclose(1, 2, tolerance=3)",
    ],
)
def test_what_is_not_in_the_language_is_refused_unread(text: str) -> None:
    """Python objects, methods, unknown functions and foreign literals are refused."""
    with pytest.raises(ExpressionError) as caught:
        check_syntax(text)

    assert caught.value.code == "MS207"


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("lenn(x) > 0", "there is no function 'lenn'", "did you mean 'len'?"),
        ("x.lower() == 'a'", "the method call '.lower()' is not allowed", "call a function: lower(x)"),
        ("[(1, 2)]", "a tuple is not allowed", "write a list: [a, b]"),
        ("x | y", "the operator '|' is not allowed", "use 'and', 'or', and the operators + - * / // % **"),
        ("len(x, y)", "len: too many positional arguments", "write len(x)"),
    ],
)
def test_what_was_meant_is_suggested(text: str, what: str, hint: str) -> None:
    """A refusal says what is not allowed and what to write instead."""
    with pytest.raises(ExpressionError) as caught:
        check_syntax(text)

    assert caught.value.message == f"expression {text!r} cannot be read: {what}"
    assert caught.value.hint == hint
