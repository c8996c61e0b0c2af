"""A job claims its attempt's directory once, runs the step with all it was told, and leaves how it ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.errors import ScriptletError
from orchestrator.operators.slurm.directives import Demand
from orchestrator.operators.slurm.ends import Record, read_record
from orchestrator.operators.slurm.script import DUPLICATE, exports, folder_list, job_script, payload
from orchestrator.wiring.model import Slurm
from tests.unit.operators.slurm.shells import SHELLS

PATH = "/usr/local/bin:/usr/bin:/bin"
SHOWS = "import os, sys; print(repr(sys.argv[1:])); print(repr(os.environ.get('GIVEN')))"
WAITS = """\
import pathlib, signal, sys, time
def end(number, frame):
    print("got", signal.Signals(number).name)
    sys.exit(7)
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, end)
pathlib.Path("began").touch()
time.sleep(60)
"""


def demand() -> Demand:
    """Give what a small job asks for."""
    return Demand(slurm=Slurm(), resources={"cores": 1})


def lay(folder: Path, argv: Sequence[str], env: Mapping[str, str] | None = None, *, setup: str = "") -> Path:
    """Put a step where its job finds it, as the operator does."""
    (folder / ".ms").mkdir(exist_ok=True, parents=True)
    (folder / ".ms" / "payload.sh").write_text(payload(argv, env or {}, setup), encoding="utf-8")
    return folder


def begin(
    shell: tuple[str, ...], folder: Path, *, turn: int = 0, login: bool = False, **env: str
) -> subprocess.Popen[bytes]:
    """Start a job as Slurm does: in its directory, with its number in the environment."""
    is_array = "SLURM_ARRAY_TASK_ID" in env
    script = folder / ".ms" / "job.sh"
    text = job_script(demand(), turn=turn, is_array=is_array, needs_login=login)
    if not script.exists() or script.read_text(encoding="utf-8") != text:  # others may be reading it
        script.write_text(text, encoding="utf-8")
    told = {"PATH": PATH, "HOME": str(folder), "SLURM_JOB_ID": "17", **env}
    return subprocess.Popen([*shell, str(script)], cwd=folder, env=told, start_new_session=True)


def run(shell: tuple[str, ...], folder: Path, *, turn: int = 0, login: bool = False, **env: str) -> int:
    """Start a job and wait for its end."""
    return begin(shell, folder, turn=turn, login=login, **env).wait(30)


def record(folder: Path, name: str = "exit") -> Record | None:
    """Read what a job left."""
    return read_record((folder / ".ms" / name).read_text())


@pytest.mark.parametrize("shell", SHELLS)
def test_a_job_leaves_what_a_local_attempt_leaves(shell: tuple[str, ...], tmp_path: Path) -> None:
    """Its streams and its exit code, and beside them a record with its id."""
    lay(tmp_path, ["sh", "-c", "echo out; echo err >&2; exit 3"])

    assert run(shell, tmp_path) == 3
    assert (tmp_path / "stdout.log").read_text() == "out\n"
    assert (tmp_path / "stderr.log").read_text() == "err\n"
    assert (tmp_path / "exit_code").read_text() == "3\n"
    assert record(tmp_path) == Record(job_id="17", restart=0, exit_code=3)
    assert (tmp_path / ".ms" / "claim").read_text() == "17 0\n"
    assert not list(tmp_path.glob(".ms/.*"))


@pytest.mark.parametrize("shell", SHELLS)
def test_S24_a_job_that_cannot_note_how_its_step_ended_ends_like_it(shell: tuple[str, ...], tmp_path: Path) -> None:  # noqa: N802  a statement
    """As where the disk is full; a code that the step did not give would be its fault."""
    lay(tmp_path, ["sh", "-c", "mkdir .ms/.exit_code; exit 3"])

    assert run(shell, tmp_path) == 3


@pytest.mark.parametrize("shell", SHELLS)
def test_S6_a_duplicate_touches_nothing(shell: tuple[str, ...], tmp_path: Path) -> None:  # noqa: N802  a statement
    """Whether the first one runs on or has ended."""
    lay(tmp_path, ["sh", "-c", "echo one >> times"])
    run(shell, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != "job.sh" and path.is_file()}

    assert run(shell, tmp_path, SLURM_JOB_ID="18") == DUPLICATE
    assert (tmp_path / "times").read_text() == "one\n"
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert not list(tmp_path.glob(".ms/.*"))


@pytest.mark.parametrize("shell", SHELLS)
def test_of_many_that_begin_at_once_one_runs(shell: tuple[str, ...], tmp_path: Path) -> None:
    """The others end as duplicates."""
    lay(tmp_path, ["sh", "-c", "echo one >> times"])

    jobs = [begin(shell, tmp_path, SLURM_JOB_ID=str(number)) for number in range(100, 116)]

    assert sorted(job.wait(60) for job in jobs) == [0, *[DUPLICATE] * 15]
    assert (tmp_path / "times").read_text() == "one\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_job_that_slurm_begins_again_goes_on(shell: tuple[str, ...], tmp_path: Path) -> None:
    """In the same directory; what it printed before is kept, and is not taken for its answer."""
    lay(tmp_path, ["sh", "-c", 'echo "run $SLURM_RESTART_COUNT"; echo err >&2'])
    run(shell, tmp_path)

    assert run(shell, tmp_path, SLURM_RESTART_COUNT="1") == 0
    assert (tmp_path / "stdout.log").read_text() == "run 1\n"
    assert (tmp_path / ".ms" / "stdout.before.17.1").read_text() == "run \n"
    assert (tmp_path / "stderr.log").read_text() == "err\nerr\n"
    assert (tmp_path / ".ms" / "claim").read_text() == "17 1\n"
    assert record(tmp_path) == Record(job_id="17", restart=1, exit_code=0)


@pytest.mark.parametrize("shell", SHELLS)
def test_S13_a_continuation_is_another_job(shell: tuple[str, ...], tmp_path: Path) -> None:  # noqa: N802  a statement
    """It has a claim and a record of its own."""
    lay(tmp_path, ["true"])
    run(shell, tmp_path)

    assert run(shell, tmp_path, turn=1, SLURM_JOB_ID="30") == 0
    assert record(tmp_path, "exit.1") == Record(job_id="30", restart=0, exit_code=0)
    assert record(tmp_path) == Record(job_id="17", restart=0, exit_code=0)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_S13_the_signal_reaches_the_step(  # noqa: N802  a statement of the design
    number: signal.Signals, shell: tuple[str, ...], tmp_path: Path
) -> None:
    """It has time to end in good order, and the job tells what it was sent."""
    job = begin(shell, lay(tmp_path, [sys.executable, "-c", WAITS]))
    while not (tmp_path / "began").exists():
        time.sleep(0.02)

    job.send_signal(number)

    assert job.wait(30) == 7
    assert (tmp_path / "stdout.log").read_text() == f"got {number.name}\n"
    assert record(tmp_path) == Record(job_id="17", restart=0, exit_code=7, signals=frozenset({number.name[3:]}))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_step_that_goes_on_after_the_signal_is_waited_for(shell: tuple[str, ...], tmp_path: Path) -> None:
    """However many signals come."""
    goes_on = "trap 'echo got; more=1' USR1; touch began; while test ! -e end; do sleep 0.05; done; exit 5"
    job = begin(shell, lay(tmp_path, ["bash", "-c", goes_on]))
    while not (tmp_path / "began").exists():
        time.sleep(0.02)
    for times in range(1, 11):
        job.send_signal(signal.SIGCONT)  # Slurm sends it right before each signal
        job.send_signal(signal.SIGUSR1)
        while (tmp_path / "stdout.log").read_text() != "got\n" * times:
            time.sleep(0.02)

    (tmp_path / "end").touch()

    assert job.wait(30) == 5


@pytest.mark.parametrize("shell", SHELLS)
def test_S11_a_job_that_slurm_ends_tells_its_exit_code(  # noqa: N802  a statement of the design
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """Slurm sends two signals to all of its processes, one right behind the other."""
    ends = "trap 'exit 6' TERM; touch began; while :; do sleep 0.05; done"
    for times in range(5):
        folder = lay(tmp_path / str(times), ["bash", "-c", ends])
        job = begin(shell, folder)
        while not (folder / "began").exists():
            time.sleep(0.02)
        for number in (signal.SIGCONT, signal.SIGTERM):
            os.killpg(job.pid, number)

        assert job.wait(30) == 6
        left = record(folder)
        assert left is not None
        assert left.exit_code == 6
        assert (folder / "exit_code").read_text() == "6\n"


def test_a_step_can_be_interrupted(tmp_path: Path) -> None:
    """Its shell runs in the background, and bash lets it have SIGINT all the same."""
    shows = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    run(("bash",), lay(tmp_path, [sys.executable, "-c", shows]))

    assert (tmp_path / "stdout.log").read_text() == "True\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_S25_the_jobs_of_an_array_find_their_directories(  # noqa: N802  a statement of the design
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """By their numbers, whatever the directories are called."""
    folders = [tmp_path / name for name in ("a", "b b'\"$x", " c ")]
    for folder in folders:
        lay(folder, ["sh", "-c", 'echo "$1"', "sh", folder.name])
    job = tmp_path / "job"
    (job / ".ms").mkdir(parents=True)
    (job / ".ms" / "folders").write_text(folder_list([str(folder) for folder in folders]))

    for index, folder in enumerate(folders):
        assert run(shell, job, SLURM_ARRAY_JOB_ID="40", SLURM_ARRAY_TASK_ID=str(index), SLURM_JOB_ID="99") == 0
        assert (folder / "stdout.log").read_text() == f"{folder.name}\n"
        assert record(folder) == Record(job_id=f"40_{index}", restart=0, exit_code=0)
    assert run(shell, job, SLURM_ARRAY_JOB_ID="40", SLURM_ARRAY_TASK_ID="3") == 1


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("login", [False, True])
def test_S20_setup_and_profile_may_print(  # noqa: N802  a statement of the design
    login: bool, shell: tuple[str, ...], tmp_path: Path
) -> None:
    """What a step prints is its own; what it is told wins over what the setup sets."""
    (tmp_path / ".bash_profile").write_text("echo WELCOME; cd /; FROM_PROFILE=yes")
    setup = 'echo loading; export GIVEN=setup OTHER="$FROM_PROFILE"'
    lay(tmp_path, ["sh", "-c", 'echo "$GIVEN,$OTHER"; pwd'], {"GIVEN": "step"}, setup=setup)

    assert run(shell, tmp_path, login=login) == 0
    assert (tmp_path / "stdout.log").read_text() == f"step,{'yes' if login else ''}\n{tmp_path}\n"
    assert (tmp_path / "stderr.log").read_text() == ("WELCOME\n" if login else "") + "loading\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_setup_that_is_broken_fails_the_step_alone(shell: tuple[str, ...], tmp_path: Path) -> None:
    """Its claim and its end are the job's own."""
    lay(tmp_path, ["true"], setup="if then (\n#SBATCH --wrap=id")

    assert run(shell, tmp_path) == 2
    assert record(tmp_path) == Record(job_id="17", restart=0, exit_code=2)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_setup_whose_last_command_fails_lets_no_step_run(shell: tuple[str, ...], tmp_path: Path) -> None:
    """A step without its module would fail later, or give another result; what fails before is the setup's own."""
    lay(tmp_path, ["touch", "ran"], setup="false; module_that_is_not_there 2>/dev/null")

    assert run(shell, tmp_path) == 1
    assert (tmp_path / "stderr.log").read_text() == "slurm.setup of operators.yaml ended with 127\n"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_E6_a_setup_that_traces_or_goes_elsewhere_shows_no_secret(  # noqa: N802  a row of the faults
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """The step runs in its directory, with its secrets, and neither they nor its variables are traced."""
    lay(tmp_path, ["sh", "-c", 'echo "$TOKEN"; pwd'], {"PLAIN": "plain-value"}, setup="set -x\ncd /")
    (tmp_path / ".ms" / "secrets.sh").write_text("export TOKEN=hunter2\n")

    assert run(shell, tmp_path) == 0
    assert (tmp_path / "stdout.log").read_text() == f"hunter2\n{tmp_path}\n"
    assert "hunter2" not in (tmp_path / "stderr.log").read_text()
    assert "plain-value" not in (tmp_path / "stderr.log").read_text()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_program_that_is_not_there_fails_the_step(shell: tuple[str, ...], tmp_path: Path) -> None:
    """As everywhere, with 127."""
    assert run(shell, lay(tmp_path, ["/nowhere/relax"])) == 127
    assert record(tmp_path) == Record(job_id="17", restart=0, exit_code=127)


@pytest.mark.parametrize("shell", SHELLS)
def test_E6_secrets_are_read_from_a_file_that_goes(  # noqa: N802  a row of the faults
    shell: tuple[str, ...], tmp_path: Path
) -> None:
    """Once the step has ended by itself."""
    lay(tmp_path, ["sh", "-c", 'echo "$LAB_TOKEN"'])
    (tmp_path / ".ms" / "secrets.sh").write_text(exports({"LAB_TOKEN": "correct 'horse'\n$(id)"}))

    assert run(shell, tmp_path) == 0
    assert (tmp_path / "stdout.log").read_text() == "correct 'horse'\n$(id)\n"
    assert not (tmp_path / ".ms" / "secrets.sh").exists()


HOSTILE = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40) | st.sampled_from(
    [
        "; touch escaped",
        "$(touch escaped)",
        "`touch escaped`",
        "&& x",
        "a\nb",
        "*",
        "-rf",
        "'\"",
        "\\",
        "#SBATCH --wrap=id",
    ]
)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(words=st.lists(HOSTILE, max_size=4), value=HOSTILE)
def test_D1_words_and_values_arrive_as_they_are(  # noqa: N802  a row of the faults
    words: list[str], value: str, shell: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nothing of them is carried out."""
    folder = lay(tmp_path_factory.mktemp("job"), [sys.executable, "-X", "utf8", "-c", SHOWS, *words], {"GIVEN": value})

    assert run(shell, folder) == 0
    shown = (folder / "stdout.log").read_text(encoding="utf-8")
    assert shown == f"{words!r}\n{value!r}\n"
    assert {path.name for path in folder.iterdir()} == {".ms", "stdout.log", "stderr.log", "exit_code"}


@pytest.mark.parametrize("name", ["", "A;rm -rf /;B", "A B", "1A", "BASH_FUNC_x%%", "A\nB", "Ä"])
def test_D2_what_is_no_name_of_a_variable_is_refused(name: str) -> None:  # noqa: N802  a row of the faults
    """Before anything is written."""
    with pytest.raises(ScriptletError, match="is no name of a variable"):
        payload(["true"], {name: "1"})


def test_what_no_program_can_get_is_refused() -> None:
    """The message tells where it stands."""
    with pytest.raises(ScriptletError, match=r"^run: "):
        payload(["echo", "a\0b"], {})
    with pytest.raises(ScriptletError, match=r"^env\.A: "):
        payload(["echo"], {"A": "a\0b"})


@pytest.mark.parametrize("folder", ["", "relative", "/a\nb", "/a\0b"])
def test_a_directory_that_is_more_than_a_line_is_refused(folder: str) -> None:
    """Its neighbours in the list would be lost."""
    with pytest.raises(ScriptletError, match="no absolute directory"):
        folder_list(["/fine", folder])
