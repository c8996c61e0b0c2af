"""Say on what the result of a step depends, so that the same step need not run twice."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.catalog import file_sha256
from orchestrator.errors import ExpressionError
from orchestrator.expressions import Scope, resolve
from orchestrator.jsonsafe import JsonValue

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRule:
    """What a step's result depends on beside its code and arguments: files, context keys, variables and a word."""

    files: tuple[str, ...] = ()
    ctx: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """The digest of all that a result depends on, and the parts that it was made from."""

    digest: str
    parts: Mapping[str, JsonValue]


def cache_key(
    rule: CacheRule, scope: Scope, *, code: Mapping[str, JsonValue], args: JsonValue, env: JsonValue
) -> CacheKey:
    """Give the key of a step that is about to run: ``code`` names what runs and the digest of its file.

    Raises `ExpressionError` where a declared file or context key is not there.
    """
    parts: dict[str, JsonValue] = {
        **code,
        "args": args,
        "step_env": env,
        "files": {name: _file_digest(name) for name in _file_names(rule, scope)},
        "ctx": {key: _value(key, scope) for key in rule.ctx},
        "env": {name: os.environ.get(name) for name in rule.env},
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "cache_key": resolve(rule.key, scope),
    }
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return CacheKey(digest=hashlib.sha256(text.encode()).hexdigest(), parts=parts)


def digests_of(paths: tuple[str, ...]) -> dict[str, str]:
    """Give the digests of the files that a step left; one that cannot be read has none, and so never matches."""
    return {path: _file_digest(path) if Path(path).is_file() else "" for path in paths}


def differences(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue], prefix: str = "") -> list[str]:
    """Name the parts in which two keys differ, as ``args.src: 'a.csv' -> 'b.csv'``."""
    found: list[str] = []
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += differences(before, after, f"{prefix}{name}.")
        elif before != after:
            found.append(f"{prefix}{name}: {_shown(before)} -> {_shown(after)}")
    return found


def _file_names(rule: CacheRule, scope: Scope) -> list[str]:
    return [str(resolve(name, scope)) for name in rule.files]


def _file_digest(name: str) -> str:
    try:
        return file_sha256(Path(name))
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise ExpressionError(f"cache.files: cannot read {name!r}: {reason}", hint="name a file that exists") from error


def _value(key: str, scope: Scope) -> JsonValue:
    if key not in scope.ctx:
        raise ExpressionError(f"cache.ctx: the context has no key {key!r}", hint="name a key that is there before")
    return scope.ctx[key]


def _shown(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004  what fits a line
