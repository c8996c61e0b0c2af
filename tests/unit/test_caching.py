"""A step whose code, arguments and declared inputs are as before takes over its former result."""

from __future__ import annotations

import pytest

from orchestrator.runner import RunRequest, rerun_task, run
from orchestrator.session import DriveOptions
from orchestrator.store.cache import FILE_NAME
from tests.unit.workshop import Notes, PowerCut, Ran, Workshop, python, recipe, shell

COUNT = 'echo x >> calls.txt; echo "{\\"status\\": \\"ok\\", \\"outputs\\": {\\"n.x_v1\\": $(wc -l < calls.txt)}}"'


def calls(workshop: Workshop) -> int:
    """Count how often the counting step ran."""
    path = workshop.folder / "calls.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


def run_twice(workshop: Workshop, first: str, second: str) -> Ran:
    """Run two recipes one after the other, each afresh."""
    workshop.run(first, inline=False, fresh=True)
    return workshop.run(second, inline=False, fresh=True)


def test_a_result_is_taken_over(workshop: Workshop) -> None:
    """The context is as the first run left it; the attempt says where it comes from."""
    text = recipe(shell("a", COUNT, "cache: true"), python("b", keys="args: {b.x_v1: '${{ ctx.n.x_v1 }}'}"))

    ran = run_twice(workshop, text, text)

    assert calls(workshop) == 1
    assert ran.outcome.context.to_dict() == {"n.x_v1": 1, "b.x_v1": 1}
    (attempt,) = ran.attempts("a")
    assert attempt.outcome.startswith("cached from run ")
    assert attempt.envelope == {"status": "ok", "outputs": {"n.x_v1": 1}}


def test_a_step_without_cache_runs(workshop: Workshop) -> None:
    """Nothing is kept of it."""
    run_twice(workshop, recipe(shell("a", COUNT)), recipe(shell("a", COUNT)))

    assert calls(workshop) == 2
    assert not (workshop.folder / "workspaces" / FILE_NAME).exists()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cache: true, args: {n: 1}", "cache: true, args: {n: 2}"),
        ("cache: true, env: {N: a}", "cache: true, env: {N: b}"),
        ("cache: true", "cache: true, cache_key: new"),
        ("cache: {files: [one.txt]}", "cache: {files: [two.txt]}"),
    ],
)
def test_a_changed_part_of_the_key_makes_it_run(workshop: Workshop, first: str, second: str) -> None:
    """And the first result is still there."""
    for name in ("one", "two"):
        workshop.write(f"{name}.txt", name)
    one, two = recipe(shell("a", COUNT, first)), recipe(shell("a", COUNT, second))

    run_twice(workshop, one, two)
    assert calls(workshop) == 2
    run_twice(workshop, one, two)
    assert calls(workshop) == 2


def test_a_changed_file_makes_it_run(workshop: Workshop) -> None:
    """Of the scriptlet, or one that is declared."""
    text = recipe(shell("a", COUNT, "cache: {files: [data.txt]}"))
    for content in ("a", "b", "b", "a"):
        workshop.write("data.txt", content)
        workshop.run(text, inline=False, fresh=True)
    assert calls(workshop) == 2

    text = recipe("{name: s, type: shell, script: do.sh, cache: true}")
    for content in ("# 1", "# 2", "# 2"):
        workshop.write("do.sh", f"{COUNT}\n{content}\n")
        workshop.run(text, inline=False, fresh=True)
    assert calls(workshop) == 4


def test_a_changed_value_of_the_context_makes_it_run(workshop: Workshop) -> None:
    """Where it is declared."""
    for value in (1, 2, 1):
        first = python("v", keys=f"args: {{v.x_v1: {value}}}")
        workshop.run(recipe(first, shell("a", COUNT, "cache: {ctx: [v.x_v1]}")), inline=False, fresh=True)

    assert calls(workshop) == 2


def test_a_changed_variable_makes_it_run(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is declared."""
    for value in ("a", "b", "a"):
        monkeypatch.setenv("SITE", value)
        workshop.run(recipe(shell("a", COUNT, "cache: {env: [SITE]}")), inline=False, fresh=True)

    assert calls(workshop) == 2


def test_a_result_whose_files_are_gone_is_none(workshop: Workshop) -> None:
    """Or changed since."""
    command = f"echo made > out.txt; {COUNT}"
    text = recipe(shell("a", command, "cache: true, success: {files_exist: [out.txt]}"))
    run_twice(workshop, text, text)
    assert calls(workshop) == 1

    workshop.write("out.txt", "changed")
    workshop.run(text, inline=False, fresh=True)
    assert calls(workshop) == 2
    (workshop.folder / "out.txt").unlink()
    workshop.run(text, inline=False, fresh=True)
    assert calls(workshop) == 3


def test_a_failure_is_never_kept(workshop: Workshop) -> None:
    """Only the attempt of a retry that succeeded."""
    command = f"test -f warm || {{ touch warm; echo x >> calls.txt; exit 1; }}; {COUNT}"
    text = recipe(shell("a", command, "cache: true, retry: {max: 1}"))

    ran = run_twice(workshop, text, text)

    assert calls(workshop) == 2
    assert ran.outcome.context.get("n.x_v1") == 2


def test_a_result_that_is_no_success_any_more_is_none(workshop: Workshop) -> None:
    """The rules of the recipe are those of now."""
    strict = recipe(shell("a", COUNT, "cache: true, success: {expect: [ctx.n.x_v1 > 1]}"))

    ran = run_twice(workshop, recipe(shell("a", COUNT, "cache: true")), strict)

    assert calls(workshop) == 2
    assert ran.states == ["COMPLETED"]


def test_items_have_results_of_their_own(workshop: Workshop) -> None:
    """A list that grew runs what is new."""
    keys = "foreach: {}, env: {{ITEM: '${{{{ item }}}}'}}, cache: true"
    short, long = (recipe(shell("a", COUNT, keys.format(items))) for items in ("[a, b]", "[b, c, a]"))

    ran = run_twice(workshop, short, long)

    assert calls(workshop) == 3
    assert ran.states == ["COMPLETED"] * 4


def test_what_follows_is_never_cached(workshop: Workshop) -> None:
    """Cleaning up is done each time."""
    head = f"finally: [{shell('a', COUNT, 'cache: true')}]\n"

    run_twice(workshop, recipe(python("b"), head=head), recipe(python("b"), head=head))

    assert calls(workshop) == 2


def test_an_interrupted_run_takes_over_its_own_result(workshop: Workshop) -> None:
    """A run that goes on after a power cut repeats nothing."""
    text = recipe(shell("a", COUNT, "cache: true"), python("b"))

    class Cut(PowerCut):
        def tell(self, happening: object) -> None:
            if getattr(happening, "task_id", "") == "b":
                super().tell(happening)  # type: ignore[arg-type]

    with pytest.raises(SystemExit):
        workshop.run(text, inline=False, reporter=Cut())
    workshop.run(text, inline=False)
    workshop.run(text, inline=False, fresh=True)

    assert calls(workshop) == 1


def test_steps_side_by_side_share_the_cache(workshop: Workshop) -> None:
    """A second run takes over all of them."""
    steps = [shell(name, COUNT.replace("n.x", f"{name}.x"), "parallel: true, cache: true") for name in "abc"]

    run_twice(workshop, recipe(*steps), recipe(*steps))

    assert calls(workshop) == 3


def test_without_the_cache_nothing_is_taken_over(workshop: Workshop) -> None:
    """Nor kept."""
    path = workshop.write("r.yaml", recipe(shell("a", COUNT, "cache: true")))
    for use_cache in (True, False, True):
        options = DriveOptions(use_cache=use_cache)
        run(RunRequest(recipe=str(path), workspaces_dir=workshop.folder / "workspaces", fresh=True, options=options))

    assert calls(workshop) == 2


def test_a_planned_run_touches_no_cache(workshop: Workshop) -> None:
    """A dry run writes nothing at all."""
    workshop.plan(recipe(shell("a", COUNT, "cache: true")))

    assert not (workshop.folder / "workspaces").exists()


def test_a_damaged_cache_is_as_good_as_none(workshop: Workshop) -> None:
    """It holds no truth."""
    workshop.write(f"workspaces/{FILE_NAME}", "this is no database" * 100)
    text = recipe(shell("a", COUNT, "cache: true"))

    assert run_twice(workshop, text, text).states == ["COMPLETED"]
    assert calls(workshop) == 2


def test_a_key_that_cannot_be_made_fails_the_step(workshop: Workshop) -> None:
    """At its place."""
    notes = Notes()
    ran = workshop.run(recipe(python("a", keys="cache: {files: [none.txt]}")), reporter=notes)

    assert ran.states == ["FAILED"]
    assert "cache.files: cannot read 'none.txt'" in ran.reasons[0]


def test_a_rerun_runs_although_there_is_a_result(workshop: Workshop) -> None:
    """Who asks for a task again means it."""
    ran = workshop.run(recipe(shell("a", COUNT, "cache: true")), inline=False)

    rerun_task(ran.root, "a", DriveOptions())

    assert calls(workshop) == 2
