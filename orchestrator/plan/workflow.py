"""Plan the tasks that a step has planned, and say of each fault in which of them it is: nobody sees their text."""

from __future__ import annotations

import dataclasses
import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.campaign_source import WORKFLOW_NAME
from orchestrator.catalog import Project
from orchestrator.errors import InvalidFileError, Problem
from orchestrator.jsonsafe import JsonValue
from orchestrator.plan.finding import check_files, look
from orchestrator.plan.model import SubRecipe
from orchestrator.plan.tasks import tasks_of
from orchestrator.recipe.load import load_recipe
from orchestrator.recipe.model import SCHEMA_ID
from orchestrator.sources import DocPath, Source

# So long is the path of a task; longer ones lead to its keys.
_OF_TASK = 2


def plan_workflow(tasks: Sequence[Mapping[str, JsonValue]], project: Project) -> SubRecipe:
    """Plan tasks that a step has planned; raise `InvalidFileError` with all that is wrong with them.

    Texts in them are taken as they are: what a step gives is never looked through for expressions.
    """
    steps = [plainly(dict(task)) for task in tasks]
    text = json.dumps({"schema": SCHEMA_ID, "steps": steps}, ensure_ascii=False, indent=1)
    source = Source.from_text(WORKFLOW_NAME, text)
    try:
        loaded = load_recipe(source, lambda part: look(part, project)[1])
        planned = tuple(tasks_of(loaded, check_files(loaded, project), {}))
    except InvalidFileError as error:
        raise InvalidFileError(_by_task(error.problems, tasks, source)) from error
    return SubRecipe(loaded=loaded, project=project, tasks=planned)


def plainly(value: JsonValue) -> JsonValue:
    """Write a value so that it stays what it is where expressions are evaluated."""
    if isinstance(value, dict):
        return {key: plainly(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plainly(part) for part in value]
    return value.replace("${{", "${{ '${' + '{' }}") if isinstance(value, str) else value


def at_task(task: str, key: str, message: str) -> str:
    """Say of which planned task, and of which of its keys, something is told."""
    return f"task {task!r}{f', {key}' if key else ''}: {message}"


def _by_task(
    problems: Sequence[Problem], tasks: Sequence[Mapping[str, JsonValue]], source: Source
) -> Iterator[Problem]:
    """Say of each problem to which task and key it belongs, instead of in which line of a text that nobody wrote."""
    parts = [*_parts(tasks)]
    lines = [source.place(path, of_key=len(path) > _OF_TASK).line for path, _, _ in parts]
    for problem in problems:
        number = bisect_right(lines, problem.place.line) - 1 if problem.place else -1
        message = at_task(*parts[number][1:], problem.message) if number >= 0 else problem.message
        yield dataclasses.replace(problem, message=message, place=None)


def _parts(tasks: Sequence[Mapping[str, JsonValue]]) -> Iterator[tuple[DocPath, str, str]]:
    """Give where tasks, their keys and the keys below those stand, each with the name of the task and of the key."""
    for index, task in enumerate(tasks):
        name = str(task.get("name", f"number {index + 1}"))
        yield ("steps", index), name, ""
        for key, value in task.items():
            yield ("steps", index, key), name, key
            if isinstance(value, dict):
                yield from ((("steps", index, key, inner), name, f"{key}.{inner}") for inner in value)
