"""Expressions see plain JSON values, give JSON values, and explain themselves."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import ExpressionError
from orchestrator.expressions import (
    FUNCTIONS,
    Scope,
    check_syntax,
    check_template,
    evaluate,
    evaluate_condition,
    explain,
    has_expression,
    resolve,
)
from orchestrator.jsonsafe import JsonValue, check_json_safe

MEGABYTE = 1_000_000
CONTEXT: dict[str, JsonValue] = {
    "numbers": {"other": 1},
    "numbers.stats_v1": {"mean": 3.5, "count": 4, "to": {"north": [7, 8]}},
    "numbers.median_v1": {"count": 3},
    "candidates.list_v1": ["Cu", "Ag"],
    "site.odd-name_v1": {"if": 1, "two words": 2},
}
SCOPE = Scope(
    names={"inputs": {"cutoff": 0.2, "src": "a.csv"}, "item": {"id": "Cu", "sizes": [1, 2, 3]}, "x": []},
    ctx=CONTEXT,
)
NOT_ALLOWED = [
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
    "1 << 1000000000",
    "item | item",
    "~1",
    "1 is 1",
    "b'bytes'",
    "1j",
    "1e999",
    "9007199254740992",
    r"'\ud800'",
    r"'\d'",
    "...",
    "ctx",
    "[ctx]",
    "[1 for ctx in x]",
    "[a for a, b in x]",
    "len()",
    "isclose(1, 2, tolerance=3)",
    "'a' \x00",
    "'\ud800'",
    "-" * 4_000 + "1",
    "[" * 100 + "]" * 100,
    "1 + " * 1_000 + "1",
    "1" * 5_000,
]
TOO_MUCH = [
    "'a' * 10**9",
    "[0] * 10**8",
    "9**9**9",
    "2.0**100000",
    "(-8)**0.5",
    "1e308 * 10",
    "9007199254740991 + 1",
    "range(10**12)",
    "round(5, -10**9)",
    "'%1000000000d' % 1",
    "[a for a in range(9999) for b in range(9999) for c in range(9999)]",
    "[[[b for b in range(9999)] for c in range(9999)] for d in range(9999)]",
    "[[[[1] * 999] * 999] * 999]",
    "[d for a in [[1] * 999] for b in [[a] * 999] for c in [[b] * 999] for d in [[c] * 999]]",
    "[[0] * 999999 for a in range(99)]",
    "[range(9999) for a in range(9999)]",
    "['a' * 999999 + 'a' * 999999]",
    "join(['a' * 1000] * 1000, 'b' * 999)",
    "str([['a' * 1000] * 1000])",
    "has(item, 'a' * 999999)",
    "float('nan')",
    "float('inf')",
    "int('9' * 5000)",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("7 // 2 + 7 % 2 - 2 ** 3", -4),
        ("'a' + 'b' * 2", "abb"),
        ("[1] + [2]", [1, 2]),
        ("1 < 2 <= 2 and not False", True),
        ("'Cu' in ctx.candidates.list_v1", True),
        ("'b' if x else 'c'", "c"),
        ("item.sizes[-1]", 3),
        ("item.sizes[1:]", [2, 3]),
        ("item['id'][0]", "C"),
        ("[a * 2 for a in item.sizes if a > 1]", [4, 6]),
        ("{a: len(a) for a in ctx.candidates.list_v1}", {"Cu": 2, "Ag": 2}),
        ("all(a > 0 for a in item.sizes)", True),
        ("[item for item in item.sizes] + [item.id]", [1, 2, 3, "Cu"]),
        ("{'a': [None, True, 1.5]}", {"a": [None, True, 1.5]}),
        ("(1 +\n 2)", 3),
    ],
)
def test_an_expression_has_a_value(text: str, expected: JsonValue) -> None:
    """Arithmetic, logic, comparison, choice, slices, literals and comprehensions work as in Python."""
    assert evaluate(text, SCOPE) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abs(-2)", 2),
        ("all([1, 0])", False),
        ("any([1, 0])", True),
        ("bool('')", False),
        ("endswith('a.csv', '.csv')", True),
        ("float('2.5')", 2.5),
        ("get(item, 'name', 'none')", "none"),
        ("has(item, 'id')", True),
        ("int(2.9)", 2),
        ("isclose(0.1 + 0.2, 0.3)", True),
        ("join(['a', 'b'], '-')", "a-b"),
        ("keys({'b': 1, 'a': 2})", ["b", "a"]),
        ("len('abc')", 3),
        ("lower('Cu')", "cu"),
        ("max(1, 3, 2)", 3),
        ("min([2, 1])", 1),
        ("range(1, 7, 2)", [1, 3, 5]),
        ("round(2.345, 1)", 2.3),
        ("sorted([2, 3, 1], reverse=True)", [3, 2, 1]),
        ("startswith('a.csv', 'b')", False),
        ("str([1, 'a', None])", '[1,"a",null]'),
        ("sum([1, 2.5])", 3.5),
        ("upper('Cu')", "CU"),
        ("values({'b': 1, 'a': 2})", [1, 2]),
    ],
)
def test_a_function_does_what_its_row_says(text: str, expected: JsonValue) -> None:
    """Every function of the table gives its documented result."""
    assert evaluate(text, SCOPE) == expected


def test_every_function_is_documented() -> None:
    """The reference can be made from the table: each row shows how the function is called and what it gives."""
    assert all(function.usage.startswith(f"{name}(") and function.meaning for name, function in FUNCTIONS.items())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ctx.numbers.stats_v1.mean", 3.5),
        ("ctx.numbers.stats_v1.to.north[1]", 8),
        ("ctx.numbers.other", 1),
        ("ctx['numbers.stats_v1'].mean", 3.5),
        ("ctx['site.odd-name_v1']['if']", 1),
        ("ctx['site.odd-name_v1']['two words']", 2),
        ("has(ctx, 'numbers.stats_v1')", True),
        ("has(ctx, 'numbers.stats_v1.to.north')", True),
        ("has(ctx, 'numbers.stats_v1.to.south')", False),
        ("has(ctx, 'candidates')", False),
        ("get(ctx, 'numbers.stats_v1.mean', 0)", 3.5),
        ("get(ctx, 'numbers.mode_v1', 0)", 0),
        ("get(ctx, 'numbers.mode_v1')", None),
    ],
)
def test_the_longest_key_is_found(text: str, expected: JsonValue) -> None:
    """Of a dotted path, the longest beginning that is a context key is read and the rest is looked up in its value."""
    assert evaluate(text, SCOPE) == expected


class CountingContext(Mapping[str, JsonValue]):
    """A context that notes which values were asked for."""

    def __init__(self) -> None:
        """Begin with nothing asked for."""
        self.asked: list[str] = []

    def __getitem__(self, key: str) -> JsonValue:
        """Give the value and note the key."""
        self.asked.append(key)
        return CONTEXT[key]

    def __iter__(self) -> Iterator[str]:
        """Go through the keys."""
        return iter(CONTEXT)

    def __len__(self) -> int:
        """Count the keys."""
        return len(CONTEXT)

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key, without reading its value."""
        return key in CONTEXT


def test_the_context_is_read_when_asked_for() -> None:
    """Only the keys an expression names are read, each once."""
    context = CountingContext()

    evaluate("[a + ctx.numbers.median_v1.count + ctx.numbers.median_v1.count for a in range(3)]", Scope(ctx=context))

    assert context.asked == ["numbers.median_v1"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "inptus.cutoff > 0",
            "expression 'inptus.cutoff > 0': the name 'inptus' is not defined",
            "did you mean 'inputs'?",
        ),
        ("true", "expression 'true': the name 'true' is not defined", "did you mean 'True'?"),
        ("steps", "expression 'steps': 'steps' has no value here", "it is what became of the steps so far, by name"),
        ("len", "expression 'len': 'len' is a function", "call it: len(x)"),
        (
            "inputs.cutof",
            "expression 'inputs.cutof': {'cutoff': 0.2, 'src': 'a.csv'} has no key 'cutof'",
            "did you mean 'cutoff'?",
        ),
        (
            "inputs['cutof']",
            "expression \"inputs['cutof']\": {'cutoff': 0.2, 'src': 'a.csv'} has no key 'cutof'",
            "did you mean 'cutoff'?",
        ),
        (
            "inputs.cutoff.unit",
            "expression 'inputs.cutoff.unit': 0.2 is a number and has no key 'unit'",
            "",
        ),
        (
            "ctx.number.stats_v1",
            "expression 'ctx.number.stats_v1': the context has no key 'number.stats_v1'",
            "did you mean 'numbers.stats_v1'?",
        ),
        (
            "ctx.candidates",
            "expression 'ctx.candidates': 'candidates' is only a prefix of context keys",
            "name one of: candidates.list_v1",
        ),
        (
            "ctx.numbers.median_v1.cout",
            "expression 'ctx.numbers.median_v1.cout': {'count': 3} has no key 'cout'",
            "did you mean 'count'?",
        ),
        ("ctx[1]", "expression 'ctx[1]': ctx[1]: a context key is a string", "write ctx['area.name_v1']"),
        ("item.sizes[9]", "expression 'item.sizes[9]': [1, 2, 3] has 3 elements and none at 9", ""),
        (
            "item.id + 1",
            "expression 'item.id + 1': 'Cu' + 1 would calculate with a string and an integer",
            "convert with str(x), float(x) or int(x)",
        ),
        (
            "item.id < 1",
            "expression 'item.id < 1': 'Cu' < 1 would compare a string with an integer",
            "compare values of one kind",
        ),
        ("1 / len(x)", "expression '1 / len(x)': 1 / 0 divides by zero", ""),
        ("-item.id", "expression '-item.id': - 'Cu' needs a number, not a string", ""),
        ("{1: 2}", "expression '{1: 2}': the key 1 of a dict is an integer", "write str(key)"),
        (
            "[a for a in 'abc']",
            "expression \"[a for a in 'abc']\": 'for' goes through a list or the keys of a dict, but 'abc' is a string",
            "",
        ),
        (
            "float('many')",
            "expression \"float('many')\": float('many') is not possible",
            "float(x): the number that a text or a number gives",
        ),
    ],
)
def test_an_error_names_the_values(text: str, message: str, hint: str) -> None:
    """An expression that has no value is refused with what was wrong and what to write instead."""
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, SCOPE)

    assert (caught.value.code, caught.value.message, caught.value.hint) == ("MS306", message, hint)


@pytest.mark.parametrize(
    "call",
    ["len(1)", "join([], [])", "join([1])", "lower(1)", "startswith('a', 1)", "keys([])", "sum(['a'])", "min([])"],
)
def test_a_function_refuses_what_it_is_not_for(call: str) -> None:
    """A value of the wrong kind is refused by the function it was given to."""
    with pytest.raises(ExpressionError) as caught:
        evaluate(call, SCOPE)

    assert caught.value.message == f"expression {call!r}: {call} is not possible"


def test_five_keys_below_a_prefix_are_listed() -> None:
    """A prefix of many keys is explained with the first five of them."""
    scope = Scope(ctx={f"sweep.run_{number}": number for number in range(7)})

    with pytest.raises(ExpressionError) as caught:
        evaluate("ctx.sweep", scope)

    listed = "sweep.run_0, sweep.run_1, sweep.run_2, sweep.run_3, sweep.run_4 …"
    assert caught.value.hint == f"name one of: {listed}"


@pytest.mark.parametrize("text", NOT_ALLOWED)
def test_what_is_not_in_the_language_is_refused_unread(text: str) -> None:
    """Python objects, methods, unknown functions and foreign literals are refused before anything is evaluated."""
    with pytest.raises(ExpressionError) as caught:
        check_syntax(text)

    assert caught.value.code == "MS207"


@pytest.mark.parametrize("text", TOO_MUCH)
def test_what_would_grow_without_bound_is_refused(text: str) -> None:
    """An expression that would take too much time or memory is refused before it has taken 50 MB."""
    tracemalloc.start()

    with pytest.raises(ExpressionError):
        evaluate(text, SCOPE)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * MEGABYTE


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
        ("a + ${{ b }}", 4),
        (r"a == '\d'", 6),
        ("1 +", 3),
    ],
)
def test_a_syntax_fault_has_its_place(text: str, offset: int) -> None:
    """The offset counts characters from the beginning of the given text."""
    with pytest.raises(ExpressionError) as caught:
        check_syntax(text)

    assert caught.value.offset == offset


def test_an_unknown_function_is_suggested() -> None:
    """A misspelt function is refused with the one that was meant."""
    with pytest.raises(ExpressionError) as caught:
        check_syntax("lenn(x) > 0")

    assert caught.value.message == "expression 'lenn(x) > 0' cannot be read: there is no function 'lenn'"
    assert caught.value.hint == "did you mean 'len'?"


def test_a_template_is_not_an_expression() -> None:
    """Where a bare expression belongs, ``${{`` is refused with what to leave away."""
    with pytest.raises(ExpressionError) as caught:
        check_syntax("${{ inputs.cutoff }} > 0")

    assert caught.value.hint == "this place holds a bare expression: leave '${{' and '}}' away"


def test_a_condition_is_true_or_false() -> None:
    """A comparison gives its truth."""
    assert evaluate_condition("len(ctx.candidates.list_v1) == 2", SCOPE) is True
    assert evaluate_condition("len(ctx.candidates.list_v1) == 3", SCOPE) is False


@pytest.mark.parametrize(("text", "value"), [("len(item.id)", "2 is an integer"), ("x", "[] is a list")])
def test_a_condition_is_nothing_else(text: str, value: str) -> None:
    """A value that is merely true in Python is refused with the value and its kind."""
    with pytest.raises(ExpressionError) as caught:
        evaluate_condition(text, SCOPE)

    assert caught.value.message == f"expression {text!r}: a condition is true or false, but {value}"


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
def test_templates_are_filled_in(value: JsonValue, expected: JsonValue) -> None:
    """A lone expression keeps its type, others become text, and keys stay as they are."""
    assert resolve(value, SCOPE) == expected


def test_what_an_expression_gives_is_not_a_template() -> None:
    """A value that looks like a template is passed on as it is, so data cannot inject an expression."""
    scope = Scope(names={"item": "${{ secrets.token }}"})

    assert resolve(["${{ item }}", "a ${{ item }}"], scope) == ["${{ secrets.token }}", "a ${{ secrets.token }}"]


def test_a_value_without_expressions_is_returned_itself() -> None:
    """Nothing is copied where there is nothing to evaluate, also beside what has to be."""
    plain = {"a": [1, "text", {"b": None}]}

    resolved = resolve({"plain": plain, "other": "${{ item.id }}"}, SCOPE)

    assert resolve(plain, SCOPE) is plain
    assert isinstance(resolved, dict)
    assert resolved["plain"] is plain


def test_a_filled_text_has_a_limit() -> None:
    """A text that would grow beyond a million characters is refused."""
    text = "${{ 'a' * 600000 }}${{ 'a' * 600000 }}"

    with pytest.raises(ExpressionError, match="more than 1,000,000 characters"):
        resolve(text, SCOPE)


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ctx.numbers.median_v1.count == 4", "3 == 4"),
        ("len(x) > 0", "0 > 0"),
        ("1 < 3 < 2", "3 < 2"),
        ("item.id in ['Ag', 'Au']", "'Cu' in ['Ag', 'Au']"),
        ("item.id == 'Cu' and len(x) > 0 and inputs.cutoff > 1", "0 > 0"),
        ("len(x) > 0 or inputs.cutoff > 1", "0 > 0 or 0.2 > 1"),
        ("item.id == 'Cu' or 1 / 0 > 1", "'Cu' == 'Cu'"),
        ("not item.sizes", "not [1, 2, 3]"),
        ("not len(x) == 0", "not 0 == 0"),
        ("isclose(ctx.numbers.stats_v1.mean, 4, rel_tol=0.01)", "isclose(3.5, 4, rel_tol=0.01)"),
        ("has(ctx, 'numbers.mode_v1')", "has(ctx, 'numbers.mode_v1')"),
        ("len(x) > 1 if item.id == 'Cu' else False", "0 > 1"),
        ("-len(item.id) == 2", "-2 == 2"),
        ("get(item, 'done', False)", "get({'id': 'Cu', 'sizes': [1, 2, 3]}, 'done', False)"),
    ],
)
def test_a_failed_condition_shows_its_values(text: str, expected: str) -> None:
    """The explanation holds the values that were compared, of the first part that is false."""
    assert explain(text, SCOPE) == expected


def test_long_values_are_shortened() -> None:
    """A value is shown up to 60 characters."""
    explanation = explain("range(1000) == 'é' * 1000", SCOPE)

    left, _, right = explanation.partition(" == ")
    assert left == "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, …"
    assert right == "'" + "é" * 58 + "…"


def test_an_explanation_is_one_line() -> None:
    """Line breaks inside values are written as escapes."""
    assert explain("item == 'c'", Scope(names={"item": "a\nb"})) == r"'a\nb' == 'c'"


@pytest.mark.parametrize("text", ["secrets.token + 1", "secrets.token", "float(secrets.token)", "secrets.token < 1"])
def test_a_secret_is_never_written(text: str) -> None:
    """Errors and explanations of an expression that reads secrets hold none of its values."""
    scope = Scope(names={"secrets": {"token": "hunter2"}})

    with pytest.raises(ExpressionError) as caught:
        evaluate_condition(text, scope)

    assert "hunter2" not in caught.value.explained()
    assert caught.value.__cause__ is None
    assert explain("secrets.token == 'a'", scope) == "values are kept secret"


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
FORMS = [
    *(f"({{0}} {sign} {{1}})" for sign in ["+", "-", "*", "/", "//", "%", "**", "<", "==", "!=", "in", "and", "or"]),
    *(
        f"{name}({{0}})"
        for name in sorted(FUNCTIONS)
        if name not in {"endswith", "get", "has", "isclose", "startswith"}
    ),
    *(f"{name}({{0}}, {{1}})" for name in ["endswith", "get", "has", "isclose", "startswith", "round", "join", "max"]),
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


@settings(max_examples=300, deadline=None)
@given(text=EXPRESSIONS, scope=SCOPES)
def test_any_expression_gives_json_or_one_error(text: str, scope: Scope) -> None:
    """Whatever is put together from the language, over whatever values, is JSON-safe or an `ExpressionError`."""
    try:
        value = evaluate(text, scope)
    except ExpressionError:
        return
    check_json_safe(value)
    explain(text, scope)


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=12) | st.text(alphabet="ab.()[]{}'\"\\+-*/ :=,$0\n\r#", max_size=16), scope=SCOPES)
def test_any_text_gives_a_value_or_one_error(text: str, scope: Scope) -> None:
    """Whatever text stands in a recipe, bare or in a template, it has a value or gives an `ExpressionError`."""
    with suppress(ExpressionError):
        check_json_safe(evaluate(text, scope))
    with suppress(ExpressionError):
        check_json_safe(resolve("n ${{" + text + "}}", scope))


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="ab.()[]{}'é +:=$\n#", max_size=16))
def test_any_fault_has_its_place_inside_the_text(text: str) -> None:
    """The offset of a fault is never outside the text that holds it."""
    offset = 0
    try:
        check_template("é ${{" + text + "}}")
    except ExpressionError as error:
        offset = error.offset

    assert 0 <= offset <= len("é ${{" + text + "}}")
