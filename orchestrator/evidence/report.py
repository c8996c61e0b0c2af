"""Write report.md: what people ask of an evidence first."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.evidence.bundle import limits, recipe_sha256, task_counts, wiring
from orchestrator.evidence.draft import Draft, FileState
from orchestrator.store.events import last_event
from orchestrator.store.pages import read_attempts_briefly
from orchestrator.store.queries import read_tasks
from orchestrator.store.spending import read_spending
from orchestrator.wiring.keys import key_of_attempt

NAME = "report.md"

_FAULTS = {
    FileState.MISSING: "is gone",
    FileState.CHANGED: "was changed after the attempt ended",
    FileState.REFUSED: "is a link, or no regular file of its own",
    FileState.WITHHELD: "was left out, since a secret is in it or in its name",
}


def write_report(draft: Draft) -> None:
    """Write report.md."""
    draft.folder.write(NAME, (f"{text}\n".encode() for text in _lines(draft)))


def _lines(draft: Draft) -> Iterator[str]:
    yield f"# Evidence of run {draft.run.run_id}"
    yield from ("", "| | |", "| --- | --- |")
    yield from (f"| {name} | {_cell(draft, value)} |" for name, value in _facts(draft).items())
    yield from (
        "",
        "## Tasks",
        "",
        "| task | status | operator | attempts | reason |",
        "| --- | --- | --- | --- | --- |",
    )
    yield from _tasks(draft)
    yield from ("", "## Operator Wiring", "", *_wiring(draft))
    yield from ("", "## Files", "", *_files(draft))
    yield from ("", "## What this does not show", "", *(f"- {limit}" for limit in limits(draft)))


def _facts(draft: Draft) -> dict[str, str]:
    run, last = draft.run, last_event(draft.database)
    counts = (f"{count} {state}" for state, count in task_counts(draft).items() if count and state != "total")
    reason = f": {run.status_reason}" if run.status_reason else ""
    spending = read_spending(draft.database)
    return {
        "recipe": f"{run.recipe_name}, SHA-256 {recipe_sha256(draft) or 'not told'}",
        "workspace": run.workspace_slug,
        "status": f"{run.status}{reason}",
        "complete": "yes" if draft.is_complete else "no: the run has not settled, or its runner has not let it go",
        "began": run.created_at,
        "ended": run.ended_at or "not yet",
        "tasks": ", ".join(counts),
        **({"budget": str(spending)} if spending else {}),
        "events": f"{last.seq}, the last with the hash {last.hash}",
    }


def _tasks(draft: Draft) -> Iterator[str]:
    for task in read_tasks(draft.database):
        attempts = read_attempts_briefly(draft.database, task.position)
        last = attempts[-1] if attempts else None
        key = key_of_attempt(last.operator_key, last.operator_data, last.operator_type) if last else None
        cells = (task.task_id, task.status.value, key or "", str(task.attempt_count), task.status_reason)
        yield f"| {' | '.join(_cell(draft, cell) for cell in cells)} |"


def _wiring(draft: Draft) -> Iterator[str]:
    told = wiring(draft)
    if draft.kept is None:
        yield "Nobody wired anything: operator keys meant what is built in."
        return
    names = {"source": "Source", "sha256": "SHA-256", "resolved_path": "Resolved from", "created_at_utc": "Kept since"}
    yield from (f"- {name}: `{told[key]}`" for key, name in names.items() if told[key])
    yield from ("", "Copied into this evidence export under:", "")
    yield from (f"- `{name}`" for name in draft.wiring_files)


def _files(draft: Draft) -> Iterator[str]:
    kept = sum(artifact.state is FileState.KEPT for artifact in draft.artifacts)
    yield f"{kept} files of attempts are as they were left."
    for state, names in draft.faults().items():
        yield from (f"- `{_cell(draft, name)}` {_FAULTS[state]}" for name in names)


def _cell(draft: Draft, text: str) -> str:
    """Give a text for one cell of a table, with nothing that a reader of Markdown or a terminal would obey."""
    cleaned: str = draft.redaction.clean(text)
    shown = "".join(letter if letter.isprintable() else " " for letter in cleaned)
    return shown.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "'")
