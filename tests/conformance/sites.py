"""Sites with Slurm's programs: one that is not there, and a real one."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from orchestrator.operators.slurm.answers import AccountRow, QueueRow, read_accounting, read_queue
from orchestrator.operators.slurm.asking import QUEUE, Answer, accounting, answer, question
from orchestrator.operators.slurm.states import Phase
from orchestrator.testing.fake_slurm import FakeSlurm
from tests.hpc.stack import Centre

Row = TypeVar("Row")
PATIENCE_SEC = 60.0
PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Somebody's login at a site: how a shell is started there, and a folder of theirs."""

    login: tuple[str, ...]
    env: Mapping[str, str]
    folder: Path
    is_real: bool
    numbers: list[str] = field(default_factory=list)
    own: Callable[[Path], None] = field(default=lambda path: None)

    def run(self, script: str, **env: str) -> str:
        """Have the site's shell read a script, and give all that it prints on standard output."""
        ran = subprocess.run(
            self.login,
            input=script,
            cwd=self.folder,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SEC,
        )
        return ran.stdout

    def ask(self, *command: str, **env: str) -> Answer:
        """Run one of Slurm's programs."""
        told = answer(self.run(question(command, "mark"), **env), "mark")
        assert told is not None
        return told

    def submit(self, *options: str, wrap: str = "true", script: Path | None = None) -> str:
        """Submit a small job, or a script, and give its number."""
        told = self.ask("sbatch", "--parsable", *options, str(script) if script else f"--wrap={wrap}")
        assert told.exit_code == 0, told.stderr
        self.numbers.append(told.stdout.strip())
        return self.numbers[-1]

    def queue(self, number: str) -> list[QueueRow]:
        """Give the rows of a job in the queue, tasks in the order of their numbers."""
        told = self.ask(*QUEUE)
        assert told.exit_code == 0, told.stderr
        rows = [row for row in read_queue(told.stdout) if row.array_id == number]
        return sorted(rows, key=lambda row: row.index or 0)

    def account(self, number: str) -> list[AccountRow]:
        """Give the rows of a job in the accounting."""
        told = self.ask(*accounting(ids=[number]))
        assert told.exit_code == 0, told.stderr
        return list(read_accounting(told.stdout))

    def ended(self, number: str, tasks: int = 1) -> list[QueueRow]:
        """Wait until a job has ended, as the queue tells."""
        return self.awaited(
            lambda: self.queue(number),
            lambda rows: len(rows) == tasks and all(row.state.phase is Phase.ENDED for row in rows),
        )

    def accounted(self, number: str) -> list[AccountRow]:
        """Wait until a job has ended, as the accounting tells."""
        return self.awaited(
            lambda: self.account(number), lambda rows: bool(rows) and all(_is_over(row) for row in rows)
        )

    def awaited(self, look: Callable[[], list[Row]], is_there: Callable[[list[Row]], bool]) -> list[Row]:
        """Look until what is seen is what is waited for."""
        patience = time.monotonic() + PATIENCE_SEC * 2
        while not is_there(seen := look()):
            assert time.monotonic() < patience, seen
            time.sleep(0.2)
        return seen

    def put(self, name: str, text: str) -> Path:
        """Write a file in the folder of the login."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for one in (path, *path.relative_to(self.folder).parents):
            self.own(self.folder / one)
        return path


def _is_over(row: AccountRow) -> bool:
    return row.state.phase is Phase.ENDED and row.name != "allocation"


@contextmanager
def fake_site(folder: Path) -> Iterator[Site]:
    """Give a site that is not there, on which a minute lasts ten seconds."""
    (folder / "home").mkdir()
    with FakeSlurm(folder / "cluster", minute_sec=10, kill_wait_sec=10) as cluster:
        env = {"PATH": f"{cluster.bin}:{PATH}", "HOME": str(folder / "home")}
        yield Site(login=("sh", "-s"), env=env, folder=folder / "home", is_real=False)


@contextmanager
def real_site(centre: Centre, name: str) -> Iterator[Site]:
    """Give the real site, as its user; what was submitted there is cancelled."""
    user = pwd.getpwnam(centre.user())
    folder = centre.home() / f"{name}-{os.getpid()}"
    folder.mkdir()
    os.chown(folder, user.pw_uid, user.pw_gid)
    login = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "sh", "-s")
    env = {"PATH": PATH, "HOME": user.pw_dir, "SLURM_CONF": centre["ALPHA_CONF"]}
    site = Site(
        login=login,
        env=env,
        folder=folder,
        is_real=True,
        own=lambda path: os.chown(path, user.pw_uid, user.pw_gid),
    )
    try:
        yield site
    finally:
        if site.numbers:
            site.ask("scancel", *site.numbers)
        shutil.rmtree(folder, ignore_errors=True)
