"""A run spends no more core-hours than its budget allows, whoever drives it and however often it goes on."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrator.core_hours import told
from orchestrator.errors import InvalidFileError
from orchestrator.plan import Selection
from orchestrator.reports.page import page_of
from orchestrator.reports.records import read_record
from orchestrator.runner import retry_run
from orchestrator.session import DriveOptions
from orchestrator.store.database import reading
from orchestrator.store.events import iterate_events
from orchestrator.store.spending import Spending, read_spending
from tests.unit.evidence.bundles import exported
from tests.unit.workshop import PowerCut, Ran, Workshop, recipe, shell

LOCAL = "operators: { hpc.dev: { kind: hpc, max_concurrent: 9, backend: { type: local } } }\n"
ROUTED = "operator_key: hpc.dev, stdout: free, resources: {cores: 2, time_limit: 30m}"
ITEMS = '{name: list, type: shell, run: [echo, \'{"status": "ok", "outputs": {"list.n_v1": [1, 2, 3]}}\']}'
EACH = "foreach: '${{ ctx.list.n_v1 }}'"
HOUR = 3600.0


@pytest.fixture(name="site")
def _site(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Give a workshop in which the key hpc.dev means this machine."""
    monkeypatch.setenv("MATTERSTACK_OPERATORS_CONFIG", str(workshop.write("operators.yaml", LOCAL)))
    return workshop


def budget(core_hours: float) -> str:
    """Write a budget."""
    return f"budget: {{core_hours: {core_hours}}}\n"


def spending(root: Path) -> Spending:
    """Give what a run has spent."""
    with reading(root) as database:
        found = read_spending(database)
    assert found is not None
    return found


def retried(root: Path) -> Ran:
    """Run once more what failed, by the recipe as it is now."""
    return Ran(outcome=retry_run(root, DriveOptions(inline=True, accept_changes=True)))


def test_steps_within_the_budget_run(site: Workshop) -> None:
    """One after the other they may ask for more than is left of it together: what counts is what they used."""
    steps = [shell(name, "sleep 0.2", f"{ROUTED}, when: 'true'") for name in "abc"]

    ran = site.run(recipe(*steps, head=budget(1.5)))

    assert ran.states == ["COMPLETED"] * 3
    assert spending(ran.root).allowed == 1.5 * HOUR
    assert 0.6 <= spending(ran.root).spent < 60


def test_an_attempt_waits_for_what_others_leave_of_the_budget(site: Workshop) -> None:
    """Those under way hold all that they ask for until they have ended; there is one seat for what they leave."""
    noted = "sleep 0.5; date +%s.%N > times"
    ran = site.run(
        recipe(ITEMS, shell("s", noted, f"{ROUTED}, {EACH}, fetch: {{required: [times]}}"), head=budget(1.5))
    )

    assert set(ran.states) == {"COMPLETED"}
    ended = sorted(float(path.read_text()) for path in ran.root.rglob("times"))
    assert all(later - earlier > 0.5 for earlier, later in pairwise(ended))
    assert [len(ran.attempts(f"s[{number}]")) for number in (1, 2, 3)] == [1, 1, 1]


def test_what_waits_for_the_budget_says_so(site: Workshop) -> None:
    """Until it begins, in the records that ``status`` shows."""
    ran = site.run(recipe(ITEMS, shell("s", "sleep 0.5", f"{ROUTED}, {EACH}"), head=budget(1.5)))

    with reading(ran.root) as database:
        waits = [event for event in iterate_events(database) if event.kind == "tasks.pending"]
    said = [json.loads(event.payload_json) for event in waits]
    assert [one["task_ids"] for one in said] == [["s[2]"], ["s[3]"]]
    assert said[0]["reason"].startswith("waits for the budget: it asks for 1 core-hours, and 1 of the 1.5")
    assert {task.status_reason for task in ran.tasks.values()} == {""}


def test_an_attempt_that_waited_is_refused_where_too_little_is_left(site: Workshop) -> None:
    """As is one that never had to wait."""
    keys = f"{ROUTED}, {EACH}"

    ran = site.run(recipe(ITEMS, shell("s", "sleep 1.5", keys), head=budget(1.0005)), fail_fast=False)

    assert [ran.tasks[name].status for name in ("s[1]", "s[2]", "s[3]")] == ["COMPLETED", "FAILED", "FAILED"]
    assert f"it asks for 1 core-hours, and {told(spending(ran.root).spent)} of" in ran.tasks["s[2]"].status_reason


def test_a_step_that_waits_is_given_up_with_the_others(site: Workshop) -> None:
    """Where another one fails meanwhile."""
    ran = site.run(recipe(ITEMS, shell("s", "sleep 0.5; exit 1", f"{ROUTED}, {EACH}"), head=budget(1.5)))

    assert sorted(ran.tasks[f"s[{number}]"].status for number in (1, 2, 3)) == ["BLOCKED", "BLOCKED", "FAILED"]


def test_an_attempt_beyond_the_budget_is_not_begun(site: Workshop) -> None:
    """The step fails with what is spent, asked for and allowed, and with how to go on."""
    more = "resources: {cores: 4, time_limit: 30m}"

    ran = site.run(
        recipe(
            shell("a", "true", ROUTED),
            shell("b", "true", f"{ROUTED.partition(' resources')[0]} {more}, when: 'true'"),
            head=budget(1.5),
        )
    )

    assert ran.tasks["a"].status == "COMPLETED"
    refused = ran.tasks["b"]
    assert refused.status_reason.startswith("it asks for 2 core-hours, and ")
    assert refused.status_reason.endswith(
        " of the 1.5 in the budget are spent;"
        f" raise budget.core_hours in r.yaml, then: matterstack retry {ran.root.name} --accept-recipe-change"
    )
    (attempt,) = ran.attempts("b")
    assert (attempt.status, attempt.outcome, attempt.relative_path) == ("FAILED_INIT", "budget", None)


def test_it_goes_on_when_the_budget_is_raised(site: Workshop) -> None:
    """What succeeded is kept, and so is the new budget."""
    text = recipe(ITEMS, shell("s", "sleep 1.5", f"{ROUTED}, {EACH}"), head=budget(1.0005))
    ran = site.run(text, fail_fast=False)
    site.write("r.yaml", text.replace("1.0005", "3.5"))

    again = retried(ran.root)

    assert set(again.states) == {"COMPLETED"}
    assert len(again.attempts("s[1]")) == 1
    assert spending(ran.root).allowed == 3.5 * HOUR
    assert (ran.root / "recipe.yaml").read_text().startswith("budget: {core_hours: 3.5}")


def test_retries_are_held_against_it(site: Workshop) -> None:
    """With what they ask for by then."""
    keys = f"{ROUTED}, retry: {{max: 3, grow: {{time_limit: 2x}}}}"

    ran = site.run(recipe(shell("a", "false", keys), head=budget(3)))

    assert [attempt.outcome for attempt in ran.attempts("a")] == ["exit 1", "exit 1", "budget"]
    assert "it asks for 4 core-hours" in ran.reasons[0]


def test_what_was_spent_is_known_after_a_crash(site: Workshop) -> None:
    """An attempt that goes on is held against the budget with what it asked for, and then with what it used."""
    later = shell("b", "true", f"{ROUTED}, parallel: true, depends_on: [c], when: 'true'")
    text = recipe(
        shell("a", "sleep 2.1", f"{ROUTED}, parallel: true"),
        shell("c", "sleep 0.5", "stdout: free, parallel: true"),
        later,
        head=budget(1.5),
    )
    with pytest.raises(SystemExit):
        site.run(text, reporter=PowerCut())
    (root,) = site.runs()
    assert spending(root).spent == HOUR

    ran = site.resume(root)

    (first,), (second,) = ran.attempts("a"), ran.attempts("b")
    assert ran.states == ["COMPLETED"] * 3
    assert second.created_at > str(first.ended_at)
    assert 4 <= spending(root).spent < 60


def test_a_killed_program_costs_what_it_ran(site: Workshop) -> None:
    """It left no exit code that tells when it ended."""
    ran = site.run(recipe(shell("a", "sleep 1.1; kill -9 -- -$(ps -o pgid= $$ | tr -d ' ')", ROUTED), head=budget(1)))

    assert ran.states == ["FAILED"]
    assert 2 <= spending(ran.root).spent < 60


def test_planned_tasks_need_a_limit_too(site: Workshop) -> None:
    """Under a budget, as those of the recipe do; it is seen when they are to begin."""
    task = {"name": "t", "type": "shell", "run": "true", "stdout": "free", "operator_key": "hpc.dev"}
    steps = [json.dumps({"name": "w", "type": "workflow", "tasks": [task]})]

    ran = site.run(recipe(*steps, head=budget(1)))

    assert ran.tasks["t"].status_reason == (
        "nothing limits its time, so that its core-hours are not known, and there is a budget"
    )


def test_a_selection_within_the_budget_runs(site: Workshop) -> None:
    """Of steps that are left out nothing is asked."""
    text = recipe(shell("a", "true", ROUTED), shell("b", "true", ROUTED), head=budget(1.5))

    with pytest.raises(InvalidFileError, match="ask for at least 2 core-hours"):
        site.run(text)
    assert site.runs() == []
    assert site.run(text, selection=Selection(only=("a",))).states == ["COMPLETED", "SKIPPED"]


def test_reports_and_evidence_tell_of_it(site: Workshop) -> None:
    """Beside what else people ask first."""
    ran = site.run(recipe(shell("a", "true", ROUTED), head=budget(8)))

    with reading(ran.root) as database:
        page = page_of(read_record(database, log_cap=100, log_budget=100))
    exported(ran.root)

    assert "of 8 core-hours spent" in page
    assert " of 8 core-hours spent |" in (ran.root / "evidence" / "report.md").read_text()


def test_a_run_without_budget_tells_of_none(site: Workshop) -> None:
    """There is nothing to hold against anything."""
    ran = site.run(recipe(shell("a", "true", ROUTED)))

    with reading(ran.root) as database:
        assert read_spending(database) is None
