"""Commands are answered whatever the login of a site does."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.errors import AnswerLateError, SiteAwayError, TransferError
from orchestrator.remote.ssh import SshTransport
from orchestrator.remote.ssh_config import Login
from tests.hpc.stack import Centre

pytestmark = pytest.mark.slurm

WORDS = "a  b|$HOME|\\n|!|`id`|'|\"|ä"


@pytest.fixture(name="home")
def _home(centre: Centre) -> Iterator[Path]:
    """Give the home of a login, and put its shell and its files back afterwards."""
    yield centre.home("beta")
    _set_shell(centre, "bash")
    for name in (".bashrc", ".cshrc", ".config", "there"):
        path = centre.home("beta") / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@pytest.fixture(name="beta")
def _beta(centre: Centre, tmp_path: Path, home: Path) -> Iterator[SshTransport]:
    with SshTransport("hpc.beta", Login(host="beta", config_path=str(centre.config(tmp_path)))) as beta:
        yield beta


def _set_shell(centre: Centre, shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run(["usermod", "--shell", path, centre.user("beta")], check=True)


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "fish", "tcsh"])
def test_s20_any_login_shell_will_do(centre: Centre, beta: SshTransport, tmp_path: Path, shell: str) -> None:
    """Commands are for a POSIX shell, and it is the one that runs them."""
    _set_shell(centre, shell)

    ran = beta.run(f"cat; printf '%s' \"{_quoted(WORDS)}\"; exit 3", b"in ", deadline_sec=20.0)
    beta.put(b"x", "there/x y")
    beta.get("there/x y", tmp_path / "x")

    assert (ran.exit_code, ran.text, ran.stderr) == (3, f"in {WORDS}", "")


@pytest.mark.parametrize(
    "said",
    [
        "echo Welcome",
        "printf 'no line end'",
        "echo '7'; echo '{\"ok\": true}'; echo ms-0123; printf '\\033[31mred\\n'",
        "echo Welcome >&2; head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2",
        "export LANG=ja_JP.SJIS LC_ALL=tr_TR.ISO-8859-9 IFS=,; alias printf=false; exec 5>&1",
    ],
)
def test_s20_d8_a_login_that_prints_is_not_heard(beta: SshTransport, home: Path, said: str) -> None:
    """Not on standard output, and not on standard error."""
    (home / ".bashrc").write_text(f"{said}\n")

    ran = beta.run("cat; echo why >&2", "ä\\n".encode(), deadline_sec=20.0)

    assert (ran.text, ran.stderr, ran.exit_code) == ("ä\\n", "why\n", 0)


def test_d8_a_login_that_runs_nothing_is_no_answer(beta: SshTransport, home: Path) -> None:
    """Nothing was begun, so it may be tried again; what the login said is shown."""
    (home / ".bashrc").write_text("echo maintenance until Friday\nexit 0\n")

    with pytest.raises(SiteAwayError, match="does not run commands: maintenance until Friday"):
        beta.run("echo done", deadline_sec=20.0)


def test_d9_a_login_that_hangs_has_its_time(beta: SshTransport, home: Path) -> None:
    """As a command has."""
    (home / ".bashrc").write_text("sleep 30\n")
    beta.open()

    with pytest.raises(AnswerLateError):
        beta.run("true", deadline_sec=1.0)


def test_f38_a_full_disk_leaves_nothing(beta: SshTransport, home: Path) -> None:
    """A limit of the login stands for the disk: it ends whoever writes too much."""
    (home / ".bashrc").write_text("ulimit -f 1000\n")
    beta.put(b"before", "there/a")

    with pytest.raises(TransferError, match="cannot put there/a"):
        beta.put(b"x" * 20_000_000, "there/a")

    assert [path.name for path in (home / "there").iterdir()] == ["a"]
    assert (home / "there/a").read_bytes() == b"before"


def _quoted(text: str) -> str:
    return "".join(f"\\{letter}" if letter in '\\"$`' else letter for letter in text)
