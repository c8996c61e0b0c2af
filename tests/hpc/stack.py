"""Start the small HPC centre of `tests/hpc/centre` once for a pytest session, and reach its login nodes by SSH.

A centre has a slot of its own: a directory, ports and users. Each worker of a session takes one, as sessions beside it
do, so that no test waits for another; who was killed leaves a slot, which the next one that starts clears.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "centre"

_PROGRAMS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd", "sshd", "ssh")
_PAM = Path("/etc/pam.d/hpc-sshd-otp")
_SLOTS = 20
_PORTS = 30
_FIRST_PORT = 26000
_YOUNG_SEC = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """A running centre: its directory, and the variables that `start` prints."""

    folder: Path
    variables: dict[str, str]

    def __getitem__(self, name: str) -> str:
        """Give a variable by its name without ``HPC_``."""
        return self.variables[f"HPC_{name}"]

    def port(self, name: str) -> int:
        """Give the port of the sshd of ``alpha``, ``beta``, ``jump`` or ``otp``."""
        return int(self[f"{name.upper()}_PORT"])

    def user(self, site: str = "alpha") -> str:
        """Give the login name at a cluster."""
        return self[f"{site.upper()}_USER"]

    def home(self, site: str = "alpha") -> Path:
        """Give the home of that user."""
        return self.folder / "home" / self.user(site)

    def log(self, name: str) -> str:
        """Give what a daemon, such as ``ssh-alpha``, has logged."""
        return (self.folder / "log" / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def pid(self, name: str) -> int:
        """Give the process of a daemon, by the name of its file in ``run``."""
        return int((self.folder / "run" / f"{name}.pid").read_text(encoding="ascii"))

    def slurm(self, *command: str, site: str = "alpha") -> subprocess.CompletedProcess[str]:
        """Run one of Slurm's commands as root."""
        environment = {**os.environ, "SLURM_CONF": self[f"{site.upper()}_CONF"]}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def stop(self, *names: str) -> None:
        """Stop daemons; without names, all of them."""
        subprocess.run([SCRIPTS / "stop", self.folder, *names], check=True, capture_output=True)

    def start(self) -> None:
        """Start the daemons that are not running."""
        _start(self.folder, self.variables["HPC_SLOT"])

    def config(self, folder: Path, *, known_hosts: Path | None = None, **ports: int) -> Path:
        """Write an SSH configuration with the hosts ``alpha``, ``beta``, ``otp``, ``jump``, and ``inner`` behind that.

        ``ports`` are those of proxies in the place of a server's own.
        """
        text = "".join(self._host(name, ports.get(name)) for name in ("alpha", "beta", "otp", "jump"))
        text += f"{self._host('alpha', None).replace('Host alpha', 'Host inner')}    ProxyJump jump\n"
        text += f"Host *\n    HostName {self['HOST']}\n    IdentityFile {self['KEY']}\n    IdentitiesOnly yes\n"
        text += f"    UserKnownHostsFile {known_hosts or self['KNOWN_HOSTS']}\n    GlobalKnownHostsFile none\n"
        path = folder / "ssh_config"
        path.write_text(text, encoding="utf-8")
        return path

    def _host(self, name: str, port: int | None) -> str:
        own = self.port(name)
        lines = [
            f"Host {name}",
            f"    Port {port or own}",
            f"    User {self.user('beta' if name == 'beta' else 'alpha')}",
        ]
        if port is not None:
            lines.append(f"    HostKeyAlias [{self['HOST']}]:{own}")
        return "\n".join(lines) + "\n"


@pytest.fixture(name="centre", scope="session")
def _centre() -> Iterator[Centre]:
    """Start a centre that the tests of this process have for themselves, one after the other."""
    if not is_installed():
        pytest.skip("there is no cluster to test with: 'make test-slurm' installs it, and needs root")
    with started() as centre:
        yield centre


def skip_unless_asked(config: pytest.Config) -> None:
    """Skip the test unless the mark ``slurm`` is asked for, as `make test-slurm` does."""
    if config.getoption("markexpr") != "slurm":
        pytest.skip("all that is tried on a real cluster takes minutes: make test-slurm")


@contextlib.contextmanager
def started() -> Iterator[Centre]:
    """Start a centre for the block alone."""
    slot = _free_slot()
    try:
        yield _start(_folder(slot), slot)
    finally:
        _clear(_folder(slot))


def is_installed() -> bool:
    """Tell whether a centre can be started here."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    has_all = all(shutil.which(program, path=path) for program in _PROGRAMS) and _PAM.exists()
    return sys.platform == "linux" and os.geteuid() == 0 and has_all


def _folder(slot: str) -> Path:
    return Path(tempfile.gettempdir()) / f"ms-hpc-{slot}"


def _free_slot() -> str:
    """Take a slot that nobody has, and clear one whose owner was killed; the directory is the reservation."""
    # Of two processes that clear one slot, the second would clear what the first has started there.
    with (Path(tempfile.gettempdir()) / "ms-hpc.lock").open("a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for slot in map(str, range(_SLOTS)):
            folder = _folder(slot)
            if _is_left(folder):
                _clear(folder)
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                (folder / "owner").write_text(str(os.getpid()), encoding="ascii")
                if _are_free(_first_port(slot)):
                    return slot
                shutil.rmtree(folder)
    pytest.skip(f"all {_SLOTS} slots for clusters are taken: see {_folder('*')}")


def _is_left(folder: Path) -> bool:
    try:
        owner = int((folder / "owner").read_text(encoding="ascii"))
    except FileNotFoundError:
        return folder.exists() and time.time() - folder.stat().st_mtime > _YOUNG_SEC
    return not Path(f"/proc/{owner}").exists()


def _first_port(slot: str) -> int:
    return _FIRST_PORT + _PORTS * int(slot)


def _are_free(first: int) -> bool:
    for port in range(first, first + _PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def _start(folder: Path, slot: str) -> Centre:
    environment = {**os.environ, "HPC_PORT": str(_first_port(slot)), "HPC_USER": f"ms{slot}"}
    started = subprocess.run([SCRIPTS / "start", folder], env=environment, capture_output=True, text=True, check=False)
    if started.returncode:
        pytest.fail(f"the cluster did not start: {started.stderr}", pytrace=False)
    words = shlex.split(started.stdout.replace("export ", ""))
    return Centre(folder=folder, variables={**dict(word.split("=", 1) for word in words), "HPC_SLOT": slot})


def _clear(folder: Path) -> None:
    if (folder / "run").is_dir():
        subprocess.run([SCRIPTS / "stop", folder], check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)
