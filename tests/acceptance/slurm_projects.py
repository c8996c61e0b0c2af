"""Projects whose steps run on a cluster: one that is not there, or a real one."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.testing.fake_slurm import FakeSlurm
from tests.acceptance.program import Ended, Project

PATIENCE_SEC = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeProject:
    """A project that is wired to a cluster of its own on this machine."""

    project: Project
    slurm: FakeSlurm

    @property
    def env(self) -> Mapping[str, str]:
        """Give the environment of the program: it finds the cluster's programs, and a short patience."""
        return {**os.environ, "PATH": f"{self.slurm.bin}:{os.environ['PATH']}", "MATTERSTACK_POLL_FLOOR": "0.1"}

    @property
    def root(self) -> Path:
        """Give the folder that is the wiring's on the cluster."""
        return self.slurm.folder / "root"

    def wire(self, **more: Any) -> None:  # noqa: ANN401  any value of YAML
        """Write operators.yaml with further keys of the backend."""
        backend = {"type": "slurm", "workspace_root": str(self.root), "poll_every": 0.2, "grace": 1.0, **more}
        wiring = {"operators": {"hpc.default": {"kind": "hpc", "backend": backend}, "human.default": {"kind": "human"}}}
        self.project.write("workspaces/demo/operators.yaml", yaml.safe_dump(wiring))

    def recipe(self, *steps: Mapping[str, Any]) -> None:
        """Write the recipe; a step is routed to the cluster unless it says otherwise."""
        routed = [{"type": "shell", "operator_key": "hpc.default", **step} for step in steps]
        self.project.write("workspaces/demo/recipe.yaml", yaml.safe_dump({"steps": routed}))

    def call(self, *words: str) -> Ended:
        """Run the program."""
        return self.project.call(*words, env=self.env)

    def run(self) -> Ended:
        """Run the recipe to its end."""
        return self.call("run", "demo")

    def attempts(self, task: str) -> list[dict[str, str]]:
        """Give the attempts at a task of the last run."""
        return self.call("attempts", "@last", task).table


@contextmanager
def fake_project(folder: Path, **settings: Any) -> Iterator[FakeProject]:  # noqa: ANN401  of any type
    """Give a project, wired to a cluster whose jobs end with the block."""
    (folder / "project").mkdir(parents=True)
    with FakeSlurm(folder / "cluster", **settings) as slurm:
        made = FakeProject(project=Project(folder=folder / "project"), slurm=slurm)
        made.project.write("matterstack.toml", "")
        made.wire()
        yield made


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    patience = time.monotonic() + PATIENCE_SEC
    while not holds():
        assert time.monotonic() < patience, "it never came to that"
        time.sleep(0.05)
