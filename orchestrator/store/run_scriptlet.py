"""Give the core scriptlets that write the records of a run what they have in common."""

from __future__ import annotations

from orchestrator.context import Context
from orchestrator.core_scriptlet import CoreScriptlet
from orchestrator.scriptlet import Params
from orchestrator.store.database import opened
from orchestrator.store.leases import refuse_if_driven


class RunScriptlet(CoreScriptlet):
    """Writes the records of the run at the param ``run_root``, unless another process drives that."""

    def validate(self, ctx: Context, params: Params) -> None:  # noqa: ARG002  as those of all scriptlets
        """Raise `RunLockedError` where a runner writes and it is not this process."""
        refuse_if_driven(opened(params["run_root"]))
