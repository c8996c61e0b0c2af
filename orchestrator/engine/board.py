"""Decide what is due in a run: a pure fold of what has happened, without files, processes or clocks.

The board knows the tasks' order and states. `due` says what to start and what to give up; the runner does it, commits
it, and tells the board. Every step costs the same however long the run is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from orchestrator.engine.due import Due
from orchestrator.engine.tree import Tree
from orchestrator.engine.turns import Turns
from orchestrator.nodes import Node, Phase
from orchestrator.states import ENDED_TASKS, SATISFIED_TASKS, RunState, TaskState


class Board:
    """The present state of every task of a run, and which can go next.

    ``fail_fast`` starts no further step after the first failure that counts; with ``again``, those of before do not.
    With ``in_rounds``, the steps may be extended by another round of them when they have succeeded. ``limits`` says how
    many tasks each operator may have at once, and under an empty key how many all of them may have.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        states: Sequence[TaskState],
        *,
        fail_fast: bool = True,
        again: bool = False,
        in_rounds: bool = False,
        limits: Mapping[str, int] | None = None,
    ) -> None:
        self._nodes = list(nodes)
        self._states = list(states)
        self._fail_fast = fail_fast
        self._in_rounds = in_rounds
        self._halted = False
        self._stop_reason = ""
        self._phase = Phase.STEPS
        self._dependents: dict[int, list[int]] = {}
        self._missing: dict[int, int] = {}
        self._turns = Turns(self._nodes, limits or {})
        self._tree = Tree(self._nodes)
        self._kept: dict[Phase, list[int]] = {Phase.ON_FAILURE: [], Phase.FINALLY: []}
        self._blocked: list[tuple[int, str]] = []
        self._collectable: list[int] = []
        self._closing: list[int] = []
        self._taken_up: set[int] = set()
        self._unended: dict[int, int] = {}
        self._open_steps: dict[int, int] = {}
        self._rounds_over: list[int] = []
        self._running: set[int] = set()
        self._failures: dict[int, int] = {}
        self._failed: list[int] = []
        self._open = dict.fromkeys(Phase, 0)
        self._is_folded = False
        self._fold()
        self._forgiven = len(self._failed) if again else 0

    @property
    def states(self) -> tuple[TaskState, ...]:
        """Give the states of all tasks, by position."""
        return tuple(self._states)

    @property
    def failed(self) -> tuple[int, ...]:
        """Give the positions of the tasks whose failure counts, oldest first."""
        return tuple(self._failed)

    def state(self, position: int) -> TaskState:
        """Give the state of one task."""
        return self._states[position]

    def close_operators(self, keys: Iterable[str]) -> None:
        """Start nothing that some operators would carry out, and what others would, again."""
        self._turns.close(keys)

    @property
    def is_held_up(self) -> bool:
        """Tell whether a task waits for an operator that takes on nothing."""
        return self._turns.is_held_up

    def due(self, now: float, *, slots: int) -> Due:
        """Say what is due at ``now``, starting at most ``slots`` tasks, in list order."""
        self._turns.come_due(now)
        if self._stops_steps and not self._running:
            self._give_up_steps()
        rounds_below = self._take_rounds()
        skip = self._enter_phases()
        start = tuple(self._turns.pick(slots, self._may_start))
        block, self._blocked = tuple(self._blocked), []
        collect, self._collectable = tuple(sorted(self._collectable)), []
        stops = self._stops_steps
        wake_at = self._turns.next_at(lambda position: not stops or self._is_closing(position))
        is_busy = bool(start or collect or skip or rounds_below or self._running)
        is_over = not is_busy and self._awaits_round()
        settled = None if is_busy or is_over else self._settled()
        return Due(
            start=start,
            collect=collect,
            block=block,
            skip=skip,
            round_is_over=is_over,
            rounds_below=rounds_below,
            settled=settled,
            wake_at=wake_at,
        )

    def counts_below(self, position: int) -> Counter[TaskState]:
        """Count the tasks of a group by their states."""
        return Counter(self._states[child] for child in self._tree.children(position))

    def stop_steps(self, reason: str) -> None:
        """Give up every step that has not begun, for a reason that is no step's failure, and go on to what follows."""
        self._stop_reason = reason

    def stop_below(self, group: int, reason: str) -> None:
        """Give up every step of a used recipe that has not begun, and go on to what that recipe does last."""
        for position in self._tree.children(group):
            if self._nodes[position].part is not Phase.STEPS:
                continue
            if self._states[position] is TaskState.PENDING:
                self._give_up(position, f"not started: {reason}")
                self._pass_on(position)
            elif self._nodes[position].is_group:
                self.stop_below(position, reason)

    def lost_below(self, group: int, *, before: Phase | None = None) -> int:
        """Count the steps of a used recipe whose failure counts or that were not started, if need be of some parts."""
        return sum(
            self._states[child] is TaskState.BLOCKED
            or (self._states[child] is TaskState.FAILED and not self._nodes[child].allow_failure)
            for child in self._tree.of_parts(group, before)
        )

    def has_open_steps(self, group: int) -> bool:
        """Tell whether a step of a used recipe, other than what it does last, has not ended."""
        return any(self._states[child] not in ENDED_TASKS for child in self._tree.of_parts(group, Phase.ON_FAILURE))

    def halt(self) -> None:
        """Start no further step; when those that run have ended, the last phase is due."""
        self._halted = True

    def started(self, position: int) -> None:
        """Note that an attempt at a task was opened."""
        self._states[position] = TaskState.RUNNING
        self._running.add(position)

    def stepped_back(self, position: int) -> None:
        """Note that a task that was to start waits, until `again`, for something that the board does not know of."""
        self._turns.let_go(position)

    def adopted(self, position: int) -> None:
        """Note that an attempt goes on that an earlier runner began."""
        self._turns.hold(position)
        self.started(position)

    def set_aside(self, position: int) -> None:
        """Note that an attempt goes on of which nothing is waited for: its task is not due either."""
        self._running.discard(position)
        self._turns.let_go(position)

    @property
    def is_stopping(self) -> bool:
        """Tell whether no further step of the run is started, so that those under way are the last."""
        return self._stops_steps

    def expanded(self, position: int, nodes: Iterable[Node]) -> None:
        """Note the tasks of a group; they take the next positions and are due at once."""
        self._states[position] = TaskState.RUNNING
        first = len(self._nodes)
        self._nodes.extend(nodes)
        count = len(self._nodes) - first
        self._states.extend([TaskState.PENDING] * count)
        self._unended[position] = count
        self._tree.begin(position)
        self._open[self._nodes[position].phase] += count
        self._join(position, range(first, first + count))
        self._begin_rounds(position)
        for child in range(first, first + count):
            if not self._missing.get(child):
                self._make_ready(child)
        if not self._unended[position]:
            self._collectable.append(position)

    def add_round(self, nodes: Sequence[Node], group: int | None = None) -> None:
        """Note another round of the steps, of the run or of a group; they take the next positions."""
        first = len(self._nodes)
        self._nodes.extend(nodes)
        self._states.extend([TaskState.PENDING] * len(nodes))
        positions = range(first, len(self._nodes))
        self._open[Phase.STEPS if group is None else self._nodes[group].phase] += len(nodes)
        if group is None:
            for position in positions:
                self._link(position)
        else:
            self._unended[group] += len(nodes)
            self._open_steps[group] += len(nodes)
            self._join(group, positions)
        for position in positions:
            if not self._missing.get(position):
                self._make_ready(position)

    def end_rounds(self, group: int | None = None) -> None:
        """Note that there is no further round of the steps, of the run or of a group."""
        if group is None:
            self._in_rounds = False
            return
        del self._open_steps[group]
        for child in self._tree.children(group):
            if self._nodes[child].part is not Phase.STEPS:
                self._count_down(child)
        self._count_ended_below(group)

    def _begin_rounds(self, group: int) -> None:
        """Hold what a used recipe does last, and its end, until somebody says that there is no further round."""
        if not self._nodes[group].has_rounds:
            return
        self._unended[group] += 1
        self._open_steps[group] = sum(self._states[child] not in ENDED_TASKS for child in self._steps_of(group))
        if not self._open_steps[group]:
            self._rounds_over.append(group)
        for child in self._tree.children(group):
            if self._nodes[child].part is not Phase.STEPS:
                self._missing[child] = self._missing.get(child, 0) + 1

    def _steps_of(self, group: int) -> Iterator[int]:
        return self._tree.of_parts(group, Phase.ON_FAILURE)

    def _take_rounds(self) -> tuple[int, ...]:
        """Give the groups of which a round is over, but for those that have no further one since a step failed."""
        if self._halted:
            return ()
        over, self._rounds_over = self._rounds_over, []
        going_on = tuple(group for group in over if not self._stops_steps and not self.lost_below(group))
        for group in over:
            if group not in going_on:
                self.end_rounds(group)
        return going_on

    def _join(self, group: int, children: range) -> None:
        """Note tasks of a group, which come next to one another."""
        self._tree.add(group, children)
        for child in children:
            self._link(child)

    def ended(self, position: int, state: TaskState) -> None:
        """Note that a task ended, and release or block those that wait for it."""
        self._running.discard(position)
        self._turns.let_go(position)
        was_open = self._states[position] not in ENDED_TASKS
        self._states[position] = state
        if was_open:
            self._count_end(position)
        if state in SATISFIED_TASKS or (state is TaskState.FAILED and self._nodes[position].allow_failure):
            self._release(position)
        elif state in ENDED_TASKS:
            self._fail(position, state)

    def retry_at(self, position: int, cause: str, now: float) -> float | None:
        """Count a failure and say when to attempt the task again, or None when it has failed for good."""
        self._failures[position] = self._failures.get(position, 0) + 1
        delay = self._nodes[position].retry.delay_after(self._failures[position], cause)
        return None if delay is None else now + delay

    def failures(self, position: int) -> int:
        """Count the attempts at a task that have failed, since it was last asked for."""
        return self._failures.get(position, 0)

    def again(self, position: int, at: float) -> None:
        """Note that a task goes back to pending and is due at a time."""
        self._running.discard(position)
        self._turns.let_go(position)
        self._states[position] = TaskState.PENDING
        self._turns.add_later(position, at)

    def recall_failures(self, failures: Mapping[int, int]) -> None:
        """Take over how often tasks had failed when an earlier runner drove the run."""
        self._failures.update(failures)

    @property
    def _stops_steps(self) -> bool:
        is_failing = self._fail_fast and len(self._failed) > self._forgiven
        is_over = self._phase is Phase.STEPS and (is_failing or bool(self._stop_reason))
        return is_over or (self._halted and self._phase is not Phase.FINALLY)

    def _fold(self) -> None:
        """Work out from nodes and states what an earlier runner left."""
        for position, (node, state) in enumerate(zip(self._nodes, self._states, strict=True)):
            is_open = state not in ENDED_TASKS
            self._open[node.phase] += is_open
            if node.parent is not None:
                self._unended[node.parent] = self._unended.get(node.parent, 0) + is_open
                self._tree.add(node.parent, range(position, position + 1))
            self._link(position)
        for position, state in enumerate(self._states):
            if state is TaskState.RUNNING:
                self._begin_rounds(position)
        for position, state in enumerate(self._states):
            if state in ENDED_TASKS and not self._counts_as_success(position):
                self._fail(position, state)
        self._is_folded = True
        for position, state in enumerate(self._states):
            self._take_up(position, state)

    def _link(self, position: int) -> None:
        node = self._nodes[position]
        if node.closes is not Phase.STEPS:
            self._closing.append(position)
        for before in node.waits_for:
            self._dependents.setdefault(before, []).append(position)
        if node.after or node.after_end:
            unmet = sum(not self._counts_as_success(before) for before in node.after)
            unended = sum(self._states[before] not in ENDED_TASKS for before in node.after_end)
            self._missing[position] = unmet + unended

    def _take_up(self, position: int, state: TaskState) -> None:
        if state is TaskState.PENDING and not self._missing.get(position) and not self._is_held(position):
            self._make_ready(position)
        elif state is TaskState.RUNNING and self._nodes[position].is_group and not self._unended.get(position):
            self._collectable.append(position)

    def _counts_as_success(self, position: int) -> bool:
        state = self._states[position]
        return state in SATISFIED_TASKS or (state is TaskState.FAILED and self._nodes[position].allow_failure)

    def _is_held(self, position: int) -> bool:
        """Tell whether the group that a task belongs to still waits, as one does that is to be run again."""
        return any(self._missing.get(group) for group in self._tree.above(position))

    def _let_in(self, group: int) -> None:
        """Make ready what belongs to a group that waited and was expanded before."""
        for child in self._tree.children(group):
            if not self._missing.get(child):
                self._admit(child)

    def _admit(self, position: int) -> None:
        """Let a task go whose turn has come; of a group that was expanded before, the tasks of it."""
        if self._states[position] is TaskState.PENDING:
            self._make_ready(position)
        elif self._states[position] is TaskState.RUNNING and self._nodes[position].is_group:
            self._let_in(position)

    def _make_ready(self, position: int) -> None:
        phase = self._nodes[position].phase
        if self._is_closing(position):
            self._taken_up.add(position)
        if phase <= self._phase:
            self._turns.add(position)
        else:
            self._kept[phase].append(position)

    def _enter_phases(self) -> tuple[tuple[int, str], ...]:
        """Go on to the next phase when all of the present one has ended; give what is left out of it."""
        while self._phase is not Phase.FINALLY and not (self._running or self._collectable or self._is_closing_down()):
            if (self._open[self._phase] and not self._halted) or self._awaits_round():
                break
            self._phase = Phase(self._phase + 1)
            if self._phase is Phase.FINALLY or self._is_failing():
                is_left_out = self._halted and self._phase is Phase.ON_FAILURE
                self._turns.replace([] if is_left_out else self._kept[self._phase])
            elif not self._halted and (left_out := self._pending_in(self._phase)):
                return tuple((position, "nothing failed") for position in left_out)
        return ()

    def _awaits_round(self) -> bool:
        is_done = self._phase is Phase.STEPS and not self._open[Phase.STEPS]
        return self._in_rounds and is_done and not (self._halted or self._is_failing())

    def _pending_in(self, phase: Phase) -> list[int]:
        pairs = enumerate(zip(self._nodes, self._states, strict=True))
        return [position for position, (node, state) in pairs if node.phase is phase and state is TaskState.PENDING]

    def _may_start(self, position: int) -> bool:
        """Tell whether a task may start whose turn has come: not where the run was halted or a step failed before."""
        is_late = self._nodes[position].phase < self._phase
        return not is_late and (not self._stops_steps or self._is_closing(position))

    def _release(self, position: int) -> None:
        for dependent in self._dependents.get(position, ()):
            self._count_down(dependent)

    def _count_down(self, position: int) -> None:
        self._missing[position] -= 1
        if self._is_folded and not self._missing[position] and not self._is_held(position):
            self._admit(position)

    def _fail(self, position: int, state: TaskState) -> None:
        if state is TaskState.FAILED and not self._tree.is_allowed_above(position):
            self._failed.append(position)
        self._pass_on(position)

    def _pass_on(self, first: int) -> None:
        """Give up what needs a task that has not succeeded, and release what waits for its end alone."""
        waiting = [first]
        while waiting:
            position = waiting.pop()
            for dependent in self._dependents.get(position, ()):
                if self._states[dependent] is not TaskState.PENDING:
                    continue
                if position in self._nodes[dependent].after:
                    self._give_up(dependent, f"needs {self._nodes[first].task_id}")
                    waiting.append(dependent)
                elif self._is_folded or position != first:  # what had ended before was never counted
                    self._count_down(dependent)

    def _give_up(self, position: int, reason: str) -> None:
        self._states[position] = TaskState.BLOCKED
        self._count_end(position)
        self._blocked.append((position, reason))

    def _count_end(self, position: int) -> None:
        node = self._nodes[position]
        self._open[node.phase] -= 1
        if node.parent is None:
            return
        if node.part is Phase.STEPS and node.parent in self._open_steps:
            self._open_steps[node.parent] -= 1
            if not self._open_steps[node.parent]:
                self._rounds_over.append(node.parent)
        self._count_ended_below(node.parent)

    def _count_ended_below(self, group: int) -> None:
        self._unended[group] -= 1
        if not self._unended[group]:
            self._collectable.append(group)

    def _give_up_steps(self) -> None:
        """Block every step that has not begun; one that was halted stays pending, since the run goes on later."""
        self._turns.keep(self._is_closing)
        if self._halted:
            self._close_down()
            return
        reason = f"not started: {self._stop_reason or f'{self._nodes[self._failed[self._forgiven]].task_id} failed'}"
        given_up = [position for position in self._pending_in(Phase.STEPS) if not self._is_closing(position)]
        for position in given_up:
            self._give_up(position, reason)
        for position in given_up:
            self._pass_on(position)

    def _close_down(self) -> None:
        """Let halted recipes that were used do what they do last, innermost first, though steps of theirs are left."""
        left = self._left_to_close()
        depths = {position: self._tree.depth(position) for position in left}
        deepest = max(depths.values(), default=0)
        for position in left:
            node = self._nodes[position]
            waits = any(other in left for other in node.waits_for)
            if depths[position] == deepest and not waits and position not in self._taken_up:
                self._taken_up.add(position)
                self._admit(position)

    def _is_closing_down(self) -> bool:
        return self._halted and bool(self._left_to_close())

    def _left_to_close(self) -> set[int]:
        """Give the tasks that used recipes do last and that have not ended, of recipes that have begun."""
        return {
            position
            for position in self._closing
            if self._states[position] not in ENDED_TASKS
            and self._nodes[position].closes is Phase.FINALLY
            and self._states[self._parent(position)] is TaskState.RUNNING
        }

    def _parent(self, position: int) -> int:
        parent = self._nodes[position].parent
        return position if parent is None else parent

    def _is_closing(self, position: int) -> bool:
        return self._nodes[position].closes is not Phase.STEPS

    def _is_failing(self) -> bool:
        return bool(self._failed) or bool(self._stop_reason) or TaskState.BLOCKED in self._states

    def _settled(self) -> RunState | None:
        if self._halted and self._phase is Phase.FINALLY and not self._open[Phase.FINALLY] and any(self._open.values()):
            return RunState.PENDING
        if any(self._open.values()):
            return None
        return RunState.FAILED if self._is_failing() else RunState.COMPLETED
