"""Reach an instrument by JSON over HTTP: each measurement is a resource named by its token."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from orchestrator.errors import InstrumentAwayError
from orchestrator.files import replace_file_by
from orchestrator.operators.answers import NotYetError, document_of
from orchestrator.operators.instruments.measurement import ENDED, FAILED, UNKNOWN, Reading, Request
from orchestrator.operators.instruments.results import CAP_BYTES, ResultFile, check_file, read_answer
from orchestrator.operators.web import Replied, UnreachableError, answering, pieces, send

if TYPE_CHECKING:
    from http.client import HTTPResponse

MAX_FILE_BYTES = 1024 * 1024 * 1024
FILE_TIMEOUT_SEC = 600.0

_TAKEN = frozenset({200, 201, 202})
_REFUSED = frozenset({400, 409, 422})
_OK = 200
_NOT_FOUND = 404
_STOPPED = frozenset({200, 202, 204, _NOT_FOUND})


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLink:
    """A service that measures; each request may take ``timeout_sec``, and each file of a result ten minutes."""

    url: str
    timeout_sec: float

    def begin(self, request: Request) -> Reading:
        """Put the measurement there; an answer that refuses it is its failure."""
        replied = self._send("PUT", request)
        if replied.status in _REFUSED:
            reason = _error_of(replied) or f"the instrument refused the request with status {replied.status}"
            return Reading(state=ENDED, status=FAILED, data={}, error=reason)
        if replied.status not in _TAKEN:
            raise _away("PUT", f"it answered with status {replied.status}")
        return self._read(replied, request)

    def look(self, request: Request) -> Reading:
        """Get the measurement; only an answer that says so means that there is none."""
        replied = self._send("GET", request)
        is_absent = replied.status == _NOT_FOUND and _state_of(replied) == UNKNOWN
        if replied.status != _OK and not is_absent:
            raise _away("GET", f"it answered with status {replied.status}")
        return self._read(replied, request)

    def end(self, request: Request) -> None:
        """Delete the measurement."""
        replied = self._send("DELETE", request)
        if replied.status not in _STOPPED:
            raise _away("DELETE", f"it answered with status {replied.status}")

    def _send(self, method: str, request: Request) -> Replied:
        document = request.document() if method == "PUT" else None
        try:
            return send(method, self._place(request), document, timeout_sec=self.timeout_sec, cap=CAP_BYTES)
        except UnreachableError as error:
            raise _away(method, str(error)) from error

    def _place(self, request: Request, *rest: str) -> str:
        parts = ("measurements", request.token, *rest)
        return "/".join([self.url.rstrip("/"), *(quote(part, safe="") for part in parts)])

    def _read(self, replied: Replied, request: Request) -> Reading:
        try:
            said = read_answer(document_of(replied.body), request)
        except NotYetError as error:
            raise NotYetError(f"the instrument's answer: {error}") from error
        for file in said.files:
            self._fetch(file, request)
        return said.reading

    def _fetch(self, file: ResultFile, request: Request) -> None:
        """Bring a file into the folder, unless it is there, and take it only as it was meant."""
        if "/" in file.name or not file.sha256:
            raise NotYetError(f"file {file.name!r}: expected a name without folders, and its sha256")
        with contextlib.suppress(NotYetError):
            return check_file(request.folder, file)
        try:
            with answering("GET", self._place(request, "files", file.name), timeout_sec=FILE_TIMEOUT_SEC) as response:
                replace_file_by(request.folder / file.name, _verified(response, file))
        except UnreachableError as error:
            raise _away("GET", str(error)) from error
        return None


def _verified(response: HTTPResponse, file: ResultFile) -> Iterator[bytes]:
    """Give the pieces of a file; raise `NotYetError` at the end where they are not the file that was meant."""
    if response.status != _OK:
        raise UnreachableError(f"file {file.name!r} has status {response.status}")
    digest = hashlib.sha256()
    for piece in pieces(response, MAX_FILE_BYTES):
        digest.update(piece)
        yield piece
    if digest.hexdigest() != file.sha256:
        raise NotYetError(f"file {file.name!r} has another sha256 than the result says")


def _away(method: str, reason: str) -> InstrumentAwayError:
    message = f"the instrument cannot be reached by {method}: {reason}"
    return InstrumentAwayError(message, hint="it is asked again until it answers")


def _error_of(replied: Replied) -> str:
    with contextlib.suppress(NotYetError):
        error = document_of(replied.body).get("error", "")
        return error[:2000] if isinstance(error, str) else ""
    return ""


def _state_of(replied: Replied) -> object:
    with contextlib.suppress(NotYetError):
        return document_of(replied.body).get("state")
    return None
