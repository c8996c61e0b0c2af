"""Reach an instrument, or who runs it, by files in the attempt's directory."""

from __future__ import annotations

import os

from orchestrator.files import replace_file
from orchestrator.layout import ABORT, RESULT
from orchestrator.operators.answers import NotYetError, read_written
from orchestrator.operators.instruments.measurement import WAITING, Reading, Request, json_bytes
from orchestrator.operators.instruments.results import CAP_BYTES, checked, read_result


class FilesLink:
    """The request's file tells the instrument, and a result's file beside it is the answer."""

    def begin(self, request: Request) -> Reading:
        """Wait for the answer: the request was written."""
        return self.look(request)

    def look(self, request: Request) -> Reading:
        """Read the result, where there is one."""
        path = request.folder / RESULT
        if not os.path.lexists(path):
            return Reading(state=WAITING)
        try:
            said = read_result(read_written(path, CAP_BYTES).document, request)
            return checked(said, request.folder)
        except NotYetError as error:
            raise NotYetError(f"{RESULT}: {error}") from error

    def end(self, request: Request) -> None:
        """Leave a file that says so."""
        document = {"task_id": request.task_id, "token": request.token}
        replace_file(request.folder / ABORT, json_bytes(document), mode=0o644)
