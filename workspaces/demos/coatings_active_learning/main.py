"""Find the best coating in few depositions: measure, learn, propose what promises most, until nothing promises much."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coating import HIGHEST, LOWEST
from surrogate import Point, Surrogate, fit

from orchestrator import Campaign, Task, TaskResult, Workflow

FIRST = ((0.15, 0.15), (0.15, 0.85), (0.85, 0.15), (0.85, 0.85), (0.5, 0.5))
GRID = 41
SMALL_GPA = 0.02
MOST_DEPOSITIONS = 25

State = dict[str, Any]


class Coatings(Campaign):
    """Measures five coatings, then one at a time where a surrogate expects the largest improvement.

    The state holds the ``points`` to measure next, in the unit square of the settings; all that was ``measured``, as
    objects with ``point``, ``settings`` and ``merit_gpa``; and ``promise_gpa``, the improvement that is expected.
    """

    initial_state: State = {"points": [list(point) for point in FIRST], "measured": [], "promise_gpa": None}

    def plan(self, state: State) -> Workflow | None:
        """Deposit what was proposed, if anything was."""
        done = len(state["measured"])
        tasks = [_deposition(f"deposit_{done + number}", point) for number, point in enumerate(state["points"], 1)]
        return Workflow(tasks) if tasks else None

    def analyze(self, state: State, results: Mapping[str, TaskResult]) -> State:
        """Learn from what was measured, and propose the next deposition."""
        found = [_outcome(point, one) for point, one in zip(state["points"], results.values(), strict=True)]
        measured = [*state["measured"], *found]
        best = max(one["merit_gpa"] for one in measured)
        surrogate = fit([tuple(one["point"]) for one in measured], [one["merit_gpa"] for one in measured])
        point, promise = _proposal(surrogate, best)
        goes_on = promise > SMALL_GPA and len(measured) < MOST_DEPOSITIONS
        return {"points": [list(point)] if goes_on else [], "measured": measured, "promise_gpa": round(promise, 4)}


def settings_at(point: Point) -> dict[str, float]:
    """Give the settings at a point of the unit square."""
    parts = zip(LOWEST, point, strict=True)
    return {name: round(LOWEST[name] + part * (HIGHEST[name] - LOWEST[name]), 3) for name, part in parts}


def _deposition(task_id: str, point: Point) -> Task:
    return Task(
        task_id=task_id,
        command="python3 coating.py settings.json",
        files={"coating.py": Path("coating.py"), "settings.json": json.dumps(settings_at(point))},
        env={"MATTERSTACK_OPERATOR": "hpc.default"},
        time_limit_minutes=5,
        download_patterns=["result.json"],
    )


def _outcome(point: Point, result: TaskResult) -> dict[str, Any]:
    merit = json.loads(result.files["result.json"].read_text(encoding="utf-8"))["merit_gpa"]
    return {"point": list(point), "settings": settings_at(point), "merit_gpa": merit}


def _grid() -> Iterator[Point]:
    return ((x / (GRID - 1), y / (GRID - 1)) for x in range(GRID) for y in range(GRID))


def _proposal(surrogate: Surrogate, best: float) -> tuple[Point, float]:
    """Give the point that promises most, and how much."""
    promises = {point: surrogate.expected_improvement(point, best) for point in _grid()}
    point = max(promises, key=lambda one: promises[one])
    return point, promises[point]


def get_campaign() -> Campaign:
    """Give the campaign of this workspace."""
    return Coatings()
