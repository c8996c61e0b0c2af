"""Keep the values that the steps of a run share: JSON-safe, under dotted keys, with a history of who wrote what."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from orchestrator.errors import ContextError
from orchestrator.jsonsafe import JsonValue, dumps
from orchestrator.keys import check_context_key, did_you_mean


@dataclass(frozen=True)
class Change:
    """One write: ``text`` is the value as JSON, or None where the key was deleted."""

    key: str
    text: Optional[str]
    who: str

    @property
    def value(self) -> JsonValue:
        """Give the written value; a deletion reads as None."""
        return None if self.text is None else json.loads(self.text)


class Context:
    """A thread-safe store of JSON values under dotted keys.

    Values are kept as JSON text: what `get` returns is the caller's own copy, and changing it changes nothing here.
    A context made by `fork` reads through to its parent and keeps its own writes apart, as the patch of one attempt.
    """

    def __init__(self, values: Optional[Mapping[str, JsonValue]] = None, *, who: str = "") -> None:
        """Start with ``values``; ``who`` is the author of writes that name none."""
        self._lock = threading.RLock()
        self._who = who
        self._parent: Optional[Context] = None
        self._texts: Dict[str, Optional[str]] = {}
        self._changes: List[Change] = []
        for key, value in (values or {}).items():
            self._texts[check_context_key(key, own=True)] = dumps(value, key)

    def get(self, key: str, default: JsonValue = None) -> JsonValue:
        """Return a copy of the value under ``key``, or ``default`` where there is none."""
        text = self._text(key)
        return default if text is None else json.loads(text)

    def require(self, key: str) -> JsonValue:
        """Return a copy of the value under ``key``; raise `ContextError` with a suggestion where there is none."""
        text = self._text(key)
        if text is None:
            raise ContextError(f"the context has no key {key!r}", hint=did_you_mean(key, self.keys()))
        return json.loads(text)  # type: ignore[no-any-return]

    def set(self, key: str, value: JsonValue, who: str = "", *, own: bool = False) -> None:
        """Keep ``value`` under ``key``, written by ``who``; keys that begin with ``_`` need ``own``.

        Raises `ContextError` for a key that is not a dotted name and `NotJsonSafeError` naming the offending place
        inside the value; the context is then unchanged.
        """
        change = Change(check_context_key(key, own=own), dumps(value, key), who or self._who)
        self.apply([change])

    def delete(self, key: str, who: str = "") -> None:
        """Remove ``key``; raise `ContextError` where there is none."""
        with self._lock:
            self.require(key)
            self.apply([Change(check_context_key(key), None, who or self._who)])

    def keys(self) -> List[str]:
        """List the keys in alphabetical order."""
        with self._lock:
            return sorted(key for key, text in self._layers().items() if text is not None)

    def to_dict(self) -> Dict[str, Any]:
        """Give all values by key, as copies."""
        with self._lock:
            return {key: self.get(key) for key in self.keys()}

    def texts(self) -> Dict[str, str]:
        """Give all values by key as JSON text."""
        with self._lock:
            return {key: text for key, text in self._layers().items() if text is not None}

    def history(self, key: Optional[str] = None) -> Tuple[Change, ...]:
        """Give the writes made through this context, oldest first, all or those of one key."""
        with self._lock:
            return tuple(change for change in self._changes if key is None or change.key == key)

    def since(self, count: int) -> Tuple[Change, ...]:
        """Give the writes made through this context after the first ``count``."""
        with self._lock:
            return tuple(self._changes[count:])

    def apply(self, changes: Iterable[Change]) -> None:
        """Take over writes that were checked before, such as the patch of a finished attempt."""
        with self._lock:
            for change in changes:
                self._texts[change.key] = change.text
                self._changes.append(change)

    def fork(self, who: str = "") -> Context:
        """Give a context that reads through to this one and keeps its own writes apart."""
        child = Context(who=who)
        child._parent = self
        return child

    def fork_hiding(self, hidden: Sequence[Change], who: str = "") -> Context:
        """Give a fork that sees the ``hidden`` values instead of those here."""
        if not hidden:
            return self.fork(who)
        seen = self.fork()
        seen.apply(hidden)
        return seen.fork(who)

    def __contains__(self, key: object) -> bool:
        """Tell whether a key has a value."""
        return isinstance(key, str) and self._text(key) is not None

    def __getitem__(self, key: str) -> JsonValue:
        """Return the value under ``key``; raise `KeyError` where there is none."""
        text = self._text(key)
        if text is None:
            raise KeyError(key)
        return json.loads(text)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        """Go through the keys in alphabetical order."""
        return iter(self.keys())

    def __len__(self) -> int:
        """Count the keys."""
        return len(self.keys())

    def _text(self, key: str) -> Optional[str]:
        with self._lock:
            if key in self._texts or self._parent is None:
                return self._texts.get(key)
            return self._parent._text(key)  # noqa: SLF001  another of this class

    def _layers(self) -> Dict[str, Optional[str]]:
        with self._lock:
            below = self._parent._layers() if self._parent is not None else {}  # noqa: SLF001  another of this class
            return {**below, **self._texts}
