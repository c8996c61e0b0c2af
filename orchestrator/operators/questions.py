"""Find what people were asked in an attempt, as the run has recorded it."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.operators.answers import user_name
from orchestrator.operators.human import Question
from orchestrator.states import AttemptState
from orchestrator.store.database import Database
from orchestrator.store.queries import AttemptRow, read_attempts, read_open_attempts
from orchestrator.wiring.keys import kind_of


def attempt_folder(run_root: Path, task_id: str, attempt_id: str) -> Path:
    """Give the directory of an attempt."""
    return run_root / "tasks" / task_id / "attempts" / attempt_id


def asks_people(row: AttemptRow) -> bool:
    """Tell whether an attempt is a question."""
    return kind_of(row.operator_key or "") == "human"


def question_of(database: Database, task_id: str, attempt_id: str) -> Question:
    """Give what is asked in an attempt; raise `UsageError` for one that there is not, or that asks nobody."""
    rows = [row for row in read_attempts(database, task_id) if row.attempt_id == attempt_id]
    if not rows or not asks_people(rows[0]):
        raise UsageError(f"attempt {attempt_id} of {task_id} asks nobody", hint="see 'matterstack attempts'")
    return _question(database, rows[0])


def open_questions(database: Database) -> list[Question]:
    """Give the questions that wait for an answer."""
    return [_question(database, row) for row in read_open_attempts(database) if asks_people(row)]


def open_question(database: Database, task_id: str) -> Question:
    """Give the question of a task that waits for an answer; raise `UsageError` where there is none."""
    found = {question.task_id: question for question in open_questions(database)}
    if task_id not in found:
        rows = read_attempts(database, task_id)
        is_over = bool(rows) and rows[-1].status is not AttemptState.WAITING_EXTERNAL
        message = f"{task_id} waits for no answer{' any more' if is_over else ''}"
        raise UsageError(message, hint=did_you_mean(task_id, found) or "see 'matterstack status'")
    return found[task_id]


def _question(database: Database, row: AttemptRow) -> Question:
    params = row.params
    return Question(
        folder=attempt_folder(database.run_root, row.task_id, row.attempt_id),
        task_id=row.task_id,
        attempt_id=row.attempt_id,
        instructions=str(params["instructions"]),
        schema=params.get("response_schema") or {},
        approvals=params.get("approvals", 1),
        approvers=tuple(params.get("approvers", ())),
        separation_of_duty=params.get("separation_of_duty", False),
        deadline_at=params.get("deadline_at", ""),
        then=params.get("then", "fail"),
        asked_at=row.created_at,
        asked_by=user_name(database.run_root.stat().st_uid),
    )
