"""Say what an attempt comes to: as it is recorded, and as people are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orchestrator.campaign_source import WORKFLOW_NAME, is_written
from orchestrator.clock import monotonic, utc_after
from orchestrator.driver.run import Running
from orchestrator.errors import Problem
from orchestrator.frames import Task
from orchestrator.judging import collected, recorded
from orchestrator.outcomes import INTERRUPTED, Failing, Verdict
from orchestrator.plan import at_task
from orchestrator.progress import TaskEnded
from orchestrator.states import AttemptState, TaskState
from orchestrator.workers.calls import Done

CACHED = "cached"
# Where below its step a failure is shown; the rest is shown at the step's name.
_PLACES = {
    **{
        key: (key,)
        for key in ("when", "args", "env", "foreach", "matrix", "save", "cache", "uses", "files", "fetch", "tasks")
    },
    "budget": ("resources",),
    **{rule: ("success", rule) for rule in ("ctx_has_keys", "files_exist", "json_schema", "expect")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """What an attempt comes to, and where that leaves its task; one that goes back to pending is due ``at`` a time.

    An attempt that was not even begun has no verdict.
    """

    done: Done
    status: AttemptState
    state: TaskState
    outcome: str
    verdict: Verdict | None = None
    failing: Failing | None = None
    at: float | None = None

    def to_record(self, running: Running) -> dict[str, Any]:
        """Give what is recorded of it."""
        is_away = running.folder is not None and self.status is not AttemptState.FAILED_INIT
        keep_stdout = running.task.planned.free_stdout or self.failing is not None
        return {
            "task_id": running.task.task_id,
            "attempt_id": self.done.attempt_id,
            "status": self.status,
            "task_status": self.state,
            "outcome": self.outcome,
            "reason": self._reason,
            "collected": collected(self.done) if is_away else None,
            **recorded(self.done, self.verdict, keep_stdout=keep_stdout),
        }

    @property
    def _reason(self) -> str:
        """Give why the attempt did not succeed; of one that was lost, also when the next one begins."""
        reason = self.failing.reason if self.failing else ""
        wait_sec = 0.0 if self.at is None else self.at - monotonic()
        is_awaited = self.status is AttemptState.LOST and wait_sec > 0
        return f"{reason}; tried again at {utc_after(wait_sec)}" if is_awaited else reason

    def to_news(self, running: Running, position: int) -> TaskEnded:
        """Give what is told of it; ``position`` is the place of the step in the recipe."""
        task, problem = running.task, _problem(running.task, self.failing)
        changes = self.verdict.changes if self.verdict and self.state is TaskState.COMPLETED else ()
        reason = INTERRUPTED if self.done.fault == INTERRUPTED else ""
        return TaskEnded(
            position=position,
            task_id=task.task_id,
            status=self.state,
            reason=self.failing.reason if self.failing else reason,
            cached=self.outcome.startswith(CACHED),
            stubbed=running.is_stubbed,
            duration_sec=self.done.duration_sec,
            outputs=tuple(dict.fromkeys(change.key for change in changes)),
            attempt_index=running.attempt_index,
            retry_in_sec=None if self.at is None else max(0.0, self.at - monotonic()),
            allowed=task.planned.node.allow_failure,
            stderr=self.done.stderr if problem else "",
            began=self.verdict is not None,
            is_away=task.planned.away is not None,
            problem=problem,
        )


def _problem(task: Task, failing: Failing | None) -> Problem | None:
    """Point at the line of the recipe that a failure belongs to; where nobody wrote one, name its key."""
    if failing is None:
        return None
    within = _PLACES.get(failing.rule, ())
    detail = "" if failing.detail in failing.reason or failing.rule == "exit_code" else failing.detail
    loaded = task.frame.loaded
    if is_written(loaded.source):
        place = loaded.place(task.planned.step, *(within or ("name",)), failing.index)
        return Problem(failing.code, f"{task.task_id}: {failing.reason}", place, detail)
    is_planned = loaded.source.name == WORKFLOW_NAME
    told = (
        at_task(task.task_id, ".".join(within), failing.reason) if is_planned else f"{task.task_id}: {failing.reason}"
    )
    return Problem(failing.code, told, None, detail)
