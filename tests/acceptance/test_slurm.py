"""Jobs of a cluster run once each, whatever is lost on the way; the numbers are those of the design."""

from __future__ import annotations

import yaml

from tests.acceptance.slurm_projects import SlurmProject

OK = 'echo \'{"status": "ok", "outputs": []}\''


def test_S25_equal_tasks_are_one_array(demo: SlurmProject) -> None:
    """Each finds its own directory; nothing stays on the cluster of those that ended well."""
    demo.recipe(
        {
            "name": "relax",
            "foreach": [1, 2, 3],
            "env": {"N": "${{ item }}"},
            "run": ["sh", "-c", f"echo $N > out.txt; {OK}"],
            "resources": {"cores": 1, "time_limit": "2m"},
            "fetch": {"required": ["out.txt"]},
        }
    )

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    assert len(demo.calls("sbatch")) == 1
    assert len(demo.jobs()) == 3
    assert len({job.name for job in demo.jobs()}) == 1
    found = sorted(path.read_text() for path in demo.project.folder.rglob("out.txt"))
    assert found == ["1\n", "2\n", "3\n"]
    assert list(demo.root.rglob("out.txt")) == []


def test_an_older_file_is_needed_at_the_begin_alone(fake_demo: SlurmProject) -> None:
    """A run goes on by what it has kept of it."""
    cluster = {"workspace_root": str(fake_demo.root), "poll_every": 0.2}
    wiring = {"hpc.default": {"kind": "hpc", "backend": {"type": "hpc_yaml", "path": "hpc.yaml"}}}
    fake_demo.project.write("workspaces/demo/operators.yaml", yaml.safe_dump({"operators": wiring}))
    fake_demo.project.write("workspaces/demo/hpc.yaml", yaml.safe_dump(cluster))
    fake_demo.recipe({"name": "first", "run": ["sh", "-c", OK]})

    begun = fake_demo.call("init", "demo")
    (fake_demo.project.folder / "workspaces" / "demo" / "hpc.yaml").unlink()
    ended = fake_demo.call("loop", "@last")

    assert (begun.status, ended.status) == (0, 0), begun.stderr + ended.stderr
    assert len(fake_demo.jobs()) == 1
