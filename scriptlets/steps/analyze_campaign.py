"""Let a campaign that is written in Python see what came of its tasks."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context
from orchestrator.campaign import TaskResult
from orchestrator.campaign_file import load_campaign
from orchestrator.scriptlet import Outputs, Params

RESULTS = "_campaign.results_v1"


class AnalyzeCampaign(BaseScriptlet):
    """Write `campaign.state_v1`, the state after an iteration.

    Params: ``main``, the file with `get_campaign()`. The results come from the runner, as `_campaign.results_v1`.
    """

    needs = ("_campaign.results_v1",)

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Call `analyze` with the state and the results."""
        campaign = load_campaign(Path(params["main"]))
        records: Any = ctx.get(RESULTS, {})
        results = {
            task_id: TaskResult(
                status=found["status"],
                files={name: Path(path) for name, path in found["files"].items()},
                data=found["data"],
            )
            for task_id, found in records.items()
        }
        with redirect_stdout(sys.stderr):  # the answer alone goes to standard output
            state = campaign.analyze(ctx.get("campaign.state_v1"), results)
        return {"campaign.state_v1": state}


if __name__ == "__main__":
    AnalyzeCampaign.main()
