"""Put an attempt into the hands of those who carry it out: people are asked by files in its directory."""

from __future__ import annotations

import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.operators.human import ask
from orchestrator.operators.questions import question_of
from orchestrator.scriptlet import Outputs, Params
from orchestrator.store.attempts import wait_for_others
from orchestrator.store.database import opened


class SubmitAttempt(BaseScriptlet):
    """Submit an attempt that is open, or see that it was submitted.

    Params: ``run_root``, ``task_id`` and ``attempt_id``. What is asked stands in the attempt's own params.
    """

    own_keys = True

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write the files of the question, then record that it waits for an answer."""
        database = opened(Path(params["run_root"]))
        question = question_of(database, params["task_id"], params["attempt_id"])
        ask(question)
        with database.transaction():
            path = question.folder.relative_to(database.run_root).as_posix()
            wait_for_others(database, params["task_id"], params["attempt_id"], path)
        return {"_attempt.submitted_v1": {"attempt_id": params["attempt_id"], "folder": str(question.folder)}}


if __name__ == "__main__":
    SubmitAttempt.main()
