"""Say which names are allowed: context keys, task ids, run ids, and suggest the one that was meant."""

from __future__ import annotations

import re
from typing import Iterable

from orchestrator.errors import ContextError

MAX_KEY_LENGTH = 200

_CONTEXT_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")
_TASK_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}(@[0-9]+)?(\[[A-Za-z0-9_.,=+-]{1,100}\])?")
_RUN_ID = re.compile(r"[0-9]{8}_[0-9]{6}_[0-9a-f]{8}")
_SLUG_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


def check_context_key(key: str, *, own: bool = False) -> str:
    """Return ``key`` when it is a dotted name such as ``numbers.stats_v1``; raise `ContextError` otherwise.

    Names that begin with an underscore belong to the runner and pass only with ``own``.
    """
    if type(key) is not str or len(key) > MAX_KEY_LENGTH or not _CONTEXT_KEY.fullmatch(key):
        raise ContextError(
            f"context key {str(key)[:MAX_KEY_LENGTH]!r} is not a dotted name",
            hint="use letters, digits, '_' and '-' between dots, as in 'numbers.stats_v1'",
        )
    if "__" in (part[:2] for part in key.split(".")):
        raise ContextError(f"context key {key!r} has a part that begins with two underscores", hint="rename it")
    if key.startswith("_") and not own:
        raise ContextError(f"context key {key!r} begins with '_', which only the runner may write", hint="rename it")
    return key


def is_task_id(text: str) -> bool:
    """Tell whether the text is a step name, or a step name with its item in brackets."""
    return _TASK_ID.fullmatch(text) is not None


def is_run_id(text: str) -> bool:
    """Tell whether the text has the form ``YYYYMMDD_HHMMSS_xxxxxxxx``."""
    return _RUN_ID.fullmatch(text) is not None


def is_workspace_slug(text: str) -> bool:
    """Tell whether the text names a workspace, as ``screening`` or nested as ``demos/screening``.

    No part may be ``runs``, the folder that holds the runs of a workspace.
    """
    return all(_SLUG_PART.fullmatch(part) and part != "runs" for part in text.split("/"))


def slug_of(name: str) -> str:
    """Give a workspace's name for a recipe of any name: ``my recipe`` becomes ``my_recipe``."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).lstrip("-")[:100] or "recipe"


def camel_case(name: str) -> str:
    """Give the class name that belongs to a module name: ``compute_numbers`` becomes ``ComputeNumbers``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def snake_case(name: str) -> str:
    """Give the module name that belongs to a class name: ``ComputeNumbers`` becomes ``compute_numbers``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give ``did you mean 'x'?`` for the closest known name, else the list of a few known ones, else nothing."""
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names[:8])}{' …' if len(names) > 8 else ''}" if names else ""  # noqa: PLR2004
