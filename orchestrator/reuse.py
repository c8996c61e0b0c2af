"""Take over the results of steps that ran before, and keep those of the steps that run now."""

from __future__ import annotations

import hmac
from collections.abc import Set as AbstractSet
from pathlib import Path

from orchestrator.caching import CacheKey, cache_key, digests_of
from orchestrator.expressions import Scope, resolve
from orchestrator.jsonsafe import JsonValue
from orchestrator.plan import Plan, PlannedTask
from orchestrator.secrecy import HandedOn, Masker
from orchestrator.store.cache import Result, ResultCache
from orchestrator.workers.calls import Done


class Reuse:
    """The results that one run takes over and keeps; without a ``cache`` there are none.

    Tasks in ``anew`` take over nothing: somebody asked for them to run again.
    """

    def __init__(
        self,
        plan: Plan,
        run_id: str,
        *,
        cache: ResultCache | None,
        masker: Masker,
        handed_on: HandedOn | None = None,
        anew: AbstractSet[str] = frozenset(),
    ) -> None:
        self._recipe = Path(plan.source.name).name
        self._run_id = run_id
        self._cache = cache
        self._masker = masker
        self._handed_on = handed_on
        self._anew = anew

    def key(self, planned: PlannedTask, scope: Scope, params: JsonValue, env: JsonValue) -> CacheKey | None:
        """Give the key of a step that is about to run, or None where its result is not kept.

        Raises `ExpressionError` where something that its recipe declares is not there.
        """
        if planned.cache is None or self._cache is None:
            return None
        return cache_key(planned.cache, scope, code=planned.code, args=params, env=self._without_secrets(env))

    def _without_secrets(self, env: JsonValue) -> JsonValue:
        """Put a keyed digest in the place of every value that holds a secret."""
        values = env if isinstance(env, dict) else {}
        if self._handed_on and self._handed_on.contents:
            values = {name: self._handed_on.with_contents(str(value)) for name, value in values.items()}
        return {
            name: self._digest(value) if self._masker.finds(str(value)) else value for name, value in values.items()
        }

    def _digest(self, value: JsonValue) -> str:
        salt = self._cache.salt() if self._cache else ""
        return f"hmac-sha256:{hmac.new(salt.encode(), str(value).encode(), 'sha256').hexdigest()}"

    def find(self, task_id: str, key: CacheKey) -> Result | None:
        """Give a former result, where there is one and its files are as it left them."""
        if self._cache is None or not self._anew.isdisjoint((task_id, task_id.partition("[")[0])):
            return None
        found = self._cache.find(key.digest)
        return found if found and digests_of(tuple(found.files)) == dict(found.files) else None

    def result(self, task_id: str, planned: PlannedTask, key: CacheKey, done: Done, after: Scope) -> Result:
        """Give the result of a step as it is kept; ``after`` holds the context as the step left it."""
        names = (str(resolve(name, after)) for name in planned.rules.files_exist)
        return Result(
            digest=key.digest,
            step=planned.step,
            recipe=self._recipe,
            run_id=self._run_id,
            task_id=task_id,
            parts=key.parts,
            stdout=done.stdout,
            writes=done.changes,
            files=digests_of(tuple(names)),
        )

    def keep(self, result: Result) -> None:
        """Keep a result for later runs; it is durable in its own."""
        if self._cache:
            self._cache.put(result)

    def close(self) -> None:
        """Close the cache."""
        if self._cache:
            self._cache.close()
