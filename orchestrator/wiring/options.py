"""What may be asked for about wiring, and whether there is any at all: known without reading a file."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "operators.yaml"
VARIABLE = "MATTERSTACK_OPERATORS_CONFIG"
BUILT_IN_KEYS = ("local.default", "human.default", "experiment.default")


def told_of_change(path: str, run_id: str) -> tuple[str, str]:
    """Say that a run goes by what it has kept though the file has changed, and the command that lets it go by that."""
    command = f"matterstack resume {run_id} --operators-config {shlex.quote(path)} --force-wiring-override"
    return f"{path} has changed since run {run_id} kept it; the run goes on with what it kept", command


@dataclass(frozen=True, slots=True, kw_only=True)
class WiringOptions:
    """What was asked for on the command line."""

    operators_config: Path | None = None
    force_override: bool = False
    profile: str | None = None
    profiles_config: Path | None = None
    hpc_config: Path | None = None

    def is_wired(self, workspace: Path) -> bool:
        """Tell whether anybody wired anything for a workspace."""
        named = (self.operators_config, self.profile, self.hpc_config, os.environ.get(VARIABLE))
        return any(named) or os.path.lexists(workspace / FILE_NAME)

    def to_params(self) -> dict[str, Any]:
        """Give them as params of the core scriptlet that resolves them."""
        paths = {
            "operators_config": self.operators_config,
            "profiles_config": self.profiles_config,
            "hpc_config": self.hpc_config,
        }
        return {"profile": self.profile, **{name: str(path) if path else None for name, path in paths.items()}}

    def provenance(self) -> dict[str, Any]:
        """Give what the run's metadata says of them."""
        params = self.to_params()
        return {
            "cli": {"operators_config": params["operators_config"], "force_wiring_override": self.force_override},
            "legacy": {
                "profile": self.profile,
                "hpc_config": params["hpc_config"],
                "profiles_config_path": params["profiles_config"],
            },
        }
