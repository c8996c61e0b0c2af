"""A file answers for steps, which then do not run."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import InvalidFileError
from orchestrator.sources import Source
from orchestrator.states import RunState
from orchestrator.stubs import Stub, Stubs, read_stubs, stubs_text
from tests.unit.workshop import Notes, PowerCut, Workshop, python, recipe, shell

NEVER = 'touch ran.txt; echo \'{"status": "ok"}\''


def stubs(workshop: Workshop, *entries: str) -> Path:
    """Write a file of stubs."""
    return workshop.write("stubs.yaml", "schema: matterstack/stubs/v1\nstubs:\n" + "".join(f"  {e}\n" for e in entries))


def problems(text: str, steps: list[str]) -> list[tuple[str, str, str]]:
    """Give what is wrong with a file of stubs: the place, what, and what to do."""
    with pytest.raises(InvalidFileError) as caught:
        read_stubs(Source.from_text("s.yaml", text), steps)
    return [(str(p.place), p.message, p.help) for p in caught.value.problems]


def test_a_stub_answers_instead_of_its_step(workshop: Workshop) -> None:
    """Its values are written, the step did not run, and everybody can see that."""
    path = stubs(workshop, "a: { outputs: { a.x_v1: 5 } }")

    ran = workshop.run(recipe(shell("a", NEVER), python("b", keys="args: {b.x_v1: '${{ ctx.a.x_v1 }}'}")), stubs=path)

    assert ran.outcome.context.to_dict() == {"a.x_v1": 5, "b.x_v1": 5}
    assert ran.outcome.to_json()["stubbed"] is True
    assert not (workshop.folder / "ran.txt").exists()
    assert [(a.operator_key, a.outcome) for name in "ab" for a in ran.attempts(name)] == [
        ("stub", "stubbed"),
        ("local.default", "ok"),
    ]


def test_a_stub_is_judged_as_its_step_would_be(workshop: Workshop) -> None:
    """What it writes has to fit."""
    path = stubs(workshop, "a: { outputs: { a.x_v1: 5 } }")
    step = shell("a", NEVER, "success: { expect: [ctx.a.x_v1 < 3] }")

    ran = workshop.run(recipe(step), stubs=path)

    assert ran.reasons == ["success.expect: 'ctx.a.x_v1 < 3' is false: 5 < 3"]


def test_a_stub_may_fail_at_first_or_for_good(workshop: Workshop) -> None:
    """So retries and what follows a failure can be tried."""
    path = stubs(workshop, "a: { fail_times: 2 }", "b: { status: error, reason: no lamp, exit_code: 7 }")
    notes = Notes()

    steps = (shell("a", NEVER, "retry: {max: 3}"), shell("b", NEVER))
    ran = workshop.run(recipe(*steps), stubs=path, reporter=notes)

    assert [len(ran.attempts(name)) for name in "ab"] == [3, 1]
    assert ran.reasons == ["", "the exit code is 7, not 0: no lamp"]
    assert all(ending.stubbed for ending in notes.endings)


def test_stubs_stand_for_items_and_steps_of_used_recipes(workshop: Workshop) -> None:
    """One for an item wins over one for the step, and that over a pattern."""
    workshop.write("used.yaml", recipe(shell("fit", NEVER)) + "outputs: { n: ctx.fit.n_v1 }\n")
    each = shell("each", NEVER, "foreach: [1, 2]")
    path = stubs(
        workshop,
        '"*": { outputs: { any.n_v1: 0 } }',
        "each: { outputs: { each.n_v1: 1 } }",
        '"each[2]": { outputs: { each.n_v1: 2 } }',
        "sub/fit: { outputs: { fit.n_v1: 3 } }",
    )

    ran = workshop.run(recipe(each, "{name: sub, type: recipe, uses: ./used.yaml}", shell("z", NEVER)), stubs=path)

    assert ran.outcome.context.to_dict() == {"each.n_v1": {"1": 1, "2": 2}, "sub.n": 3, "any.n_v1": 0}


def test_saved_values_come_from_the_stub(workshop: Workshop) -> None:
    """There is no file to read them from."""
    path = stubs(workshop, "a: { outputs: { a.e_v1: 1.5 } }")
    step = shell("a", NEVER, "stdout: free, save: { a.e_v1: 'none.json:e' }")

    assert workshop.run(recipe(step), stubs=path).outcome.context.to_dict() == {"a.e_v1": 1.5}


def test_a_run_keeps_its_stubs(workshop: Workshop) -> None:
    """Whatever becomes of the file; and a run without stubs is another run."""
    text = recipe(python("a", keys="args: {a.x_v1: 1}"), shell("b", NEVER))
    path = stubs(workshop, "b: { outputs: { b.x_v1: 2 } }")
    with pytest.raises(SystemExit):
        workshop.run(text, stubs=path, reporter=PowerCut())

    other = workshop.run(text)
    path.unlink()
    ran = workshop.resume(next(root for root in workshop.runs() if root != other.root))

    assert ran.outcome.status is RunState.COMPLETED
    assert ran.outcome.context.to_dict() == {"a.x_v1": 1, "b.x_v1": 2}
    assert "stubbed" not in other.outcome.to_json()


def test_nothing_of_a_stub_is_cached(workshop: Workshop) -> None:
    """Neither taken from former results nor kept for later ones."""
    step = python("a", "Write", "args: {a.x_v1: 1}, cache: true")
    path = stubs(workshop, "a: { outputs: { a.x_v1: 9 } }")
    workshop.run(recipe(step), stubs=path, fresh=True)

    first = workshop.run(recipe(step), fresh=True)
    second = workshop.run(recipe(step), stubs=path, fresh=True)

    assert [ran.outcome.context.get("a.x_v1") for ran in (first, second)] == [1, 9]
    assert first.attempts("a")[0].outcome == "ok"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stubs: {}", ("s.yaml:1:1", "the key 'schema' is missing", "as in 'schema: matterstack/stubs/v1'")),
        (
            "schema: matterstack/stubs/v1\nstubs: { reax: {} }",
            ("s.yaml:2:10", "no step 'reax' is run", "did you mean 'relax'?"),
        ),
        (
            "schema: matterstack/stubs/v1\nstubs: { relax: { output: {} } }",
            ("s.yaml:2:19", "unknown key 'output'", "a stub has status, outputs, reason, exit_code, fail_times"),
        ),
        (
            "schema: matterstack/stubs/v1\nstubs: { relax: { status: error, fail_times: 1 } }",
            ("s.yaml:2:17", "a stub of status 'error' has neither 'outputs' nor 'fail_times'", ""),
        ),
        (
            "schema: matterstack/stubs/v1\nstubs: { relax: { exit_code: 0 } }",
            ("s.yaml:2:30", "input should be greater than or equal to 1", ""),
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_shown_at_its_place(text: str, told: tuple[str, str, str]) -> None:
    """With what to do where that is not plain."""
    assert problems(text, ["relax", "sub/fit"]) == [told]


def test_what_is_written_is_read_the_same() -> None:
    """Texts that look like numbers, in names and in values, too."""
    kept = {
        "a": Stub(outputs={"a.x_v1": ["1e3", "no", 1e-5, None, {"k: v": "# \u2028\n"}]}),
        "each[x: y]": Stub(status="error", reason="no\nluck", exit_code=3),
        "none": Stub(outputs={}),
    }

    read = read_stubs(Source.from_text("s.yaml", stubs_text("r", kept.items())), ["a", "each", "none"])

    assert read == Stubs(by_name=kept)
