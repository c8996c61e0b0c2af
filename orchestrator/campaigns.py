"""Drive a campaign that a program holds: begin its run, and go on until it is complete."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.campaign import Campaign
from orchestrator.campaign_file import GIVEN
from orchestrator.campaign_source import source_of_given
from orchestrator.runner import RunRequest, init_run, resume_run
from orchestrator.session import DriveOptions, Outcome
from orchestrator.states import RunState
from orchestrator.wiring.options import WiringOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHandle:
    """A run that was begun: its workspace, its id and its directory."""

    workspace_slug: str
    run_id: str
    run_root: Path


def initialize_run(
    slug: str,
    campaign: Campaign,
    *,
    workspaces_dir: str | Path | None = None,
    operators_config: str | Path | None = None,
) -> RunHandle:
    """Begin a run of a campaign in a workspace, keep its wiring, and drive nothing yet."""
    GIVEN[slug] = campaign
    asked = WiringOptions(operators_config=Path(operators_config) if operators_config else None)
    request = RunRequest(
        recipe="-",
        source=source_of_given(slug),
        workspace=slug,
        workspaces_dir=Path(workspaces_dir) if workspaces_dir else None,
        options=DriveOptions(inline=True, handle_signals=False, asked=asked),
    )
    root = init_run(request)
    return RunHandle(workspace_slug=slug, run_id=root.name, run_root=root)


def run_until_completion(handle: RunHandle, campaign: Campaign) -> Outcome:
    """Drive a run until it has settled, and say what it came to; another program may have driven it before.

    Raises `KeyboardInterrupt` where it was interrupted.
    """
    GIVEN[handle.workspace_slug] = campaign
    outcome = resume_run(handle.run_root, DriveOptions(inline=True, handle_signals=False))
    if outcome.status is RunState.PENDING:
        raise KeyboardInterrupt
    return outcome
