"""Templates are filled in once, and keep the type of a lone expression."""

from __future__ import annotations

import pytest

from orchestrator.errors import ExpressionError
from orchestrator.expressions import Scope, check_template, has_expression, resolve
from orchestrator.jsonsafe import JsonValue


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("${{ item.sizes }}", [1, 2, 3]),
        ("${{ inputs.cutoff }}", 0.2),
        ("n = ${{ len(item.sizes) }}", "n = 3"),
        ("${{ item.id }}_${{ item.sizes[0] }}", "Cu_1"),
        ("${{ None }}, ${{ True }}, ${{ item }}", 'null, true, {"id":"Cu","sizes":[1,2,3]}'),
        ("${{ {'a': {'b': '}}'}} }}", {"a": {"b": "}}"}}),
        ("a }} b ${{ 'it\\'s {' }}", "a }} b it's {"),
        ({"a": ["${{ item.id }}", 1], "${{ b }}": None}, {"a": ["Cu", 1], "${{ b }}": None}),
    ],
)
def test_templates_are_filled_in(value: JsonValue, expected: JsonValue, scope: Scope) -> None:
    """A lone expression keeps its type, others become text, and keys stay as they are."""
    assert resolve(value, scope) == expected


def test_what_an_expression_gives_is_not_a_template() -> None:
    """A value that looks like a template is passed on as it is, so data cannot inject an expression."""
    scope = Scope(names={"item": "${{ secrets.token }}"})

    assert resolve(["${{ item }}", "a ${{ item }}"], scope) == ["${{ secrets.token }}", "a ${{ secrets.token }}"]


def test_a_value_without_expressions_is_returned_itself(scope: Scope) -> None:
    """Nothing is copied where there is nothing to evaluate, also beside what has to be."""
    plain = {"a": [1, "text", {"b": None}]}

    resolved = resolve({"plain": plain, "other": "${{ item.id }}"}, scope)

    assert resolve(plain, scope) is plain
    assert isinstance(resolved, dict)
    assert resolved["plain"] is plain


def test_a_filled_text_has_a_limit() -> None:
    """A text that would grow beyond a million characters is refused, and nothing after that is evaluated."""
    text = "${{ 'a' * 600000 }}${{ 'a' * 600000 }}${{ 1 / 0 }}"

    with pytest.raises(ExpressionError, match="more than 1,000,000 characters"):
        resolve(text, Scope())


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        ("n: ${{ inputs.cutoff }} ${{ a b }}", 30),
        ("n: ${{ inputs.cutoff", 3),
        ("n: ${{ inputs.cutoff }", 3),
        ("n: ${{ 'a }}", 7),
        ("n: ${{ }}", 6),
        ("n: ${{ ${{ a }} }}", 7),
    ],
)
def test_a_template_fault_has_its_place(text: str, offset: int) -> None:
    """The offset of a fault, or of an expression that is not closed, counts from the beginning of the whole text."""
    with pytest.raises(ExpressionError) as caught:
        check_template(text)

    assert (caught.value.code, caught.value.offset) == ("MS207", offset)


def test_templates_are_recognised() -> None:
    """Text without ``${{`` is no template, and any template that can be read passes."""
    assert has_expression("a ${{ b }}")
    assert not has_expression("a {{ b }} $b")
    check_template("a }} b")
    check_template("${{ inputs.cutoff }} and ${{ {'a': 1} }}")
