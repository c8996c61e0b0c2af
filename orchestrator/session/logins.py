"""Log in to the clusters of a run, before it begins or when one is first due, while somebody can be asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from orchestrator.errors import SiteAwayError
from orchestrator.progress import PersonAsked, Remark
from orchestrator.session.options import DriveOptions

if TYPE_CHECKING:
    from orchestrator.remote.login import Prompt
    from orchestrator.wiring.reading import Wired


class Logins:
    """The connections of one run to its clusters, held until the block ends; without anybody to ask, there are none.

    A cluster that lets nobody in is told of, and what is to be done there waits.
    """

    def __init__(self, options: DriveOptions) -> None:
        self._options = options
        self._ends = ExitStack()
        self._tried: set[str] = set()

    def __enter__(self) -> Self:
        """Give it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connections."""
        self._ends.close()

    def log_in(self, operators: Iterable[Wired]) -> None:
        """Log in where operators need it, to each once; raises `UsageError` for an SSH configuration that is wrong."""
        if self._options.ask is None:
            return
        for wired in operators:
            if wired.key not in self._tried:
                self._tried.add(wired.key)
                self._open(wired)

    def _open(self, wired: Wired) -> None:
        from orchestrator.operators.slurm.links import site_of  # noqa: PLC0415  slow, and few runs need it
        from orchestrator.wiring.model import SlurmBackend  # noqa: PLC0415  as above

        backend = wired.backend
        if not isinstance(backend, SlurmBackend) or backend.ssh is None or backend.dry_run:
            return
        site = site_of(backend, self._asked)
        self._ends.callback(site.let_go)
        try:
            site.open()
        except SiteAwayError as error:
            self._options.reporter.tell(Remark(text=error.message, todo=error.hint))

    def _asked(self, prompts: Sequence[Prompt]) -> Sequence[str] | None:
        """Ask on a terminal on which nothing else is drawn meanwhile."""
        if self._options.ask is None:
            return None
        self._options.reporter.tell(PersonAsked(is_over=False))
        try:
            return self._options.ask(prompts)
        finally:
            self._options.reporter.tell(PersonAsked(is_over=True))
