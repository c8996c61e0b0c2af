"""Record what a person answers to a question."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import Context
from orchestrator.core_scriptlet import CoreScriptlet
from orchestrator.errors import UsageError
from orchestrator.operators.answers import NotYetError
from orchestrator.operators.asking import Question, current_user
from orchestrator.operators.human import check_response, respond
from orchestrator.operators.posted import read_posted
from orchestrator.operators.questions import open_question
from orchestrator.scriptlet import Outputs, Params, Schema
from orchestrator.store.database import reading


class RecordResponse(CoreScriptlet):
    """Answer a question as the user who runs this; the runner takes the answer when it goes on.

    Params: ``run_root`` and ``task_id``, or ``posting``, the folder in which the question is posted; ``response``, an
    object with ``status`` (COMPLETED or FAILED) and, optional, ``data`` and ``error``. An answer that would not count
    is refused.
    """

    params_schema: ClassVar[Schema] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["response"],
        "dependentRequired": {"run_root": ["task_id"], "task_id": ["run_root"]},
        "properties": {
            "run_root": {"type": "string"},
            "task_id": {"type": "string"},
            "posting": {"type": "string"},
            "response": {"type": "object"},
        },
    }

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write the answer where the operator looks for it; the file appears whole."""
        question = _question(params)
        if not question.folder.is_dir():
            hint = f"put it back with: matterstack resume {question.run_id}"
            raise UsageError(f"the directory of {question.task_id} was removed", hint=hint)
        try:
            check_response(question, params["response"], current_user())
        except NotYetError as error:
            where = question.posting or f"{question.run_id} {question.task_id}"
            hint = f"see: matterstack respond {where}"
            raise UsageError(f"{question.task_id}: {error}", hint=hint) from error
        path = respond(question, params["response"])
        return {"_response.recorded_v1": {"attempt_id": question.attempt_id, "file": path.name, "by": current_user()}}


def _question(params: Params) -> Question:
    if "posting" in params:
        return read_posted(Path(params["posting"]))
    if "run_root" not in params:
        raise UsageError("the params say of no question", hint="give run_root and task_id, or posting")
    with reading(Path(params["run_root"])) as database:
        return open_question(database, params["task_id"])


if __name__ == "__main__":
    RecordResponse.main()
