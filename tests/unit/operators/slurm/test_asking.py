"""A site is asked free of the user's own settings, submits once, and its answer is whole or is none."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ScriptletError
from orchestrator.operators.slurm.asking import (
    BUSY,
    Answer,
    Submission,
    accounting,
    answer,
    cancelling,
    question,
    submission,
)
from tests.unit.operators.slurm.shells import SHELLS, run

SBATCH = """\
#!/bin/sh
echo "$*" >> {log}
sleep {delay}
echo 'sbatch: loading the lua plugin' >&2
printf '%s\\n' {answer}
exit {exit_code}
"""


def put_sbatch(folder: Path, stdout: str = "17", exit_code: int = 0, delay: float = 0) -> str:
    """Put a program in the place of sbatch that counts how often it is called; give the PATH that finds it."""
    program = folder / "bin" / "sbatch"
    program.parent.mkdir(exist_ok=True)
    program.write_text(
        SBATCH.format(log=folder / "calls", answer=f"'{stdout}'", exit_code=exit_code, delay=delay), encoding="utf-8"
    )
    program.chmod(0o755)
    return f"{program.parent}:/usr/bin:/bin"


def calls(folder: Path) -> list[str]:
    """Give how sbatch was called."""
    log = folder / "calls"
    return log.read_text().splitlines() if log.exists() else []


def submitted(folder: Path, **more: Any) -> Submission:  # noqa: ANN401  what the class has
    """Give a job that is submitted from a folder."""
    return Submission(key="ms-1-relax-1-x", folder=str(folder), **more)


def test_a_program_answers_with_all_that_it_says() -> None:
    """Its exit code, and its two streams apart."""
    text = "MOTD\n\nm begin\na\n\nb\n\nm stderr\noops\nm end 3\nBYE\n"

    assert answer(text, "m") == Answer(exit_code=3, stdout="a\n\nb\n", stderr="oops")


@given(st.integers(0, 60))
def test_an_answer_that_is_cut_is_none(length: int) -> None:
    """Wherever the line broke."""
    text = "MOTD\n\nm begin\na\n\nm stderr\noops\nm end 13\n"

    assert (answer(text[:length], "m") is None) == (length < len(text))


@pytest.mark.parametrize("shell", SHELLS)
def test_S20_an_answer_is_found_in_whatever_is_printed(  # noqa: N802  a statement of the design
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """What other programs print before and behind it does not count."""
    script = question(["sh", "-c", "echo out; echo err >&2; cat; exit 4"], "m7")
    ran = run(shell, f"echo WELCOME\n{script}echo BYE\n", tmp_path)

    assert answer(ran.stdout, "m7") == Answer(exit_code=4, stdout="out\n", stderr="err")


@pytest.mark.parametrize("shell", SHELLS)
def test_S27_settings_of_the_user_change_nothing(  # noqa: N802  a statement of the design
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """Which cluster it is stays theirs to say."""
    names = ("SQUEUE_FORMAT", "SBATCH_PARTITION", "SACCT_FORMAT", "SCANCEL_STATE", "SINFO_FORMAT", "SLURM_TIME_FORMAT")
    env = {
        **dict.fromkeys(names, "a\nSBATCH_X=1\n b"),
        "SLURM_CONF": "/etc/s.conf",
        "LC_ALL": "de_DE",
        "TZ": "Asia/Tokyo",
    }

    told = answer(run(shell, question(["env"], "m"), tmp_path, **env).stdout, "m")

    assert told is not None
    kept = dict(line.split("=", 1) for line in told.stdout.splitlines() if "=" in line)
    assert not kept.keys() & set(names)
    assert (kept["SLURM_CONF"], kept["LC_ALL"], kept["TZ"]) == ("/etc/s.conf", "C", "UTC")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_job_is_submitted_by_its_name(shell: tuple[str, ...], tmp_path: Path) -> None:
    """The id is kept beside it."""
    path = put_sbatch(tmp_path)
    asked = submitted(tmp_path, signal="USR1", before_sec=120)

    told = answer(run(shell, submission(asked, "m"), tmp_path, PATH=path).stdout, "m")

    assert told == Answer(exit_code=0, stdout="17\n", stderr="sbatch: loading the lua plugin")
    (call,) = calls(tmp_path)
    assert call == (
        "--parsable --job-name=ms-1-relax-1-x --comment=ms-1-relax-1-x --open-mode=append --no-requeue"
        " --signal=B:USR1@120 --output=.ms/slurm.log .ms/job.sh"
    )
    assert (tmp_path / ".ms" / "job").read_text() == "17\n"


@pytest.mark.parametrize(("is_refused", "expected"), [(False, True), (True, False)])
def test_S12_nodes_are_avoided_unless_no_others_will_do(  # noqa: N802  a statement of the design
    is_refused: bool, expected: bool, tmp_path: Path
) -> None:
    """Slurm is asked before, so that what it refuses leaves no job."""
    path = put_sbatch(tmp_path)
    if is_refused:
        program = tmp_path / "bin" / "sbatch"
        refuses = "case $* in *--test-only*) exit 1 ;; esac\nsleep"
        program.write_text(program.read_text().replace("sleep", refuses))

    told = answer(run(("sh",), submission(submitted(tmp_path, avoid="n1,n2"), "m"), tmp_path, PATH=path).stdout, "m")

    assert told is not None
    assert told.stdout == "17\n"
    asked, call = calls(tmp_path)
    assert "--test-only --exclude=n1,n2 .ms/job.sh" in asked
    assert ("--exclude=n1,n2" in call) == expected


def test_S25_equal_tasks_are_one_array(tmp_path: Path) -> None:  # noqa: N802  a statement of the design
    """Each of them with a log of its own."""
    asked = submitted(tmp_path, tasks=range(10))
    run(("sh",), submission(asked, "m"), tmp_path, PATH=put_sbatch(tmp_path))

    assert calls(tmp_path)[0].endswith("--no-requeue --array=0-9 --output=.ms/slurm-%a.log .ms/job.sh")


@pytest.mark.parametrize("shell", SHELLS)
def test_S14_an_array_has_the_tasks_that_are_wanted(shell: tuple[str, ...], tmp_path: Path) -> None:  # noqa: N802  a statement of the design
    """In as few words as may be."""
    run(shell, submission(submitted(tmp_path, tasks=[0, 2, 3, 4, 9]), "m"), tmp_path, PATH=put_sbatch(tmp_path))

    assert "--array=0,2-4,9 " in calls(tmp_path)[0]


@pytest.mark.parametrize("shell", SHELLS)
def test_S3_what_was_submitted_is_not_submitted_again(  # noqa: N802  a statement of the design
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """Whoever asks again gets the same id; a continuation has one of its own."""
    path = put_sbatch(tmp_path, "17;alpha")
    for _ in range(3):
        told = answer(run(shell, submission(submitted(tmp_path), "m"), tmp_path, PATH=path).stdout, "m")
        assert told is not None
        assert told.stdout == "17;alpha\n"

    assert len(calls(tmp_path)) == 1
    path = put_sbatch(tmp_path, "99")
    run(shell, submission(submitted(tmp_path, turn=1), "m"), tmp_path, PATH=path)
    assert (tmp_path / ".ms" / "job.1").read_text() == "99\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("has_flock", [True, False])
def test_side_by_side_one_submits(has_flock: bool, shell: tuple[str, ...], tmp_path: Path) -> None:
    """The others wait for it, or come again."""
    path = put_sbatch(tmp_path, delay=0.3)
    if not has_flock:
        path = f"{tmp_path / 'bin'}:{bin_without_flock(tmp_path)}"
    script = submission(submitted(tmp_path), "m")
    runs = [
        subprocess.Popen([*shell, "-c", script], env={"PATH": path}, stdout=subprocess.PIPE, text=True)
        for _ in range(5)
    ]

    answers = [answer(ran.communicate()[0], "m") for ran in runs]

    assert len(calls(tmp_path)) == 1
    assert {told.exit_code for told in answers if told} <= ({0} if has_flock else {0, BUSY})
    assert {told.stdout for told in answers if told and told.exit_code == 0} == {"17\n"}


def bin_without_flock(folder: Path) -> Path:
    """Give a folder with the programs that every system has."""
    plain = folder / "plain"
    plain.mkdir()
    for name in ("env", "sed", "mkdir", "mv", "tail", "find", "rmdir", "sleep", "sh", "cat", "ls"):
        (plain / name).symlink_to(f"/bin/{name}")
    return plain


def test_a_lock_that_a_killed_one_left_goes_in_time(tmp_path: Path) -> None:
    """Where there is no flock, which lets go at once."""
    path = f"{tmp_path / 'bin'}:{bin_without_flock(tmp_path)}"
    put_sbatch(tmp_path)
    lock = tmp_path / ".ms" / "submitting.d"
    lock.mkdir(parents=True)
    script = submission(submitted(tmp_path), "m")

    young = answer(run(("/bin/dash",), script, tmp_path, PATH=path).stdout, "m")
    subprocess.run(["touch", "-d", "@" + str(time.time() - 700), str(lock)], check=True)
    old = answer(run(("/bin/dash",), script, tmp_path, PATH=path).stdout, "m")

    assert young is not None
    assert (young.exit_code, young.stderr) == (BUSY, "another submission is under way")
    assert old is not None
    assert (old.exit_code, old.stdout) == (0, "17\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_S4_what_is_refused_leaves_no_id(shell: tuple[str, ...], tmp_path: Path) -> None:  # noqa: N802  a statement
    """It is asked anew the next time."""
    path = put_sbatch(tmp_path, "", exit_code=1)

    told = answer(run(shell, submission(submitted(tmp_path), "m"), tmp_path, PATH=path).stdout, "m")

    assert told == Answer(exit_code=1, stdout="\n", stderr="sbatch: loading the lua plugin")
    assert not (tmp_path / ".ms" / "job").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_F33_an_id_is_found_among_warnings(shell: tuple[str, ...], tmp_path: Path) -> None:  # noqa: N802  a row
    """The last line that is one."""
    path = put_sbatch(tmp_path, "BANNER\n12 monkeys\n7;beta")

    run(shell, submission(submitted(tmp_path), "m"), tmp_path, PATH=path)

    assert (tmp_path / ".ms" / "job").read_text() == "7;beta\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", ["a b", "$(touch escaped)", "'", '"', "`id`", "-x", "ä\\n", "a;touch escaped"])
def test_D1_a_folder_may_have_any_name(  # noqa: N802  a row of the faults
    name: str, shell: tuple[str, ...], tmp_path: Path
) -> None:
    """It is no more than a name."""
    folder = tmp_path / name
    folder.mkdir()

    told = answer(run(shell, submission(submitted(folder), "m"), tmp_path, PATH=put_sbatch(tmp_path)).stdout, "m")

    assert told is not None
    assert told.stdout == "17\n"
    assert (folder / ".ms" / "job").exists()
    assert not (tmp_path / "escaped").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_folder_that_is_gone_is_told(shell: tuple[str, ...], tmp_path: Path) -> None:
    """Nothing is submitted from elsewhere."""
    script = submission(submitted(tmp_path / "gone"), "m")

    told = answer(run(shell, script, tmp_path, PATH=put_sbatch(tmp_path)).stdout, "m")

    assert told is not None
    assert told.exit_code not in (0, BUSY)
    assert calls(tmp_path) == []


@pytest.mark.parametrize("folder", ["relative", "~/x", "/a\nb", "/a\0b"])
def test_a_folder_has_to_be_absolute(folder: str) -> None:
    """The message says where it is from."""
    with pytest.raises(ScriptletError, match="no absolute directory"):
        submission(Submission(key="k", folder=folder), "m")


@pytest.mark.parametrize("mark", ["", "a b", "$(id)", "a\nb"])
def test_a_mark_is_a_word(mark: str) -> None:
    """So that it can be found again."""
    with pytest.raises(ValueError, match="cannot mark"):
        question(["true"], mark)


def test_commands_name_what_they_ask_for() -> None:
    """By ids where there are some, else by a name since a time."""
    by_ids, by_name = accounting(ids=["1", "2_3"]), accounting(name="ms-x", since="2026-11-28T00:00")

    assert by_ids[5:-2] == ("--jobs=1,2_3",)
    assert by_name[5:-2] == ("--name=ms-x", "--starttime=2026-11-28T00:00")
    assert cancelling(["1", "2_3"]) == ("scancel", "1", "2_3")
