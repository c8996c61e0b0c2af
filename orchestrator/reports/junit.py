"""Give a run as JUnit XML, which test servers read: one suite a run, one case a task."""

from __future__ import annotations

from collections import Counter
from xml.sax.saxutils import escape, quoteattr

from orchestrator.jsonsafe import encode
from orchestrator.reports.records import RunRecord, TaskRecord, plain
from orchestrator.states import RunState, TaskState

_AT_FAULT = frozenset({RunState.FAILED, RunState.CANCELLED})
# All that has neither succeeded nor failed, also what has not ended.
_SKIPPED = frozenset(TaskState) - {TaskState.COMPLETED, TaskState.FAILED}


def junit_xml(record: RunRecord) -> str:
    """Give the document; a task that was blocked or never began counts as skipped, with its reason."""
    run, tasks = record.run, record.tasks
    counts = Counter(task.row.status for task in tasks)
    spans = [task.span for task in tasks if task.span]
    took = max(end for _, end in spans) - min(begin for begin, _ in spans) if spans else 0.0
    is_at_fault = run.status in _AT_FAULT and not counts[TaskState.FAILED]
    suite = {
        "name": run.recipe_name,
        "tests": str(len(tasks) + is_at_fault),
        "failures": str(counts[TaskState.FAILED]),
        "errors": str(int(is_at_fault)),
        "skipped": str(sum(counts[state] for state in _SKIPPED)),
        "time": f"{took:.3f}",
        "timestamp": run.created_at[:19],
    }
    properties = {
        "run_id": run.run_id,
        "workspace": run.workspace_slug,
        "status": run.status.value,
        "recipe_sha256": str(record.inputs.get("recipe_sha256", "")),
    }
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites><testsuite{_attributes(suite)}>",
        "<properties>",
        *(f"<property{_attributes({'name': name, 'value': value})}/>" for name, value in properties.items()),
        "</properties>",
        *(_case(run.recipe_name, task) for task in tasks),
        *([_fault(run.recipe_name, run.status_reason)] if is_at_fault else []),
        "</testsuite></testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _fault(suite: str, reason: str) -> str:
    """Give the case of a run that did not end well although no step of it failed.

    It failed by its outputs, its rounds or its time, or somebody cancelled it.
    """
    head = _attributes({"classname": suite, "name": "(the run)", "time": "0.000"})
    return f"<testcase{head}><error{_attributes({'message': reason, 'type': 'run'})}/></testcase>"


def _case(suite: str, task: TaskRecord) -> str:
    last = task.last
    duration = (last.duration_sec if last else None) or 0.0
    head = _attributes({"classname": suite, "name": task.row.task_id, "time": f"{duration:.3f}"})
    body = [_outcome(task)]
    if len(task.attempts) > 1:
        body.append(f"<properties><property{_attributes(_attempts(task))}/></properties>")
    if last and last.envelope is not None:
        body.append(f"<system-out>{_text(encode(last.envelope))}</system-out>")
    if last and last.stderr:
        body.append(f"<system-err>{_text(last.stderr)}</system-err>")
    return f"<testcase{head}>{''.join(body)}</testcase>"


def _attempts(task: TaskRecord) -> dict[str, str]:
    return {"name": "attempts", "value": ", ".join(str(attempt.status) for attempt in task.attempts)}


def _outcome(task: TaskRecord) -> str:
    status, reason = task.row.status, task.row.status_reason
    if status is TaskState.FAILED:
        last = task.last
        told = {"message": reason, "type": last.outcome if last else "failed"}
        return f"<failure{_attributes(told)}>{_text(last.stderr if last else '')}</failure>"
    if status in _SKIPPED:
        return f"<skipped{_attributes({'message': reason or str(status).lower()})}/>"
    return ""


def _attributes(values: dict[str, str]) -> str:
    return "".join(f" {name}={quoteattr(plain(value))}" for name, value in values.items())


def _text(text: str) -> str:
    return escape(plain(text))
