"""What cannot be read is refused with the place of the fault."""

from __future__ import annotations

import pytest

from orchestrator.errors import ExpressionError
from orchestrator.expressions import check_syntax


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("", 0),
        ("ctx.a b", 6),
        ("  ctx.a b", 8),
        ("'é' + é b", 8),
        ("(1 +\n $)", 6),
        ("1 + f(2)", 4),
        ("'é' + x.lower()", 6),
        ("(1 +\n lambda: 2)", 6),
        ("  (1 +\n lambda: 2)", 8),
        ("a + ${{ b }}", 4),
        (r"a == '\d'", 6),
        ("1 +", 3),
    ],
)
def test_a_syntax_fault_has_its_place(text: str, offset: int) -> None:
    """The offset counts characters from the beginning of the given text."""
    with pytest.raises(ExpressionError) as caught:
        check_syntax(text)

    assert (caught.value.code, caught.value.offset) == ("MS207", offset)


@pytest.mark.parametrize(
    "text",
    [
        "'a' \x00",
        "'\ud800'",
        r"'\ud800'",
        "-" * 4_000 + "1",
        "[" * 100 + "]" * 100,
        "1 + " * 1_000 + "1",
        "1" * 5_000,
    ],
)
def test_what_the_parser_cannot_take_is_refused(text: str) -> None:
    """Odd characters, deep nesting and long texts give an error, not a crash."""
    with pytest.raises(ExpressionError) as caught:
        check_syntax(text)

    assert caught.value.code == "MS207"


def test_a_template_is_not_an_expression() -> None:
    """Where a bare expression belongs, ``${{`` is refused with what to leave away."""
    with pytest.raises(ExpressionError) as caught:
        check_syntax("${{ inputs.cutoff }} > 0")

    assert caught.value.hint == "this place holds a bare expression: leave '${{' and '}}' away"
