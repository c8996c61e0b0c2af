"""Turn the items of a step with ``foreach`` or ``matrix`` into tasks, each named by its value."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

from orchestrator.errors import ExpressionError
from orchestrator.expressions import Scope, resolve
from orchestrator.jsonsafe import JsonValue, dumps

MAX_ITEMS = 1_000_000

_MAX_SLUG = 60
_MAX_ID = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+-]+")
_HASH_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Fan:
    """What a step fans out over: the items of ``foreach``, or the combinations of the axes of ``matrix``."""

    foreach: JsonValue = None
    matrix: Mapping[str, JsonValue] | None = None


def fan_out(fan: Fan, scope: Scope) -> Iterator[tuple[str, JsonValue]]:
    """Give each item with its id, such as ``Cu`` or ``a=1,b=x``, in the order of the list.

    Raises `ExpressionError` where there is no list, or where two items would have one id.
    """
    items = _combinations(fan.matrix, scope) if fan.matrix is not None else _items("foreach", fan.foreach, scope)
    seen: dict[str, JsonValue] = {}
    for item in items:
        name = _shortened(_matrix_id(item) if fan.matrix is not None else item_id(item))
        if name in seen:
            what = "matrix" if fan.matrix is not None else "foreach"
            raise ExpressionError(
                f"two items of {what} have the id {name!r}: {dumps(seen[name])[:40]} and {dumps(item)[:40]}",
                hint="items are named by their value, or by their 'id' or 'name'; make these differ",
            )
        seen[name] = item
        yield name, item


def count_items(fan: Fan, scope: Scope) -> int:
    """Count the items; raises `ExpressionError` where there is no list."""
    if fan.matrix is None:
        return len(_items("foreach", fan.foreach, scope))
    return math.prod(len(_items(f"matrix.{axis}", values, scope)) for axis, values in fan.matrix.items())


def item_id(item: JsonValue) -> str:
    """Name an item by its value: a slug of a scalar, or of its ``id`` or ``name``, else a short hash."""
    named = item
    if isinstance(item, dict):
        named = next((item[key] for key in ("id", "name") if _is_scalar(item.get(key))), item)
    if not _is_scalar(named):
        return _short_hash(item)
    return _slug(named if isinstance(named, str) else dumps(named))


def _matrix_id(item: JsonValue) -> str:
    axes = item if isinstance(item, dict) else {}
    return ",".join(f"{axis}={item_id(value)}" for axis, value in axes.items())


def _shortened(name: str) -> str:
    return name if len(name) <= _MAX_ID else f"{name[: _MAX_ID - _HASH_DIGITS - 1]}-{_short_hash(name)}"


def _slug(text: str) -> str:
    """Keep what may stand in an id; a text that loses something by it is told from others by its hash."""
    slug = _UNSAFE.sub("-", text)[:_MAX_SLUG]
    return slug if slug and slug == text else f"{slug.strip('-')}-{_short_hash(text)}".lstrip("-")


def _short_hash(value: JsonValue) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]


def _is_scalar(value: JsonValue) -> bool:
    return isinstance(value, str | int | float | bool)


def _combinations(matrix: Mapping[str, JsonValue], scope: Scope) -> Iterator[JsonValue]:
    axes = {axis: _items(f"matrix.{axis}", values, scope) for axis, values in matrix.items()}
    for combination in product(*axes.values()):
        yield dict(zip(axes, combination, strict=True))


def _items(what: str, value: JsonValue, scope: Scope) -> list[JsonValue]:
    items = resolve(value, scope)
    if not isinstance(items, list):
        raise ExpressionError(
            f"{what} needs a list, got {dumps(items)[:60]}", hint="as in: foreach: ${{ inputs.names }}"
        )
    if len(items) > MAX_ITEMS:
        raise ExpressionError(f"{what} has {len(items):,} items, more than {MAX_ITEMS:,}", hint="split the work")
    return items
