"""A step that does nearly nothing, so that what is measured is the runner."""

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params


class Touch(BaseScriptlet):
    """Write the number it was given."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Return the number under a key of its own."""
        return {f"bench.n{params['n']}_v1": params["n"]}
