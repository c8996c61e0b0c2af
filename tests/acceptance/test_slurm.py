"""Jobs of a cluster run once each, whatever is lost on the way; the numbers are those of the design."""

from __future__ import annotations

import pytest

from tests.acceptance.slurm_projects import RealProject, SlurmProject

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


def test_modules_of_the_project_travel_with_a_scriptlet(demo: SlurmProject) -> None:
    """One that ships, and one of the project, by their own names: those of Python's library are not hidden."""
    first = "import statistics\n\nfrom orchestrator import BaseScriptlet\n\nfrom .units import FACTOR\n\n\n"
    work = "class Numbers(BaseScriptlet):\n    def work(self, ctx, params):\n"
    answer = "        return {'numbers.mean_v1': FACTOR * statistics.mean(params['values'])}\n"
    demo.project.write("workspaces/demo/scriptlets/mine/numbers.py", f"{first}{work}{answer}")
    demo.project.write("workspaces/demo/scriptlets/mine/units.py", "FACTOR = 10\n")
    demo.project.write("workspaces/demo/values.txt", "1\n2\n6\n")
    shipped = {"module": "scriptlets.steps.compute_numbers", "args": {"src": "values.txt", "key": "values.stats_v1"}}
    own = {"module": "scriptlets.mine.numbers", "args": {"values": [1, 3]}}
    demo.recipe(
        {"name": "shipped", "type": "python", **shipped, "files": {"values.txt": "values.txt"}},
        {"name": "own", "type": "python", **own},
    )

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    context = demo.call("ctx", "get", "@last").answer
    assert (context["values.stats_v1"]["mean"], context["numbers.mean_v1"]) == (3, 20)
    assert not list(demo.root.rglob("units.py"))


@pytest.mark.slurm
def test_a_scriptlet_of_ten_kilobytes_costs_three_round_trips(real_demo: RealProject) -> None:
    """Beyond its submission, looks at the queue, and what is asked once a session: the root and the settings."""
    work = "class Relax(BaseScriptlet):\n    def work(self, ctx, params):\n        return {'relax.n_v1': 1}\n"
    text = f"from orchestrator import BaseScriptlet\n\n\n{work}# {'x' * 10_000}\n"
    real_demo.project.write("workspaces/demo/relax.py", text)
    real_demo.recipe({"name": "relax", "type": "python", "module": "./relax.py"})
    log = f"ssh-{real_demo.site}"
    before = real_demo.centre.log(log).count("Starting session")

    ended = real_demo.run()

    assert ended.status == 0, ended.stderr
    trips = real_demo.centre.log(log).count("Starting session") - before
    assert trips - 2 - len(real_demo.calls("sbatch")) - len(real_demo.calls("squeue")) <= 3
