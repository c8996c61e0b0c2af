"""The board says what is due: in order, after what it waits for, and again after a failure."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.engine import Board, Due
from orchestrator.nodes import Node, Phase, RetryRule
from orchestrator.states import ENDED_TASKS, RunState, TaskState

PENDING, RUNNING, DONE = TaskState.PENDING, TaskState.RUNNING, TaskState.COMPLETED
FAILED, BLOCKED, SKIPPED = TaskState.FAILED, TaskState.BLOCKED, TaskState.SKIPPED


def chain(*names: str, retry: RetryRule | None = None) -> list[Node]:
    """Make tasks of which each waits for the one before."""
    rule = retry or RetryRule()
    return [
        Node(task_id=name, after=(position - 1,) if position else (), retry=rule) for position, name in enumerate(names)
    ]


def new_board(nodes: list[Node], *, fail_fast: bool = True) -> Board:
    """Make a board on which nothing has happened."""
    return Board(nodes, [PENDING] * len(nodes), fail_fast=fail_fast)


def run_one(board: Board, position: int, state: TaskState) -> None:
    """Start a task and end it."""
    board.started(position)
    board.ended(position, state)


def test_an_empty_run_is_complete() -> None:
    """Nothing to do is done."""
    assert new_board([]).due(0.0, slots=4) == Due(settled=RunState.COMPLETED)


def test_a_chain_goes_one_by_one() -> None:
    """A task is due when the one before it has ended well."""
    board = new_board(chain("a", "b"))

    assert board.due(0.0, slots=4).start == (0,)
    board.started(0)
    assert board.due(0.0, slots=3) == Due()
    board.ended(0, DONE)
    assert board.due(0.0, slots=4).start == (1,)


def test_a_run_settles_when_its_last_task_has_ended() -> None:
    """Not before, and then as completed."""
    board = new_board(chain("a"))

    assert board.due(0.0, slots=1).settled is None
    board.started(0)
    assert board.due(0.0, slots=0).settled is None
    board.ended(0, DONE)
    assert board.due(0.0, slots=1).settled is RunState.COMPLETED


def test_what_is_due_starts_in_list_order() -> None:
    """With few slots the first in the list go first."""
    board = new_board([Node(task_id=name) for name in "abcd"])

    assert board.due(0.0, slots=2).start == (0, 1)
    assert board.due(0.0, slots=9).start == (2, 3)


def test_without_a_slot_nothing_starts() -> None:
    """What is due stays due."""
    board = new_board(chain("a"))

    assert board.due(0.0, slots=0) == Due()
    assert board.due(0.0, slots=1).start == (0,)


def test_a_task_waits_for_all_it_depends_on() -> None:
    """One of two is not enough."""
    board = new_board([Node(task_id="a"), Node(task_id="b"), Node(task_id="c", after=(0, 1))])
    board.due(0.0, slots=2)

    run_one(board, 0, DONE)
    assert board.due(0.0, slots=2).start == ()
    run_one(board, 1, DONE)
    assert board.due(0.0, slots=2).start == (2,)


def test_a_skipped_task_satisfies() -> None:
    """Those that wait for it go on."""
    board = new_board(chain("a", "b"))
    board.due(0.0, slots=1)

    board.ended(0, SKIPPED)

    assert board.due(0.0, slots=1).start == (1,)


def test_a_failure_blocks_all_that_need_it() -> None:
    """Directly or not, with the name of what failed."""
    board = new_board(chain("a", "b", "c"), fail_fast=False)
    board.due(0.0, slots=1)

    run_one(board, 0, FAILED)

    assert board.due(0.0, slots=1) == Due(block=((1, "needs a"), (2, "needs a")), settled=RunState.FAILED)
    assert board.states == (FAILED, BLOCKED, BLOCKED)
    assert board.failed == (0,)


def test_an_allowed_failure_satisfies() -> None:
    """The run goes on and completes."""
    board = new_board([Node(task_id="a", allow_failure=True), Node(task_id="b", after=(0,))])
    board.due(0.0, slots=1)

    run_one(board, 0, FAILED)

    assert board.due(0.0, slots=1).start == (1,)
    run_one(board, 1, DONE)
    assert board.due(0.0, slots=1).settled is RunState.COMPLETED
    assert board.failed == ()


def test_after_a_failure_nothing_more_starts() -> None:
    """What runs may end; then the rest is given up with its reason."""
    board = new_board([Node(task_id=name) for name in "abc"])
    board.due(0.0, slots=2)
    board.started(0)
    board.started(1)

    board.ended(0, FAILED)
    assert board.due(0.0, slots=1) == Due()
    board.ended(1, DONE)

    assert board.due(0.0, slots=2) == Due(block=((2, "not started: a failed"),), settled=RunState.FAILED)


def test_without_fail_fast_the_others_go_on() -> None:
    """The run fails in the end, with all done that could be."""
    board = new_board([Node(task_id="a"), Node(task_id="b")], fail_fast=False)
    board.due(0.0, slots=1)

    run_one(board, 0, FAILED)

    assert board.due(0.0, slots=1).start == (1,)
    run_one(board, 1, DONE)
    assert board.due(0.0, slots=1).settled is RunState.FAILED


def test_a_failed_task_is_attempted_again() -> None:
    """After its delay, and no earlier."""
    board = new_board(chain("a", "b", retry=RetryRule(max=1, delay_sec=5.0)))
    board.due(0.0, slots=1)
    board.started(0)

    at = board.retry_at(0, "error", 100.0)
    assert at == 105.0
    board.again(0, at)

    assert board.due(104.0, slots=1) == Due(wake_at=105.0)
    assert board.due(105.0, slots=1).start == (0,)


def test_retries_are_counted_after_the_first_attempt() -> None:
    """``max: 2`` allows three attempts."""
    board = new_board(chain("a", retry=RetryRule(max=2)))

    assert [board.retry_at(0, "error", 0.0) for _ in range(3)] == [0.0, 0.0, None]


def test_only_named_faults_are_retried() -> None:
    """A timeout does not count where only errors do."""
    board = new_board(chain("a", retry=RetryRule(max=9, on=frozenset({"error"}))))

    assert board.retry_at(0, "timeout", 0.0) is None
    assert board.retry_at(0, "error", 0.0) == 0.0


def test_failures_of_an_earlier_runner_count() -> None:
    """A resumed run does not start counting anew."""
    board = new_board(chain("a", retry=RetryRule(max=2)))

    board.recall_failures({0: 2})

    assert board.retry_at(0, "error", 0.0) is None


def test_delays_grow_as_the_rule_says() -> None:
    """Fixed, linear or doubling."""
    delays = {
        backoff: [
            RetryRule(max=9, delay_sec=3.0, backoff=backoff).delay_after(count, "error") for count in (1, 2, 3, 4)
        ]
        for backoff in ("fixed", "linear", "exponential")
    }

    assert delays == {
        "fixed": [3.0, 3.0, 3.0, 3.0],
        "linear": [3.0, 6.0, 9.0, 12.0],
        "exponential": [3.0, 6.0, 12.0, 24.0],
    }


def test_a_thousand_failures_still_have_a_delay() -> None:
    """The most that a recipe allows is no error."""
    assert RetryRule(max=1000, backoff="exponential").delay_after(1000, "error") == 0.0


def test_an_interrupted_run_goes_on_where_it_was() -> None:
    """Done tasks satisfy, open ones are due."""
    board = Board(chain("a", "b", "c"), [DONE, SKIPPED, PENDING])

    assert board.due(0.0, slots=1).start == (2,)


def test_a_failure_of_an_earlier_runner_still_fails_the_run() -> None:
    """It blocks what needs it, and nothing more starts."""
    board = Board([*chain("a", "b"), Node(task_id="c")], [FAILED, PENDING, PENDING])

    assert board.due(0.0, slots=1) == Due(block=((1, "needs a"), (2, "not started: a failed")), settled=RunState.FAILED)


def test_a_task_behind_a_blocked_one_does_not_wait_for_ever() -> None:
    """A run resumed with a blocked task in its middle settles."""
    board = Board(chain("a", "b", "c"), [FAILED, BLOCKED, PENDING], fail_fast=False)

    assert board.due(0.0, slots=1) == Due(block=((2, "needs b"),), settled=RunState.FAILED)


def test_a_retry_that_is_waiting_is_given_up_after_a_failure() -> None:
    """The run does not wait for what it will not start."""
    board = new_board([Node(task_id="a"), Node(task_id="b")])
    board.due(0.0, slots=2)
    board.started(0)
    board.started(1)
    board.again(1, 50.0)

    board.ended(0, FAILED)

    assert board.due(0.0, slots=2) == Due(block=((1, "not started: a failed"),), settled=RunState.FAILED)


def test_what_holds_one_lock_goes_one_by_one() -> None:
    """In list order; what needs another lock goes beside it."""
    nodes = [Node(task_id=name, locks=locks) for name, locks in {"a": ("x",), "b": ("x", "y"), "c": ("y",)}.items()]
    board = new_board(nodes)

    assert board.due(0.0, slots=3).start == (0, 2)
    for position in (0, 2):
        board.started(position)
    board.ended(0, DONE)
    assert board.due(0.0, slots=2).start == ()
    board.ended(2, DONE)
    assert board.due(0.0, slots=3).start == (1,)


def test_a_lock_is_let_go_between_attempts() -> None:
    """A task that waits for its retry holds nothing."""
    nodes = [Node(task_id="a", locks=("x",), retry=RetryRule(max=1)), Node(task_id="b", locks=("x",))]
    board = new_board(nodes)
    assert board.due(0.0, slots=2).start == (0,)
    board.started(0)
    board.again(0, 9.0)

    assert board.due(0.0, slots=2).start == (1,)


def test_a_group_ends_when_its_tasks_have() -> None:
    """It takes no slot, and what waits for it starts then."""
    nodes = [Node(task_id="a", is_group=True), Node(task_id="b", after=(0,))]
    board = new_board(nodes)
    assert board.due(0.0, slots=0).start == (0,)
    board.expanded(0, [Node(task_id="a", parent=0)] * 2)
    assert board.due(0.0, slots=9).start == (2, 3)
    for position in (2, 3):
        run_one(board, position, DONE)

    assert board.counts_below(0) == {DONE: 2}
    assert board.due(0.0, slots=9).collect == (0,)
    board.ended(0, DONE)
    assert board.due(0.0, slots=9).start == (1,)


def test_an_empty_group_is_collected_at_once() -> None:
    """There is nothing to wait for."""
    board = new_board([Node(task_id="a", is_group=True)])
    board.due(0.0, slots=1)
    board.expanded(0, [])

    assert board.due(0.0, slots=1).collect == (0,)


def test_a_group_goes_on_where_an_earlier_runner_left_it() -> None:
    """Tasks that ended are not due again; a group whose tasks have all ended is collected."""
    nodes = [Node(task_id="a", is_group=True), *[Node(task_id="a", parent=0)] * 2]

    assert Board(nodes, [RUNNING, DONE, PENDING]).due(0.0, slots=2).start == (2,)
    assert Board(nodes, [RUNNING, DONE, DONE]).due(0.0, slots=2).collect == (0,)


def phases(*, fails: bool) -> tuple[Board, list[Due]]:
    """Run a step, then whatever is due."""
    nodes = [
        Node(task_id="step"),
        Node(task_id="logs", phase=Phase.ON_FAILURE),
        Node(task_id="off", phase=Phase.FINALLY),
        Node(task_id="on", phase=Phase.FINALLY, after_end=(2,)),
    ]
    board, dues = new_board(nodes), list[Due]()
    while not dues or not dues[-1].settled:
        dues.append(board.due(0.0, slots=9))
        for position in dues[-1].start:
            run_one(board, position, FAILED if position == 0 and fails else DONE)
        for position, _ in dues[-1].skip:
            board.ended(position, SKIPPED)
    return board, dues


def test_what_follows_a_failure_is_skipped_without_one() -> None:
    """What is done last is done in any case."""
    board, dues = phases(fails=False)

    assert [due.start for due in dues] == [(0,), (), (2,), (3,), ()]
    assert [due.skip for due in dues if due.skip] == [((1, "nothing failed"),)]
    assert dues[-1].settled is RunState.COMPLETED
    assert board.states[1] is SKIPPED


def test_after_a_failure_everything_that_follows_runs() -> None:
    """And the run has failed all the same."""
    _, dues = phases(fails=True)

    assert [due.start for due in dues] == [(0,), (1,), (2,), (3,), ()]
    assert dues[-1].settled is RunState.FAILED


def test_what_is_done_last_goes_on_after_a_failure_of_its_own() -> None:
    """Cleaning up is worth a try."""
    nodes = [Node(task_id=name, phase=Phase.FINALLY) for name in "ab"]
    nodes[1] = Node(task_id="b", phase=Phase.FINALLY, after_end=(0,))
    board = new_board(nodes)
    assert board.due(0.0, slots=1).start == (0,)
    run_one(board, 0, FAILED)

    assert board.due(0.0, slots=1).start == (1,)
    run_one(board, 1, DONE)
    assert board.due(0.0, slots=1).settled is RunState.FAILED


def test_a_halted_run_does_last_what_it_does_last() -> None:
    """What had not begun stays pending, so that the run goes on later."""
    nodes = [*chain("a", "b"), Node(task_id="logs", phase=Phase.ON_FAILURE), Node(task_id="off", phase=Phase.FINALLY)]
    board = new_board(nodes)
    board.due(0.0, slots=1)
    board.started(0)
    board.halt()
    assert board.due(0.0, slots=1) == Due()
    board.again(0, 0.0)

    assert board.due(0.0, slots=1).start == (3,)
    run_one(board, 3, DONE)
    assert board.due(1.0, slots=1).settled is RunState.PENDING
    assert board.states == (PENDING, PENDING, PENDING, DONE)


def test_a_run_out_of_time_gives_up_its_steps() -> None:
    """Those that run may end; then comes what follows a failure."""
    nodes = [*chain("a", "b"), Node(task_id="logs", phase=Phase.ON_FAILURE)]
    board = new_board(nodes)
    board.due(0.0, slots=1)
    board.started(0)
    board.stop_steps("out of time")
    assert board.due(0.0, slots=1) == Due()
    board.ended(0, DONE)

    due = board.due(0.0, slots=1)
    assert (due.start, due.block) == ((2,), ((1, "not started: out of time"),))


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Make a few tasks, each waiting for some of those before it."""
    size = draw(st.integers(1, 8))
    befores = [draw(st.sets(st.integers(0, position - 1))) if position else set() for position in range(size)]
    return [
        Node(task_id=f"t{position}", after=tuple(sorted(before)), allow_failure=draw(st.booleans()))
        for position, before in enumerate(befores)
    ]


@settings(max_examples=150)
@given(graphs(), st.data(), st.booleans(), st.integers(1, 3))
def test_every_run_settles(nodes: list[Node], data: st.DataObject, fail_fast: bool, slots: int) -> None:
    """Whatever fails, in the end every task has ended and none began before what it needs."""
    board, running = new_board(nodes, fail_fast=fail_fast), set[int]()
    while not (due := board.due(0.0, slots=slots - len(running))).settled:
        for position in due.start:
            assert all(board.states[before] in ENDED_TASKS for before in nodes[position].after)
            board.started(position)
            running.add(position)
        ended = data.draw(st.sampled_from(sorted(running)))
        running.discard(ended)
        board.ended(ended, data.draw(st.sampled_from([DONE, FAILED, SKIPPED])))

    assert set(board.states) <= ENDED_TASKS
    assert (due.settled is RunState.FAILED) == bool(board.failed)
