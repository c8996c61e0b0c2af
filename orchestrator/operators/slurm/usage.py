"""Read from Slurm's accounting what jobs used of what they asked for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.operators.slurm.asking import option_of
from orchestrator.operators.slurm.sites import AwayError, Site

FIELDS = ("JobID", "ElapsedRaw", "TotalCPU", "MaxRSS")

_ASK_SEC = 60.0
_MB = {"": 1 / 1024**2, "K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2}
_CPU = re.compile(r"(?:(?P<days>\d+)-)?(?P<clock>\d+(?::\d+){1,2})(?P<part>\.\d+)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one job used: wall time and processor time in seconds, its peak of memory in MB; None is not known."""

    elapsed_sec: float | None = None
    cpu_sec: float | None = None
    max_rss_mb: float | None = None


def usage_of(site: Site, ids: Sequence[str]) -> dict[str, Usage]:
    """Give what jobs used, by id, in one call; raises `AwayError`, also where there is no accounting."""
    told = site.command(("sacct", "-n", "-P", option_of(ids), "-o", ",".join(FIELDS)), deadline_sec=_ASK_SEC)
    if told is None or told.exit_code:
        said = " ".join(told.stderr.split())[-300:] if told else "no whole answer came"
        raise AwayError(f"{site.name}: sacct said {said or 'nothing'}", may_have_arrived=False)
    return read_usage(told.stdout)


def read_usage(text: str) -> dict[str, Usage]:
    """Give what jobs used: the time is the job's, the memory is that of the step of it that took most."""
    steps: dict[str, list[Usage]] = defaultdict(list)
    jobs: dict[str, Usage] = {}
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) != len(FIELDS) or not fields[0][:1].isdecimal():
            continue
        job_id, _, step = fields[0].partition(".")
        used = Usage(elapsed_sec=_number(fields[1]), cpu_sec=_seconds(fields[2]), max_rss_mb=_mb(fields[3]))
        steps[job_id].append(used)
        if not step:
            jobs[job_id] = used
    return dict(_together(jobs, steps))


def _together(jobs: dict[str, Usage], steps: dict[str, list[Usage]]) -> Iterator[tuple[str, Usage]]:
    for job_id, job in jobs.items():
        peaks = [used.max_rss_mb for used in steps[job_id] if used.max_rss_mb is not None]
        yield job_id, Usage(elapsed_sec=job.elapsed_sec, cpu_sec=job.cpu_sec, max_rss_mb=max(peaks) if peaks else None)


def _number(text: str) -> float | None:
    return float(text) if text.isdecimal() else None


def _seconds(text: str) -> float | None:
    """Read ``[DAYS-][HH:]MM:SS[.mmm]``."""
    found = _CPU.fullmatch(text)
    if found is None:
        return None
    seconds = 0.0
    for part in found["clock"].split(":"):
        seconds = seconds * 60 + int(part)
    return int(found["days"] or 0) * 86_400 + seconds + float(found["part"] or 0)


def _mb(text: str) -> float | None:
    found = _SIZE.fullmatch(text)
    return float(found[1]) * _MB[found[2]] if found else None
