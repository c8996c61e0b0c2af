"""Decide whether a value is exactly representable in JSON, and write it as JSON.

Safe values are None, booleans, integers within ±(2^53-1), finite floats, strings without lone surrogates, lists,
and dicts whose keys are strings. Anything else is refused with the path of the offence, never converted.
"""

from __future__ import annotations

import json
import math
from typing import Any, Dict, List, Tuple, Union

from orchestrator.errors import NotJsonSafeError

JsonValue = Union[None, bool, int, float, str, List[Any], Dict[str, Any]]

MAX_DEPTH = 100
MAX_CONTAINERS = 1_000_000
MAX_INTEGER = 2**53 - 1
MAX_TEXT_BYTES = 8 * 1024 * 1024

# Made once: `json.dumps` with options makes a new encoder at each call.
encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

_HINTS = {
    "tuple": "use a list",
    "set": "use a sorted list",
    "bytes": "decode it, or store a path",
    "datetime": "store an ISO-8601 string",
    "date": "store an ISO-8601 string",
    "PosixPath": "use str(path)",
    "ndarray": "use .tolist()",
    "DataFrame": "use .to_dict('list')",
}


def check_json_safe(value: object, root: str = "value") -> None:
    """Raise `NotJsonSafeError` naming the first place below ``root`` that JSON cannot carry unchanged."""
    stack: List[Tuple[object, str, int]] = [(value, root, 0)]
    containers = 0
    while stack:
        item, path, depth = stack.pop()
        if type(item) is dict or type(item) is list:
            containers += 1
            _check_extent(path, depth, containers, root)
            stack.extend(_children(item, path, depth + 1))
        elif item is not None and type(item) is not bool:
            _check_scalar(item, path)


def dumps(value: object, root: str = "value") -> str:
    """Give the compact JSON text of a safe value; raise `NotJsonSafeError` for any other or one above 8 MiB."""
    check_json_safe(value, root)
    return checked_text(encode(value), root)


def checked_text(text: str, root: str = "value") -> str:
    """Return the JSON text of a safe value unless it is above 8 MiB; raise `NotJsonSafeError` for that."""
    size = len(text) if text.isascii() else len(text.encode())
    if size > MAX_TEXT_BYTES:
        raise NotJsonSafeError(
            f"{root} is {size} bytes of JSON, more than {MAX_TEXT_BYTES}",
            hint="write it to a file and keep the path",
        )
    return text


def loads(text: str) -> JsonValue:
    """Read JSON text strictly: no NaN or Infinity, no duplicate keys; raise `NotJsonSafeError`."""
    try:
        value: JsonValue = _decode(text)
    except (ValueError, RecursionError) as error:
        raise NotJsonSafeError(f"not valid JSON: {error}") from error
    check_json_safe(value)
    return value


def _check_extent(path: str, depth: int, containers: int, root: str) -> None:
    """Refuse what would take for ever to go through, such as lists that hold themselves or one another many times."""
    if depth >= MAX_DEPTH:
        raise NotJsonSafeError(f"{path} is nested deeper than {MAX_DEPTH} levels", hint="flatten it")
    if containers > MAX_CONTAINERS:
        raise NotJsonSafeError(
            f"{root} holds more than {MAX_CONTAINERS} lists and dicts, counting each as often as it appears",
            hint="write it to a file and keep the path",
        )


def _children(item: Union[Dict[Any, Any], List[Any]], path: str, depth: int) -> List[Tuple[object, str, int]]:
    """List the parts of a container, last first so that they are visited in order."""
    if isinstance(item, list):
        return [(part, f"{path}[{index}]", depth) for index, part in reversed(list(enumerate(item)))]
    for key in item:
        if type(key) is not str:
            raise NotJsonSafeError(f"{path} has the key {key!r}, which is not a string", hint="use str(key)")
        _check_scalar(key, f"a key of {path}")
    return [(part, f"{path}.{key}", depth) for key, part in reversed(list(item.items()))]


def _check_scalar(item: object, path: str) -> None:
    kind = type(item)
    if kind is str:
        _check_string(item, path)  # type: ignore[arg-type]
    elif kind is int:
        if not -MAX_INTEGER <= item <= MAX_INTEGER:  # type: ignore[operator]
            raise NotJsonSafeError(f"{path} is {item}, beyond ±(2^53-1)", hint="store it as a string")
    elif kind is float:
        if not math.isfinite(item):  # type: ignore[arg-type]
            raise NotJsonSafeError(f"{path} is {item}, which JSON does not have", hint="use null or a string")
    else:
        hint = _HINTS.get(kind.__name__, "use strings, numbers, booleans, null, lists and dicts")
        raise NotJsonSafeError(f"{path} is a {kind.__name__}, which JSON does not have", hint=hint)


def _check_string(item: str, path: str) -> None:
    if item.isascii():
        return
    try:
        item.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotJsonSafeError(f"{path} holds a lone surrogate at character {error.start}") from error


def _refuse_constant(name: str) -> None:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _unique(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [key for key, _ in pairs]
        twice = next(key for key in names if names.count(key) > 1)
        message = f"key {twice!r} appears twice"
        raise ValueError(message)
    return found


_decode = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique).decode
