"""Whatever is written and whatever it is about, there is a JSON value or one error."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import ExpressionError
from orchestrator.expressions import FUNCTIONS, Scope, check_template, evaluate, explain, resolve
from orchestrator.jsonsafe import check_json_safe

NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(max_size=5)
KEYS = st.sampled_from(["a", "b", "a.b"])
JSON = st.recursive(
    SCALARS, lambda parts: st.lists(parts, max_size=3) | st.dictionaries(KEYS, parts, max_size=3), max_leaves=6
)
SCOPES = st.builds(
    lambda names, ctx: Scope(names=names, ctx=ctx),
    st.fixed_dictionaries({"a": JSON, "b": JSON}),
    st.dictionaries(KEYS, JSON, max_size=3),
)
LEAVES = ["a", "b", "ctx.a", "ctx.a.b", "ctx['a.b']", "0", "2", "-1", "1.5", "'a'", "'%d'", "True", "None", "[]", "{}"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "<", "==", "!=", "in", "and", "or"]
OF_TWO = ["endswith", "get", "has", "isclose", "startswith"]
FORMS = [
    *(f"({{0}} {operator} {{1}})" for operator in OPERATORS),
    *(f"{name}({{0}})" for name in sorted(FUNCTIONS) if name not in OF_TWO),
    *(f"{name}({{0}}, {{1}})" for name in [*OF_TWO, "round", "join", "max"]),
    "not {0}",
    "-{0}",
    "{0}.b",
    "{0}[{1}]",
    "{0}[{1}:{2}]",
    "[{0}, {1}]",
    "{{{0}: {1}}}",
    "({0} if {1} else {2})",
    "[({0}) for a in {1} if {2}]",
    "{{b: {0} for b in {1}}}",
    "range({0}, {1}, {2})",
]
EXPRESSIONS = st.recursive(
    st.sampled_from(LEAVES),
    lambda parts: st.builds(lambda form, *inner: form.format(*inner), st.sampled_from(FORMS), parts, parts, parts),
    max_leaves=12,
)


@settings(max_examples=300)
@given(text=EXPRESSIONS, scope=SCOPES)
def test_any_expression_gives_json_or_one_error(text: str, scope: Scope) -> None:
    """Whatever is put together from the language, over whatever values, is JSON-safe or an `ExpressionError`."""
    try:
        value = evaluate(text, scope)
    except ExpressionError:
        return
    check_json_safe(value)
    explain(text, scope)


@settings(max_examples=200)
@given(text=st.text(max_size=12) | st.text(alphabet="ab.()[]{}'\"\\+-*/ :=,$0\n\r#", max_size=16), scope=SCOPES)
def test_any_text_gives_a_value_or_one_error(text: str, scope: Scope) -> None:
    """Whatever text stands in a recipe, bare or in a template, it has a value or gives an `ExpressionError`."""
    with suppress(ExpressionError):
        check_json_safe(evaluate(text, scope))
    with suppress(ExpressionError):
        check_json_safe(resolve("n ${{" + text + "}}", scope))


@settings(max_examples=200)
@given(text=st.text(alphabet="ab.()[]{}'é +:=$\n#", max_size=16))
def test_any_fault_has_its_place_inside_the_text(text: str) -> None:
    """The offset of a fault is never outside the text that holds it."""
    offset = 0
    try:
        check_template("é ${{" + text + "}}")
    except ExpressionError as error:
        offset = error.offset

    assert 0 <= offset <= len("é ${{" + text + "}}")
