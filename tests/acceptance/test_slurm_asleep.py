"""A runner that slept for days finds what became of its jobs, also of those that Slurm has forgotten."""

from __future__ import annotations

from tests.acceptance.program import finish, until
from tests.acceptance.slurm_projects import SlurmProject

COUNT = 5


def test_S26_forgotten_jobs_settle_by_their_records(demo: SlurmProject) -> None:
    """Few looks at the queue do for all of them, and none runs again."""
    wait = "while test ! -e ../go; do sleep 0.1; done"
    step = {"name": "relax", "foreach": list(range(COUNT)), "stdout": "free", "fetch": {"required": ["out.txt"]}}
    demo.recipe({**step, "run": f"{wait}; echo here >> out.txt"})
    runner = demo.start("run", "demo")
    until(lambda: len(demo.jobs()) == COUNT and list(demo.root.glob("*/jobs/*/.ms/job")))
    runner.kill()
    finish(runner)
    next(demo.root.glob("2*")).joinpath("go").touch()
    until(lambda: not any(job.is_active for job in demo.jobs()))
    demo.says("squeue", "exit 0")
    demo.says("sacct", "exit 0")
    looks = len(demo.calls("squeue"))

    ended = demo.call("loop", "@last")

    assert ended.status == 0, ended.stderr
    assert [path.read_text() for path in demo.project.folder.rglob("out.txt")] == ["here\n"] * COUNT
    assert len(demo.jobs()) == COUNT
    assert len(demo.calls("squeue")) - looks <= 3
