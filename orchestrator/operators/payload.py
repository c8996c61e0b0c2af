"""What the program of an attempt is told, and what it leaves in its directory: the same wherever it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.context import Change
from orchestrator.errors import MatterStackError
from orchestrator.jsonsafe import JsonValue
from orchestrator.layout import EXIT_CODE
from orchestrator.operators.assignments import Assignment
from orchestrator.operators.gathering import Choice, gather, read_streams
from orchestrator.operators.staging import CHANGES, CONTEXT, PARAMS
from orchestrator.workers.calls import Done
from orchestrator.workers.commands import INLINE_PARAMS_MAX

CONTEXT_VARIABLE = "MATTERSTACK_CONTEXT"


def texts_of(assignment: Assignment) -> dict[str, bytes]:
    """Give what a step finds in its directory beside its files."""
    return {
        PARAMS: _json(assignment.params).encode("utf-8", "surrogatepass"),
        CONTEXT: json.dumps(assignment.work["needs"]).encode(),
    }


def given_params(assignment: Assignment) -> str:
    """Give the params as a program gets them: as JSON, or as ``@`` and the name of the file with them."""
    text = _json(assignment.params)
    return text if len(text.encode("utf-8", "surrogatepass")) <= INLINE_PARAMS_MAX else f"@{PARAMS}"


def scriptlet_argv(work: Mapping[str, Any], python: str, runner: str) -> list[str]:
    """Give the command that runs a scriptlet class by `orchestrator.away`, or by the kit that has it.

    No bytecode is left beside the modules that came with it.
    """
    return [
        python,
        "-B",
        "-E",
        "-X",
        "utf8",
        runner,
        *(work[name] for name in ("scriptlet", "module", "class", "step")),
    ]


def choice_of(assignment: Assignment) -> Choice:
    """Say which files of an attempt's directory are its results."""
    return Choice(list(assignment.work.get("files", {})), assignment.work.get("fetch"))


def exit_code_of(folder: Path) -> int | None:
    """Give the exit code that an attempt left; None where there is none, or not yet the whole line."""
    try:
        text = (folder / EXIT_CODE).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.endswith("\n") and text.strip().isdecimal() else None


def collected(assignment: Assignment, fault: str, duration_sec: float) -> Done:
    """Read what an attempt left that has ended: its exit code, its streams, its writes and its files.

    ``fault`` is what ended it, where that was not itself. Raises `InfrastructureError` where a file cannot be read.
    """
    folder = assignment.folder
    stdout, stderr = read_streams(folder)
    gathered = gather(folder, choice_of(assignment))
    operator_data: dict[str, JsonValue] = {**gathered.to_json()}
    if gathered.missing and not fault:
        operator_data["missing"] = list(gathered.missing)
    return Done(
        attempt_id=assignment.attempt_id,
        exit_code=exit_code_of(folder),
        stdout=stdout.text(),
        stderr=stderr.text(),
        changes=_changes(folder) if "class" in assignment.work else (),
        fault=fault,
        duration_sec=duration_sec,
        stdout_dropped=stdout.dropped,
        stdout_stray_byte=stdout.stray_byte,
        operator_data=operator_data,
    )


def _json(params: Mapping[str, Any]) -> str:
    return json.dumps(params, ensure_ascii=False)


def _changes(folder: Path) -> tuple[Change, ...]:
    """Read what a scriptlet wrote to the context; nothing where it did not come so far."""
    try:
        found: Any = json.loads((folder / CHANGES).read_text(encoding="utf-8"))
        return tuple(Change(key, text, who) for key, text, who in found)
    except (OSError, ValueError, TypeError, MatterStackError):
        return ()
