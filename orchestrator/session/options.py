"""Say how a run is to be driven, and which of its tasks are to run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orchestrator.jsonsafe import JsonValue
from orchestrator.progress import Reporter, Silence
from orchestrator.session.outcome import Outcome
from orchestrator.wiring.options import WiringOptions

if TYPE_CHECKING:
    from orchestrator.remote.login import Ask
    from orchestrator.stubs import Stubs


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveOptions:
    """How to drive a run, whichever run it is.

    ``inline`` runs Python steps in this process, one at a time; ``jobs`` is how many steps may run at once;
    ``use_cache`` takes over former results and keeps new ones;
    ``takeover`` drives a run whose other host is dead;
    ``fixtures`` are the values of a test's fixtures; ``break_at`` names the tasks before which the run pauses;
    ``stubs`` answer for the steps that they are for;
    ``accept_changes`` runs steps again whose recipe or scriptlet changed; ``resumes`` goes on with a paused run too;
    ``leaves_out_last`` ends a run that somebody asked to cancel without what its recipe does last;
    ``ask`` is how a person is asked for what a cluster wants somebody to type, before the first step begins;
    ``deliver`` takes what the run came to, and until it has, the run is not let go.
    """

    inline: bool = False
    jobs: int | None = None
    use_cache: bool = True
    fail_fast: bool = True
    takeover: bool = False
    accept_changes: bool = False
    resumes: bool = False
    handle_signals: bool = True
    fixtures: Mapping[str, JsonValue] = field(default_factory=dict)
    break_at: tuple[str, ...] = ()
    stubs: Stubs | None = None
    asked: WiringOptions = field(default_factory=WiringOptions)
    wiring: Mapping[str, Any] | None = None
    once: bool = False
    leaves_out_last: bool = False
    ask: Ask | None = None
    reporter: Reporter = field(default_factory=Silence)
    deliver: Callable[[Outcome], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Tasks that are to be run again in a run.

    With ``recursive`` also those that depend on them; ``with_items`` means all items of those that fanned out, and
    ``force`` ends the questions that are open.
    """

    task_ids: tuple[str, ...]
    reason: str
    recursive: bool = False
    with_items: bool = False
    force: bool = False
