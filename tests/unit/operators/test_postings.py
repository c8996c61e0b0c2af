"""Questions are posted where people can answer who may not read the run; who owns an answer has given it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock import utc_now
from orchestrator.errors import ScriptletError
from orchestrator.operators.asking import COMPLETED, FAILED, Answer, Question, current_user, question_of
from orchestrator.operators.assignments import Assignment, Sighting
from orchestrator.operators.decisions import decided, keep
from orchestrator.operators.human import answer, ask, respond
from orchestrator.operators.people import People
from orchestrator.operators.posted import posted_in, read_posted
from orchestrator.operators.postings import post, shared_folder, withdraw
from orchestrator.states import AttemptState
from orchestrator.steering import cancel_run
from tests.unit.operators.other_user import ADA, BOB, EVE, LAB, being, run_as
from tests.unit.workshop import Workshop, recipe

APPROVE: dict[str, object] = {"status": "COMPLETED", "data": {"approved": True}}
HUMAN = "{name: review, type: human, instructions: 'Is it so?'}"
with_users = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@pytest.fixture(name="lab")
def _lab() -> Iterator[Path]:
    """Give a folder that people share, in a place that all users reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    lab = folder / "lab"
    lab.mkdir()
    if os.getuid() == 0:
        os.chown(lab, 0, LAB)
    lab.chmod(0o3770)
    yield lab
    shutil.rmtree(folder)


def assignment(lab: Path, run_root: Path, **work: object) -> Assignment:
    """Give an attempt that asks people who share a folder."""
    return Assignment(
        run_root=run_root,
        task_id="review",
        attempt_id="a1",
        attempt_index=1,
        operator_key="human.default",
        relative_path="q",
        asked_at=utc_now(),
        params={"instructions": "Is it so?"},
        work={"step": "review", "shared_folder": str(lab), **work},
    )


@pytest.fixture(name="put")
def _put(lab: Path, tmp_path: Path) -> Callable[..., Question]:
    """Give what puts a question, in the attempt's directory and in the shared folder."""

    def put(**work: object) -> Question:
        asked = assignment(lab, tmp_path, **work)
        question = question_of(asked)
        ask(question, asked)
        post(question)
        return question

    return put


def written(question: Question, name: str, owner: int | None = None, document: object = None) -> Path:
    """Write a response into the posting, as the file of somebody."""
    assert question.posting is not None
    path = question.posting / "responses" / name
    path.write_text(json.dumps(document or {**APPROVE, "attempt_id": "a1"}))
    if owner is not None:
        os.chown(path, owner, LAB)
    return path


def test_a_posting_shows_all_that_is_asked(put: Callable[..., Question], tmp_path: Path) -> None:
    """Under a name that says of which run, task and attempt it is."""
    question = put(files={"plot.txt": {"text": "a plot"}})

    assert question.posting is not None
    assert question.posting.name == f"{tmp_path.name}-review-a1"
    assert sorted(path.name for path in question.posting.iterdir()) == [
        "instructions.md",
        "manifest.json",
        "plot.txt",
        "responses",
        "schema.json",
    ]
    assert json.loads((question.posting / "manifest.json").read_text())["shown_sha256"] == question.sha256


def test_a_posting_has_the_group_and_the_mode_of_its_folder(put: Callable[..., Question], lab: Path) -> None:
    """Also where its user lets others read nothing; nobody removes there what is somebody else's."""
    before = os.umask(0o077)
    question = put()
    os.umask(before)

    assert question.posting is not None
    found = {path.name: path.stat() for path in (*question.posting.rglob("*"), question.posting)}
    assert {one.st_gid for one in found.values()} == {lab.stat().st_gid}
    assert {name: oct(stat.S_IMODE(one.st_mode)) for name, one in found.items()} == {
        question.posting.name: "0o2750",
        "responses": "0o3770",
        "instructions.md": "0o640",
        "manifest.json": "0o640",
        "schema.json": "0o640",
    }


def test_a_posting_reads_as_what_was_asked(put: Callable[..., Question]) -> None:
    """All of it counts in the digest that an answer names."""
    question = put(approvals=2, approvers=["ada"], deadline_at="2030", files={"plot.txt": {"text": "a plot"}})

    assert question.posting is not None
    seen = read_posted(question.posting)
    assert (seen.sha256, seen.approvals, seen.approvers) == (question.sha256, 2, ("ada",))
    assert [one.task_id for one in posted_in(question.posting.parent)] == ["review"]


def test_a_question_is_posted_once(put: Callable[..., Question]) -> None:
    """A second time finds it, with what was answered."""
    question = put()
    path = written(question, "ada.json")
    post(question)

    assert path.exists()


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        (0o777, "whoever may write in it may remove what others wrote"),
        (0o2770, "whoever may write in it may remove what others wrote"),
        (0o1700, "nobody but its owner may write in it"),
    ],
)
def test_a_folder_in_which_answers_are_not_safe_is_refused(lab: Path, mode: int, why: str) -> None:
    """With what to type."""
    lab.chmod(mode)

    with pytest.raises(ScriptletError, match=why) as caught:
        shared_folder(lab)
    assert (caught.value.code, caught.value.hint) == (
        "MS603",
        f"make it so: mkdir -p {lab} && chgrp GROUP {lab} && chmod 3770 {lab}",
    )


def test_a_folder_that_there_is_not_is_refused(lab: Path) -> None:
    """As is a file in its place."""
    (lab / "file").touch()

    for path, why in ((lab / "none", "no such file or directory"), (lab / "file", "is not a directory")):
        with pytest.raises(ScriptletError, match=why):
            shared_folder(path)


def test_an_attempt_without_its_folder_is_not_begun(lab: Path, tmp_path: Path) -> None:
    """It fails with what to do."""
    (sighting,) = People().submit([assignment(lab / "none", tmp_path)])

    assert sighting.state is AttemptState.FAILED_INIT
    assert "chmod 3770" in sighting.note


def taken(sighting: Sighting) -> list[dict[str, str]]:
    """Give the responses that were recorded at the end of a question."""
    assert sighting.done is not None
    responses: Any = sighting.done.operator_data["responses"]
    return list(responses)


def looked(people: People, asked: Assignment) -> list[Sighting]:
    """Let a runner take an attempt, and give what it then sees."""
    list(people.submit([asked]))
    return list(people.look())


def test_a_question_outlives_a_folder_that_is_away(lab: Path, tmp_path: Path) -> None:
    """The next runner says what is in the way, and posts it when that is gone."""
    asked = assignment(lab, tmp_path)
    list(People().submit([asked]))
    moved = lab.rename(lab.with_name("away"))
    people = People()

    (note,) = looked(people, asked)
    moved.rename(lab)

    assert "no such file or directory" in note.note
    assert (list(people.look()), len(posted_in(lab))) == ([], 1)


def test_a_posting_that_was_removed_is_put_again(put: Callable[..., Question], lab: Path, tmp_path: Path) -> None:
    """People see it again."""
    question = put()
    withdraw(question)

    assert looked(People(), assignment(lab, tmp_path)) == []
    assert len(posted_in(lab)) == 1


def test_an_answer_is_kept_byte_for_byte_and_the_posting_is_removed(
    put: Callable[..., Question], lab: Path, tmp_path: Path
) -> None:
    """With who gave it, when, and the digest of what was written."""
    question = put()
    content = written(question, "x.json").read_bytes()

    (sighting,) = looked(People(), assignment(lab, tmp_path))

    (response,) = taken(sighting)
    assert (response["by"], response["sha256"]) == (current_user(), hashlib.sha256(content).hexdigest())
    assert (tmp_path / "q" / response["file"]).read_bytes() == content
    assert list(lab.iterdir()) == []


@pytest.mark.parametrize("removed", [False, True])
def test_a_runner_that_dies_while_a_question_ends_loses_nothing(
    put: Callable[..., Question], lab: Path, tmp_path: Path, *, removed: bool
) -> None:
    """Nor does the next one take anything twice, or what was answered in between."""
    question = put(approvals=2, response_schema={}, approvers=[current_user(), "ann"])
    written(question, "x.json", document={"status": "FAILED", "error": "too hot", "attempt_id": "a1"})
    keep(question, answer(question, "2026"))
    if removed:
        withdraw(question)
    else:
        written(question, "x.json")

    (sighting,) = looked(People(), assignment(lab, tmp_path, approvals=2, approvers=[current_user(), "ann"]))

    assert sighting.done is not None
    assert "too hot" in sighting.done.stdout
    assert len(taken(sighting)) == 1
    assert list(lab.iterdir()) == []


def test_what_was_kept_is_the_same_answer(put: Callable[..., Question]) -> None:
    """But for the bytes, which lie beside it."""
    question = put()
    written(question, "x.json")
    came = answer(question, "2026")
    keep(question, came)

    assert decided(question) == Answer(
        status=COMPLETED,
        data={"approved": True},
        responses=tuple(dataclasses.replace(one, raw=b"") for one in came.responses),
    )


def test_a_withdrawn_question_is_removed(put: Callable[..., Question], lab: Path, tmp_path: Path) -> None:
    """Nobody need answer it any more."""
    put()
    people = People()
    people.cancel(["a1"])

    (sighting,) = looked(people, assignment(lab, tmp_path))

    assert (sighting.done is not None, list(lab.iterdir())) == (True, [])


def test_silence_removes_a_posting(put: Callable[..., Question], lab: Path, tmp_path: Path) -> None:
    """When the time to answer is over."""
    put(deadline_at="2020")

    (sighting,) = looked(People(), assignment(lab, tmp_path, deadline_at="2020"))

    assert (sighting.done is not None, list(lab.iterdir())) == (True, [])


def test_one_user_is_one_approval_in_both_places(put: Callable[..., Question]) -> None:
    """Whoever may read the run answers here or there."""
    question = put(approvals=2)
    written(question, "x.json")
    respond(question, APPROVE)  # type: ignore[arg-type]

    assert answer(question, "2026").waits_for == "1 of 2 approvals"


def test_an_answer_must_say_what_it_answers(put: Callable[..., Question]) -> None:
    """Somebody else could have moved it here."""
    question = put()
    path = written(question, "x.json", document=APPROVE)

    assert answer(question, "2026").waits_for == (f'{path}: it does not say what it answers: add "attempt_id": "a1"')


def test_an_answer_to_other_words_does_not_count(put: Callable[..., Question]) -> None:
    """As those that a posting of somebody else has shown."""
    question = put()
    written(question, "x.json", document={**APPROVE, "attempt_id": "a1", "shown_sha256": "0" * 64})

    assert "it answers other words or files than those of the question" in answer(question, "2026").waits_for


def test_a_time_that_was_set_back_does_not_count(put: Callable[..., Question]) -> None:
    """The system tells when a file was changed."""
    question = put(deadline_at="2020-01-01T00:00:00.000000Z")
    os.utime(written(question, "x.json"), (0, 0))

    assert answer(question, "2026").status == FAILED


def test_no_link_is_followed(put: Callable[..., Question], tmp_path: Path) -> None:
    """Neither to a response nor to a folder of them."""
    question = put()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "x.json").write_text(json.dumps({**APPROVE, "attempt_id": "a1"}))
    assert question.posting is not None
    (question.posting / "responses" / "x.json").symlink_to(elsewhere / "x.json")
    first = answer(question, "2026")
    (question.posting / "responses" / "x.json").unlink()
    (question.posting / "responses").rmdir()
    (question.posting / "responses").symlink_to(elsewhere)

    assert (first.status, answer(question, "2026").status) == ("", "")


MISFIT = {"status": "COMPLETED", "data": {"n": "x"}, "attempt_id": "a1"}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}


def test_what_is_refused_is_kept_aside_in_the_posting(put: Callable[..., Question], lab: Path, tmp_path: Path) -> None:
    """Where its owner sees why, and at the end with what came of the question."""
    question = put(response_schema=SCHEMA)
    written(question, "x.json", document=MISFIT)
    people = People()

    (waiting,) = looked(people, assignment(lab, tmp_path, response_schema=SCHEMA))
    again = list(people.look())
    written(question, "x.json")
    list(people.look())

    told = f"{question.posting}/refused/x-1.json is refused: data.n: 'x' is not of type 'integer'"
    assert (waiting.note, waiting.operator_data["refused"], again) == (told, [told], [])
    assert json.loads((tmp_path / "q" / "answered" / "refused" / "x-1.json").read_text()) == MISFIT


@with_users
def test_a_response_of_another_user_is_moved_out_of_the_way(
    put: Callable[..., Question], lab: Path, tmp_path: Path
) -> None:
    """It stays theirs; they read why it is refused, and answer once more."""
    question = put(response_schema=SCHEMA)
    assert question.posting is not None
    written(question, "x.json", BOB, MISFIT)

    looked(People(), assignment(lab, tmp_path, response_schema=SCHEMA))
    shown = run_as(BOB, "respond", question.posting, folder=lab.parent)

    assert (question.posting / "refused" / "x-1.json").stat().st_uid == BOB
    assert "refused/x-1.json is refused: data.n: 'x' is not of type 'integer'" in shown.stdout


@with_users
def test_a_posting_of_somebody_else_is_none(put: Callable[..., Question]) -> None:
    """Its owner could answer there in the names of others."""
    question = put()
    written(question, "x.json")
    assert question.posting is not None
    os.chown(question.posting, EVE, LAB)

    assert answer(question, "2026").status == ""
    with pytest.raises(ScriptletError, match="is not from this run's user"):
        post(question)


@with_users
def test_a_file_has_the_name_of_its_owner(put: Callable[..., Question]) -> None:
    """Whatever it is called, and whoever signs it."""
    question = put(approvers=[str(BOB)])
    written(question, f"{BOB}.json", EVE, {**APPROVE, "attempt_id": "a1", "by": str(BOB)})

    assert f"{EVE} may not answer; asked are: {BOB}" in answer(question, "2026").waits_for


@with_users
def test_others_answer_who_cannot_read_the_run(put: Callable[..., Question], lab: Path) -> None:
    """With the command, also where they let nobody read their files, and somebody has taken the name."""
    question = put(approvers=[str(BOB)], response_schema={"type": "object", "required": ["approved"]})
    assert question.posting is not None
    written(question, f"{BOB}.json", EVE)

    listed = run_as(BOB, "respond", lab, folder=lab.parent)
    shown = run_as(BOB, "respond", question.posting, folder=lab.parent)
    given = run_as(BOB, "respond", question.posting, "--approve", folder=lab.parent, umask=0o077)

    assert listed.stdout == f"review: Is it so?\n  = matterstack respond {question.posting} --approve\n"
    assert shown.stdout.startswith("Is it so?\n")
    assert (given.returncode, given.stderr) == (0, f"review: answered, in {BOB}-1.json\n")
    came = answer(question, "2026")
    assert (came.status, [one.by for one in came.responses]) == (COMPLETED, [str(BOB)])


@with_users
def test_those_who_are_not_asked_are_told(put: Callable[..., Question], lab: Path) -> None:
    """Before anything is written."""
    question = put(approvers=[str(BOB)])

    refused = run_as(ADA, "respond", question.posting, "--approve", folder=lab.parent)

    assert (refused.returncode, f"{ADA} may not answer; asked are: {BOB}" in refused.stderr) == (2, True)
    assert posted_in(lab)[0].posting is not None
    assert list(lab.glob("*/responses/*")) == []


@with_users
def test_who_is_not_of_the_group_sees_nothing(put: Callable[..., Question], lab: Path) -> None:
    """Neither the words nor the answers."""
    question = put()

    refused = run_as(EVE, "respond", question.posting, gid=LAB + 1, folder=lab.parent)

    assert (refused.returncode, refused.stdout) == (2, "")


@with_users
def test_a_user_answers_once(put: Callable[..., Question], lab: Path) -> None:
    """And sees that it is done."""
    question = put(approvals=2)

    first, second = (run_as(ADA, "respond", question.posting, "--approve", folder=lab.parent) for _ in range(2))

    assert (first.returncode, second.returncode) == (0, 2)
    assert f"review was answered by {ADA} already" in second.stderr


@pytest.fixture(name="run_of_ada")
def _run_of_ada(lab: Path) -> Path:
    """Give the directory of a run that is another user's."""
    run_root = lab.with_name("run")
    run_root.mkdir(mode=0o700)
    os.chown(run_root, ADA, LAB)
    return run_root


@with_users
def test_a_question_of_another_user_goes_all_the_way(lab: Path, run_of_ada: Path) -> None:
    """Without the rights of root: posted, a misfit moved aside, an answer taken, and the posting removed."""
    asked = assignment(lab, run_of_ada, response_schema=SCHEMA)
    people = People()
    with being(ADA):
        assert looked(people, asked) == []
        question = question_of(asked)
    written(question, "x.json", BOB, MISFIT)
    with being(ADA):
        (refused,) = people.look()
    written(question, "x.json", BOB)
    with being(ADA):
        (ended,) = people.look()

    assert "refused/x-1.json is refused" in refused.note
    assert [one["by"] for one in taken(ended)] == [str(BOB)]
    assert list(lab.iterdir()) == []


@with_users
def test_what_others_keep_in_a_posting_keeps_it_from_nobody(lab: Path, run_of_ada: Path) -> None:
    """It is no posting any more, also where a part of it cannot be removed."""
    asked = assignment(lab, run_of_ada)
    with being(ADA):
        looked(People(), asked)
        question = question_of(asked)
    assert question.posting is not None
    with being(BOB):
        (question.posting / "responses" / "mine").mkdir(mode=0o700)
        (question.posting / "responses" / "mine" / "x").touch()
    with being(ADA):
        withdraw(question)

    assert (question.posting.exists(), posted_in(lab)) == (False, [])


@with_users
def test_a_folder_for_everybody_needs_no_group(lab: Path, run_of_ada: Path) -> None:
    """Who runs cannot give files to a group that is not theirs."""
    os.chown(lab, 0, 0)
    lab.chmod(0o1777)
    with being(ADA):
        looked(People(), assignment(lab, run_of_ada))

    with being(EVE, LAB + 1):
        (question,) = posted_in(lab)
        respond(question, APPROVE)  # type: ignore[arg-type]
    assert [one.by for one in answer(question, "2026").responses] == [str(EVE)]


@with_users
def test_a_group_that_is_not_theirs_is_told(lab: Path, run_of_ada: Path) -> None:
    """Where the group alone may read."""
    lab.chmod(0o1770)
    os.chown(lab, ADA, LAB + 1)
    with being(ADA):
        (sighting,) = People().submit([assignment(lab, run_of_ada)])

    assert sighting.state is AttemptState.FAILED_INIT
    assert "is not of its group" in sighting.note


@pytest.fixture(name="wired")
def _wired(workshop: Workshop, lab: Path) -> Workshop:
    """Let the workshop's people share a folder."""
    text = f"operators: {{ human.default: {{ kind: human, shared_folder: {lab}, separation_of_duty: true }} }}\n"
    workshop.write("workspaces/r/operators.yaml", text)
    return workshop


@with_users
def test_evidence_names_who_answered_from_outside(wired: Workshop, lab: Path) -> None:
    """The starter of the run may not, and somebody else has."""
    first = wired.run(recipe(HUMAN), inline=False, once=True)
    (posting,) = lab.iterdir()
    run_as(BOB, "respond", posting, "--approve", folder=lab.parent)

    ran = wired.resume(first.root, inline=False, once=True)

    (attempt,) = ran.attempts("review")
    assert (attempt.status, list(lab.iterdir())) == (AttemptState.COMPLETED, [])
    assert [one["by"] for one in attempt.operator_data["responses"]] == [str(BOB)]


def test_a_run_that_is_cancelled_takes_its_postings_away(wired: Workshop, lab: Path) -> None:
    """By its records alone too."""
    for by_records in (False, True):
        ran = wired.run(recipe(HUMAN), inline=False, once=True, fresh=True)
        assert len(posted_in(lab)) == 1
        cancel_run(ran.root, leaves_out_last=by_records, waits=not by_records)
        assert list(lab.iterdir()) == []
