"""Copy the recipe as it was started, and say whether it still is what the run recorded."""

from __future__ import annotations

import hashlib

from orchestrator.evidence.draft import Draft, FileState
from orchestrator.evidence.reading import opened_inside

NAME = "recipe.yaml"
_MARK = b"\xef\xbb\xbf"


def write_recipe(draft: Draft) -> None:
    """Write recipe.yaml; nothing where there is none, as in runs that began without one."""
    sha256 = draft.inputs.get("recipe_sha256")
    try:
        with opened_inside(draft.database.run_root, NAME) as chunks:
            content = b"".join(chunks)
    except OSError:
        draft.recipe_state = FileState.MISSING if sha256 else None
        return
    _, is_withheld = draft.copy(NAME, [content])
    is_kept = sha256 is None or _is_recorded(content, sha256)
    draft.recipe_state = FileState.WITHHELD if is_withheld else FileState.KEPT if is_kept else FileState.CHANGED


def _is_recorded(content: bytes, sha256: str) -> bool:
    """Tell whether these are the bytes that a digest is of; the mark that may begin a file is not kept with the run."""
    return sha256 in {hashlib.sha256(mark + content).hexdigest() for mark in (b"", _MARK)}
