"""Carry attempts out as jobs of a Slurm cluster: each of them once, whatever is lost on the way."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from orchestrator.clock import up_sec, utc_after
from orchestrator.errors import ScriptletError
from orchestrator.operators.assignments import Assignment, Sighting, not_begun
from orchestrator.operators.payload import texts_of
from orchestrator.operators.slurm.answers import AccountRow, QueueRow, Submitted, read_accounting, read_queue
from orchestrator.operators.slurm.asking import QUEUE, accounting, cancelling
from orchestrator.operators.slurm.batches import Batch, batches_of, demand_of, may_continue, new_batch, restored
from orchestrator.operators.slurm.directives import directives
from orchestrator.operators.slurm.endings import Ended, ended_of
from orchestrator.operators.slurm.fetching import Fetcher, Shipment, left_at_home
from orchestrator.operators.slurm.holding import Held, Stage
from orchestrator.operators.slurm.leavings import Place
from orchestrator.operators.slurm.ledger import Job, enter, entered
from orchestrator.operators.slurm.lookout import look_at_queue
from orchestrator.operators.slurm.notices import Notice, leave
from orchestrator.operators.slurm.parcels import Places, payload_of
from orchestrator.operators.slurm.refusals import Refusal, Verdict
from orchestrator.operators.slurm.sites import AwayError, Site
from orchestrator.operators.slurm.states import Phase
from orchestrator.operators.slurm.submitting import Submissions
from orchestrator.operators.staging import stage
from orchestrator.states import AttemptState
from orchestrator.wiring.model import SlurmBackend
from orchestrator.workers.calls import Done

# Looks at the queue come less often while nothing changes, up to this.
_LONGEST_SEC = 300.0
_SLOWER = 1.5
# What Slurm sets by itself for how long it remembers a job that has ended.
_REMEMBERS_SEC = 300.0
# A cancelled job that is still there is cancelled again after so long.
_CANCEL_AGAIN_SEC = 60.0
_AT_ONCE = 200
# So soon a site that was away is tried again; how soon there is a new connection is for the way to it to say.
_TRY_AGAIN_SEC = 10.0
_SHORTEST_SEC = 0.05
# So often an operator that somebody has paused looks whether it goes on.
_PAUSED_SEC = 1.0
# So late NFS may show a file to another machine than the one that made it, by its own default.
_SHOWN_LATE_SEC = 60.0
_SACCT_SEC = 20.0


class SlurmOperator:
    """Holds the attempts of one operator key; the site is shared with other keys.

    A site that cannot be reached ends no attempt and begins none: what is to be done there waits. While ``paused`` says
    why, nothing is submitted.
    """

    def __init__(self, site: Site, backend: SlurmBackend, paused: Callable[[], str] = str) -> None:
        self._site = site
        self._backend = backend
        self._held: dict[str, Held] = {}
        self._jobs: dict[str, Job] = {}
        self._read: set[Path] = set()
        self._fresh: list[Assignment] = []
        self._submissions = Submissions(site, backend)
        self._paused = paused
        self._fetcher = Fetcher(site, backend.keep)
        self._unbegun: list[tuple[Held, Sighting]] = []
        self._unwanted: dict[str, float] = {}
        self._every_sec = backend.poll_every
        self._poll_at = self._looked_at = self._away_until = 0.0
        self._trouble = ""
        self._noticed: tuple[float, str] | None = None

    @property
    def looks_every_sec(self) -> float | None:
        """Give the seconds until there is something to do."""
        times = [self._poll_at, *self._submissions.times(), *([0.0] if self._fresh or self._unbegun else [])]
        until_sec = max(min(times), self._away_until) - up_sec()
        return None if math.isinf(until_sec) else max(_SHORTEST_SEC, until_sec)

    def fileno(self) -> int | None:
        """Give nothing: a cluster does not tell by itself."""
        return None

    def submit(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Stage attempts and submit their jobs, as few as may be; those that may have jobs are looked for first."""
        self._read_jobs(assignments)
        for assignment in assignments:
            job = self._jobs.get(assignment.attempt_id)
            yield from self._hold_again(assignment, job) if job else self._hold_new(assignment)
        yield from self._reached(self._send)

    def adopt(self, assignments: Sequence[Assignment]) -> Iterator[Sighting]:
        """Take hold of attempts whose jobs were submitted, or may have been."""
        self._read_jobs(assignments)
        for assignment in assignments:
            job = self._jobs.get(assignment.attempt_id)
            if job is None:
                note = "there is no record of its job: cancel the attempt, then retry"
                yield Sighting(attempt_id=assignment.attempt_id, state=AttemptState.UNKNOWN, note=note)
            else:
                yield from self._hold_again(assignment, job)

    def look(self) -> Iterator[Sighting]:
        """Send what waits, look at the queue when it is time, and bring home what ended."""
        if up_sec() < self._away_until:
            return
        yield from self._reached(self._send)
        if up_sec() >= max(self._poll_at, self._away_until):
            yield from self._reached(self._watch)
        self._leave_notice()

    def _leave_notice(self) -> None:
        """Let those who look at the run see what was seen of the site, where that is new."""
        now = (self._looked_at, self._trouble)
        if now == self._noticed or not self._held:
            return
        self._noticed = now
        assignment = next(iter(self._held.values())).assignment
        notice = Notice(
            site=self._site.name,
            looked_at=utc_after(self._looked_at - up_sec()) if self._looked_at else "",
            next_at=utc_after(max(self._poll_at, self._away_until) - up_sec()),
            trouble=self._trouble,
            jobs={attempt_id: held.seen for attempt_id, held in self._held.items() if held.word},
        )
        leave(assignment.run_root, assignment.operator_key, notice)

    def cancel(self, attempts: Collection[str]) -> None:
        """Cancel the jobs of attempts; those that have none yet get none, or are cancelled once they are found."""
        for attempt_id in attempts:
            if attempt_id in self._held:
                self._unwanted[attempt_id] = 0.0
        self._look_soon()
        with suppress(AwayError):
            self._cancel_unwanted()

    def close(self) -> None:
        """Let go of the site; jobs go on."""
        self._site.accounts.expect(self, {})
        self._site.let_go()

    def _read_jobs(self, assignments: Iterable[Assignment]) -> None:
        """Learn, once for each run, the last job that each attempt was recorded with; from then on they are our own."""
        for run_root in {assignment.run_root for assignment in assignments} - self._read:
            for job in entered(run_root):
                self._remember(job)
            self._read.add(run_root)

    def _remember(self, job: Job) -> None:
        for attempt_id in job.attempts:
            former = self._jobs.get(attempt_id)
            if former is None or former.turn <= job.turn:
                self._jobs[attempt_id] = job

    def _hold_new(self, assignment: Assignment) -> Iterator[Sighting]:
        try:
            told = stage(assignment, texts_of(assignment))
            payload_of(assignment, Places(root="/"), self._backend)
            directives(demand_of(assignment, self._backend))
        except ScriptletError as error:
            yield not_begun(assignment, error.explained())
            return
        self._held[assignment.attempt_id] = Held(assignment=assignment)
        self._fresh.append(assignment)
        yield Sighting(attempt_id=assignment.attempt_id, state=AttemptState.SUBMITTING, operator_data=told)

    def _hold_again(self, assignment: Assignment, job: Job) -> Iterator[Sighting]:
        held = Held(assignment=assignment, job=job, job_id=assignment.external_id, since=up_sec())
        held.earlier = list(assignment.jobs[: job.turn])
        self._held[assignment.attempt_id] = held
        if assignment.cancel_asked:
            self._unwanted[assignment.attempt_id] = 0.0
        if assignment.external_id and job.turn == 0:
            held.stage = Stage.THERE
            return
        held.stage = Stage.UNKNOWN
        batch = self._submissions.unknown.get(job.key)
        others = batch.assignments if batch else ()
        self._submissions.unknown[job.key] = restored(job, (*others, assignment), self._backend)
        yield from self._news(held, AttemptState.UNKNOWN, "looks whether its job was submitted")

    def _reached(self, deed: Callable[[], Iterator[Sighting]]) -> Iterator[Sighting]:
        """Do what needs the site; where that cannot be reached, tell so of what waits for it."""
        try:
            yield from deed()
            self._trouble = ""
        except AwayError as error:
            is_final = error.again_sec is not None and math.isinf(error.again_sec)
            if error.again_sec is None or is_final:
                wait_sec = error.again_sec or min(_TRY_AGAIN_SEC, self._backend.poll_every)
                note = self._trouble = f"{error}; {self._try_login}" if is_final else str(error)
            else:
                wait_sec = error.again_sec
                note = f"{self._trouble or error}: tried again at {utc_after(wait_sec)}"
            self._miss_answers()
            self._away_until = up_sec() + wait_sec
            for news in self._told_of_trouble(note):
                yield dataclasses.replace(news, is_final=is_final)

    @property
    def _try_login(self) -> str:
        """Say how to see whether the site lets anybody in."""
        key = next((held.assignment.operator_key for held in self._held.values()), "KEY")
        return f"try it with: matterstack operators login {key}"

    def _miss_answers(self) -> None:
        """Take note of the jobs of which nobody knows whether the site has taken them on."""
        for batch in self._submissions.unknown.values():
            for assignment in batch.assignments:
                if (held := self._held.get(assignment.attempt_id)) is not None:
                    held.stage = Stage.UNKNOWN
        if self._submissions.unknown:
            self._look_soon()

    def _told_of_trouble(self, note: str) -> Iterator[Sighting]:
        for held in self._held.values():
            if held.stage in (Stage.FRESH, Stage.SENDING):
                yield from self._news(held, AttemptState.SUBMITTING, note)
            elif held.stage is Stage.UNKNOWN:
                yield from self._news(held, AttemptState.UNKNOWN, note)
            elif held.told is not None:
                yield from self._news(held, held.told[0], note)

    def _news(self, held: Held, state: AttemptState, note: str = "") -> Iterator[Sighting]:
        if (news := held.news(state, note)) is not None:
            yield news

    # Sending.

    def _places(self) -> Places:
        return Places(root=self._site.facts().root)

    def _send(self) -> Iterator[Sighting]:
        yield from self._end_unsent()
        if self._fresh:
            self._put_together()
        if self._submissions.is_due and (why := self._paused()):
            self._submissions.put_off(_PAUSED_SEC)
            unsent = [held for held in self._held.values() if held.stage is Stage.SENDING]
            for held in unsent:
                yield from self._news(held, AttemptState.SUBMITTING, why)
        elif self._submissions.waiting:
            for batch, came in self._submissions.send(self._places()):
                yield from self._submitted(batch, came)
        yield from self._end_unbegun()

    def _put_together(self) -> None:
        """Give fresh attempts their jobs, which are recorded before the site hears of them."""
        size = self._site.facts().settings.max_array_size
        fresh, self._fresh = self._fresh, []
        for batch in batches_of(fresh, self._backend, size):
            self._enter(batch)

    def _enter(self, batch: Batch) -> None:
        enter(batch.assignments[0].run_root, batch.job)
        self._remember(batch.job)
        self._submissions.waiting.append(batch)
        for assignment in batch.assignments:
            held = self._held[assignment.attempt_id]
            held.job, held.stage = batch.job, Stage.SENDING

    def _submitted(self, batch: Batch, came: Submitted | Refusal) -> Iterator[Sighting]:
        again = utc_after(max(0.0, batch.not_before - up_sec()))
        for assignment in batch.assignments:
            held = self._held.get(assignment.attempt_id)
            if held is None:
                continue
            if isinstance(came, Submitted):
                yield from self._is_there(held, came.job_id)
            elif came.verdict is Verdict.REJECTED:
                refused = not_begun(assignment, f"{came.text}\n{came.hint}".strip())
                self._unbegun.append((held, dataclasses.replace(refused, is_final=True, about=came.about)))
            elif came.verdict is Verdict.NOT_NOW:
                yield from self._news(held, AttemptState.SUBMITTING, f"{came.text}: tried again at {again}")
            else:
                held.stage = Stage.UNKNOWN
                note = f"{came.text}: there may be a job, which is looked for"
                yield from self._news(held, AttemptState.UNKNOWN, note)
        if isinstance(came, Submitted) or came.verdict is Verdict.AMBIGUOUS:
            self._look_soon()

    def _is_there(self, held: Held, job_id: str, note: str = "") -> Iterator[Sighting]:
        held.stage, held.since = Stage.THERE, up_sec()
        held.job_id = job_id if held.index is None else f"{job_id}_{held.index}"
        held.absences, held.missing_since, held.ended_as = 0, None, None
        yield from self._news(held, AttemptState.SUBMITTED, note)

    def _end_unsent(self) -> Iterator[Sighting]:
        """End the attempts that nobody wants any more and that were never sent."""
        self._fresh = [one for one in self._fresh if one.attempt_id not in self._unwanted]
        unsent = {one.attempt_id for batch in self._submissions.waiting for one in batch.assignments}
        for attempt_id in list(self._unwanted):
            held = self._held[attempt_id]
            if held.stage is Stage.FRESH or attempt_id in unsent:
                was_sent = attempt_id in unsent and self._submissions.drop(attempt_id)
                over = _over(held, Done(attempt_id=attempt_id, exit_code=None))
                if was_sent:
                    self._unbegun.append((held, over))
                else:
                    yield self._ended(held, over)

    def _end_unbegun(self) -> Iterator[Sighting]:
        """Tell of attempts that get no job, once nothing lies on the cluster of them that is not to stay."""
        while some := self._unbegun[:_AT_ONCE]:
            left = [Shipment(assignment=held.assignment, job=held.known_job, is_failed=True) for held, _ in some]
            self._fetcher.tidy(left, self._places())
            del self._unbegun[:_AT_ONCE]
            yield from [self._ended(*one) for one in some]

    # Watching.

    def _watch(self) -> Iterator[Sighting]:
        if not any(held.stage in (Stage.UNKNOWN, Stage.THERE) for held in self._held.values()):
            self._poll_at = up_sec() + self._interval_sec
            return
        places = self._places()
        # Another runner's look will do where it is young enough, but never the own one before.
        oldest = max(up_sec() - self._interval_sec, self._looked_at + 0.001)
        look = look_at_queue(self._site.identity, self._ask_queue, not_before=oldest)
        self._looked_at = up_sec()
        rows = read_queue(look.text)
        before = self._standing()
        for batch, job_id in self._submissions.settle(rows, places):
            for assignment in batch.assignments:
                if (held := self._held.get(assignment.attempt_id)) is not None:
                    yield from self._is_there(held, job_id, batch.note)
        yield from self._see(rows, look.at_sec)
        self._cancel_unwanted()
        yield from self._end(places, frozenset(row.job_id for row in rows))
        is_still = self._standing() == before
        slower_sec = max(self._interval_sec, min(self._every_sec * _SLOWER, self._longest_sec))
        self._every_sec = slower_sec if is_still else self._interval_sec
        self._poll_at = self._looked_at + self._every_sec

    @property
    def _interval_sec(self) -> float:
        """Give the seconds between looks while things change."""
        return min(self._backend.poll_every, self._longest_sec)

    @property
    def _longest_sec(self) -> float:
        """Give the seconds between looks at most: without accounting, the queue has to be seen before it forgets."""
        longest_sec = max(_LONGEST_SEC, self._backend.poll_every)
        settings = self._site.settings
        if settings is None or (settings.has_accounting and not self._site.accounts.is_silent):
            return longest_sec
        remembers_sec = _REMEMBERS_SEC if settings.min_job_age_sec is None else settings.min_job_age_sec
        return min(longest_sec, remembers_sec / 2) if remembers_sec else longest_sec

    def _standing(self) -> list[object]:
        return [held.told for held in self._held.values()]

    def _look_soon(self) -> None:
        """Look at the queue as soon as the site's patience allows."""
        self._every_sec = self._interval_sec
        self._poll_at = min(self._poll_at, max(up_sec(), self._looked_at + self._every_sec))

    def _ask_queue(self) -> str:
        told = self._site.command(QUEUE)
        if told is None or told.exit_code != 0:
            said = "nothing" if told is None else told.stderr.strip() or f"exit code {told.exit_code}"
            raise AwayError(f"squeue said {said}", may_have_arrived=False)
        return told.stdout

    def _see(self, rows: Sequence[QueueRow], at_sec: float) -> Iterator[Sighting]:
        """Take what the queue shows of each job, by its name: an id may be another job's.

        Other jobs of the name are doubles, and say nothing of the attempt as long as its own may be there.
        """
        shown: dict[tuple[str, int | None], list[QueueRow]] = defaultdict(list)
        for row in rows:
            shown[row.name, row.index].append(row)
        for held in self._held.values():
            if held.stage is not Stage.THERE or held.job is None:
                continue
            found = shown[held.job.key, held.index]
            own = [row for row in found if row.job_id == held.job_id]
            held.others = tuple(row.job_id for row in found if row.state.phase is not Phase.ENDED and row not in own)
            held.saw(own, at_sec)
            if own and held.ended_as is None:
                yield from self._news(held, *held.standing(own[0], at_sec))

    # Ending.

    def _end(self, places: Places, shown: Collection[str]) -> Iterator[Sighting]:
        there = [held for held in self._held.values() if held.stage is Stage.THERE]
        self._site.accounts.expect(self, _names(held for held in there if held.absences))
        over = [held for held in there if held.may_be_over]
        accounts = self._told_by_accounting(_names(held for held in over if held.ended_as is None), shown)
        for start in range(0, len(over), _AT_ONCE):
            yield from self._end_some(over[start : start + _AT_ONCE], places, accounts)

    def _end_some(self, over: Sequence[Held], places: Places, accounts: Mapping[str, AccountRow]) -> Iterator[Sighting]:
        ended: list[Ended] = []
        for held, found in zip(over, self._site.leavings([_place(held, places) for held in over]), strict=True):
            left = left_at_home(held.assignment) or found
            if left is None:
                continue
            if left.holder and left.holder != held.job_id:
                yield from self._follow(held, left.holder)
                continue
            account = accounts.get(held.job_id)
            state = held.end_of(left.record, account)
            if state is None and held.others:
                yield from self._follow(held, held.others[0])
                continue
            if state is None and not self._is_lost(held):
                yield from self._news(
                    held, AttemptState.MISSING, "its job is neither in the queue nor in the accounting"
                )
                continue
            if held.awaits_record(left, state, min(_SHOWN_LATE_SEC, self._backend.grace)):
                yield from self._news(held, AttemptState.COLLECTING, "its job has ended, and its record is awaited")
                continue
            end = ended_of(held, left, state, account)
            if end.wants_more and not self._is_unwanted(held) and may_continue(held.assignment, held.turn):
                yield from self._continue(end)
            else:
                ended.append(end)
        yield from self._bring(ended, places)

    def _follow(self, held: Held, job_id: str) -> Iterator[Sighting]:
        """Watch the job that carries the attempt out, where another one of its name has found that so."""
        held.job_id, held.ended_as, held.absences = job_id, None, 0
        yield from self._news(held, AttemptState.RUNNING, "carried out by another job of its name")

    def _is_lost(self, held: Held) -> bool:
        """Tell whether the job of an attempt was nowhere to be found for too long."""
        held.missing_since = up_sec() if held.missing_since is None else held.missing_since
        return up_sec() - held.missing_since >= self._backend.lost_after

    def _told_by_accounting(self, jobs: Mapping[str, str], shown: Collection[str]) -> dict[str, AccountRow]:
        """Ask for jobs that the queue does not show any more; the accounting may be down, or there may be none."""
        has_any = jobs and self._site.facts().settings.has_accounting
        return self._site.accounts.told_of(jobs, shown, self._ask_accounting) if has_any else {}

    def _ask_accounting(self, ids: Sequence[str]) -> tuple[AccountRow, ...] | None:
        with suppress(AwayError):
            told = self._site.command(accounting(ids=ids), deadline_sec=_SACCT_SEC)
            if told is not None and told.exit_code == 0:
                return read_accounting(told.stdout)
        return None

    def _continue(self, end: Ended) -> Iterator[Sighting]:
        """Let an attempt go on in another job, in the same directory."""
        held = end.held
        held.earlier.append(end.told)
        self._enter(new_batch([held.assignment], self._backend, held.turn + 1))
        held.begin_anew()
        most = held.assignment.work["on_walltime"]["restart"]
        yield from self._news(held, AttemptState.QUEUED, f"its time was over: continued ({held.turn} of {most})")

    def _bring(self, ended: Sequence[Ended], places: Places) -> Iterator[Sighting]:
        """Bring files home and tell of the ends, once nothing lies on the cluster that is not to stay."""
        by_attempt = {end.held.assignment.attempt_id: end for end in ended}
        home = list(self._fetcher.fetch([end.shipment for end in ended], places))
        if home:
            self._fetcher.tidy(home, places)
        for shipment in home:
            end = by_attempt[shipment.assignment.attempt_id]
            yield self._ended(end.held, _over(end.held, end.done()))

    def _ended(self, held: Held, sighting: Sighting) -> Sighting:
        """Let go of an attempt that has ended, as is told."""
        del self._held[held.assignment.attempt_id]
        self._unwanted.pop(held.assignment.attempt_id, None)
        return sighting

    def _is_unwanted(self, held: Held) -> bool:
        return held.assignment.attempt_id in self._unwanted

    def _cancel_unwanted(self) -> None:
        """Cancel jobs that the queue has shown by their names; whether they have ended is for the queue to say."""
        again = up_sec() - _CANCEL_AGAIN_SEC
        there = [one for one in self._unwanted if self._held[one].is_shown]
        due = [one for one in there if self._unwanted[one] <= again]
        if due:
            self._site.command(cancelling([self._held[one].job_id for one in due]))
            self._unwanted.update(dict.fromkeys(due, up_sec()))


def _names(some: Iterable[Held]) -> dict[str, str]:
    """Give the names of jobs by their ids."""
    return {held.job_id: held.known_job.key for held in some}


def _over(held: Held, done: Done) -> Sighting:
    return Sighting(attempt_id=done.attempt_id, state=AttemptState.COLLECTING, external_id=held.job_id, done=done)


def _place(held: Held, places: Places) -> Place:
    job, assignment = held.known_job, held.assignment
    folder = places.attempt(assignment)
    return Place(folder=folder, job_folder=places.job(job, assignment), turn=job.turn, index=held.index)
