"""Find what people are asked in a run and have not answered."""

from __future__ import annotations

import dataclasses

from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.layout import INSTRUCTIONS
from orchestrator.operators.asking import Question, question_of
from orchestrator.operators.assignments import assignment_of
from orchestrator.states import ENDED_ATTEMPTS
from orchestrator.store.attempt_files import text_of
from orchestrator.store.database import Database
from orchestrator.store.queries import AttemptRow, read_attempts, read_open_attempts
from orchestrator.wiring.keys import kind_of


def open_questions(database: Database) -> list[Question]:
    """Give the questions that wait for an answer."""
    return [question_in(database, row) for row in read_open_attempts(database) if _asks_people(row)]


def open_question(database: Database, task_id: str) -> Question:
    """Give the question of a task that waits for an answer; raise `UsageError` where there is none."""
    found = {question.task_id: question for question in open_questions(database)}
    if task_id not in found:
        rows = read_attempts(database, task_id)
        is_over = bool(rows) and rows[-1].status in ENDED_ATTEMPTS
        message = f"{task_id} waits for no answer{' any more' if is_over else ''}"
        raise UsageError(message, hint=did_you_mean(task_id, found) or "see 'matterstack status'")
    return found[task_id]


def _asks_people(row: AttemptRow) -> bool:
    return row.is_external and kind_of(row.operator_key or "") == "human"


def question_in(database: Database, row: AttemptRow) -> Question:
    """Give what is asked; runs that an older version made have the words in the attempt's directory alone."""
    assignment = assignment_of(database, row)
    if not row.params:
        asked = {"instructions": text_of(row, database.run_root, INSTRUCTIONS)}
        assignment = dataclasses.replace(assignment, params=asked)
    return question_of(assignment)
