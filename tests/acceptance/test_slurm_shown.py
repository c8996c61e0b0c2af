"""People are shown where jobs on a cluster stand, what they print and what they used; the numbers are the design's."""

from __future__ import annotations

import re
import time

from tests.acceptance.program import finish, until
from tests.acceptance.slurm_projects import FakeProject, SlurmProject

OK = 'echo \'{"status": "ok", "outputs": []}\''


def test_S28_status_shows_the_jobs_and_the_next_look(demo: SlurmProject) -> None:
    """Also what stands in the way, and that nobody looks any more once the runner is stopped."""
    demo.recipe({"name": "long", "run": ["sh", "-c", "sleep 60"]})
    runner = demo.start("run", "demo")
    until(lambda: re.search(r"job \d+ RUNNING", demo.call("status", "@last").stdout))
    shown = demo.call("status", "@last").stderr
    demo.says("squeue", "echo 'squeue: error: no luck' >&2; exit 1")
    until(lambda: "no luck" in demo.call("status", "@last").stdout)
    sites = demo.call("status", "@last", "--json").answer["sites"]
    runner.kill()
    finish(runner)
    stopped = demo.call("status", "@last").stderr

    assert "hpc.default: looked at 20" in shown
    assert "; next at 20" in shown
    assert "no luck" in sites["hpc.default"]["trouble"]
    assert "the runner is stopped" in stopped


def test_logs_follow_a_job_on_the_cluster(demo: SlurmProject) -> None:
    """They show what it writes while it runs, also without a runner, and each line once."""
    wait = f"until test -e {demo.root}/go$N; do sleep 0.1; done"
    script = f"echo one >&2; {wait.replace('$N', '1')}; echo two >&2; {wait.replace('$N', '2')}; {OK}"
    demo.recipe({"name": "talk", "run": ["sh", "-c", script]})
    runner = demo.start("run", "demo")
    until(lambda: [job for job in demo.jobs() if job.state == "RUNNING"])
    until(lambda: demo.call("status", "@last").status == 0)
    logs = demo.start("logs", "@last", "talk", "-f")
    lines = logs.stdout
    assert lines is not None
    assert lines.readline() == "one\n"
    runner.kill()
    finish(runner)
    (demo.root / "go1").touch()
    assert lines.readline() == "two\n"
    again = demo.start("resume", "@last")
    (demo.root / "go2").touch()
    finish(again)

    rest = finish(logs)

    assert (rest.status, "one" in rest.stdout, "two" in rest.stdout) == (0, False, False), rest.stderr
    assert '"status": "ok"' in rest.stdout


def test_logs_of_a_job_that_has_not_begun_say_what_it_waits_for(fake_demo: FakeProject) -> None:
    """Once, beside what it writes later."""
    fake_demo.cluster.set(down=["node1", "node2", "node3", "node4"])
    fake_demo.recipe({"name": "talk", "run": ["sh", "-c", f"echo hello >&2; {OK}"]})
    runner = fake_demo.start("run", "demo")
    until(lambda: re.search(r"job \d+ PENDING", fake_demo.call("status", "@last").stdout))
    logs = fake_demo.start("logs", "@last", "talk", "-f")
    assert logs.stderr is not None
    said = logs.stderr.readline()
    time.sleep(1.5)
    fake_demo.cluster.set(down=[])
    finish(runner)

    rest = finish(logs)

    assert re.fullmatch(r"note: talk has not begun: job \d+ PENDING \(.+\).*\n", said)
    assert (rest.status, "hello\n" in rest.stdout, rest.stderr) == (0, True, "")


def test_efficiency_sets_what_was_used_against_what_was_asked(demo: SlurmProject) -> None:
    """A cluster is asked once for all jobs; without accounting, that is said."""
    step = {"run": ["sh", "-c", OK], "resources": {"cores": 2, "memory_gb": 1, "time_limit": "2m"}}
    demo.recipe({"name": "one", **step}, {"name": "two", **step})
    assert demo.run().status == 0
    before = len(demo.calls("sacct"))

    shown = demo.call("report", "@last", "--efficiency")
    asked = len(demo.calls("sacct")) - before
    demo.accounting("down")
    without = demo.call("report", "@last", "--efficiency", "--json")

    rows = [(row["task"], row["job"], row["time_limit"], row["cores"], row["memory_asked"]) for row in shown.table]
    first, second = (job.job_id for job in demo.jobs())
    assert rows == [("one", first, "2m00s", "2", "1 GB"), ("two", second, "2m00s", "2", "1 GB")]
    assert (shown.status, asked, without.status) == (0, 1, 0)
    assert "is not known" in without.stderr
    assert without.answer[0]["used"] == {"time_sec": None, "cpu_sec": None, "max_rss_mb": None}
