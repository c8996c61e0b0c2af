"""Jobs of a cluster run once each, whatever is lost on the way; the numbers are those of the design."""

from __future__ import annotations

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
