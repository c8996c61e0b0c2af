"""Ask a campaign that is written in Python what to do next."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.campaign import Workflow
from orchestrator.campaign_file import load_campaign
from orchestrator.scriptlet import Outputs, Params

_OPERATORS = {"local": "local.default", "hpc": "hpc.default", "simulation": "local.default"}


class PlanCampaign(BaseScriptlet):
    """Write `campaign.workflow_v1`, the tasks of the next iteration, and `campaign.is_done_v1`, whether there are none.

    Params: ``main``, the file with `get_campaign()`; optional ``execution_mode`` (Local, HPC or Simulation), which says
    where tasks run that name no operator. The state is `campaign.state_v1`, which the first iteration has not.
    """

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse a mode that there is not."""
        mode = params.get("execution_mode", "Local")
        if str(mode).lower() not in _OPERATORS:
            message = f"execution_mode {mode!r} is none of Local, HPC and Simulation"
            raise ValueError(message)

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Call `plan` with the state."""
        campaign = load_campaign(Path(params["main"]))
        state = ctx.get("campaign.state_v1", campaign.initial_state)
        with redirect_stdout(sys.stderr):  # the answer alone goes to standard output
            workflow = campaign.plan(state)
        if workflow is not None and not isinstance(workflow, Workflow):
            message = f"plan() gave a {type(workflow).__name__}, not a Workflow or None"
            raise ValueError(message)
        default = _OPERATORS[str(params.get("execution_mode", "Local")).lower()]
        steps = workflow.to_steps(default) if workflow else []
        return {"campaign.workflow_v1": steps, "campaign.is_done_v1": not steps, "campaign.state_v1": state}


if __name__ == "__main__":
    PlanCampaign.main()
