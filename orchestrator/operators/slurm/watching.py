"""Look at the queue, and take what it shows of each attempt's job."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.clock import up_sec
from orchestrator.operators.assignments import Sighting
from orchestrator.operators.slurm.answers import QueueRow, read_queue
from orchestrator.operators.slurm.asking import QUEUE, cancelling
from orchestrator.operators.slurm.holding import Held, Stage
from orchestrator.operators.slurm.lookout import look_at_queue
from orchestrator.operators.slurm.sites import AwayError, Site
from orchestrator.operators.slurm.states import Phase

# A cancelled job that is still there is cancelled again after so long.
_CANCEL_AGAIN_SEC = 60.0


def shown_by(site: Site, *, not_before: float) -> tuple[tuple[QueueRow, ...] | None, float]:
    """Give the rows of the site's queue, and the second of the machine's uptime at which somebody asked for them.

    The rows are None where whoever asked was ended before the answer came. Raises `AwayError`.
    """
    look = look_at_queue(site.identity, lambda: _ask_queue(site), not_before=not_before)
    return None if look.text is None else read_queue(look.text), look.at_sec


def see(attempts: Iterable[Held], rows: Sequence[QueueRow], at_sec: float) -> Iterator[Sighting]:
    """Take what the queue shows of each job, by its name: an id may be another job's.

    Other jobs of the name are doubles, and say nothing of the attempt as long as its own may be there.
    """
    shown: dict[tuple[str, int | None], list[QueueRow]] = defaultdict(list)
    for row in rows:
        shown[row.name, row.index].append(row)
    for held in attempts:
        if held.stage is not Stage.THERE:
            continue
        found = shown[held.known_job.key, held.index]
        own = [row for row in found if row.job_id == held.job_id]
        held.others = tuple(row.job_id for row in found if row.state.phase is not Phase.ENDED and row not in own)
        held.saw(own, at_sec)
        if own and held.ended_as is None:
            yield from held.news(*held.standing(own[0]))


def cancel_unwanted(site: Site, attempts: Iterable[Held]) -> None:
    """Cancel jobs that the queue has shown by their names; whether they have ended is for the queue to say.

    Raises `AwayError`.
    """
    again = up_sec() - _CANCEL_AGAIN_SEC
    due = [held for held in attempts if held.is_unwanted and held.shown_ids and held.cancelled_at <= again]
    if due:
        site.command(cancelling([job_id for held in due for job_id in held.shown_ids]))
        for held in due:
            held.cancelled_at = up_sec()


def _ask_queue(site: Site) -> str:
    told = site.command(QUEUE)
    if told is None or told.exit_code != 0:
        said = "nothing" if told is None else told.stderr.strip() or f"exit code {told.exit_code}"
        raise AwayError(f"squeue said {said}", may_have_arrived=False)
    return told.stdout
