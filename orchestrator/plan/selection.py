"""Say which steps of a recipe are to run, and why the others are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.errors import NothingSelectedError, UsageError
from orchestrator.keys import did_you_mean
from orchestrator.recipe.model import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which steps to run; all empty means every step. ``resume_from`` and ``until`` hold one name or none."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    resume_from: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    def to_json(self) -> dict[str, list[str]]:
        """Give the selection as it is recorded with a run."""
        return {name: list(getattr(self, name)) for name in ("only", "skip", "tags", "resume_from", "until")}


def left_out_by(steps: Sequence[Step], selection: Selection) -> dict[str, str]:
    """Give, by step, why the selection leaves it out."""
    names = [step.name for step in steps]
    for option in (selection.only, selection.skip, selection.resume_from, selection.until):
        for name in option:
            if name not in names:
                raise UsageError(f"the recipe has no step {name!r}", hint=did_you_mean(name, names), code="MS203")
    left_out = {name: "not in --only" for name in names if selection.only and name not in selection.only}
    left_out.update(_without_tags(steps, selection.tags))
    left_out.update(dict.fromkeys(selection.skip, "left out by --skip"))
    for start in selection.resume_from:
        left_out.update(dict.fromkeys(names[: names.index(start)], f"before --resume-from {start}"))
    for end in selection.until:
        left_out.update(dict.fromkeys(names[names.index(end) + 1 :], f"after --until {end}"))
    if len(left_out) == len(names):
        raise NothingSelectedError("the selection leaves no step to run", hint=f"the steps are: {', '.join(names)}")
    return left_out


def _without_tags(steps: Sequence[Step], tags: Sequence[str]) -> dict[str, str]:
    known = sorted({tag for step in steps for tag in step.tags})
    for tag in tags:
        if tag not in known:
            hint = did_you_mean(tag, known) or "no step of the recipe has tags"
            raise UsageError(f"no step has the tag {tag!r}", hint=hint, code="MS203")
    wanted = set(tags)
    return {step.name: f"without --tags {','.join(tags)}" for step in steps if tags and not wanted & set(step.tags)}
