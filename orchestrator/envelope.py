"""Write and read the envelope: the one JSON line with which every scriptlet answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Dict, Tuple

from orchestrator.errors import ContextError, EnvelopeError, NotJsonSafeError
from orchestrator.jsonsafe import JsonValue, dumps, loads
from orchestrator.keys import check_context_key

_SHOWN = 120
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_KNOWN = ("status", "outputs", "reason", "exit_code", "step")
_STATUSES = ("ok", "error")


@dataclass(frozen=True)
class Envelope:
    """A scriptlet's answer.

    ``outputs`` names the context keys that were written; ``values`` holds those the envelope itself carries, which is
    how a shell scriptlet writes the context; ``extra`` keeps every other field for ``save: result.<field>``.
    """

    status: str = "ok"
    outputs: Tuple[str, ...] = ()
    values: Dict[str, JsonValue] = field(default_factory=dict)
    reason: str = ""
    exit_code: int = 0
    step: str = ""
    extra: Dict[str, JsonValue] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        """Tell whether the scriptlet says that it succeeded."""
        return self.status == "ok"

    def to_json(self) -> Dict[str, Any]:
        """Give the envelope as the JSON object that a scriptlet prints."""
        if self.is_ok:
            return {"status": "ok", "outputs": self.values or list(self.outputs), **self.extra}
        failure = {"status": "error", "reason": self.reason, "exit_code": self.exit_code, "step": self.step}
        return {**failure, **self.extra}

    def line(self) -> str:
        """Give the envelope as one line of JSON without its newline; what UTF-8 cannot write becomes ``?``."""
        text = _encode(self.to_json())
        return text.encode("utf-8", "replace").decode()


def failure(reason: str, *, step: str = "", exit_code: int = 1) -> Envelope:
    """Make the envelope of a failed scriptlet."""
    return Envelope(status="error", reason=reason, exit_code=exit_code, step=step)


def parse_envelope(stdout: str, *, own: bool = False) -> Envelope:
    """Read the envelope from all that a scriptlet wrote to standard output.

    Keys that begin with ``_`` pass only with ``own``. Raises `EnvelopeError` that shows the first line which is not
    the envelope.
    """
    # A JSON string may hold U+2028 and other characters at which `str.splitlines` would cut.
    lines = [line for line in stdout.split("\n") if line.strip()]
    if not lines:
        raise EnvelopeError(
            "standard output is empty; expected one JSON line",
            hint='print {"status": "ok", "outputs": []} as the only line on standard output',
        )
    body = _read_object(lines[0])
    if len(lines) > 1:
        raise EnvelopeError(
            f"standard output has {len(lines)} lines; the first after the envelope is {_short(lines[1])}",
            hint="print logs to standard error, or set 'stdout: free'",
        )
    return _from_object(body, own=own)


def _read_object(line: str) -> Dict[str, Any]:
    try:
        body = loads(line)
    except NotJsonSafeError as error:
        raise EnvelopeError(
            f"standard output is not the JSON envelope ({error.message}): {_short(line)}",
            hint="print logs to standard error, or set 'stdout: free'",
        ) from error
    if not isinstance(body, dict) or body.get("status") not in _STATUSES:
        raise EnvelopeError(f'the envelope needs "status": "ok" or "error", got {_short(line)}')
    return body


def _from_object(body: Dict[str, Any], *, own: bool) -> Envelope:
    names, values = _outputs(body.get("outputs", []), own=own)
    exit_code = body.get("exit_code", 0 if body["status"] == "ok" else 1)
    if type(exit_code) is not int:
        raise EnvelopeError(f"the envelope's exit_code is {exit_code!r}, not an integer")
    return Envelope(
        status=body["status"],
        outputs=names,
        values=values,
        reason=str(body.get("reason", "")),
        exit_code=exit_code,
        step=str(body.get("step", "")),
        extra={name: value for name, value in body.items() if name not in _KNOWN},
    )


def _outputs(outputs: JsonValue, *, own: bool) -> Tuple[Tuple[str, ...], Dict[str, JsonValue]]:
    if not isinstance(outputs, (list, dict)):
        raise EnvelopeError(f"the envelope's outputs are {_short(dumps(outputs))}, not a list of keys or a map")
    try:
        names = tuple(check_context_key(key, own=own) for key in outputs)
    except ContextError as error:
        raise EnvelopeError(f"the envelope's outputs: {error.message}", hint=error.hint) from error
    return names, (dict(outputs) if isinstance(outputs, dict) else {})


def _short(line: str) -> str:
    return repr(line if len(line) <= _SHOWN else line[:_SHOWN] + "…")
