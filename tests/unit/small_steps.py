"""Steps small enough to see what a run makes of them."""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params


class Write(BaseScriptlet):
    """Write each param to the context under its name."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Give the params as they came."""
        return params


class Fail(BaseScriptlet):
    """Write to ``lost.keys_v1`` which keys there are, and fail."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Fail after the write."""
        ctx.set("lost.keys_v1", [*ctx.keys()])
        raise ValueError(params.get("reason", "no luck"))


class FailFirst(BaseScriptlet):
    """Fail the first ``times`` times."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Count the attempts in a file, which no failure rolls back."""
        if _count("attempts.txt") <= params["times"]:
            raise ValueError("not yet")
        return {}


class Interrupt(BaseScriptlet):
    """Be interrupted the first time, as by Ctrl-C."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write before the interruption, to see whether that is undone."""
        ctx.set("half.done_v1", 1)
        if _count("interruptions.txt") == 1:
            raise KeyboardInterrupt
        return {}


class Signal(BaseScriptlet):
    """Send the runner the signal ``number`` the first time, as a scheduler does that takes the machine back."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Signal this process, which is the runner's."""
        if _count("signals.txt") == 1:
            os.kill(os.getpid(), params["number"])
        return {}


class Environment(BaseScriptlet):
    """Write ``env.seen_v1``, the values of the variables in ``names``."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Read what this process sees."""
        return {"env.seen_v1": [os.environ.get(name) for name in params["names"]]}


class Process(BaseScriptlet):
    """Write the number of the process that it runs in."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Look."""
        return {params["key"]: os.getpid()}


class OwnProcess(Process):
    """The same, never in the runner's process."""

    requires_process = True


def _count(name: str) -> int:
    path = Path(name)
    with path.open("a", encoding="utf-8") as file:
        file.write("x")
    return len(path.read_text(encoding="utf-8"))
