"""What tasks write is merged in plan order: the same result, whichever ended first."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.context import Change, Context
from orchestrator.merge import Conflict, Merge, Merged

DIAMOND = [(), (0,), (0,), (1, 2)]


def new_merge(graph: Sequence[Sequence[int]], first: dict[str, str], *, last_write_wins: bool = False) -> Merge:
    """Add the tasks of a graph."""
    merge = Merge(first, last_write_wins=last_write_wins)
    for task, after in enumerate(graph):
        merge.add(task, after)
    return merge


def write(key: str, value: int, who: str = "") -> Change:
    """Write a number."""
    return Change(key, str(value), who)


def seen(context: Context, merged: Merged) -> dict[str, str]:
    """Give what a task sees of a context after what was merged for it."""
    context.apply(merged.shared)
    return context.fork_hiding(merged.hidden).texts()


def test_a_task_sees_what_those_before_it_wrote() -> None:
    """In a chain that is everything."""
    merge = new_merge([(), (0,)], {})
    merge.ended(0, [write("a.x", 1)])

    assert merge.before(1) == Merged(shared=(write("a.x", 1),))


def test_nothing_is_shared_before_somebody_waits_for_it() -> None:
    """A task beside does not see it."""
    merge = new_merge(DIAMOND, {})
    merge.ended(0, [])
    merge.ended(1, [write("b.x", 1)])

    assert merge.before(2) == Merged()
    assert merge.before(3).shared == (write("b.x", 1),)


def test_what_a_task_beside_shared_is_hidden() -> None:
    """Two chains: the second of one has made its first public, and the other chain does not see that."""
    merge = new_merge([(), (), (0,), (1,)], {"n.v": "0"})
    context = Context({"n.v": 0})
    merge.ended(0, [write("n.v", 1), write("a.x", 5)])
    assert seen(context, merge.before(2)) == {"n.v": "1", "a.x": "5"}
    merge.ended(1, [write("b.x", 7)])

    assert seen(context, merge.before(3)) == {"n.v": "0", "b.x": "7"}


def test_two_writers_side_by_side_conflict() -> None:
    """The later in the list is refused, also when it ended first; without it the merge goes on."""
    merge = new_merge(DIAMOND, {})
    merge.ended(0, [])
    merge.ended(2, [write("n.v", 2)])
    merge.ended(1, [write("n.v", 1)])

    merged = merge.before(3)
    assert merged == Merged(shared=(write("n.v", 1),), conflict=Conflict(key="n.v", first=1, second=2))
    merge.refused(2)
    assert merge.at_end() == Merged()


def test_the_last_in_the_list_wins_where_that_is_wanted() -> None:
    """Whichever ended first."""
    for order in itertools.permutations((1, 2)):
        merge = new_merge(DIAMOND, {}, last_write_wins=True)
        for position in order:
            merge.ended(position, [write("n.v", position)])

        assert seen(Context(), merge.before(3)) == {"n.v": "2"}


def test_writers_one_after_the_other_do_not_conflict() -> None:
    """The later one replaces the value."""
    merge = new_merge([(), (0,), (1,)], {})
    context = Context()
    for position in (0, 1):
        assert merge.before(position).conflict is None
        merge.ended(position, [write("n.v", position)])
        context.apply(merge.before(position + 1).shared)

    assert context.texts() == {"n.v": "1"}


def test_a_deletion_is_merged_like_a_value() -> None:
    """What was there before is gone for those behind it."""
    merge = new_merge([(), (0,)], {"n.v": "0"})
    merge.ended(0, [Change("n.v", None, "")])

    assert seen(Context({"n.v": 0}), merge.before(1)) == {}


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[int, ...]]:
    """Make a graph in which each task waits for some of those before it."""
    count = draw(st.integers(1, 7))
    return [
        tuple(sorted(draw(st.sets(st.integers(0, position - 1), max_size=3)))) if position else ()
        for position in range(count)
    ]


@given(graphs(), st.data())
@settings(max_examples=200)
def test_no_order_of_ends_changes_what_a_task_sees(graph: list[tuple[int, ...]], data: st.DataObject) -> None:
    """Two runs of one graph whose tasks end in different orders show every task the same, and end the same."""
    keys = [data.draw(st.sampled_from(["a.x", "b.x", "c.x"])) for _ in graph]

    def run(draw: st.DataObject) -> tuple[dict[int, dict[str, str]], dict[str, str]]:
        merge, context = new_merge(graph, {"a.x": "9"}, last_write_wins=True), Context({"a.x": 9})
        views: dict[int, dict[str, str]] = {}
        ended: set[int] = set()
        while len(ended) < len(graph):
            ready = [position for position, after in enumerate(graph) if position not in ended and set(after) <= ended]
            for position in ready:
                if position not in views:
                    views[position] = seen(context, merge.before(position))
            position = draw.draw(st.sampled_from(ready))
            merge.ended(position, [write(keys[position], position)])
            ended.add(position)
        context.apply(merge.at_end().shared)
        return views, context.texts()

    assert run(data) == run(data)
