"""Get attempts their jobs: put together, recorded, submitted, and looked for where an answer was lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from orchestrator.clock import up_sec, utc_after
from orchestrator.operators.assignments import Sighting, not_begun
from orchestrator.operators.slurm.answers import QueueRow, Submitted
from orchestrator.operators.slurm.batches import Batch, batches_of, new_batch, restored
from orchestrator.operators.slurm.fetching import Fetcher, Shipment
from orchestrator.operators.slurm.holding import Held, Stage
from orchestrator.operators.slurm.ledger import Ledger
from orchestrator.operators.slurm.parcels import Places
from orchestrator.operators.slurm.refusals import Refusal, Verdict
from orchestrator.operators.slurm.sites import Site
from orchestrator.operators.slurm.submitting import Submissions
from orchestrator.states import AttemptState
from orchestrator.wiring.model import SlurmBackend
from orchestrator.workers.calls import Done

_AT_ONCE = 200
# So often an operator that somebody has paused looks whether it goes on.
_PAUSED_SEC = 1.0


class Sender:
    """Takes the attempts of ``held`` as far as their jobs are there for sure, and ends those that get none.

    While ``paused`` says why, nothing is submitted. ``hurry`` has the queue looked at soon.
    """

    def __init__(
        self,
        site: Site,
        backend: SlurmBackend,
        held: Mapping[str, Held],
        *,
        ledger: Ledger,
        fetcher: Fetcher,
        paused: Callable[[], str],
        hurry: Callable[[], None],
    ) -> None:
        self._site = site
        self._backend = backend
        self._held = held
        self._ledger = ledger
        self._fetcher = fetcher
        self._paused = paused
        self._hurry = hurry
        self._submissions = Submissions(site, backend)
        self._unbegun: list[tuple[Held, Sighting]] = []

    def times(self) -> Iterator[float]:
        """Give the seconds of the machine's uptime from which on there is something to send."""
        yield from self._submissions.times()
        if self._unbegun or any(held.stage is Stage.FRESH for held in self._held.values()):
            yield 0.0

    def send(self) -> Iterator[Sighting]:
        """Submit what may be submitted now, and end what nobody wants or Slurm refuses. Raises `AwayError`."""
        yield from self._end_unsent()
        self._put_together()
        if self._submissions.is_due and (why := self._paused()):
            self._submissions.put_off(_PAUSED_SEC)
            for held in [held for held in self._held.values() if held.stage is Stage.SENDING]:
                held.again = ""
                yield from held.news(AttemptState.SUBMITTING, why)
        elif self._submissions.waiting:
            for batch, came in self._submissions.send(self._site.facts().places):
                yield from self._submitted(batch, came)
        yield from self._end_unbegun()

    def settle(self, rows: Sequence[QueueRow], places: Places) -> Iterator[Sighting]:
        """Look for the jobs of which nobody knows, also in the rows of the queue. Raises `AwayError`."""
        for batch, job_id in self._submissions.settle(rows, places):
            for held in self._of(batch):
                held.take_id(job_id)
                yield from held.news(AttemptState.SUBMITTED, batch.note)
        for batch in self._submissions.unknown.values():
            for held in self._of(batch) if batch.obstacle else ():
                yield from held.news(AttemptState.UNKNOWN, batch.obstacle)

    def look_for(self, held: Held) -> Iterator[Sighting]:
        """Take an attempt whose job was recorded, and may have been submitted."""
        job, held.stage = held.known_job, Stage.UNKNOWN
        batch = self._submissions.unknown.get(job.key)
        others = batch.assignments if batch else ()
        self._submissions.unknown[job.key] = restored(job, (*others, held.assignment))
        yield from held.news(AttemptState.UNKNOWN, "looks whether its job was submitted")

    def make_room(self, count: int) -> None:
        """Try soon what Slurm refused for now, since so many jobs have left the queue."""
        self._submissions.make_room(count)

    def miss_answers(self) -> None:
        """Take note of the jobs of which nobody knows whether the site took them on."""
        for batch in self._submissions.unknown.values():
            for held in self._of(batch):
                held.stage = Stage.UNKNOWN
        if self._submissions.unknown:
            self._hurry()

    def go_on(self, held: Held) -> None:
        """Give an attempt that was there another job, in the same directory."""
        self._enter(new_batch([held.assignment], self._backend, held.turn + 1))
        held.begin_anew()

    def _put_together(self) -> None:
        """Give fresh attempts their jobs, which are recorded before the site hears of them."""
        fresh = [held.assignment for held in self._held.values() if held.stage is Stage.FRESH]
        if fresh:
            for batch in batches_of(fresh, self._backend, self._site.facts().settings.max_array_size):
                self._enter(batch)

    def _enter(self, batch: Batch) -> None:
        self._ledger.enter(batch.assignments[0].run_root, batch.job)
        self._submissions.waiting.append(batch)
        for held in self._of(batch):
            held.job, held.stage = batch.job, Stage.SENDING
            held.first_job = self._ledger.first_of(held.assignment.attempt_id)

    def _of(self, batch: Batch) -> list[Held]:
        """Give the attempts of a job that have not ended meanwhile."""
        return [self._held[one.attempt_id] for one in batch.assignments if one.attempt_id in self._held]

    def _split(self, batch: Batch) -> None:
        """Make two jobs of an array that Slurm does not take though no other jobs are there: it may be too large."""
        if batch.job.is_array and not any(held.stage is Stage.THERE for held in self._held.values()):
            for half in self._submissions.split(batch):
                self._enter(half)
            self._fetcher.remove_job(batch.job, batch.assignments[0], self._site.facts().places)

    def _submitted(self, batch: Batch, came: Submitted | Refusal) -> Iterator[Sighting]:
        if isinstance(came, Refusal) and came.is_of_many:
            self._split(batch)
        for held in self._of(batch):
            if isinstance(came, Submitted):
                held.take_id(came.job_id)
                yield from held.news(AttemptState.SUBMITTED)
            else:
                yield from self._refused(held, came, batch.not_before)
        if isinstance(came, Submitted) or came.verdict is not Verdict.NOT_NOW:
            self._hurry()

    def _refused(self, held: Held, came: Refusal, not_before: float) -> Iterator[Sighting]:
        """Let an attempt wait for its next try, for what is found of its job, or end where it will never have one."""
        if came.verdict is Verdict.REJECTED and held.turn:
            held.give_up(f"timeout: its time was over, and it could not be continued: {came.explained}")
        elif came.verdict is Verdict.REJECTED:
            refused = not_begun(held.assignment, came.explained)
            self._unbegun.append((held, dataclasses.replace(refused, is_final=True, about=came.about)))
        elif came.verdict is Verdict.NOT_NOW:
            held.refused(came.text, utc_after(max(0.0, not_before - up_sec())))
            yield from held.news(AttemptState.SUBMITTING, f"{came.text}: tried again, less and less often")
        else:
            held.stage, held.again = Stage.UNKNOWN, ""
            yield from held.news(AttemptState.UNKNOWN, f"{came.text}: there may be a job, which is looked for")

    def _end_unsent(self) -> Iterator[Sighting]:
        """End the attempts that nobody wants any more and that were never sent."""
        unsent = {one.attempt_id for batch in self._submissions.waiting for one in batch.assignments}
        for attempt_id, held in list(self._held.items()):
            if not held.is_unwanted or not (held.stage is Stage.FRESH or attempt_id in unsent):
                continue
            over = held.over(Done(attempt_id=attempt_id, exit_code=None))
            was_sent = attempt_id in unsent and self._submissions.drop(attempt_id)
            if held.turn:
                held.give_up()
                self._hurry()
            elif was_sent:
                self._unbegun.append((held, over))
            else:
                yield over

    def _end_unbegun(self) -> Iterator[Sighting]:
        """Tell of attempts that get no job, once nothing lies on the cluster of them that is not to stay."""
        while some := self._unbegun[:_AT_ONCE]:
            left = [Shipment(assignment=held.assignment, job=held.first_job, is_failed=True) for held, _ in some]
            self._fetcher.tidy(left, self._site.facts().places)
            del self._unbegun[:_AT_ONCE]
            yield from [sighting for _, sighting in some]
