"""What would become of each step is said before a run, and nothing is written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from orchestrator.forecast import Forecast, forecast
from orchestrator.plan import Selection
from orchestrator.store.cache import ResultCache
from tests.unit.workshop import Workshop, python, recipe, shell

OK = 'echo \'{"status": "ok", "outputs": {"%s": 1}}\''
FIRST = shell("a", OK % "a.x_v1", "args: {n: '${{ inputs.n }}'}, cache: true")
SECOND = shell("b", OK % "b.x_v1", "args: {n: '${{ ctx.a.x_v1 }}'}, cache: true")
HEAD = "inputs: {n: {type: number, default: 1}}\n"


def outlook(workshop: Workshop, text: str, n: int = 1, selection: Selection | None = None) -> list[Forecast]:
    """Say what a run of a recipe would do."""
    return list(
        forecast(workshop.plan(text, {"n": n} if HEAD in text else {}, selection), workshop.folder / "workspaces")
    )


def said(seen: list[Forecast]) -> list[str]:
    """Give what would become of each step."""
    return [one.what for one in seen]


def digests(folder: Path) -> dict[str, str]:
    """Give every file below a folder by its digest."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_hits_and_what_changed_are_told(workshop: Workshop) -> None:
    """A step behind one that would run is decided during the run, where it reads the context."""
    text = recipe(FIRST, SECOND, head=HEAD)
    before = outlook(workshop, text)
    run_id = workshop.run(text, inputs={"n": 1}).root.name

    same, other = outlook(workshop, text), outlook(workshop, text, 2)

    assert (said(before), before[0].why) == (["run", "?"], "no result is kept")
    assert (said(same), same[1].why) == (["cached", "cached"], f"the result of run {run_id}")
    assert (said(other), other[0].why) == (["run", "?"], f"changed since run {run_id}: args.n: 1 -> 2")
    assert other[1].why == "cache: known only during the run"


def test_a_kept_result_that_is_no_success_any_more_is_none(workshop: Workshop) -> None:
    """A run would judge it, too."""
    workshop.run(recipe(FIRST, head=HEAD), inputs={"n": 1})

    stricter = FIRST.replace("cache: true", "cache: true, success: {expect: [ctx.a.x_v1 > 5]}")

    assert said(outlook(workshop, recipe(stricter, head=HEAD))) == ["run"]


def test_conditions_are_told_as_far_as_they_are_known(workshop: Workshop) -> None:
    """Those over inputs are; those over the context are not, once a step would run."""
    steps = (
        python("a", keys='when: "inputs.n > 5"'),
        python("b", keys='when: "inputs.n == 1"'),
        python("c", keys="when: \"has(ctx, 'x.y_v1')\""),
    )

    seen = outlook(workshop, recipe(*steps, head=HEAD))

    assert [(one.what, one.why) for one in seen] == [
        ("skip", "when: inputs.n > 5 is false"),
        ("run", ""),
        ("?", "when: known only during the run"),
    ]


def test_items_are_counted(workshop: Workshop) -> None:
    """Those with a result and those without."""
    each = python("each", keys="foreach: '${{ inputs.names }}', args: {i.x_v1: '${{ item }}'}, cache: true")
    text = recipe(each, head="inputs: {names: {type: array, default: [x, y]}}\n")
    workshop.run(text)

    assert said(outlook(workshop, text)) == ["cached"]
    (more,) = outlook(workshop, text.replace("[x, y]", "[x, y, z]"))
    assert (more.what, more.why) == ("run", "3 items: 2 cached, 1 run")


def test_what_is_left_out_or_comes_last_says_so(workshop: Workshop) -> None:
    """A selection has its words; what follows a failure may never run."""
    head = f"on_failure: [{python('x')}]\nfinally: [{python('z')}]\n"

    seen = outlook(workshop, recipe(python("a"), python("b"), head=head), selection=Selection(only=("a",)))

    assert [(one.what, one.why) for one in seen] == [
        ("run", ""),
        ("skip", "not in --only"),
        ("?", "runs only after a failure"),
        ("run", ""),
    ]


def test_steps_that_may_run_at_once_are_named(workshop: Workshop) -> None:
    """Not those that wait for each other, take turns, or hold the same lock."""
    steps = (
        python("a", keys="parallel: true, locks: [lamp]"),
        python("b", keys="parallel: true"),
        python("c", keys="parallel: true, locks: [lamp]"),
        python("d"),
    )

    assert [one.beside for one in outlook(workshop, recipe(*steps))] == [("b",), ("a", "c"), ("b",), ()]


@pytest.mark.parametrize("is_open", [False, True])
def test_nothing_is_written(workshop: Workshop, is_open: bool) -> None:
    """Not a byte changes, and no file appears, also beside a cache that somebody has open."""
    text = recipe(FIRST, SECOND, head=HEAD)
    workshop.run(text, inputs={"n": 1})
    workshop.plan(text, {"n": 1})
    held = ResultCache(workshop.folder / "workspaces")
    if is_open:
        assert list(held.iterate())
    before = digests(workshop.folder)

    assert said(outlook(workshop, text)) == ["cached", "cached"]

    after = digests(workshop.folder)
    held.close()
    assert after == before
