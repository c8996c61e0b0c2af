"""Log in to the clusters of a run before its first step begins, while somebody can be asked for what they want."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from orchestrator.errors import SiteAwayError
from orchestrator.progress import Remark
from orchestrator.session.options import DriveOptions

if TYPE_CHECKING:
    from orchestrator.wiring.reading import Wired


@contextmanager
def logged_in(operators: Iterable[Wired], options: DriveOptions) -> Iterator[None]:
    """Hold the connections of operators while the block lasts; without anybody to ask, they open them themselves.

    A cluster that lets nobody in is told of, and what is to be done there waits. Raises `UsageError` where the SSH
    configuration cannot be followed.
    """
    with ExitStack() as ends:
        if options.ask is not None:
            _log_in(operators, options, ends)
        yield


def _log_in(operators: Iterable[Wired], options: DriveOptions, ends: ExitStack) -> None:
    from orchestrator.operators.slurm.links import site_of  # noqa: PLC0415  slow, and few runs need it
    from orchestrator.wiring.model import SlurmBackend  # noqa: PLC0415  as above

    for wired in operators:
        backend = wired.backend
        if not isinstance(backend, SlurmBackend) or backend.ssh is None or backend.dry_run:
            continue
        site = site_of(backend, {}, options.ask)
        ends.callback(site.let_go)
        try:
            site.open()
        except SiteAwayError as error:
            options.reporter.tell(Remark(text=error.message, todo=error.hint))
