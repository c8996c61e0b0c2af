"""Write the values that the steps shared: as they are at the end, and every write of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from orchestrator.evidence.canonical import line, members
from orchestrator.evidence.draft import Draft
from orchestrator.store.contexts import read_context
from orchestrator.store.pages import iterate_history


def write_context(draft: Draft) -> None:
    """Write ``context/final.json`` and ``context/history.jsonl``."""
    draft.folder.write("context/final.json", final_context(draft))
    draft.folder.write("context/history.jsonl", _history(draft))


def final_context(draft: Draft) -> Iterator[bytes]:
    """Give the present values as one JSON object, piece by piece."""
    changes = read_context(draft.database)
    return members((change.key, draft.redaction.clean_value(str(change.text))) for change in changes)


def _history(draft: Draft) -> Iterator[bytes]:
    for entry in iterate_history(draft.database):
        told = dataclasses.asdict(entry)
        text = told.pop("value_json")
        value = None if text is None else draft.redaction.clean_value(text)
        yield line({**draft.redaction.clean(told), "is_deleted": text is None, "value": value})
