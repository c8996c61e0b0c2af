"""Take jobs on, or refuse them, in the words of sbatch."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from orchestrator.testing.fake_slurm.cluster import ACTIVE, Cluster, signal_of
from orchestrator.testing.fake_slurm.replies import Options, RefusedError, Reply, read_options, trouble
from orchestrator.testing.fake_slurm.times import local_time, read_minutes

NAMES = {
    "J": "job-name",
    "p": "partition",
    "A": "account",
    "q": "qos",
    "t": "time",
    "c": "cpus-per-task",
    "n": "ntasks",
    "N": "nodes",
    "o": "output",
    "e": "error",
    "a": "array",
    "d": "dependency",
    "D": "chdir",
    "C": "constraint",
    "w": "nodelist",
    "x": "exclude",
    "L": "licenses",
    "M": "clusters",
    "i": "input",
    "b": "begin",
    "G": "gpus",
    **{
        name: name
        for name in ("comment", "open-mode", "signal", "mem", "gres", "reservation", "export", "wrap", "nice")
    },
    **{name: name for name in ("deadline", "mail-type", "mail-user", "mem-per-cpu", "ntasks-per-node")},
}
FLAGS = {
    "H": "hold",
    "W": "wait",
    **{name: name for name in ("parsable", "requeue", "no-requeue", "test-only", "exclusive", "kill-on-invalid-dep")},
}
_VARIABLES = {"SBATCH_PARTITION": "partition", "SBATCH_ACCOUNT": "account", "SBATCH_TIMELIMIT": "time"}
_MOST_BYTES = 4 * 1024 * 1024
_ARRAY = re.compile(r"(\d+)(?:-(\d+)(?::(\d+))?)?")
_FAILED = "Batch job submission failed: "
_SHAPE = "Requested node configuration is not available"
_PROCESSORS = "More processors requested than permitted"


def sbatch(cluster: Cluster, words: Sequence[str]) -> Reply:
    """Take a job on and tell its number; a cluster that hangs takes it on as well."""
    given = read_options("sbatch", words, NAMES, FLAGS, ends_at_word=True)
    script, text = _script(given)
    options = _all_options(given, text)
    state = cluster.setting("controller")
    if state == "down":
        raise _late(cluster)
    is_test = "test-only" in options
    try:
        wanted = _wanted(cluster, options, text)
    except RefusedError as refusal:
        raise _as_test(refusal) if is_test else refusal from None
    if is_test:
        return _forecast(cluster, wanted)
    raw_id = _enter(cluster, options, wanted, script, text)
    if state == "hung":
        raise _late(cluster)
    cluster.advance()
    told = f"{raw_id}\n" if "parsable" in options else f"Submitted batch job {raw_id}\n"
    return Reply(stdout=told)


def _script(given: Options) -> tuple[tuple[str, ...], str]:
    """Give the script's command and its text."""
    if "wrap" in given:
        return ("wrap",), f"#!/bin/sh\n# This script was created by sbatch --wrap.\n\n{given.get('wrap')}\n"
    if not given.rest:
        return ("sbatch",), _checked(sys.stdin.buffer.read())
    try:
        return given.rest, _checked(Path(given.rest[0]).read_bytes())
    except OSError:
        raise RefusedError(f"sbatch: error: Unable to open file {given.rest[0]}") from None


def _checked(content: bytes) -> str:
    if not content:
        raise RefusedError("sbatch: error: Batch script is empty!")
    if not content.startswith(b"#!"):
        text = "This does not look like a batch script.  The first"
        rest = "line must start with #! followed by the path to an interpreter.\nsbatch: error: For instance: #!/bin/sh"
        raise RefusedError(f"sbatch: error: {text}\nsbatch: error: {rest}")
    if b"\r\n" in content:
        what = "Batch script contains DOS line breaks (\\r\\n)"
        raise RefusedError(f"sbatch: error: {what}\nsbatch: error: instead of expected UNIX line breaks (\\n).")
    if len(content) > _MOST_BYTES:
        raise RefusedError(f"sbatch: error: {_FAILED}Pathname of a file, directory or other parameter too long")
    return content.decode("utf-8", "surrogateescape")


def _all_options(given: Options, text: str) -> Options:
    """Give what the command, the variables and the script say; the first of them wins."""
    of_script: list[str] = []
    for line in text.splitlines():
        if line.startswith("#SBATCH"):
            of_script.extend(line.removeprefix("#SBATCH").split("#")[0].split())
        elif line.strip() and not line.startswith("#"):
            break
    below = read_options("sbatch", of_script, NAMES, FLAGS).values
    variables = {name: os.environ[key] for key, name in _VARIABLES.items() if key in os.environ}
    return replace(given, values={**below, **variables, **given.values})


def _wanted(cluster: Cluster, options: Options, text: str) -> dict[str, Any]:
    """Give what a job asks for; raise `RefusedError` where it cannot have that."""
    del text
    if refusal := cluster.setting("refusal"):
        raise RefusedError(f"sbatch: error: {refusal}")
    partitions = cluster.setting("partitions")
    name = options.get("partition", next(iter(partitions)))
    if name not in partitions:
        head = f"sbatch: error: invalid partition specified: {name}\n"
        raise RefusedError(f"{head}sbatch: error: {_FAILED}Invalid partition name specified")
    partition = partitions[name]
    wanted = {
        "partition": name,
        "account": options.get("account", cluster.setting("accounts")[0]),
        "minutes": _minutes(options, partition),
        "cores": _count(options, "cpus-per-task") * _count(options, "ntasks"),
        "memory_mb": _megabytes(options.get("mem", "100")),
        "tasks": _tasks(cluster, options),
    }
    for fault in _faults(cluster, options, wanted):
        raise RefusedError(fault if fault.startswith("sbatch") else f"sbatch: error: {_FAILED}{fault}")
    return wanted


def _faults(cluster: Cluster, options: Options, wanted: dict[str, Any]) -> Iterator[str]:
    """Give what keeps the cluster from taking a job on, in Slurm's words."""
    partition = cluster.setting("partitions")[wanted["partition"]]
    if wanted["account"] not in cluster.setting("accounts"):
        yield "Invalid account or account/partition combination specified"
    if options.get("qos", "normal") != "normal":
        yield "Invalid qos specification"
    if partition["state"] == "drain":
        yield "Required partition not available (inactive or drain)"
    yield from _unknown_names(cluster, options)
    if not set(partition["nodes"]) - set(options.get("exclude").split(",")):
        yield _SHAPE
    if cluster.setting("enforce_limits"):
        yield from _too_much(cluster, options, wanted)
    most = cluster.setting("max_submit")
    if most is not None and _active(cluster) + len(wanted["tasks"]) > most:
        policy = "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
        yield f"sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: {_FAILED}{policy}"


def _unknown_names(cluster: Cluster, options: Options) -> Iterator[str]:
    nodes = cluster.setting("nodes")
    named = [*options.get("nodelist").split(","), *options.get("exclude").split(",")]
    if any(name not in nodes for name in named if name):
        yield "Invalid node name specified"
    if any(name not in cluster.setting("features") for name in re.split(r"[&|,]", options.get("constraint")) if name):
        yield "Invalid feature specification"
    if "licenses" in options:
        yield "Invalid license specification"
    if "reservation" in options:
        yield "Requested reservation is invalid"
    if options.get("gres").partition(":")[0] not in ("", "gpu"):
        yield "sbatch: error: Invalid generic resource (gres) specification"
    if "dependency" in options and not re.fullmatch(r"after\w*:\d+(:\d+)*", options.get("dependency")):
        yield "Job dependency problem"


def _too_much(cluster: Cluster, options: Options, wanted: dict[str, Any]) -> Iterator[str]:
    partition = cluster.setting("partitions")[wanted["partition"]]
    nodes = [cluster.setting("nodes")[name] for name in partition["nodes"]]
    if wanted["minutes"] > partition["limit"]:
        yield "Requested time limit is invalid (missing or exceeds some limit)"
    asked = _count(options, "nodes")
    if asked > len(cluster.setting("nodes")) or wanted["cores"] > sum(node["cores"] for node in nodes):
        yield _PROCESSORS
    if asked > len(nodes):
        yield "Node count specification invalid"
    failed = f"sbatch: error: {_FAILED}{_SHAPE}"
    if wanted["memory_mb"] > max(node["memory_mb"] for node in nodes):
        yield f"sbatch: error: Memory specification can not be satisfied\n{failed}"
    if wanted["cores"] > max(node["cores"] for node in nodes):
        yield f"sbatch: error: CPU count per node can not be satisfied\n{failed}"
    gpus = options.get("gres").rpartition(":")[2] if "gres" in options else options.get("gpus")
    if gpus.isdecimal() and int(gpus) > max(node["gpus"] for node in nodes):
        yield _SHAPE


def _minutes(options: Options, partition: dict[str, Any]) -> float:
    if "time" not in options:
        return float(partition["default"])
    try:
        return read_minutes(options.get("time"))
    except ValueError:
        raise RefusedError("sbatch: error: Invalid --time specification", 255) from None


def _count(options: Options, name: str) -> int:
    text = options.get(name, "1")
    if not text.isdecimal() or int(text) < 1:
        raise RefusedError(f'sbatch: error: Invalid numeric value "{text}" for --{name}.', 255)
    return int(text)


def _megabytes(text: str) -> int:
    found = re.fullmatch(r"(\d+)([KMGT]?)B?", text, re.IGNORECASE)
    if found is None:
        raise RefusedError("sbatch: error: Invalid --mem specification", 255)
    return int(int(found[1]) * {"K": 1 / 1024, "": 1, "M": 1, "G": 1024, "T": 1024**2}[found[2].upper()])


def _tasks(cluster: Cluster, options: Options) -> list[int | None]:
    """Give the numbers of an array; of a job that is none, one without a number."""
    if "array" not in options:
        return [None]
    tasks: list[int | None] = []
    for part in options.get("array").split(","):
        found = _ARRAY.fullmatch(part)
        numbers = range(int(found[1]), int(found[2] or found[1]) + 1, int(found[3] or 1)) if found else range(0)
        if not numbers or numbers[-1] >= cluster.setting("max_array_size"):
            raise RefusedError(f"sbatch: error: {_FAILED}Invalid job array specification")
        tasks.extend(numbers)
    return tasks


def _enter(cluster: Cluster, options: Options, wanted: dict[str, Any], script: Sequence[str], text: str) -> int:
    """Enter a job, with a copy of its script, and give its number."""
    raw_id = cluster.next_id()
    copy = cluster.folder / f"job{raw_id}" / "slurm_script"
    copy.parent.mkdir(exist_ok=True)
    copy.write_text(text, encoding="utf-8", errors="surrogateescape")
    copy.chmod(0o700)
    output = "slurm-%A_%a.out" if "array" in options else "slurm-%j.out"
    values = {
        "raw_id": raw_id,
        "array_id": raw_id,
        "name": options.get("job-name", Path(script[0]).name),
        "comment": options.get("comment"),
        "script": str(copy),
        "arguments": json.dumps(list(script[1:])),
        "folder": str(Path(options.get("chdir") or ".").absolute()),
        "environment": json.dumps(dict(os.environ)),
        "output": options.get("output", output),
        "appends": options.get("open-mode") == "append",
        "signal": _signal(options),
        "may_requeue": "no-requeue" not in options,
        "state": "PENDING",
        "reason": "None",
        "submitted": cluster.now,
        "held": "hold" in options,
        "excluded": options.get("exclude"),
        **{name: value for name, value in wanted.items() if name != "tasks"},
    }
    for task in wanted["tasks"]:
        row = {**values, "task": task}
        columns, marks = ", ".join(row), ", ".join("?" * len(row))
        cluster.rows.execute(f"INSERT INTO jobs ({columns}) VALUES ({marks})", list(row.values()))  # noqa: S608  ours
    return raw_id


def _signal(options: Options) -> str:
    """Give the signal before the end of the time as ``B:10@60``; empty for none."""
    if "signal" not in options:
        return ""
    name, _, before = options.get("signal").removeprefix("B:").partition("@")
    return f"B:{signal_of(name)}@{before or 60}"


def _forecast(cluster: Cluster, wanted: dict[str, Any]) -> Reply:
    node = cluster.setting("partitions")[wanted["partition"]]["nodes"][0]
    where = f"using {wanted['cores']} processors on nodes {node} in partition {wanted['partition']}"
    return Reply(stderr=f"sbatch: Job {cluster.next_id()} to start at {local_time(cluster.now)} {where}\n")


def _as_test(refusal: RefusedError) -> RefusedError:
    failed = f"sbatch: error: {_FAILED}"
    text = refusal.reply.stderr.rstrip("\n").replace(failed, "allocation failure: ")
    return RefusedError(text, refusal.reply.exit_code)


def _late(cluster: Cluster) -> RefusedError:
    return RefusedError(f"sbatch: error: {_FAILED}{trouble(cluster)}", after_sec=cluster.setting("patience_sec"))


def _active(cluster: Cluster) -> int:
    return sum(job["state"] in ACTIVE for job in cluster.jobs())
