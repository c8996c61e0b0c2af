"""Say what an attempt's job came to, for the runner: its fault, its exit code, and what is kept of the job."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from orchestrator.clock import seconds_between
from orchestrator.jsonsafe import JsonValue
from orchestrator.operators.payload import collected
from orchestrator.operators.slurm.answers import AccountRow
from orchestrator.operators.slurm.ends import BAD_NODES, End, Ending, Record, ending
from orchestrator.operators.slurm.fetching import Shipment, shipment_of
from orchestrator.operators.slurm.holding import Held
from orchestrator.operators.slurm.leavings import Left
from orchestrator.operators.slurm.states import State
from orchestrator.workers.calls import Done


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt whose job has ended, what it came to, and what is to be brought home. ``told`` is kept of the job."""

    held: Held
    fault: str
    exit_code: int | None
    told: dict[str, JsonValue]
    shipment: Shipment
    wants_more: bool
    duration_sec: float

    def done(self) -> Done:
        """Read what was brought home; raises `InfrastructureError` where a file cannot be read."""
        done = collected(self.held.assignment, self.fault, self.duration_sec + _earlier_sec(self.held))
        jobs = [*self.held.earlier, *([self.told] if self.held.job_id else [])]
        data = {**done.operator_data, "jobs": jobs, "note": ""}
        if self.shipment.rejected:
            data["rejected_entries"] = [dict(one) for one in self.shipment.rejected]
        exit_code = self.exit_code if done.exit_code is None else done.exit_code
        return dataclasses.replace(done, exit_code=exit_code, operator_data=data)


def ended_of(held: Held, left: Left, state: State | None, account: AccountRow | None) -> Ended:
    """Say what the job of an attempt came to; without a ``state``, it was lost."""
    record = left.record
    came = None
    if state is not None:
        came = ending(
            state,
            reason=held.reason,
            exit_code=account.exit_code if account else None,
            signal=account.signal if account else None,
            record=record,
            log=left.log,
            has_claimed=bool(left.holder),
        )
    fault = held.given_up or _fault(held, came, left)
    is_failed = bool(fault) or came is None or came.exit_code != 0
    return Ended(
        held=held,
        fault=fault,
        exit_code=came.exit_code if came else None,
        told=_told(held, state, came, account),
        shipment=shipment_of(held, left, is_failed=is_failed),
        wants_more=_wants_more(held, came, record),
        duration_sec=_duration_sec(held, account),
    )


def _fault(held: Held, came: Ending | None, left: Left) -> str:
    if came is None or left.is_gone:
        return f"lost: its {'job is nowhere to be found' if came is None else 'directory on the cluster is gone'}"
    if came.end is End.EXITED and (left.record or came.exit_code):
        return ""
    if came.is_infrastructure or came.exit_code == 0:
        return f"lost: {came.text if came.is_infrastructure else 'its job left no record of its end'}"
    if came.end is End.TIMEOUT:
        limit_sec = held.assignment.work.get("limit_sec")
        after = f" after {limit_sec:g}s" if limit_sec else ""
        return f"timeout{after}: {came.text}"
    words = {End.OUT_OF_MEMORY: "oom: ", End.DEADLINE: "deadline: "}
    return f"{words.get(came.end, '')}{came.text}"


def _wants_more(held: Held, came: Ending | None, record: Record | None) -> bool:
    """Tell whether an attempt may go on in another job: it was told of the end of its time, or met it."""
    if came is None:
        return False
    signal = (held.assignment.work.get("on_walltime") or {}).get("signal")
    was_told = record is not None and signal in record.signals and record.exit_code != 0
    return came.end is End.TIMEOUT or (came.end is End.EXITED and was_told)


def _told(held: Held, state: State | None, came: Ending | None, account: AccountRow | None) -> dict[str, JsonValue]:
    nodes = held.nodes or (account.nodes if account else "")
    told: dict[str, JsonValue] = {
        "id": held.job_id,
        "state": state.word if state else "MISSING",
        "nodes": nodes,
        "started": held.started or (account.started if account else ""),
        "ended": held.ends or (account.ended if account else ""),
        "duration_sec": _duration_sec(held, account),
    }
    if came is not None and came.end in BAD_NODES and nodes:
        told["failed_nodes"] = nodes
    return told


def _earlier_sec(held: Held) -> float:
    """Give the seconds of the jobs that an attempt had before this one."""
    return sum(float(job.get("duration_sec", 0)) for job in held.earlier if isinstance(job, dict))


def _duration_sec(held: Held, account: AccountRow | None) -> float:
    if account and account.elapsed_sec is not None:
        return account.elapsed_sec
    if held.started and held.ends and held.ended_as is not None:
        return max(0.0, seconds_between(held.started, held.ends))
    return 0.0
