"""Submit jobs, each once: where an answer was lost, the job is looked for by its name until that is settled."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from orchestrator.clock import jittered, up_sec
from orchestrator.operators.slurm.answers import QueueRow, Submitted, read_submitted
from orchestrator.operators.slurm.asking import accounting, answer, cancelling, submissions
from orchestrator.operators.slurm.batches import Batch, halves, parcel_of, submission_of
from orchestrator.operators.slurm.kit import kit
from orchestrator.operators.slurm.leavings import forgetting
from orchestrator.operators.slurm.names import JOB, of_turn
from orchestrator.operators.slurm.parcels import Places, pack, secret_names
from orchestrator.operators.slurm.refusals import Refusal, Verdict, judge_submission
from orchestrator.operators.slurm.settling import Inquiry, Search, by_number, grace_sec_of
from orchestrator.operators.slurm.sites import AwayError, NoRoomError, Site
from orchestrator.wiring.model import SlurmBackend

# So many jobs are submitted by one script: what is lost with its answer is then soon found again.
_AT_ONCE = 25
# A hung controller keeps each submission waiting for ten seconds or more.
_ASK_SEC, _SUBMIT_SEC = 60.0, 20.0
# A site that refuses more jobs for now, or has no room, is asked again after so long, and ever less often.
_BACK_OFF_SEC, _MOST_BACK_OFF_SEC = 30.0, 600.0
_MOST_SKEW = timedelta(days=1)
_SILENT = "looks whether its job was submitted; that there is none is for the accounting to say, which does not answer"


class Submissions:
    """The jobs of one operator that are not there for sure: those that wait to be sent, and those nobody knows of."""

    def __init__(self, site: Site, backend: SlurmBackend) -> None:
        self._site = site
        self._backend = backend
        self.waiting: list[Batch] = []
        self.unknown: dict[str, Batch] = {}

    def times(self) -> Iterator[float]:
        """Give the seconds of the machine's uptime from which on jobs may be sent."""
        return (batch.not_before for batch in self.waiting)

    @property
    def is_due(self) -> bool:
        """Tell whether jobs may be sent now."""
        return any(at <= up_sec() for at in self.times())

    def put_off(self, sec: float) -> None:
        """Send none of the jobs that may be sent now for some seconds."""
        for batch in self.waiting:
            batch.not_before = max(batch.not_before, up_sec() + sec)

    def make_room(self, count: int) -> None:
        """Let so many attempts whose jobs were refused be sent now, since as many jobs have left the queue."""
        for batch in self.waiting:
            if count > 0 and batch.refusals:
                batch.not_before = min(batch.not_before, up_sec())
                count -= len(batch.assignments)

    def split(self, batch: Batch) -> list[Batch]:
        """Give two jobs in the place of an array that was refused, which are tried soon; it is left out."""
        self.waiting.remove(batch)
        batch.not_before = up_sec() + self._back_off_sec(1)
        return halves(batch, self._backend)

    def drop(self, attempt_id: str) -> bool:
        """Leave out an attempt of a job that waits to be sent; tell whether something of it may lie on the cluster."""
        (batch,) = (batch for batch in self.waiting if any(one.attempt_id == attempt_id for one in batch.assignments))
        batch.assignments = tuple(one for one in batch.assignments if one.attempt_id != attempt_id)
        self.waiting = [batch for batch in self.waiting if batch.assignments]
        return batch.was_sent

    def send(self, places: Places) -> Iterator[tuple[Batch, Submitted | Refusal]]:
        """Submit what may be submitted now; give each job with what came of it.

        Raises `AwayError` where the site cannot be reached; what was not sent then goes on waiting.
        """
        due = [batch for batch in self.waiting if batch.not_before <= up_sec()]
        for start in range(0, len(due), _AT_ONCE):
            yield from self._send(due[start : start + _AT_ONCE], places)

    def settle(self, rows: Sequence[QueueRow], places: Places) -> Iterator[tuple[Batch, str]]:
        """Look for the jobs of which nobody knows; give each that was found, with its id.

        ``rows`` is what the queue showed. Jobs that are proved not to be there wait to be sent again; the obstacle of
        one of which that cannot be proved says why. Doubles are cancelled unless they have begun: one of them may carry
        an attempt out, and the others end by themselves. Raises `AwayError`.
        """
        if not self.unknown:
            return
        told, grace_sec = self._told_by_folders(places), grace_sec_of(self._backend, self._site.facts().settings)
        for batch in list(self.unknown.values()):
            key, at = batch.job.key, up_sec()
            ids = {told[key]} if told.get(key) else set()
            ids |= {row.array_id for row in rows if row.name == key}
            is_whole = key in told
            if not ids and is_whole:
                found = self._told_by_accounting(batch)
                ids |= found or set()
                is_whole = found is not None
                batch.obstacle = "" if is_whole else _SILENT
            settled = batch.inquiry.take(Search(at_sec=at, ids=frozenset(ids), is_whole=is_whole), grace_sec=grace_sec)
            if settled is None:
                continue
            del self.unknown[key]
            if settled.is_absent:
                batch.inquiry, batch.was_sent = Inquiry(), True
                self.waiting.append(batch)
                continue
            if settled.doubles:
                self._site.command(cancelling(settled.doubles, only_waiting=True))
                batch.note = f"there were several jobs of its name: {settled.adopt}, {', '.join(settled.doubles)}"
            yield batch, settled.adopt

    def _send(self, due: Sequence[Batch], places: Places) -> Iterator[tuple[Batch, Submitted | Refusal]]:
        try:
            printed, marks = self._deliver(due, places)
        except NoRoomError as error:
            for batch in due:
                came = Refusal(verdict=Verdict.NOT_NOW, text=str(error))
                self._take(batch, came)
                yield batch, came
            self._forget_secrets(due, places)
            return
        for batch, mark in zip(due, marks, strict=True):
            answered = judge_submission(answer(printed, mark))
            self._take(batch, answered)
            yield batch, answered
        self._forget_secrets([batch for batch in due if batch in self.waiting], places)

    def _forget_secrets(self, refused: Sequence[Batch], places: Places) -> None:
        """Leave no secret with attempts that wait for their next try, which brings it there again."""
        attempts = (one for batch in refused for one in batch.assignments if secret_names(one))
        folders = [places.attempt(one).removeprefix(f"{places.root}/") for one in attempts]
        if folders:
            self._site.ask(forgetting(places.root, folders))

    def _deliver(self, due: Sequence[Batch], places: Places) -> tuple[str, list[str]]:
        """Submit jobs; give what was printed, and the mark of each answer in it."""
        marks = [secrets.token_hex(8) for _ in due]
        script = submissions(
            (submission_of(batch, places, self._backend), mark) for batch, mark in zip(due, marks, strict=True)
        )
        parcels = [parcel_of(batch, self._backend) for batch in due]
        is_python = any("class" in one.work for batch in due for one in batch.assignments)
        # From here on, only an answer tells that a job is not there.
        for batch in due:
            self.waiting.remove(batch)
            self.unknown[batch.job.key] = batch
        try:
            return self._site.deliver(
                pack(parcels, places, self._backend),
                places.root,
                script,
                lasting={kit().name: kit().content} if is_python else None,
                deadline_sec=_ASK_SEC + _SUBMIT_SEC * len(due),
            ), marks
        except AwayError as error:
            if not error.may_have_arrived:
                self._put_back(due)
            raise

    def _take(self, batch: Batch, came: Submitted | Refusal) -> None:
        if isinstance(came, Refusal) and came.verdict is Verdict.AMBIGUOUS:
            batch.note = came.text
            return
        self.unknown.pop(batch.job.key, None)
        if isinstance(came, Refusal) and came.verdict is Verdict.NOT_NOW:
            if batch in self.waiting:
                self.waiting.remove(batch)
            batch.was_sent = True
            batch.refusals += 1
            batch.not_before, batch.note = up_sec() + self._back_off_sec(batch.refusals), came.text
            self.waiting.append(batch)

    def _back_off_sec(self, refusals: int) -> float:
        first, most = min(_BACK_OFF_SEC, self._backend.poll_every), self._backend.poll_every * 10
        return jittered(min(first * 2 ** (refusals - 1), _MOST_BACK_OFF_SEC, most))

    def _put_back(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            del self.unknown[batch.job.key]
        self.waiting[:0] = batches

    def _told_by_folders(self, places: Places) -> Mapping[str, str]:
        """Give the ids that the site has noted in the folders of jobs, by key; empty where it has noted none."""
        batches = list(self.unknown.values())
        files = [f"{places.job(one.job, one.assignments[0])}/{of_turn(JOB, one.job.turn)}" for one in batches]
        told = [read_submitted(line) for line in self._site.first_lines(files)]
        return {batch.job.key: one.job_id if one else "" for batch, one in zip(batches, told, strict=True)}

    def _told_by_accounting(self, batch: Batch) -> set[str] | None:
        """Give the ids that the accounting knows by the name of a job; None where it cannot be asked and should know.

        A cluster without accounting has only its queue to tell.
        """
        if not self._site.facts().settings.has_accounting:
            return set()
        # The site's clock may be behind, and nothing else has the name.
        since = f"{(datetime.fromisoformat(batch.job.asked_at) - _MOST_SKEW).isoformat()[:16]}"
        rows = self._site.accounted(accounting(name=batch.job.key, since=since))
        if rows is None:
            return None
        return set(by_number({row.job_id.split("_")[0] for row in rows if row.name == batch.job.key})[:1])
