"""Of a dotted path, the longest beginning that is a context key is read, and read once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.errors import ExpressionError
from orchestrator.expressions import Scope, check_syntax, evaluate
from orchestrator.jsonsafe import JsonValue


class CountingContext:
    """A context of two keys that notes which values were asked for."""

    def __init__(self) -> None:
        """Begin with nothing asked for."""
        self.asked: list[str] = []
        self.values_by_key: dict[str, JsonValue] = {"numbers.median_v1": {"count": 3}, "numbers.stats_v1": {"count": 4}}

    def __getitem__(self, key: str) -> JsonValue:
        """Give the value and note the key."""
        self.asked.append(key)
        return self.values_by_key[key]

    def __iter__(self) -> Iterator[str]:
        """Go through the keys."""
        return iter(self.values_by_key)

    def __contains__(self, key: object) -> bool:
        """Tell whether there is such a key, without reading its value."""
        return key in self.values_by_key


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
def test_the_longest_key_is_found(text: str, expected: JsonValue, scope: Scope) -> None:
    """Whichever way a path is written, its key is found and the rest is looked up in the key's value."""
    assert evaluate(text, scope) == expected


def test_the_context_is_read_when_asked_for() -> None:
    """Only the keys an expression names are read, each once."""
    context = CountingContext()

    evaluate("[a + ctx.numbers.median_v1.count + ctx.numbers.median_v1.count for a in range(3)]", Scope(ctx=context))

    assert context.asked == ["numbers.median_v1"]


@pytest.mark.parametrize(
    ("text", "fault", "hint"),
    [
        ("ctx.number.stats_v1", "the context has no key 'number.stats_v1'", "did you mean 'numbers.stats_v1'?"),
        ("ctx.candidates", "'candidates' is only a prefix of context keys", "name one of: candidates.list_v1"),
        ("ctx.numbers.median_v1.cout", "{'count': 3} has no key 'cout'", "did you mean 'count'?"),
        ("ctx[1]", "ctx[1]: a context key is a string", "write ctx['area.name_v1']"),
    ],
)
def test_what_the_context_lacks_is_explained(text: str, fault: str, hint: str, scope: Scope) -> None:
    """A key that is not there is refused with the one that was meant."""
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, scope)

    assert (caught.value.message, caught.value.hint) == (f"expression '{text}': {fault}", hint)


def test_five_keys_below_a_prefix_are_listed() -> None:
    """A prefix of many keys is explained with the first five of them."""
    scope = Scope(ctx={f"sweep.run_{number}": number for number in range(7)})

    with pytest.raises(ExpressionError) as caught:
        evaluate("ctx.sweep", scope)

    listed = "sweep.run_0, sweep.run_1, sweep.run_2, sweep.run_3, sweep.run_4 …"
    assert caught.value.hint == f"name one of: {listed}"


@pytest.mark.parametrize("text", ["ctx", "[ctx]", "len(ctx)", "get({}, 'a', ctx)", "[1 for ctx in x]"])
def test_the_context_is_not_a_value(text: str) -> None:
    """The name ctx stands only where a key is read or a path is looked up."""
    with pytest.raises(ExpressionError) as caught:
        check_syntax(text)

    assert caught.value.code == "MS207"
