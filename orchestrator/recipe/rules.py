"""Check what several steps of a recipe must agree on: their names, their numbers, and who waits for whom."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from orchestrator.errors import Problem
from orchestrator.jsonsafe import JsonValue
from orchestrator.keys import did_you_mean
from orchestrator.recipe.model import STEP_LISTS
from orchestrator.recipe.order import by_idx, dependencies
from orchestrator.recipe.words import shown
from orchestrator.sources import DocPath, Source

_MOST_COMPARISONS = 50_000
_MOST_CIRCLES = 10
_LONGEST_CIRCLE_SHOWN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StepEntry:
    """What a step of the file says about its place among the others, as far as it says it rightly."""

    path: DocPath
    name: str
    idx: int | None
    depends_on: tuple[str, ...] | None
    parallel: bool


Entries = Mapping[str, Sequence[StepEntry]]


def step_entries(document: Mapping[str, JsonValue]) -> dict[str, list[StepEntry]]:
    """Give the named steps of each list of the file, in its order."""
    return {name: list(_entries(name, document.get(name))) for name in STEP_LISTS}


def rule_problems(document: Mapping[str, JsonValue], entries: Entries, source: Source) -> list[Problem]:
    """Give the problems of names, dependencies and cases."""
    problems = [
        *_empty_list(document, source),
        *_repeated_names([entry for steps in entries.values() for entry in steps], source),
        *_repeated_cases(document, source),
        *_unknown_inputs(document, source),
    ]
    for name, steps in entries.items():
        problems += _wrong_dependencies(name, entries, source)
        problems += _circles(by_idx(steps) if "schema" not in document else steps, source)
    return problems


def idx_problems(entries: Entries, source: Source) -> list[Problem]:
    """Give the problem of every step whose ``idx`` does not rise above that of the numbered step before it."""
    return [problem for steps in entries.values() for problem in _falling_numbers(steps, source)]


def _entries(list_name: str, steps: JsonValue) -> Iterator[StepEntry]:
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        if isinstance(step, dict) and isinstance(step.get("name"), str):
            idx, depends_on = step.get("idx"), step.get("depends_on")
            yield StepEntry(
                path=(list_name, index),
                name=step["name"],
                idx=idx if type(idx) is int else None,
                depends_on=tuple(map(_name, depends_on)) if isinstance(depends_on, list) else None,
                parallel=step.get("parallel") is True,
            )


def _name(value: object) -> str:
    return value if isinstance(value, str) else ""


def _empty_list(document: Mapping[str, JsonValue], source: Source) -> Iterator[Problem]:
    if document.get("steps") == []:
        yield Problem("MS106", "a recipe has at least one step", source.place(("steps",)), "add a step")


def _repeated_names(entries: Iterable[StepEntry], source: Source) -> Iterator[Problem]:
    """Compare without case, because a step's name is also the name of a folder, which some systems fold."""
    seen: dict[str, StepEntry] = {}
    for entry in entries:
        first = seen.setdefault(entry.name.lower(), entry)
        if first is not entry:
            line = source.place((*first.path, "name")).line
            what = "is used twice" if first.name == entry.name else f"differs from {shown(first.name)} only in case"
            message = f"step name {shown(entry.name)} {what} (first at line {line})"
            yield Problem("MS202", message, source.place((*entry.path, "name")), "give each step its own name")


def _falling_numbers(steps: Iterable[StepEntry], source: Source) -> Iterator[Problem]:
    numbered = [(step, step.idx) for step in steps if step.idx is not None]
    for (before, lower), (step, idx) in pairwise(numbered):
        if idx <= lower:
            message = f"idx {idx} of step {shown(step.name)} does not rise above idx {lower} of {shown(before.name)}"
            yield Problem("MS210", message, source.place((*step.path, "idx")), "number the steps in the order they run")


def _wrong_dependencies(list_name: str, entries: Entries, source: Source) -> Iterator[Problem]:
    """Report every step that waits for itself or for a step that is not in its list."""
    elsewhere = {step.name: home for home, steps in entries.items() for step in steps if home != list_name}
    names = {step.name for step in entries[list_name]}
    suggest = _Suggestions(names)
    for path, step, name in _waits(entries[list_name]):
        if name == step.name:
            yield Problem("MS204", f"step {shown(name)} depends on itself", source.place(path), "remove it")
        elif name not in names:
            todo = f"that step stands in {elsewhere[name]!r}" if name in elsewhere else suggest(name)
            message = f"step {shown(step.name)} depends on unknown step {shown(name)}"
            yield Problem("MS203", message, source.place(path), todo)


def _waits(steps: Iterable[StepEntry]) -> Iterator[tuple[DocPath, StepEntry, str]]:
    for step in steps:
        for position, name in enumerate(step.depends_on or ()):
            if name:
                yield (*step.path, "depends_on", position), step, name


class _Suggestions:
    """Suggests the known name that was meant, until so many were compared that it would take too long."""

    def __init__(self, known: Collection[str]) -> None:
        self._known = known
        self._left = _MOST_COMPARISONS

    def __call__(self, name: str) -> str:
        """Give the suggestion, or nothing."""
        self._left -= len(self._known)
        return did_you_mean(name, self._known) if self._left >= 0 else ""


def _circles(steps: Sequence[StepEntry], source: Source) -> Iterator[Problem]:
    """Find circles one by one, each without the steps of those before, because a sorter names one at a time."""
    entries = {step.name: step for step in steps}
    if len(entries) < len(steps):
        return  # Names that are used twice are reported as such, and make the order ambiguous.
    waits = {
        name: [other for other in others if other in entries and other != name]
        for name, others in dependencies(steps).items()
    }
    for _ in range(_MOST_CIRCLES):
        circle = _circle(waits)
        if not circle:
            return
        yield _circle_problem(circle, entries, source)
        gone = frozenset(circle)
        waits = {name: [o for o in others if o not in gone] for name, others in waits.items() if name not in gone}


def _circle(waits: Mapping[str, Iterable[str]]) -> list[str]:
    """Give the names of a circle so that each waits for the next and the last for the first; nothing without one."""
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        names: list[str] = error.args[1]
        return names[:0:-1]
    return []


def _circle_problem(circle: list[str], entries: Mapping[str, StepEntry], source: Source) -> Problem:
    """Point at the first ``depends_on`` of the file that closes the circle; list order alone never closes one."""
    following = dict(pairwise([*circle, circle[0]]))
    closing = [entries[name] for name in circle if following[name] in (entries[name].depends_on or ())]
    first = min(closing, key=lambda step: int(step.path[1]))
    turn = circle.index(first.name)
    names = [*circle[turn:], *circle[:turn], first.name]
    shown_names = names if len(names) <= _LONGEST_CIRCLE_SHOWN else [*names[:_LONGEST_CIRCLE_SHOWN], "…", first.name]
    position = (first.depends_on or ()).index(following[first.name])
    message = f"steps depend on each other in a circle: {' -> '.join(shown_names)}"
    return Problem("MS204", message, source.place((*first.path, "depends_on", position)), "remove one of these")


def _cases(document: Mapping[str, JsonValue]) -> Iterator[tuple[DocPath, dict[str, JsonValue]]]:
    options = document.get("pytest")
    cases = options.get("cases") if isinstance(options, dict) else None
    for index, case in enumerate(cases if isinstance(cases, list) else []):
        if isinstance(case, dict):
            yield ("pytest", "cases", index), case


def _repeated_cases(document: Mapping[str, JsonValue], source: Source) -> Iterator[Problem]:
    seen: set[str] = set()
    for path, case in _cases(document):
        name = _name(case.get("id"))
        if name in seen:
            yield Problem(
                "MS202", f"case {shown(name)} is used twice", source.place((*path, "id")), "give it its own id"
            )
        seen.add(name)


def _unknown_inputs(document: Mapping[str, JsonValue], source: Source) -> Iterator[Problem]:
    inputs = document.get("inputs")
    known = list(inputs) if isinstance(inputs, dict) else []
    suggest = _Suggestions(known)
    for path, case in _cases(document):
        for key in [key for key in case if key != "id" and key not in known]:
            message = f"case {shown(case.get('id'))} gives {shown(key)}, which is no input of the recipe"
            yield Problem(
                "MS101", message, source.place((*path, key), of_key=True), suggest(key) or "declare it in 'inputs'"
            )
