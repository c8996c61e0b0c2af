"""Show what steps write on a cluster while they run there, whether or not a process drives the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import click

from orchestrator.cli.clusters import jobs_of
from orchestrator.cli.output import harmless
from orchestrator.cli.prompts import terminal_ask
from orchestrator.operators.registry import wiring_of
from orchestrator.operators.slurm.following import Follower
from orchestrator.operators.slurm.links import site_of
from orchestrator.operators.slurm.notices import notices
from orchestrator.operators.slurm.sites import AwayError
from orchestrator.store.attempt_files import folder_of
from orchestrator.store.database import reading
from orchestrator.store.queries import AttemptRow, read_open_attempts
from orchestrator.wiring.model import SlurmBackend


class RemoteLogs:
    """The attempts at one task that run on clusters, each followed from its beginning; ``show`` gets whole lines."""

    def __init__(self, run_root: Path, show: Callable[[AttemptRow, str], None]) -> None:
        self.goes_on = False
        self._run_root = run_root
        self._show = show
        self._ends = ExitStack()
        self._followers: dict[str, Follower] = {}
        self._parts: dict[tuple[str, str], bytes] = {}
        self._trouble = ""
        self._waiting: set[str] = set()
        with reading(run_root) as database:
            self._operators = wiring_of(database).operators

    def __enter__(self) -> Self:
        """Give it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the clusters."""
        self._ends.close()

    def look(self, wanted: Callable[[AttemptRow], bool]) -> bool:
        """Show what is new of open attempts; tell whether there is more at once. ``goes_on`` says whether any runs."""
        with reading(self._run_root) as database:
            rows = [row for row in read_open_attempts(database) if wanted(row) and self._is_away(row)]
        self.goes_on, has_more = False, False
        for row in rows:
            try:
                fresh = self._follower(row).look()
            except AwayError as error:
                self.goes_on = True
                self._tell(str(error))
                continue
            self._trouble = ""
            if not (fresh.texts or fresh.has_ended):
                self._tell_of_waiting(row)
            self._take(row, fresh.texts.items())
            self.goes_on |= not fresh.has_ended
            has_more |= fresh.has_more
        return has_more

    def rest(self, row: AttemptRow) -> bool:
        """Show what is left of an attempt that has ended, from its files here; tell whether it was followed."""
        follower, folder = self._followers.pop(row.attempt_id, None), folder_of(row, self._run_root)
        if follower is None or folder is None:
            return False
        for name, start in follower.read.items():
            with suppress(OSError), (folder / name).open("rb") as file:
                file.seek(start)
                self._take(row, [(name, file.read())])
            if part := self._parts.pop((row.attempt_id, name), b""):
                self._show(row, _text(part))
        return True

    def _is_away(self, row: AttemptRow) -> bool:
        wired = self._operators.get(row.operator_key or "")
        return wired is not None and isinstance(wired.backend, SlurmBackend) and not wired.backend.dry_run

    def _follower(self, row: AttemptRow) -> Follower:
        if row.attempt_id not in self._followers:
            backend = self._operators[row.operator_key or ""].backend
            if not isinstance(backend, SlurmBackend):
                raise AssertionError(row.operator_key)
            site = site_of(backend, terminal_ask())
            self._ends.callback(site.let_go)
            folder = f"{self._run_root.name}/{row.attempt_id}"
            self._followers[row.attempt_id] = Follower(site=site, root=backend.workspace_root, folder=folder)
        return self._followers[row.attempt_id]

    def _take(self, row: AttemptRow, texts: Iterable[tuple[str, bytes]]) -> None:
        for name, text in texts:
            *lines, rest = (self._parts.get((row.attempt_id, name), b"") + text).split(b"\n")
            self._parts[row.attempt_id, name] = rest
            for line in lines:
                self._show(row, _text(line))

    def _tell(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            click.echo(f"note: {harmless(trouble)}", err=True)

    def _tell_of_waiting(self, row: AttemptRow) -> None:
        """Say once of an attempt that has not begun where its job stands, as soon as that is known."""
        if row.attempt_id in self._waiting:
            return
        with reading(self._run_root) as database:
            stand = jobs_of(database, notices(self._run_root)).get(row.task_id)
        if stand:
            self._waiting.add(row.attempt_id)
            click.echo(f"note: {row.task_id} has not begun: {harmless(stand)}", err=True)


def _text(line: bytes) -> str:
    return harmless(line.decode("utf-8", "replace"))
