"""Say to Slurm what a job asks for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.errors import ScriptletError
from orchestrator.wiring.model import Slurm

_MB_PER_GB = 1024
_MINUTE_SEC = 60
_MOST_MINUTES = 2**31 - 1
# What a directive may hold: nothing that ends a line, or that Slurm takes for a quote or for the begin of a comment.
_VALUE = re.compile(r"[A-Za-z0-9_./:,=+@&|*()\[\]!%{}~^ -]+")
_OPTION = re.compile(r"--[a-z][a-z-]*(=.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a job asks for: by the wiring, by the step's resources and its time in seconds.

    ``resources`` holds ``cores``, ``memory_gb`` and ``gpus``.
    """

    slurm: Slurm
    resources: Mapping[str, float]
    limit_sec: float | None = None


def directives(demand: Demand) -> list[str]:
    """Give the options of sbatch, one a text; raise `ScriptletError` for a value that would be more than a value."""
    return [_checked(name, value) for name, value in _values(demand)] + [_extra(text) for text in demand.slurm.extra]


def duration_text(seconds: float) -> str:
    """Give a time limit as Slurm reads it: ``DAYS-HH:MM:00``, rounded up, since Slurm counts whole minutes."""
    minutes = min(max(1, math.ceil(seconds / _MINUTE_SEC)), _MOST_MINUTES)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:00"


def _values(demand: Demand) -> Iterator[tuple[str, str]]:
    slurm, asked = demand.slurm, demand.resources
    yield "ntasks", "1"
    yield "cpus-per-task", str(int(asked.get("cores", 1)))
    if memory := asked.get("memory_gb"):
        yield "mem", f"{math.ceil(memory * _MB_PER_GB)}M"
    if gres := _gres(slurm.gres or "", int(asked.get("gpus", 0))):
        yield "gres", gres
    if demand.limit_sec is not None:
        yield "time", duration_text(demand.limit_sec)
    for name in ("partition", "account", "qos", "constraint"):
        if value := getattr(slurm, name):
            yield name, value


def _gres(wired: str, gpus: int) -> str:
    """Give generic resources; as many GPUs as the step asks for, of the type that is wired."""
    parts = [part for part in wired.split(",") if part]
    if not gpus:
        return ",".join(parts)
    of_gpus = [part.split(":") for part in parts if part.split(":")[0] == "gpu"]
    kinds = [words[1] for words in of_gpus if len(words) > 1 and not words[1].isdecimal()]
    others = [part for part in parts if part.split(":")[0] != "gpu"]
    return ",".join([*others, ":".join(["gpu", *kinds[:1], str(gpus)])])


def _checked(name: str, value: str) -> str:
    if not _VALUE.fullmatch(value):
        raise _refused(f"slurm.{name}", value)
    return f"--{name}={value}"


def _extra(text: str) -> str:
    if not _OPTION.fullmatch(text) or not _VALUE.fullmatch(text):
        raise _refused("slurm.extra", text)
    return text


def _refused(place: str, value: str) -> ScriptletError:
    hint = "remove quotes, line breaks and other special characters from it, in operators.yaml"
    return ScriptletError(f"{place}: {value!r} is more than a value of sbatch", hint=hint, code="MS214")
