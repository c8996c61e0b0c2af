"""What steps ask of operators is known before a run, as far as their items are, and held against the budget."""

from __future__ import annotations

from math import inf

import pytest

from orchestrator.plan import Demand, check_recipe, demands, refuse_over_budget
from tests.unit.workshop import Workshop, recipe, shell

HOUR = 3600.0
ROUTED = "operator_key: hpc.dev, resources: {cores: 2, time_limit: 30m}"


def asked(workshop: Workshop, *steps: str, head: str = "") -> tuple[Demand, ...]:
    """Give what steps ask for."""
    return demands(workshop.plan(recipe(*steps, head=head)))


def test_an_attempt_asks_for_cores_times_time(workshop: Workshop) -> None:
    """Without retries, that is the most."""
    (one,) = asked(workshop, shell("a", "x", ROUTED))

    assert one == Demand(asked=HOUR, most=HOUR, certain=HOUR)


@pytest.mark.parametrize(
    "step",
    [
        shell("a", "x"),
        "{name: a, type: human, instructions: look}",
        "{name: a, type: experiment, operator_key: experiment.bench, timeout: 1h}",
    ],
)
def test_only_programs_of_operators_cost(workshop: Workshop, step: str) -> None:
    """What the runner runs itself, and what people and instruments do, costs nothing."""
    assert asked(workshop, step) == (Demand(),)


def test_one_core_is_asked_for_where_nobody_says(workshop: Workshop) -> None:
    """A timeout limits an attempt as a time limit does."""
    (one,) = asked(workshop, shell("a", "x", "operator_key: hpc.dev, timeout: 1h"))

    assert one.asked == HOUR


def test_the_shorter_limit_counts(workshop: Workshop) -> None:
    """The step is ended after it."""
    (one,) = asked(workshop, shell("a", "x", f"{ROUTED}, timeout: 15m"))

    assert one.asked == HOUR / 2


def test_continuations_are_asked_for_too(workshop: Workshop) -> None:
    """Nobody is asked again when the time of a job is over and the next one goes on."""
    (one,) = asked(workshop, shell("a", "x", f"{ROUTED}, on_walltime: {{restart: 3}}"))

    assert (one.asked, one.most, one.certain) == (4 * HOUR, 4 * HOUR, HOUR)


def test_without_a_limit_nothing_is_known(workshop: Workshop) -> None:
    """The step is named."""
    assert asked(workshop, shell("a", "x", "operator_key: hpc.dev")) == (Demand(asked=None, open_steps=("a",)),)


def test_retries_count_in_the_most_with_what_grows(workshop: Workshop) -> None:
    """Each asks for what it would ask for."""
    (one,) = asked(workshop, shell("a", "x", f"{ROUTED}, retry: {{max: 2, grow: {{cores: 2x, time_limit: 2x}}}}"))

    assert (one.asked, one.most, one.certain) == (HOUR, HOUR * (1 + 4 + 16), HOUR)


def test_what_grows_beyond_all_bounds_is_told_so(workshop: Workshop) -> None:
    """It is no fault of the recipe."""
    (one,) = asked(workshop, shell("a", "x", f"{ROUTED}, retry: {{max: 1000, grow: {{cores: 4x}}}}"))

    assert (one.asked, one.most) == (HOUR, inf)


@pytest.mark.parametrize(
    ("fan", "count"),
    [
        ("foreach: [1, 2, 3]", 3),
        ("matrix: {a: [1, 2], b: '${{ inputs.names }}'}", 4),
        ("foreach: '${{ [x for x in inputs.names if x != \"b\"] }}'", 1),
        ("foreach: '${{ vars.two }}'", 2),
    ],
)
def test_items_that_are_known_are_counted(workshop: Workshop, fan: str, count: int) -> None:
    """Whether they are written down or come from inputs and constants."""
    head = "inputs: {names: {type: array, default: [a, b]}}\nvars: {two: '${{ inputs.names }}'}\n"

    (one,) = asked(workshop, shell("a", "x", f"{ROUTED}, {fan}"), head=head)

    assert one == Demand(asked=count * HOUR, most=count * HOUR, certain=count * HOUR)


@pytest.mark.parametrize("items", ["ctx.a.items_v1", "get(ctx, 'a.items_v1', [1])", "[steps.a.status]", "env.NOWHERE"])
def test_items_that_only_the_run_knows_are_not(workshop: Workshop, items: str) -> None:
    """What one of them asks for is told."""
    (one,) = asked(workshop, shell("a", "x", f'{ROUTED}, foreach: "${{{{ {items} }}}}"'))

    assert one == Demand(asked=HOUR, most=HOUR, is_each=True, open_steps=("a",))
    assert (one.total, one.total_at_most) == (0.0, 0.0)


def test_a_used_recipe_asks_for_what_its_steps_do(workshop: Workshop) -> None:
    """With its own inputs, rounds and items."""
    part = recipe(
        shell("s", "x", f"{ROUTED}, foreach: '${{{{ inputs.names }}}}'"),
        shell("t", "x", f"{ROUTED}, foreach: '${{{{ ctx.s.items_v1 }}}}'"),
        head="inputs: {names: {type: array}}\nrepeat: {until: 'false', max: 3}\n",
    )
    workshop.write("part.yaml", part)

    (one,) = asked(workshop, "{name: p, type: recipe, uses: part.yaml, args: {names: [1, 2]}, foreach: [1, 2]}")

    assert one == Demand(asked=4 * HOUR, most=12 * HOUR, certain=4 * HOUR, open_steps=("p/t",))


def test_a_used_recipe_whose_inputs_only_the_run_knows_is_open(workshop: Workshop) -> None:
    """Those of its steps are named whose items depend on them."""
    step = shell("s", "x", f"{ROUTED}, foreach: '${{{{ inputs.names }}}}'")
    workshop.write("part.yaml", recipe(step, head="inputs: {names: {type: array}}\n"))

    (one,) = asked(workshop, '{name: p, type: recipe, uses: part.yaml, args: {names: "${{ ctx.a.b_v1 }}"}}')

    assert one == Demand(open_steps=("p/s",))


def test_tasks_that_are_planned_during_the_run_are_open(workshop: Workshop) -> None:
    """Nobody knows what they ask for."""
    assert asked(workshop, "{name: w, type: workflow, tasks: '${{ ctx.a.tasks_v1 }}'}")[0].open_steps == ("w",)


BUDGET = "budget: {core_hours: 1.5}\n"


def test_more_than_the_budget_is_refused(workshop: Workshop) -> None:
    """At the budget, with what to do."""
    plan = workshop.plan(recipe(shell("a", "x", ROUTED), shell("b", "x", ROUTED), head=BUDGET))

    with pytest.raises(Exception, match=r"the steps ask for at least 2 core-hours, and the budget is 1\.5") as error:
        refuse_over_budget(plan.loaded, demands(plan))

    assert getattr(error.value, "code", "") == "MS217"
    assert str(error.value).startswith(f"{workshop.folder}/r.yaml:1:22: ")


@pytest.mark.parametrize(
    "keys",
    [
        "when: 'inputs == {}'",
        "foreach: '${{ ctx.a.items_v1 }}'",
        "retry: {max: 9}, when: 'true'",
    ],
)
def test_what_may_not_come_is_not_held_against_it(workshop: Workshop, keys: str) -> None:
    """A step that may be skipped, items that nobody knows, and retries."""
    plan = workshop.plan(recipe(shell("a", "x", ROUTED), shell("b", "x", f"{ROUTED}, {keys}"), head=BUDGET))

    refuse_over_budget(plan.loaded, demands(plan))


def test_exactly_the_budget_is_allowed(workshop: Workshop) -> None:
    """Three tenths are three tenths, whatever a sum of fractions says."""
    step = shell("a", "x", "operator_key: hpc.dev, timeout: 6m, foreach: [1, 2, 3]")
    plan = workshop.plan(recipe(step, head="budget: {core_hours: 0.3}\n"))

    refuse_over_budget(plan.loaded, demands(plan))


def test_validate_refuses_it_too(workshop: Workshop) -> None:
    """As far as it is known without inputs."""
    steps = [
        shell("a", "x", f"{ROUTED}, foreach: [1, 2]"),
        shell("b", "x", f"{ROUTED}, foreach: '${{{{ inputs.n }}}}'"),
    ]
    path = workshop.write("r.yaml", recipe(*steps, head=f"{BUDGET}inputs: {{n: {{type: array}}}}\n"))

    with pytest.raises(Exception, match=r"ask for at least 2 core-hours"):
        check_recipe(str(path))


def test_under_a_budget_each_step_needs_a_limit(workshop: Workshop) -> None:
    """Those of used recipes too, each at its place and beside all else that is wrong."""
    workshop.write("part.yaml", recipe(shell("s", "x", "operator_key: hpc.dev")))
    steps = [shell("a", "x", "operator_key: hpc.dev"), "{name: p, type: recipe, uses: part.yaml}", shell("z", "x")]

    problems = workshop.problems(recipe(*steps, shell("w", "x", "needs: [a.x_v1]"), head=BUDGET))

    assert [problem.code for problem in problems] == ["MS218", "MS218", "MS216"]
    assert [problem.message[:8] for problem in problems] == ["step 's'", "step 'a'", "'needs' "]


@pytest.mark.parametrize("head", ["defaults: {timeout: 1h}\n", "defaults: {resources: {time_limit: 1h}}\n"])
def test_a_limit_of_all_steps_is_one(workshop: Workshop, head: str) -> None:
    """It need not be written twice."""
    workshop.plan(recipe(shell("a", "x", "operator_key: hpc.dev"), head=BUDGET + head))


def test_a_budget_within_a_used_recipe_is_refused(workshop: Workshop) -> None:
    """It would not count."""
    workshop.write("part.yaml", recipe(shell("s", "x"), head=BUDGET))

    (problem,) = workshop.problems(recipe("{name: p, type: recipe, uses: part.yaml}"))

    assert (problem.code, problem.help[:40]) == ("MS208", "leave it out of a recipe that another us")
