"""Keep the operators of one run at work, each in a thread of its own, so that a slow one never delays another."""

from __future__ import annotations

import contextlib
import dataclasses
import heapq
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping

from orchestrator.clock import monotonic
from orchestrator.errors import InfrastructureError
from orchestrator.operators.assignments import Assignment, Operator, Sighting
from orchestrator.states import AttemptState

_TELLS_EVERY_SEC = 0.02


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Handed:
    """An attempt on its way to an operator; one that ``is_begun`` is only to be followed."""

    assignment: Assignment
    timeout_sec: float | None
    is_begun: bool


class Outpost:
    """One operator at work: it is handed attempts, and says what it sees of them by ``tell``.

    `round` does all there is to do once. In a thread, rounds follow one another as often as the operator wants to look.
    """

    def __init__(self, operator: Operator, tell: Callable[[list[Sighting | Exception]], None]) -> None:
        self._operator = operator
        self._tell = tell
        self._news: list[Sighting | Exception] = []
        self._has_urgent_news = False
        self._told_at = 0.0
        self._held: dict[str, Assignment] = {}
        self._faults: dict[str, str] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._gathered: list[_Handed] = []
        self._new: deque[list[_Handed]] = deque()
        self._to_cancel: deque[tuple[str, str]] = deque()
        self._ended = False
        self._woken, self._waker = os.pipe()
        self._poll = select.poll()
        for end in (self._woken, self._waker):
            os.set_blocking(end, False)
        for descriptor in (self._woken, operator.fileno()):
            if descriptor is not None:
                self._poll.register(descriptor, select.POLLIN)
        self._thread: threading.Thread | None = None

    def hand_over(self, assignment: Assignment, *, timeout_sec: float | None, is_begun: bool) -> None:
        """Have an attempt for it to begin, or only to follow; after ``timeout_sec`` it is to end."""
        self._gathered.append(_Handed(assignment=assignment, timeout_sec=timeout_sec, is_begun=is_begun))

    def send(self) -> None:
        """Give it what was handed over since the last time, all in one go."""
        if self._gathered:
            gathered, self._gathered = self._gathered, []
            self._new.append(gathered)
            self._wake()

    def cancel(self, attempt_id: str, fault: str) -> None:
        """Ask that an attempt ends; it is told of as one that this ``fault`` has ended."""
        self._to_cancel.append((attempt_id, fault))
        self._wake()

    def start(self) -> None:
        """Begin to work in a thread."""
        thread = threading.Thread(target=self._work, name="operator", daemon=True)
        try:
            thread.start()
            self._thread = thread
        except RuntimeError as error:
            hint = "check 'ulimit -u' and memory, then run again"
            raise InfrastructureError("cannot start a thread for an operator", hint=hint) from error

    def round(self) -> None:
        """Begin what was handed over, end what is to end, and look at the rest."""
        # Taken first: whatever is to be cancelled was handed over before.
        to_cancel = dict(self._to_cancel.popleft() for _ in range(len(self._to_cancel)))
        self._begin([one for _ in range(len(self._new)) for one in self._new.popleft()])
        self._end(to_cancel)
        self._end(self._overdue())
        if self._held:
            self._take(self._operator.look())
        if self._has_urgent_news or self._tells_in_sec <= 0:
            self.flush()

    def flush(self) -> None:
        """Tell what is new: what comes close together is told together, and so becomes durable in one go."""
        self._told_at = monotonic()
        if self._news:
            news, self._news, self._has_urgent_news = self._news, [], False
            self._tell(news)

    def close(self) -> None:
        """End the thread, and let go of the attempts, which go on."""
        self._ended = True
        self._wake()
        if self._thread is not None:
            self._thread.join()
        self._operator.close()
        os.close(self._woken)
        os.close(self._waker)

    def _work(self) -> None:
        try:
            while not self._ended:
                self.round()
                self._rest()
        except Exception as error:  # noqa: BLE001  whatever ends this thread has to end the run, not to be lost with it
            self._tell([error])

    @property
    def _tells_in_sec(self) -> float:
        """Give when to tell of what is not urgent: an attempt has often ended when it is time to say that it runs."""
        return self._told_at + _TELLS_EVERY_SEC - monotonic()

    def _rest(self) -> None:
        """Wait until there is something to do."""
        every = self._operator.looks_every_sec if self._held else None
        deadlines = [at - monotonic() for at, _ in self._deadlines[:1]]
        news = [self._tells_in_sec] if self._news else []
        waits = [max(0.0, sec) for sec in (every, *deadlines, *news) if sec is not None]
        self._poll.poll(min(waits) * 1000 if waits else None)
        with contextlib.suppress(BlockingIOError):
            os.read(self._woken, 4096)

    def _begin(self, handed: Collection[_Handed]) -> None:
        """Hand over what came together in one go."""
        for one in handed:
            attempt_id = one.assignment.attempt_id
            self._held[attempt_id] = one.assignment
            if one.timeout_sec is not None:
                heapq.heappush(self._deadlines, (monotonic() + one.timeout_sec, attempt_id))
        if begun := [one.assignment for one in handed if one.is_begun]:
            self._take(self._operator.adopt(begun))
        if new := [one.assignment for one in handed if not one.is_begun]:
            self._take(self._operator.submit(new))

    def _overdue(self) -> dict[str, str]:
        """Give the attempts whose time is over, with what is said of them."""
        over: dict[str, str] = {}
        while self._deadlines and self._deadlines[0][0] <= monotonic():
            _, attempt_id = heapq.heappop(self._deadlines)
            if attempt_id in self._held:
                over[attempt_id] = f"timeout after {self._held[attempt_id].work['timeout_sec']:g}s"
        return over

    def _end(self, faults: Mapping[str, str]) -> None:
        """Ask the operator, once, to end attempts; the first who asked is the one who ended them."""
        fresh = {one: fault for one, fault in faults.items() if one in self._held and one not in self._faults}
        if fresh:
            self._faults.update(fresh)
            self._operator.cancel(fresh)

    def _take(self, sightings: Iterable[Sighting]) -> None:
        """Take what an operator says, and tell it as it comes."""
        for sighting in sightings:
            if sighting.done is not None or sighting.state is AttemptState.FAILED_INIT:
                self._news.append(self._ended_by_us(sighting))
                self._has_urgent_news = True
            else:
                self._news.append(sighting)
            if self._tells_in_sec <= 0:
                self.flush()

    def _ended_by_us(self, sighting: Sighting) -> Sighting:
        """Let go of an attempt that has ended, and say so where it was asked to."""
        del self._held[sighting.attempt_id]
        fault = self._faults.pop(sighting.attempt_id, "")
        if not fault or sighting.done is None:
            return sighting
        return dataclasses.replace(sighting, done=dataclasses.replace(sighting.done, fault=fault))

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full of wakes
            os.write(self._waker, b"!")


class Crew:
    """The operators of a run, by operator key, made when they are first needed.

    ``wake`` is called, from any thread, when there are sightings. Without threads, each `sightings` lets every operator
    do one round.
    """

    def __init__(self, make: Callable[[str], Operator], wake: Callable[[], None], *, has_threads: bool) -> None:
        self._make = make
        self._wake = wake
        self._has_threads = has_threads
        self._outposts: dict[str, Outpost] = {}
        self._told: deque[Sighting | Exception] = deque()
        self._assignments: dict[str, Assignment] = {}

    @property
    def assignments(self) -> Mapping[str, Assignment]:
        """Give the attempts that are in the hands of operators, by attempt, oldest first."""
        return self._assignments

    def hand_over(self, assignment: Assignment, *, timeout_sec: float | None = None, is_begun: bool = False) -> None:
        """Let the operator of an attempt begin it, or only follow it where it was begun, once `send` is called."""
        self._assignments[assignment.attempt_id] = assignment
        outpost = self._outpost(assignment.operator_key)
        outpost.hand_over(assignment, timeout_sec=timeout_sec, is_begun=is_begun)

    def send(self) -> None:
        """Let operators have what was handed over, so that what belongs together comes to them together."""
        for outpost in self._outposts.values():
            outpost.send()

    def sightings(self) -> list[Sighting]:
        """Give what was seen since the last time; raise what kept an operator from going on."""
        self.send()
        if not self._has_threads:
            for outpost in self._outposts.values():
                outpost.round()
                outpost.flush()
        found: list[Sighting] = []
        while self._told:
            told = self._told.popleft()
            if isinstance(told, Exception):
                raise told
            if told.done is not None or told.state is AttemptState.FAILED_INIT:
                self._assignments.pop(told.attempt_id, None)
            found.append(told)
        return found

    def cancel(self, attempts: Collection[str], fault: str) -> None:
        """Ask that attempts end."""
        self.send()
        for attempt_id in attempts:
            self._outpost(self._assignments[attempt_id].operator_key).cancel(attempt_id, fault)

    def leave(self) -> None:
        """Let all attempts go on without this runner; the next one finds them."""
        self._assignments.clear()

    def close(self) -> None:
        """End the threads."""
        for outpost in self._outposts.values():
            outpost.close()

    def _outpost(self, operator_key: str) -> Outpost:
        if operator_key not in self._outposts:
            outpost = self._outposts[operator_key] = Outpost(self._make(operator_key), self._note)
            if self._has_threads:
                outpost.start()
        return self._outposts[operator_key]

    def _note(self, told: list[Sighting | Exception]) -> None:
        self._told.extend(told)
        self._wake()
