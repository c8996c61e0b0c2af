"""Whatever the tasks of a run wait for and come to, the run settles, in order, however often it is interrupted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine import Board
from orchestrator.nodes import Node, RetryRule
from orchestrator.states import ENDED_TASKS, TaskState

PENDING, RUNNING, DONE = TaskState.PENDING, TaskState.RUNNING, TaskState.COMPLETED
FAILED, SKIPPED = TaskState.FAILED, TaskState.SKIPPED


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Tasks, how many of the attempts at each fail before one succeeds, and those whose condition is false."""

    nodes: tuple[Node, ...]
    failing: tuple[int, ...]
    skipped: frozenset[int]
    fail_fast: bool

    def board(self, states: tuple[TaskState, ...] | None = None, failures: Mapping[int, int] | None = None) -> Board:
        """Make the board of a run that begins, or goes on."""
        board = Board(self.nodes, states or (PENDING,) * len(self.nodes), fail_fast=self.fail_fast)
        board.recall_failures(failures or {})
        return board

    def may_start(self, position: int, states: tuple[TaskState, ...]) -> bool:
        """Tell whether all that a task waits for has ended well, or was allowed not to."""
        return all(
            states[before] in (DONE, SKIPPED) or (states[before] is FAILED and self.nodes[before].allow_failure)
            for before in self.nodes[position].after
        )


@st.composite
def campaigns(draw: st.DrawFn) -> Campaign:
    """Make a few tasks that wait for others before or behind them in the list, never in a circle."""
    size = draw(st.integers(1, 7))
    order = draw(st.permutations(range(size)))
    nodes = {
        position: Node(
            task_id=f"t{position}",
            after=tuple(sorted(draw(st.sets(st.sampled_from(order[:rank]))) if rank else ())),
            allow_failure=draw(st.booleans()),
            retry=RetryRule(max=draw(st.integers(0, 2))),
        )
        for rank, position in enumerate(order)
    }
    return Campaign(
        nodes=tuple(nodes[position] for position in range(size)),
        failing=tuple(draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))),
        skipped=frozenset(draw(st.sets(st.integers(0, size - 1)))),
        fail_fast=draw(st.booleans()),
    )


def drive(campaign: Campaign, interruptions: frozenset[int] = frozenset()) -> tuple[TaskState, ...]:
    """Drive a campaign one task at a time; at the attempts with these numbers, the runner dies and another goes on."""
    board, failures, attempts = campaign.board(), Counter[int](), 0
    while not (due := board.due(0.0, slots=1)).settled:
        (position,) = due.start
        assert RUNNING not in board.states
        assert campaign.may_start(position, board.states)
        if position in campaign.skipped:
            board.ended(position, SKIPPED)
            continue
        board.started(position)
        attempts += 1
        if attempts in interruptions:
            board = campaign.board(lost(board.states), failures)
        else:
            end(board, campaign, position, failures)
        assert campaign.board(board.states).states == board.states
    return board.states


def end(board: Board, campaign: Campaign, position: int, failures: Counter[int]) -> None:
    """End an attempt as the campaign says."""
    if failures[position] >= campaign.failing[position]:
        board.ended(position, DONE)
        return
    failures[position] += 1
    at = board.retry_at(position, "error", 0.0)
    if at is None:
        board.ended(position, FAILED)
    else:
        board.again(position, at)


def lost(states: tuple[TaskState, ...]) -> tuple[TaskState, ...]:
    """Give back the tasks of which an attempt never ended."""
    return tuple(PENDING if state is RUNNING else state for state in states)


@settings(max_examples=150)
@given(campaigns())
def test_every_campaign_settles(campaign: Campaign) -> None:
    """Each task ends, none starts before what it waits for, and never are there two at once in one place."""
    assert set(drive(campaign)) <= ENDED_TASKS


@settings(max_examples=150)
@given(campaigns(), st.frozensets(st.integers(1, 12), min_size=1))
def test_interruptions_change_nothing(campaign: Campaign, interruptions: frozenset[int]) -> None:
    """However often its runner dies, a campaign comes to the same end."""
    assert drive(campaign, interruptions) == drive(campaign)


@settings(max_examples=100)
@given(campaigns(), st.data(), st.integers(1, 3))
def test_no_more_start_than_there_are_places(campaign: Campaign, data: st.DataObject, slots: int) -> None:
    """Side by side as alone, in whichever order they end."""
    board, failures = campaign.board(), Counter[int]()
    while not (due := board.due(0.0, slots=slots - board.states.count(RUNNING))).settled:
        for position in due.start:
            assert campaign.may_start(position, board.states)
            board.started(position)
        running = [position for position, state in enumerate(board.states) if state is RUNNING]
        assert 1 <= len(running) <= slots
        end(board, campaign, data.draw(st.sampled_from(running)), failures)

    assert set(board.states) <= ENDED_TASKS
