"""Steps that ask people wait for an answer, whoever drives the run meanwhile, and take none that does not count."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.operators.asking import COMPLETED, FAILED, Answer, Question, Refusal, current_user, question_of
from orchestrator.operators.assignments import Assignment
from orchestrator.operators.human import answer, ask, read_responses, respond
from orchestrator.progress import Happening, TaskWaiting
from tests.unit.workshop import Notes, PowerCut, Ran, Workshop, recipe, shell

OK = 'echo \'{"status": "ok"}\''
APPROVE: dict[str, object] = {"status": "COMPLETED", "data": {"approved": True}}
SCHEMA = "response_schema: {type: object, properties: {n: {type: integer}}}"
REJECT: dict[str, object] = {"status": "FAILED", "error": "too hot"}


def human(name: str, keys: str = "") -> str:
    """Write a step that asks people."""
    return f"{{name: {name}, type: human, instructions: 'Is it so?'{keys and f', {keys}'}}}"


def answered(workshop: Workshop, document: object, name: str = "response.json", *, when: str = "*") -> threading.Thread:
    """Answer the questions of a task in the background, as soon as they are there."""

    def write() -> None:
        for _ in range(3000):
            folders = list(workshop.folder.glob(f"workspaces/*/runs/*/tasks/{when}/attempts/[!.]*/manifest.json"))
            for manifest in folders:
                (manifest.parent / name).write_text(json.dumps(document))
            if folders:
                return
            time.sleep(0.02)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def test_an_answer_is_a_value_of_the_step(workshop: Workshop) -> None:
    """Under the step's name, for conditions and others."""
    answered(workshop, APPROVE)
    steps = [human("review"), shell("b", OK, "when: ctx.review.response_v1.approved")]

    ran = workshop.run(recipe(*steps), inline=False)

    assert ran.states == ["COMPLETED", "COMPLETED"]
    assert ran.outcome.context.to_dict() == {"review.response_v1": {"approved": True}}


def test_a_rejection_is_a_failure(workshop: Workshop) -> None:
    """With its reason; allowed where the step says so."""
    answered(workshop, REJECT)

    ran = workshop.run(recipe(human("review"), shell("b", OK)), inline=False)

    assert (ran.states, ran.reasons[0]) == (["FAILED", "BLOCKED"], "the exit code is 1, not 0: too hot")


def test_who_answered_is_recorded(workshop: Workshop) -> None:
    """With the file, and the digest of what was shown."""
    answered(workshop, APPROVE)

    ran = workshop.run(recipe(human("review")), inline=False)

    (attempt,) = ran.attempts("review")
    assert (attempt.operator_key, attempt.operator_type, attempt.status) == ("human.default", "human", "COMPLETED")
    assert (ran.root / str(attempt.relative_path) / "instructions.md").read_text() == "Is it so?"


def test_the_words_are_evaluated_and_the_rest_is_shown(workshop: Workshop) -> None:
    """Instructions, schema, and how to answer lie in the attempt's directory."""
    answered(workshop, {"status": "COMPLETED", "data": {"grade": 2}})
    keys = "response_schema: {type: object, required: [grade]}"
    step = f"{{name: review, type: human, instructions: 'n is ${{{{ ctx.a.n_v1 }}}}', {keys}}}"

    ran = workshop.run(recipe(shell("a", OK, 'save: {a.n_v1: "3"}'), step), inline=False)

    folder = ran.root / str(ran.attempts("review")[0].relative_path)
    assert (folder / "instructions.md").read_text() == "n is 3"
    assert json.loads((folder / "schema.json").read_text()) == {"type": "object", "required": ["grade"]}
    assert json.loads((folder / "manifest.json").read_text())["answer_with"] == "response.json"


def test_each_item_is_asked_about(workshop: Workshop) -> None:
    """All at once; the answers are collected by the names of the items."""
    for item in ("a", "b"):
        answered(workshop, {"status": "COMPLETED", "data": {"item": item}}, when=f"each[[]{item}[]]")
    ran = workshop.run(recipe(human("each", "foreach: [a, b]")), inline=False)

    assert ran.outcome.context.to_dict() == {"each.response_v1": {"a": {"item": "a"}, "b": {"item": "b"}}}


def test_other_steps_go_on_meanwhile(workshop: Workshop) -> None:
    """A question takes nobody's turn and no slot."""
    done = workshop.folder / "done"

    def write() -> None:
        for _ in range(3000):
            if done.exists():
                answered(workshop, APPROVE).join()
                return
            time.sleep(0.02)

    threading.Thread(target=write).start()
    steps = [human("review"), shell("b", f"touch done; {OK}", "depends_on: []")]

    assert workshop.run(recipe(*steps), inline=False, jobs=1).states == ["COMPLETED"] * 2


def test_a_question_outlives_its_runner(workshop: Workshop) -> None:
    """It is the same question, answered while nobody drove the run."""
    text = recipe(shell("a", OK), human("review"), shell("b", OK))
    with pytest.raises(SystemExit):
        workshop.run(text, inline=False, reporter=PowerCut(after="review"))
    (root,) = workshop.runs()
    answered(workshop, APPROVE)

    ran = workshop.resume(root, inline=False)

    assert ran.states == ["COMPLETED"] * 3
    assert [len(ran.attempts(name)) for name in ("a", "review", "b")] == [1, 1, 1]


def test_a_step_goes_as_far_as_it_goes_without_people(workshop: Workshop) -> None:
    """And says for whom it waits; the next one finds the answer."""
    text = recipe(human("review"), shell("b", OK))

    first = workshop.run(text, inline=False, once=True)
    again = workshop.resume(first.root, inline=False, once=True)
    answered(workshop, APPROVE).join()
    last = workshop.resume(first.root, inline=False, once=True)

    assert [one.outcome.exit_status for one in (first, again, last)] == [5, 5, 0]
    assert first.outcome.reason == "waiting for review"
    assert len(last.attempts("review")) == 1


def test_what_is_told_while_people_are_waited_for_is_all_that_was_written(workshop: Workshop) -> None:
    """Also what no step that is open has waited for."""
    text = recipe(shell("a", OK, 'save: {a.x_v1: "3"}'), human("review", "depends_on: []"))

    ran = workshop.run(text, inline=False, once=True)

    assert ran.outcome.exit_status == 5
    assert ran.outcome.to_json()["ctx_keys"] == ["a.x_v1"]


def test_a_failure_elsewhere_withdraws_the_question(workshop: Workshop) -> None:
    """Nobody need answer what will not be used."""
    steps = [human("review"), shell("b", "exit 1", "depends_on: []"), shell("c", OK, "depends_on: [review]")]

    ran = workshop.run(recipe(*steps), inline=False)

    assert ran.states == ["BLOCKED", "FAILED", "BLOCKED"]
    assert [attempt.status for attempt in ran.attempts("review")] == ["CANCELLED"]


def test_a_run_that_keeps_going_keeps_its_questions(workshop: Workshop) -> None:
    """They do not depend on what failed."""
    answered(workshop, APPROVE)
    steps = [human("review"), shell("b", "exit 1", "depends_on: []")]

    assert workshop.run(recipe(*steps), inline=False, fail_fast=False).states == ["COMPLETED", "FAILED"]


def test_a_run_that_takes_too_long_withdraws_its_questions(workshop: Workshop) -> None:
    """It is the run's time that is up."""
    ran = workshop.run(recipe(human("review"), head="timeout: 0.3\n"), inline=False)

    assert (ran.outcome.exit_status, [attempt.status for attempt in ran.attempts("review")]) == (124, ["TIMEOUT"])


@pytest.mark.parametrize(
    ("then", "states", "context"),
    [
        ("fail", ["FAILED"], {}),
        ("reject", ["FAILED"], {}),
        ("approve", ["COMPLETED"], {"review.response_v1": {"approved": True}}),
    ],
)
def test_silence_has_a_meaning(workshop: Workshop, then: str, states: list[str], context: dict[str, object]) -> None:
    """When the time to answer is over."""
    ran = workshop.run(recipe(human("review", f"deadline: {{after: 0.2, then: {then}}}")), inline=False)

    assert (ran.states, ran.outcome.context.to_dict()) == (states, context)


def test_a_key_that_nobody_wired_begins_no_run(workshop: Workshop) -> None:
    """The place is that of the step's key."""
    problems = workshop.refused(recipe(human("review", "operator_key: human.committee")))

    assert problems == ["r.yaml:2:72: error[MS214]: there is no operator 'human.committee' where nobody wired anything"]


def put(run_root: Path, **work: object) -> Question:
    """Put a question, as an attempt at the task review."""
    assignment = Assignment(
        run_root=run_root,
        task_id="review",
        attempt_id="a1",
        attempt_index=1,
        operator_key="human.default",
        relative_path="q",
        params={"instructions": "?"},
        work={"step": "review", **work},
    )
    question = question_of(assignment)
    ask(question, assignment)
    return question


@pytest.fixture(name="question")
def _question(tmp_path: Path) -> Question:
    return put(tmp_path, response_schema={"type": "object", "properties": {"n": {"type": "integer"}}})


@pytest.mark.parametrize(
    ("content", "waits_for"),
    [
        (b"", "it is not, or not yet, one whole JSON document"),
        (b'{"status": "COMPLETED", "data": {', "it is not, or not yet, one whole JSON document"),
        (b'{"status": "COMPLETED", "status": "FAILED"}', "it is not, or not yet, one whole JSON document"),
        (b"[" * 100_000, "it is not, or not yet, one whole JSON document"),
        (b'{"status": "COMPLETED", "data": NaN}', "it is not, or not yet, one whole JSON document"),
        (b"\xff\xfe{}", "it is not, or not yet, one whole JSON document"),
        (b"[]", "expected a JSON object"),
        (b"{}", "expected the status COMPLETED or FAILED, got None"),
        (b'{"status": "completed"}', "expected the status COMPLETED or FAILED, got 'completed'"),
        (b'{"status": "COMPLETED", "approve": true}', "unknown key 'approve'"),
        (b'{"status": "COMPLETED", "task_id": "other"}', "it answers another question: task_id is 'other'"),
        (b'{"status": "COMPLETED", "attempt_id": "a0"}', "it answers another question: attempt_id is 'a0'"),
        (b" " * 2_000_000, "it has 2000000 bytes, more than 1048576"),
    ],
    ids=lambda value: str(value[:20]) if isinstance(value, bytes) else None,
)
def test_C8_F42_what_is_no_answer_is_waited_out(question: Question, content: bytes, waits_for: str) -> None:  # noqa: N802  rows of the fault matrix
    """It may be half written; whoever wrote it sees why it does not count."""
    (question.folder / "response.json").write_bytes(content)

    assert answer(question, "2026") == Answer(waits_for=f"response.json: {waits_for}")


def misfit(question: Question, name: str = "response.json") -> Path:
    """Answer with data that do not fit the schema."""
    path = question.folder / name
    path.write_text('{"status": "COMPLETED", "data": {"n": "x"}}')
    return path


def test_what_does_not_fit_the_schema_is_refused(question: Question) -> None:
    """Nobody who only looks moves it."""
    path = misfit(question)

    told = "response.json is refused: data.n: 'x' is not of type 'integer'"
    assert answer(question, "2026") == Answer(waits_for=told, refused=(Refusal(path=path, told=told, is_aside=False),))


def test_what_is_refused_leaves_the_way_free(workshop: Workshop) -> None:
    """It is kept as it was, and told once, in an event and in the reason of the task, whoever goes on."""
    first = workshop.run(recipe(human("review", SCHEMA)), inline=False, once=True)
    folder = first.root / str(first.attempts("review")[0].relative_path)
    (folder / "response.json").write_text('{"status": "COMPLETED", "data": {"n": "x"}}')

    workshop.resume(first.root, inline=False, once=True)
    again = workshop.resume(first.root, inline=False, once=True)

    told = "refused/response-1.json is refused: data.n: 'x' is not of type 'integer'"
    assert [path.name for path in folder.rglob("response*.json")] == ["response-1.json"]
    assert again.events.count("attempt.moved") == 1
    assert (again.reasons, again.attempts("review")[0].operator_data["refused"]) == ([told], [told])


def test_a_better_answer_is_taken(workshop: Workshop) -> None:
    """What was refused before is kept beside it."""
    first = workshop.run(recipe(human("review", SCHEMA)), inline=False, once=True)
    folder = first.root / str(first.attempts("review")[0].relative_path)
    for value in ('"x"', '"y"', "3"):
        (folder / "response.json").write_text(f'{{"status": "COMPLETED", "data": {{"n": {value}}}}}')
        ran = workshop.resume(first.root, inline=False, once=True)

    assert (ran.states, ran.reasons, ran.outcome.context.to_dict()) == (
        ["COMPLETED"],
        [""],
        {"review.response_v1": {"n": 3}},
    )
    assert sorted(path.name for path in (folder / "refused").iterdir()) == ["response-1.json", "response-2.json"]


def test_a_response_that_was_mended_while_it_was_moved_counts(question: Question) -> None:
    """Nobody's answer is lost."""
    (question.folder / "refused").mkdir()
    (question.folder / "refused" / "response-1.json").write_text(json.dumps(APPROVE))

    came = answer(question, "2026")
    assert (came.status, [one.file for one in came.responses]) == (COMPLETED, ["refused/response-1.json"])


def test_a_byte_order_mark_is_no_fault(question: Question) -> None:
    """Some editors write one."""
    (question.folder / "response.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(APPROVE).encode())

    assert answer(question, "2026").status == COMPLETED


def link(path: Path) -> None:
    """Make a link to an answer elsewhere."""
    target = path.with_name("elsewhere.json")
    target.write_text(json.dumps(APPROVE))
    path.symlink_to(target)


def hard_link(path: Path) -> None:
    """Make another name of an answer elsewhere."""
    target = path.with_name("elsewhere.json")
    target.write_text(json.dumps(APPROVE))
    path.hardlink_to(target)


@pytest.mark.parametrize("make", [link, hard_link, os.mkfifo, os.mkdir])
def test_C8_only_a_file_of_its_own_is_an_answer(question: Question, make: Callable[[Path], None]) -> None:  # noqa: N802  see above
    """No link, pipe or folder is followed, waited for or read."""
    make(question.folder / "response.json")

    came = answer(question, "2026")
    assert came.status == ""
    assert came.waits_for


@pytest.fixture(name="committee")
def _committee(tmp_path: Path) -> Question:
    return put(tmp_path, approvals=2)


def test_one_user_is_one_approval(committee: Question) -> None:
    """However many files there are."""
    for name in ("a", "b"):
        (committee.folder / "responses" / f"{name}.json").write_text(json.dumps(APPROVE))

    assert answer(committee, "2026").waits_for == "1 of 2 approvals"


def test_an_approval_is_recorded_by_where_it_lies(committee: Question) -> None:
    """Below the directory of the attempt, so that who checks the evidence finds it."""
    respond(committee, {"status": "COMPLETED", "data": {"approved": True}})

    (response,) = read_responses(committee).found
    assert (committee.folder / response.file).read_bytes() == response.raw


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to somebody else")
def test_as_many_users_as_asked_approve(committee: Question) -> None:
    """All of them are named."""
    for uid in (12_345, 12_346):
        path = committee.folder / "responses" / f"{uid}.json"
        path.write_text(json.dumps(APPROVE))
        os.chown(path, uid, uid)

    came = answer(committee, "2026")
    assert (came.status, [response.by for response in came.responses]) == (COMPLETED, ["12345", "12346"])


def test_one_rejection_ends_the_question(committee: Question) -> None:
    """Whoever approved before."""
    (committee.folder / "responses" / "a.json").write_text(json.dumps(REJECT))

    assert (answer(committee, "2026").status, answer(committee, "2026").error) == (FAILED, "too hot")


@pytest.mark.parametrize(
    ("changes", "waits_for"),
    [
        ({"approvers": ("ada", "bob")}, "may not answer; asked are: ada, bob"),
        (
            {"separation_of_duty": True, "asked_by": current_user()},
            "has started the run, and somebody else must answer",
        ),
    ],
)
def test_H1_H3_only_those_who_are_asked_may_answer(tmp_path: Path, changes: dict[str, object], waits_for: str) -> None:  # noqa: N802  see above
    """Who owns the file has written it, whatever name stands in it."""
    question = dataclasses.replace(put(tmp_path), **changes)  # type: ignore[arg-type]
    (question.folder / "response.json").write_text(json.dumps({**APPROVE, "by": "ada"}))

    assert answer(question, "2026").waits_for == f"response.json: {current_user()} {waits_for}"


def test_a_question_is_shown_to_people(workshop: Workshop) -> None:
    """With the command that answers it."""
    notes = Notes()
    first: Ran = workshop.run(recipe(human("review")), inline=False, once=True, reporter=notes)

    waiting = [one for one in notes.told if type(one).__name__ == "TaskWaiting"]
    assert [getattr(one, "todo", "") for one in waiting] == [
        f"answer with: matterstack respond {first.root.name} review"
    ]


def test_F42_people_see_why_an_answer_does_not_count(workshop: Workshop) -> None:  # noqa: N802  see above
    """Once for each reason, with the command that answers."""
    first = workshop.run(recipe(human("review")), inline=False, once=True)
    (first.root / str(first.attempts("review")[0].relative_path) / "response.json").write_text('{"status": "COMPL')

    notes = Notes()
    workshop.resume(first.root, inline=False, once=True, reporter=notes)

    todo = f"answer with: matterstack respond {first.root.name} review"
    assert [one.todo for one in notes.told if isinstance(one, TaskWaiting)][-1] == (
        f"response.json: it is not, or not yet, one whole JSON document; {todo}"
    )


def test_an_answer_after_the_deadline_does_not_count(tmp_path: Path) -> None:
    """Silence has its meaning, also where nobody drove the run meanwhile."""
    question = put(tmp_path, deadline_at="2020-01-01T00:00:00.000000Z")
    (question.folder / "response.json").write_text(json.dumps(APPROVE))

    assert answer(question, "2026-01-01T00:00:00.000000Z").status == FAILED


def test_H2_an_answer_to_another_question_does_not_count(workshop: Workshop) -> None:  # noqa: N802  see above
    """Where the recipe changed after it was given, people are asked anew."""
    first = workshop.run(recipe(human("review")), inline=False, once=True)
    (manifest,) = first.root.glob("tasks/review/attempts/*/manifest.json")
    (manifest.parent / "response.json").write_text(json.dumps(APPROVE))
    workshop.write("r.yaml", recipe(human("review")).replace("Is it so?", "Is it otherwise?"))

    ran = workshop.resume(first.root, accept_changes=True, inline=False, once=True)

    assert ran.states == ["WAITING_EXTERNAL"]
    assert [attempt.status for attempt in ran.attempts("review")] == ["CANCELLED", "WAITING_EXTERNAL"]


def test_all_items_are_asked_at_once(workshop: Workshop) -> None:
    """However few steps may run here."""
    ran = workshop.run(recipe(human("q", "foreach: [a, b, c]")), inline=False, jobs=1, once=True)

    assert [row.status for name, row in ran.tasks.items() if name != "q"] == ["WAITING_EXTERNAL"] * 3


def test_a_run_that_is_told_to_end_waits_for_nobody(workshop: Workshop) -> None:
    """Not even for the question with which its recipe ends."""
    workshop.write("r.yaml", recipe(shell("s", "touch here; sleep 100"), head=f"finally:\n- {human('bye')}\n"))
    command = [sys.executable, "-m", "orchestrator", "run", "r.yaml", "-q"]
    process = subprocess.Popen(command, cwd=workshop.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for _ in range(1200):
        if (workshop.folder / "here").exists():
            break
        time.sleep(0.05)
    process.terminate()

    process.communicate(timeout=60)

    assert process.returncode == 143


class InterruptWhenAsked:
    """A reporter that interrupts the runner as soon as people are asked."""

    def tell(self, happening: Happening) -> None:
        """Raise the signal of Ctrl-C."""
        if isinstance(happening, TaskWaiting):
            signal.raise_signal(signal.SIGINT)


def test_what_is_done_last_waits_for_no_answer(workshop: Workshop) -> None:
    """A question that stays open needs nothing that is on."""
    last = f"finally: [{shell('off', 'echo off > off.txt', 'stdout: free')}]\n"

    ran = workshop.run(recipe(human("review"), head=last), inline=False, reporter=InterruptWhenAsked())

    assert (ran.outcome.exit_status, (workshop.folder / "off.txt").exists()) == (130, True)


def test_a_question_outlives_an_interruption_at_any_moment(workshop: Workshop) -> None:
    """Also at the one when it has just been asked."""
    ran = workshop.run(recipe(human("review")), inline=False, reporter=InterruptWhenAsked())

    assert (ran.outcome.exit_status, [attempt.status for attempt in ran.attempts("review")]) == (
        130,
        ["WAITING_EXTERNAL"],
    )
