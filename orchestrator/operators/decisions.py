"""Keep what came of a question that was posted, with its answers byte for byte, before the posting is taken away.

From then on nothing that anybody writes changes it, and a runner that goes on after a crash finds it.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from orchestrator.files import replacing_directory, write_chunks
from orchestrator.jsonsafe import loads
from orchestrator.layout import ANSWERED, REFUSED
from orchestrator.operators.answers import NotYetError, read_written
from orchestrator.operators.asking import Answer, Question, Response
from orchestrator.operators.staging import json_file

_RECORD = "decision.json"


def decided(question: Question) -> Answer | None:
    """Give what came of a question for good, where that was kept."""
    path = f"{question.folder}/{ANSWERED}/{_RECORD}"
    if question.posting is None or not os.path.lexists(path):
        return None
    with open(path, "rb") as file:  # noqa: PTH123  asked for at each look
        kept: Any = loads(file.read().decode())
    responses = tuple(Response(**entry) for entry in kept["responses"])
    return Answer(status=kept["status"], data=kept["data"], error=kept["error"], responses=responses)


def keep(question: Question, came: Answer) -> None:
    """Keep what came of a question, unless that was done; raise `InfrastructureError` where the disk refuses."""
    if decided(question) is not None:
        return
    with replacing_directory(question.folder / ANSWERED) as folder:
        for response in came.responses:
            if response.file.startswith(f"{ANSWERED}/"):
                write_chunks(folder / response.file.removeprefix(f"{ANSWERED}/"), [response.raw])
        for refusal in came.refused:
            if question.posting and refusal.path.is_relative_to(question.posting):
                with contextlib.suppress(NotYetError):  # it cannot be read any more
                    raw = read_written(refusal.path, base=question.posting.parent).raw
                    write_chunks(folder / REFUSED / refusal.path.name, [raw])
        write_chunks(folder / _RECORD, [_record(came)])


def _record(came: Answer) -> bytes:
    return json_file(
        {
            "status": came.status,
            "data": came.data,
            "error": came.error,
            "responses": [{**one.to_json(), "data": one.data, "error": one.error} for one in came.responses],
        }
    )
