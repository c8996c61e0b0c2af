"""Follow the job of one attempt: what was seen of it so far, and what that means. Nothing is asked here."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from orchestrator.clock import up_sec
from orchestrator.jsonsafe import JsonValue
from orchestrator.operators.assignments import Assignment, Sighting
from orchestrator.operators.slurm.answers import AccountRow, QueueRow
from orchestrator.operators.slurm.ends import Record, stuck
from orchestrator.operators.slurm.leavings import Left
from orchestrator.operators.slurm.ledger import Job
from orchestrator.operators.slurm.notices import JobSeen
from orchestrator.operators.slurm.states import Phase, State
from orchestrator.states import AttemptState
from orchestrator.workers.calls import Done

# So many looks in a row must not show a job before that means anything.
ABSENCES = 2
# A reason that nothing but somebody's act removes is told of after so long: a site may be about to remove it.
STUCK_SEC = 600.0
STUCK_VARIABLE = "MATTERSTACK_STUCK_AFTER"
# The states of jobs whose scripts came to their end, and so left a record.
_BY_ITSELF = frozenset({"COMPLETED", "FAILED"})


class Stage(Enum):
    """How far an attempt is on its way to the cluster and back."""

    FRESH = auto()
    SENDING = auto()
    UNKNOWN = auto()
    THERE = auto()


@dataclass(slots=True, kw_only=True)
class Held:
    """An attempt in the hands of the operator: its job, and what was last seen of that.

    ``since`` is the second of the machine's uptime from which on looks at the queue must show the job; it ``is_shown``
    where the last one did as one that has not ended. ``earlier`` tells of the jobs that this one continues, from the
    ``first_job`` on. ``others`` are the ids of jobs that wait or run under the same name. ``again`` is when it is sent
    again (UTC), which Slurm has refused for the ``reason``. One that ``is_unwanted`` is to end; ``cancelled_at`` says
    when its job was cancelled last. ``given_up`` is its fault where it could not be continued.
    """

    assignment: Assignment
    job: Job | None = None
    first_job: Job | None = None
    stage: Stage = Stage.FRESH
    job_id: str = ""
    since: float = 0.0
    absences: int = 0
    missing_since: float | None = None
    stuck_since: float | None = None
    ended_as: State | None = None
    unrecorded_since: float | None = None
    word: str = ""
    reason: str = ""
    nodes: str = ""
    started: str = ""
    ends: str = ""
    again: str = ""
    advice: str = ""
    is_shown: bool = False
    is_unwanted: bool = False
    cancelled_at: float = -math.inf
    others: tuple[str, ...] = ()
    given_up: str = ""
    earlier: list[JsonValue] = field(default_factory=list)
    told: tuple[AttemptState, str, str] | None = None

    def refused(self, reason: str, again: str) -> None:
        """Take why Slurm does not take its job for now, and when it is asked again."""
        self.reason, self.again = reason, again

    @property
    def index(self) -> int | None:
        """Give the number of its task in the array; None where its job is no array."""
        if self.job is None or not self.job.is_array:
            return None
        return self.job.attempts.index(self.assignment.attempt_id)

    @property
    def known_job(self) -> Job:
        """Give its job; it has one from when it is sent."""
        if self.job is None:
            raise AssertionError(f"attempt {self.assignment.attempt_id} has no job")
        return self.job

    @property
    def turn(self) -> int:
        """Tell how often it was continued."""
        return self.job.turn if self.job else 0

    def cancel(self) -> None:
        """Want it ended; its job is cancelled at the next chance, again where it was before."""
        self.is_unwanted, self.cancelled_at = True, -math.inf

    def take_id(self, job_id: str) -> None:
        """Take the id that its job, or the array with it, was submitted by."""
        self.stage, self.since, self.again = Stage.THERE, up_sec(), ""
        self.job_id = job_id if self.index is None else f"{job_id}_{self.index}"
        self.absences, self.missing_since, self.ended_as = 0, None, None

    def give_up(self, fault: str = "") -> None:
        """End it though its job was never sent, for an earlier one was: what that left is brought home."""
        self.stage, self.given_up = Stage.THERE, fault
        self.ended_as = State(word="CANCELLED", phase=Phase.ENDED)

    def follow(self, job_id: str) -> None:
        """Watch another job of its name from now on, which carries the attempt out or will."""
        self.job_id, self.ended_as, self.absences = job_id, None, 0
        self.cancelled_at = -math.inf

    def saw(self, rows: Sequence[QueueRow], at_sec: float) -> None:
        """Take what a look at the queue showed of its job: one row, or none."""
        if at_sec < self.since:
            return
        self.is_shown = bool(rows) and rows[0].state.phase is not Phase.ENDED
        if not rows:
            self.absences += 1
            return
        row = rows[0]
        self.absences, self.missing_since = 0, None
        self.word, self.reason, self.nodes = row.state.word, row.reason, row.nodes
        self.started, self.ends = row.started, row.ends
        self.ended_as = row.state if row.state.phase is Phase.ENDED else None
        self._is_it_stuck(row, at_sec)

    def _is_it_stuck(self, row: QueueRow, at_sec: float) -> None:
        found = stuck(row.reason, row.job_id) if row.state.phase is Phase.WAITING else None
        self.stuck_since, self.advice = (self.stuck_since or at_sec) if found else None, ""
        patience_sec = float(os.environ.get(STUCK_VARIABLE, STUCK_SEC))
        if found and self.stuck_since is not None and at_sec - self.stuck_since >= patience_sec:
            self.advice = f"it will never start by itself; {found.fix}"

    def begin_anew(self) -> None:
        """Forget what was seen of its job, since it has another one."""
        self.job_id = self.reason = self.nodes = self.started = self.ends = self.advice = ""
        self.absences, self.is_shown = 0, False
        self.ended_as = self.missing_since = self.stuck_since = self.unrecorded_since = None

    @property
    def shown_ids(self) -> tuple[str, ...]:
        """Give the ids of its job and of others of the name that the last look showed as not ended."""
        return (self.job_id, *self.others) if self.is_shown else self.others

    @property
    def is_queued(self) -> bool:
        """Tell whether its job counts as one of the queue, where it may keep others out, as far as is known."""
        return self.stage is Stage.THERE and self.ended_as is None and self.absences == 0

    @property
    def may_be_over(self) -> bool:
        """Tell whether the looks so far allow that its job has ended."""
        return self.ended_as is not None or self.absences >= ABSENCES

    def awaits_record(self, left: Left, state: State | None, patience_sec: float) -> bool:
        """Tell whether a job that has ended by itself may have left a record that cannot be seen yet."""
        if state is None or state.word not in _BY_ITSELF or left.record is not None or left.is_gone:
            return False
        self.unrecorded_since = self.unrecorded_since or up_sec()
        return up_sec() - self.unrecorded_since < patience_sec

    def is_lost(self, after_sec: float) -> bool:
        """Tell whether its job, which is nowhere to be found, was so for long enough."""
        self.missing_since = up_sec() if self.missing_since is None else self.missing_since
        return up_sec() - self.missing_since >= after_sec

    def end_of(self, record: Record | None, account: AccountRow | None) -> State | None:
        """Give the state in which its job ended; None where nothing says that it did.

        The queue's and the accounting's word counts more than the record that the job left, and that more than silence.
        """
        if self.ended_as is not None:
            return self.ended_as
        if self.absences < ABSENCES:
            return None
        if account is not None and account.state.phase is Phase.ENDED:
            return account.state
        return State(word="COMPLETED", phase=Phase.ENDED) if record is not None else None

    def news(self, state: AttemptState, note: str = "") -> Iterator[Sighting]:
        """Say where it stands, unless that was told before."""
        if self.told == (state, note, self.job_id):
            return
        self.told = (state, note, self.job_id)
        data: dict[str, JsonValue] = {"note": note}
        if self.job:
            data["job"] = self.job.key
        if self.earlier:
            data["jobs"] = list(self.earlier)
        yield Sighting(
            attempt_id=self.assignment.attempt_id,
            state=state,
            external_id=self.job_id,
            note=note,
            operator_data=data,
        )

    def over(self, done: Done) -> Sighting:
        """Say that it has ended, and what came of it."""
        return Sighting(attempt_id=done.attempt_id, state=AttemptState.COLLECTING, external_id=self.job_id, done=done)

    @property
    def seen(self) -> JobSeen:
        """Give its job as the queue last showed it, or as Slurm refused it for now."""
        if self.again:
            return JobSeen(reason=self.reason, again=self.again)
        return JobSeen(
            job_id=self.job_id,
            state=self.word,
            reason=self.reason,
            starts=self.started,
            nodes=self.nodes,
            advice=self.advice,
        )

    def standing(self, row: QueueRow) -> tuple[AttemptState, str]:
        """Give the state of an attempt whose job the queue shows, and what people should know of it."""
        if row.state.phase is Phase.WAITING:
            return AttemptState.QUEUED, f"{row.reason}: {self.advice}" if self.advice else row.reason
        if row.state.phase is Phase.ODD:
            return AttemptState.RUNNING, f"Slurm says {row.state.word!r}, which is not known here: taken as going on"
        note = "" if row.state.word == "RUNNING" else row.state.word.lower()
        return AttemptState.RUNNING, note
