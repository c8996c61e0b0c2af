"""A cluster that an older hpc.yaml describes runs jobs as one of operators.yaml does."""

from __future__ import annotations

import yaml

from tests.acceptance.slurm_projects import SlurmProject


def test_an_older_file_is_needed_at_the_begin_alone(demo: SlurmProject) -> None:
    """A run goes on by what it has kept of it."""
    folder = demo.project.folder / "workspaces" / "demo"
    wiring = yaml.safe_load((folder / "operators.yaml").read_text(encoding="utf-8"))
    cluster = wiring["operators"]["hpc.default"]["backend"]
    wiring["operators"]["hpc.default"]["backend"] = {"type": "hpc_yaml", "path": "hpc.yaml"}
    demo.project.write("workspaces/demo/operators.yaml", yaml.safe_dump(wiring))
    demo.project.write("workspaces/demo/hpc.yaml", yaml.safe_dump(cluster))
    demo.recipe({"name": "first", "run": ["true"], "stdout": "free"})

    begun = demo.call("init", "demo")
    (folder / "hpc.yaml").unlink()
    ended = demo.call("loop", "@last")

    assert (begun.status, ended.status) == (0, 0), begun.stderr + ended.stderr
    assert len(demo.jobs()) == 1
