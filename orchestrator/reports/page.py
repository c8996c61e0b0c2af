"""Give a run as one HTML page that opens from a disk: nothing is fetched, and no script is needed to read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from orchestrator.jsonsafe import encode
from orchestrator.reports.pictures import graph, timeline
from orchestrator.reports.records import RunRecord, TaskRecord, plain
from orchestrator.states import TaskState

_SHOWN_VALUE = 2_000
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_STYLE = """
:root { color-scheme: light dark; --ok: #2e7d32; --bad: #c62828; --calm: #757575; --warn: #b26a00; --line: #8884; }
@media (prefers-color-scheme: dark) { :root { --ok: #66bb6a; --bad: #ef5350; --calm: #9e9e9e; --warn: #ffb74d; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1040px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; margin-bottom: 0; } h2 { font-size: 1.2em; margin-top: 2em; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .2em .6em; }
th, td { border-bottom: 1px solid var(--line); overflow-wrap: anywhere; } td.n { text-align: right; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8881; padding: .6em; margin: .4em 0; }
summary { cursor: pointer; } .facts td:first-child { width: 12em; color: var(--calm); }
.state { font-weight: 600; } .completed { color: var(--ok); fill: var(--ok); }
.failed { color: var(--bad); fill: var(--bad); }
.skipped, .pending, .cancelled { color: var(--calm); fill: var(--calm); }
.blocked, .running, .waiting_external, .paused { color: var(--warn); fill: var(--warn); }
svg { max-width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
svg line { stroke: var(--calm); } svg text.inside { fill: #fff; } .graph rect { opacity: .9; }
"""


def html_page(record: RunRecord) -> Iterator[str]:
    """Give the page piece by piece: the outcome, what failed, when things ran, every task, every value."""
    run = record.run
    title = f"{escape(run.recipe_name)} · {escape(run.run_id)}"
    yield (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><main>'
    )
    yield f"<h1>{escape(run.recipe_name)} {_state(run.status)}</h1>"
    yield _facts(record)
    yield from _failures(record.tasks)
    yield from _pictures(record)
    yield from _tasks(record.tasks)
    yield from _logs(record.tasks)
    yield from _context(record)
    yield "</main></body></html>\n"


def _facts(record: RunRecord) -> str:
    run = record.run
    counts = Counter(str(task.row.status) for task in record.tasks)
    facts = [
        ("run", run.run_id),
        ("workspace", run.workspace_slug),
        ("began", run.created_at),
        ("ended", run.ended_at or "not yet"),
        ("tasks", ", ".join(f"{count} {state.lower()}" for state, count in sorted(counts.items()))),
        *([("budget", str(record.spending))] if record.spending else []),
        *([("reason", run.status_reason)] if run.status_reason else []),
        *([("stubs", "stubs answered for steps; this is no real result")] if record.inputs.get("stubs") else []),
        ("inputs", encode(record.inputs.get("inputs", {}))),
        ("recipe SHA-256", str(record.inputs.get("recipe_sha256", ""))),
    ]
    rows = "".join(f"<tr><td>{name}</td><td>{_text(value)}</td></tr>" for name, value in facts)
    return f'<table class="facts">{rows}</table>'


def _failures(tasks: Sequence[TaskRecord]) -> Iterator[str]:
    failed = [task for task in tasks if task.row.status is TaskState.FAILED]
    if not failed:
        return
    yield "<h2>What failed</h2>"
    for task in failed:
        yield f"<h3>{_text(task.row.task_id)}</h3><p>{_text(task.row.status_reason)}</p>"
        if task.last and task.last.stderr:
            yield f"<pre>{_text(task.last.stderr)}</pre>"


def _pictures(record: RunRecord) -> Iterator[str]:
    if drawn := timeline(record.tasks):
        yield f"<h2>Timeline</h2>{drawn}"
    states = {task.row.step: str(task.row.status) for task in record.tasks if task.row.parent is None}
    if drawn := graph(record.waits, states):
        yield f"<h2>Steps</h2>{drawn}"


def _tasks(tasks: Sequence[TaskRecord]) -> Iterator[str]:
    yield "<h2>Tasks</h2>" + _table_head("task", "state", "attempts", "seconds", "memory, MB", "reason")
    for task in tasks:
        last = task.last
        seconds = f"{last.duration_sec:.3f}" if last and last.duration_sec is not None else ""
        memory = f"{last.max_rss_mb:.1f}" if last and last.max_rss_mb is not None else ""
        yield (
            f"<tr><td>{_text(task.row.task_id)}</td><td>{_state(task.row.status)}</td>"
            f'<td class="n">{len(task.attempts)}</td><td class="n">{seconds}</td><td class="n">{memory}</td>'
            f"<td>{_text(task.row.status_reason)}</td></tr>"
        )
    yield "</table>"


def _logs(tasks: Sequence[TaskRecord]) -> Iterator[str]:
    written = [(task, a) for task in tasks for a in task.attempts if a.stderr or a.stdout]
    if not written:
        return
    yield "<h2>Logs</h2>"
    for task, attempt in written:
        name = f"{task.row.task_id}, attempt {attempt.attempt_index}: {attempt.status}"
        texts = "".join(f"<pre>{_text(text)}</pre>" for text in (attempt.stdout, attempt.stderr) if text)
        yield f"<details><summary>{_text(name)}</summary>{texts}</details>"


def _context(record: RunRecord) -> Iterator[str]:
    if not record.context:
        return
    yield "<h2>Values</h2>" + _table_head("key", "value", "written by", "at")
    for origin in record.origins:
        text = record.context.get(origin.key, "")
        shown = text if len(text) <= _SHOWN_VALUE else f"{text[:_SHOWN_VALUE]}… ({len(text)} characters)"
        writer = origin.task_id or origin.who
        yield (
            f"<tr><td>{_text(origin.key)}</td><td>{_text(shown)}</td><td>{_text(writer)}</td>"
            f"<td>{_text(origin.at_utc)}</td></tr>"
        )
    yield "</table>"


def _table_head(*names: str) -> str:
    return "<table><tr>" + "".join(f'<th scope="col">{name}</th>' for name in names) + "</tr>"


def _state(status: str) -> str:
    return f'<span class="state {escape(status.lower())}">{escape(status)}</span>'


def _text(text: str) -> str:
    return escape(plain(text))


def page_of(record: RunRecord) -> str:
    """Give the whole page."""
    pieces: Iterable[str] = html_page(record)
    return "".join(pieces)
