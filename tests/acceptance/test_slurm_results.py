"""What jobs leave comes home whole, and only then is anything removed; the numbers are those of the design."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.program import finish, until
from tests.acceptance.slurm_projects import RealProject, SlurmProject

# Runs until somebody makes the file, which has to be done soon.
HELD = "for _ in $(seq 600); do test -f go && break; sleep 0.1; done"
LONG_AGO_SEC = 40 * 86_400


def step(script: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  any value of YAML
    """Give a step that runs a shell script on the cluster."""
    return {"name": "relax", "run": ["sh", "-c", script], "stdout": "free", **more}


def home(demo: SlurmProject, name: str) -> Path:
    """Give a file that was brought home."""
    (found,) = demo.project.folder.rglob(name)
    return found


def left_there(demo: SlurmProject) -> list[str]:
    """Give what lies in the folder on the cluster, other than the kit."""
    return sorted(path.name for path in demo.root.iterdir() if path.is_dir())


def test_S23_results_keep_their_paths(demo: SlurmProject) -> None:
    """Also with blanks and other letters."""
    demo.recipe(step("mkdir -p 'a b/c'; echo 1 > 'a b/c/ü.txt'; echo 2 > d.txt", fetch={"required": ["*.txt"]}))

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    assert home(demo, "ü.txt").parts[-3:-1] == ("a b", "c")
    assert home(demo, "d.txt").read_text() == "2\n"


def test_S23_a_required_file_that_is_missing_is_named(demo: SlurmProject) -> None:
    """The step has failed, and is not run again for that."""
    demo.recipe(step("echo 1 > a.txt", fetch={"required": ["*.dat"], "optional": ["*.txt"]}))

    ended = demo.run()

    assert ended.status == 1
    (attempt,) = demo.attempts("relax")
    assert "*.dat" in attempt["reason"]
    assert home(demo, "a.txt").read_text() == "1\n"


def test_C4_only_plain_files_come_home(demo: SlurmProject) -> None:
    """What is left there is told of, as with steps of this machine."""
    odd = "ln -s /etc/passwd link; mkfifo pipe; echo 1 > one; ln one two; ln -s / folder; echo 1 > plain"
    demo.recipe(step(odd))

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    (attempt,) = demo.call("attempts", "@last", "relax", "--json").answer
    rejected = {one["path"]: one["reason"] for one in attempt["operator_data"]["rejected_entries"]}
    assert rejected == {
        **dict.fromkeys(("folder", "link", "pipe"), "it is no regular file"),
        **dict.fromkeys(("one", "two"), "it has another name elsewhere"),
    }
    assert home(demo, "plain").read_text() == "1\n"


def test_S24_nothing_stays_of_what_ended_well(demo: SlurmProject) -> None:
    """No folder of an attempt, of an array or of the run."""
    demo.recipe(step("echo $N > out", foreach=[1, 2], env={"N": "${{ item }}"}))

    ended = demo.run()

    assert ended.status == 0, ended.stderr
    assert left_there(demo) == []


@pytest.mark.parametrize(("keep", "stay"), [("failed", 1), ("all", 2), ("none", 0)])
def test_S24_what_stays_is_what_is_wanted(demo: SlurmProject, keep: str, stay: int) -> None:
    """No secret of a job that somebody ended stays with it."""
    demo.wire(keep={"files": keep})
    demo.recipe(step("test $N = 1", foreach=[1, 2], env={"N": "${{ item }}"}))

    demo.run()

    assert len([*demo.root.glob("*/*/.ms/claim")]) == stay
    assert len([*demo.root.glob("*/jobs/*")]) == min(stay, 1)


def test_S24_what_is_old_goes_with_its_folders(demo: SlurmProject) -> None:
    """The folders of failed attempts stay for thirty days; nothing else in the root is touched."""
    demo.recipe(step("exit 1", foreach=[1, 2]))
    demo.run()
    theirs = demo.root / "theirs/deep/er"
    theirs.mkdir(parents=True)
    then = time.time() - LONG_AGO_SEC
    for path in [*demo.root.rglob("*"), demo.root / "theirs"]:
        os.utime(path, (then, then), follow_symlinks=False)

    demo.recipe(step("exit 0"))
    demo.run()

    assert left_there(demo) == ["theirs"]
    assert theirs.is_dir()


def test_S24_nothing_outside_of_the_root_is_removed(demo: SlurmProject) -> None:
    """Not even where somebody has put a link in the place of the run's folder."""
    demo.recipe(step("echo begun > begun; while test ! -e ../../go; do sleep 0.1; done; exit 0"))
    runner = demo.start("run", "demo")
    until(lambda: demo.is_in("relax", "RUNNING") and [*demo.root.rglob("begun")])
    (run,) = demo.root.glob("*_*")
    elsewhere = demo.shims / "elsewhere"
    run.rename(elsewhere)
    run.symlink_to(elsewhere)
    (demo.shims / "go").touch()

    finish(runner)

    assert len([*elsewhere.rglob("begun")]) == 1


def test_S24_a_full_quota_is_waited_for(demo: SlurmProject) -> None:
    """What runs there is brought home and removed meanwhile, which may make room."""
    fills = "head -c 600000 /dev/zero > ../../part; mv ../../part ../../ballast"
    waits = "while test ! -e ../../go; do sleep 0.1; done"
    full = "while test ! -s ../../ballast; do sleep 0.1; done"
    first = f"test -e ../../seen || {{ {full}; touch ../../seen; exit 1; }}"
    big = {"files": {"big": {"content": "x" * 300_000}}, "retry": {"max": 1}}
    demo.recipe(
        step(f"{fills}; {waits}; rm ../../ballast", name="holds", parallel=True),
        step(f"{first}; cat big | wc -c > size", name="needs", parallel=True, **big),
    )
    with small_disk(demo.root):
        runner = demo.start("run", "demo")
        until(lambda: re.search("files cannot be put there.*: tried again at 20", demo.call("status", "@last").stdout))
        (demo.root / "go").touch()

        ended = finish(runner)

        assert ended.status == 0, ended.stderr
        assert home(demo, "size").read_text().strip() == "300000"
        assert len(demo.jobs()) == 3


def test_S12_a_disk_that_is_full_for_a_while_fails_no_step(demo: SlurmProject) -> None:
    """What it loses is tried again after pauses that grow, and ``status`` says when."""
    demo.recipe(step("echo 1 > one"))
    fills = "head -c 2000000 /dev/zero > ../../ballast 2>/dev/null"
    demo.says(
        "sbatch",
        f'id=$("$real" --hold "$@") || exit; test -e "$0.free" || {fills}; scontrol release "$id"; echo "$id"',
    )
    with small_disk(demo.root):
        runner = demo.project.start("run", "demo", env={**demo.env, "MATTERSTACK_LOSS_DELAY": "3"})
        until(lambda: "tried again at 20" in demo.call("status", "@last").stdout)
        (demo.shims / "sbatch.free").touch()
        (demo.root / "ballast").unlink()

        ended = finish(runner)

        assert ended.status == 0, ended.stderr
        *lost, last = demo.attempts("relax")
        assert {attempt["status"] for attempt in lost} == {"LOST"}
        assert "could not be launched" in lost[0]["reason"]
        assert (last["status"], len(lost) <= 5) == ("COMPLETED", True)


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Let a folder be a file system of one megabyte while the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1200k,mode=1777", "tmpfs", folder], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slurm
def test_F38_results_come_home_over_a_line_that_is_cut(real_demo: RealProject) -> None:
    """Nothing that is not whole is ever seen, and no job runs twice."""
    size = 9_000_000
    real_demo.recipe(step(f"head -c {size} /dev/urandom > big; sha256sum big > sum; echo begun > begun; {HELD}"))
    runner = real_demo.start("run", "demo")
    until(lambda: [*real_demo.root.rglob("begun")])
    (begun,) = real_demo.root.rglob("begun")
    for third in (1, 2):
        real_demo.proxy.cut_after(third * size // 3)
        (begun.parent / "go").touch()
        until(lambda: real_demo.proxy.budget is None)
        assert [*real_demo.project.folder.glob("workspaces/**/big")] == []

    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert hashlib.sha256(home(real_demo, "big").read_bytes()).hexdigest() == home(real_demo, "sum").read_text()[:64]
    assert len(real_demo.jobs()) == 1


def test_S24_a_file_system_that_is_away_loses_no_attempt(demo: SlurmProject) -> None:
    """A root that is not there says nothing of the attempts below it, which wait until it is there again."""
    demo.recipe(step(f"echo here > out.txt; {HELD}", fetch={"required": ["out.txt"]}))
    runner = demo.start("run", "demo")
    until(lambda: list(demo.root.rglob("out.txt")))
    away = demo.root.with_name(f"{demo.root.name}-away")
    demo.root.rename(away)
    (left,) = away.rglob("out.txt")
    left.with_name("go").touch()
    until(lambda: str(demo.root) in demo.call("explain", "@last").stdout)

    away.rename(demo.root)
    ended = finish(runner)

    assert ended.status == 0, ended.stderr
    assert [attempt["status"] for attempt in demo.attempts("relax")] == ["COMPLETED"]
