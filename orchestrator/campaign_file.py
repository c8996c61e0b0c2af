"""Load the campaign of a workspace: what ``get_campaign()`` in its main.py gives."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Dict

from orchestrator.campaign import Campaign
from orchestrator.errors import ScriptletError

ENTRY = "get_campaign"
# Campaigns that this program holds, by the names of their workspaces; they need no file.
GIVEN: Dict[str, Campaign] = {}


def load_campaign(path: Path) -> Campaign:
    """Import a file and give its campaign; modules beside it can be imported by it. Raises `ScriptletError`."""
    if str(path) in GIVEN:
        return GIVEN[str(path)]
    if not path.is_file():
        raise ScriptletError(f"there is no {path}", hint="write it, with a function get_campaign()")
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = spec_from_file_location(f"matterstack_campaign_{path.absolute().parent.name}", path)
    if spec is None or spec.loader is None:
        raise ScriptletError(f"{path} cannot be imported as Python")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    campaign = getattr(module, ENTRY, lambda: None)()
    if not isinstance(campaign, Campaign):
        raise ScriptletError(f"{path}: {ENTRY}() gives no Campaign", hint=f"write: def {ENTRY}(): return MyCampaign()")
    return campaign
