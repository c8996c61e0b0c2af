"""Look whether a cluster can carry out what is wired to it; nothing that was tried there stays."""

from __future__ import annotations

import re
import shlex
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from orchestrator.errors import HostKeyError, ScriptletError, SiteAwayError, UsageError
from orchestrator.operators.findings import Finding, Verdict
from orchestrator.operators.slurm.answers import (
    Forecast,
    PartitionRow,
    Settings,
    read_forecast,
    read_partitions,
    read_settings,
)
from orchestrator.operators.slurm.asking import CONFIGURATION, PARTITIONS, Answer
from orchestrator.operators.slurm.directives import Demand, directives, duration_text
from orchestrator.operators.slurm.refusals import advice_on
from orchestrator.operators.slurm.sites import AwayError, Site, expanded
from orchestrator.wiring.model import SlurmBackend, poll_floor_sec

SKEW_SEC = 60.0
LEAST_FREE_KB = 1024 * 1024

_NEEDED = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")
_ACCOUNTING = ("sacct", "-X", "-n", "-P", "-S", "now", "-o", "JobID")
_SETUP_SEC = 30.0
_MINUTE_SEC = 60.0
# What is asked for is told in whole seconds, a moment later.
_TICK_SEC = 2.0
_OLDEST_PYTHON = (3, 8)
_VERSION = re.compile(r"Python (\d+)\.(\d+)(\S*)")
_LOOK = """\
LC_ALL=C; export LC_ALL
printf 'now %s\\n' "$(date +%s)"
for program in {programs}; do
  command -v "$program" > /dev/null 2>&1 && printf 'has %s\\n' "$program"
done
printf 'python %s\\n' "$({python} 2>&1 < /dev/null | tail -n 1)"
if command -v quota > /dev/null 2>&1; then
  quota -q 2> /dev/null | sed -n 's/^/quota /p'
fi
"""
_TELL_SETUP = "printf '\\nsetup %s\\n' \"$?\""
# Tried where the folder is, or will be made; what was tried is gone whatever comes of it.
_TRY = """\
LC_ALL=C; export LC_ALL
root={root}
folder=$root
while test ! -e "$folder" && test "$folder" != /; do folder=$(dirname -- "$folder"); done
printf 'folder %s\\n' "$folder"
trial=$folder/.ms-check-$$
trap 'rm -rf -- "$trial"' EXIT
trap 'exit 1' HUP INT TERM
said=$( (umask 077; mkdir -- "$trial" && head -c 65536 /dev/zero > "$trial/file") 2>&1)
size=$(wc -c < "$trial/file" 2> /dev/null)
test "${{size:-0}}" -eq 65536 || printf 'refused %s\\n' "$(printf '%s' "$said" | tail -n 1)"
printf 'free %s\\n' "$(df -Pk "$folder" 2> /dev/null | tail -n 1)"
"""


def check(site: Site, backend: SlurmBackend) -> Iterator[Finding]:
    """Look at a cluster, thing by thing; where it cannot be reached, that is all there is to say."""
    if away := _reached(site, backend):
        yield away
        return
    yield Finding(what="reach", found=f"logged in to {site.name}" if backend.ssh else site.name)
    if backend.ssh is not None:
        yield Finding(what="host key", found="known")
    try:
        yield from _environment(site, backend)
        yield from _folder(site, backend)
        yield from _slurm(site, backend)
    except AwayError as error:
        todo = "try again; where it stays so, log in by hand and see"
        yield Finding(what="answers", verdict=Verdict.FAIL, found=str(error), todo=todo)


def _reached(site: Site, backend: SlurmBackend) -> Finding | None:
    """Open the way to the site; say what stands in the way, where something does."""
    try:
        site.open()
    except HostKeyError as error:
        return Finding(what="host key", verdict=Verdict.FAIL, found=error.message, todo=error.hint)
    except (SiteAwayError, UsageError) as error:
        host = backend.ssh.host if backend.ssh else ""
        todo = error.hint if error.hint != "it is tried again" else f"see that 'ssh {host}' works"
        return Finding(what="reach", verdict=Verdict.FAIL, found=error.message, todo=todo)
    return None


def _environment(site: Site, backend: SlurmBackend) -> Iterator[Finding]:
    """Look at the login's programs, its Python, its quota and the clock."""
    asked_at = time.time()
    told = _told(site.ask(_LOOK.format(programs=" ".join((*_NEEDED, "sacct")), python=_python(backend))))
    yield _programs(told["has"])
    if backend.slurm.setup:
        setup = _setup(site, backend.slurm.setup)
        yield setup
        if setup.verdict is Verdict.FAIL:
            return
    yield _version(backend, " ".join(told["python"]))
    yield _clock(told["now"], (asked_at + time.time()) / 2)
    if told["quota"]:
        found = " ".join(" ".join(told["quota"]).split())[:200]
        yield Finding(what="quota", verdict=Verdict.WARN, found=found, todo="remove what is not needed there")


def _programs(found: Iterable[str]) -> Finding:
    missing = [name for name in _NEEDED if name not in set(found)]
    if not missing:
        return Finding(what="programs", found=", ".join(_NEEDED))
    todo = "let a login by SSH find them: set PATH in ~/.profile and ~/.bashrc there, before any 'return'"
    return Finding(what="programs", verdict=Verdict.FAIL, found=f"not found: {', '.join(missing)}", todo=todo)


def _python(backend: SlurmBackend) -> str:
    """Give a command that tells the version of the Python that runs scriptlets, after the wiring's setup."""
    tell = f"{backend.python} --version"
    if not backend.slurm.setup:
        return tell
    return shlex.join(["bash", "-l", "-c", f"{backend.slurm.setup}\nexec {tell}"])


def _setup(site: Site, setup: str) -> Finding:
    """Run the wiring's setup as a job would, whose step does not run where its last command fails."""
    what, todo = "setup", "mend slurm.setup: try it there in 'bash -l'"
    script = shlex.join(["bash", "-l", "-c", f"{setup}\n{_TELL_SETUP}"])
    try:
        *said, last = site.ask(f"{script} 2>&1 < /dev/null | tail -n 20", deadline_sec=_SETUP_SEC).splitlines() or [""]
    except AwayError as error:
        return Finding(what=what, verdict=Verdict.FAIL, found=str(error), todo=todo)
    words = " ".join(" ".join(said).split())[-200:]
    if last == "setup 0":
        return Finding(what=what, found="runs")
    if last.startswith("setup "):
        how = f"its last command ends with {last.removeprefix('setup ')}"
    else:
        how, words = "it ends the shell", f"{words} {last}"
    found = f"{how}, so that no step runs: {words}".strip(" :")
    return Finding(what=what, verdict=Verdict.FAIL, found=found, todo=todo)


def _version(backend: SlurmBackend, said: str) -> Finding:
    found = _VERSION.fullmatch(said.strip())
    if found and (int(found[1]), int(found[2])) >= _OLDEST_PYTHON:
        return Finding(what="python", found=f"{backend.python} is {found[1]}.{found[2]}{found[3]}")
    todo = "name a Python 3.8 or later as backend.python, or load one in slurm.setup; steps of type shell need none"
    return Finding(what="python", verdict=Verdict.FAIL, found=said.strip() or f"no {backend.python}", todo=todo)


def _clock(told: list[str], here: float) -> Finding:
    if not told or not told[0].isdecimal():
        return Finding(what="clock", verdict=Verdict.WARN, found="its time is not known", todo="see 'date' there")
    ahead = float(told[0]) - here
    if abs(ahead) <= SKEW_SEC:
        return Finding(what="clock", found="as here" if abs(ahead) < _TICK_SEC else f"{ahead:+.0f} s from the one here")
    todo = "let NTP set the clocks; times of jobs and of this machine do not fit together meanwhile"
    return Finding(what="clock", verdict=Verdict.WARN, found=f"{ahead:+.0f} s from the one here", todo=todo)


def _folder(site: Site, backend: SlurmBackend) -> Iterator[Finding]:
    """Try to write where attempts get their folders, and see how much room there is."""
    what = "workspace_root"
    try:
        told = _told(site.ask(_TRY.format(root=expanded(backend.workspace_root))))
    except AwayError as error:
        todo = "name an absolute folder of yours as workspace_root"
        yield Finding(what=what, verdict=Verdict.FAIL, found=str(error), todo=todo)
        return
    folder = " ".join(told["folder"])
    if told["refused"]:
        todo = "name a folder as workspace_root in which you may write, and see the quota there"
        found = f"cannot write in {folder}: {' '.join(told['refused'])}".rstrip(": ")
        yield Finding(what=what, verdict=Verdict.FAIL, found=found, todo=todo)
        return
    yield Finding(what=what, found=f"can write in {folder}")
    if (free_kb := _free_kb(told["free"])) is not None:
        found = f"{free_kb / 1024**2:.1f} GB free in {folder}"
        if free_kb < LEAST_FREE_KB:
            yield Finding(what="space", verdict=Verdict.WARN, found=found, todo="remove what is not needed there")
        else:
            yield Finding(what="space", found=found)


def _free_kb(told: list[str]) -> int | None:
    """Give what is free, in KiB, of a line of ``df -P``; the name of the file system may hold blanks."""
    found = re.search(r"\s(\d+)\s+(\d+)\s+(\d+)\s+\d+%\s", " ".join(told))
    return int(found[3]) if found else None


def _slurm(site: Site, backend: SlurmBackend) -> Iterator[Finding]:
    """Ask the controller how it is set up, what its partitions allow, and whether it would take on a job."""
    answer = site.command(CONFIGURATION)
    if answer is None or answer.exit_code:
        todo = "see 'scontrol ping' there; runs wait until the controller answers"
        yield Finding(what="slurm", verdict=Verdict.FAIL, found=_said(answer), todo=todo)
        return
    settings = read_settings(answer.stdout)
    yield Finding(what="slurm", found=" ".join(part for part in (settings.version, settings.cluster) if part))
    yield from _memory(settings, backend)
    yield from _accounting(site, settings)
    yield from _partitions(site, backend)
    yield _trial(site, backend)


def _memory(settings: Settings, backend: SlurmBackend) -> Iterator[Finding]:
    """Look whether Slurm forgets jobs before they are seen to have ended."""
    age = settings.min_job_age_sec
    if age is None or backend.poll_every <= age / 2:
        return
    found = f"ended jobs are forgotten after {age:g} s, and looked for every {backend.poll_every:g} s"
    if age / 2 < poll_floor_sec():
        yield Finding(what="poll_every", found=f"{found}: how they ended is told by what they left")
        return
    todo = f"set backend.poll_every to {age / 2:g}s or less, where the site allows it"
    yield Finding(what="poll_every", verdict=Verdict.WARN, found=found, todo=todo)


def _accounting(site: Site, settings: Settings) -> Iterator[Finding]:
    if not settings.has_accounting:
        yield Finding(what="accounting", found="none: how jobs ended is told by the queue and by what they left")
        return
    answer = site.command(_ACCOUNTING, deadline_sec=20.0)
    if answer is not None and answer.exit_code == 0:
        yield Finding(what="accounting", found="answers")
        return
    todo = "runs go on without it; jobs that the queue forgets meanwhile are known by what they left"
    yield Finding(what="accounting", verdict=Verdict.WARN, found=_said(answer), todo=todo)


def _partitions(site: Site, backend: SlurmBackend) -> Iterator[Finding]:
    answer = site.command(PARTITIONS)
    if answer is None or answer.exit_code:
        yield Finding(what="partition", verdict=Verdict.WARN, found=_said(answer), todo="see 'sinfo' there")
        return
    rows: Mapping[str, list[PartitionRow]] = defaultdict(list)
    for row in read_partitions(answer.stdout):
        rows[row.name].append(row)
    wanted = backend.slurm.partition.split(",") if backend.slurm.partition else list(rows)
    for name in wanted:
        yield _partition(name, rows.get(name, []), list(rows))


def _partition(name: str, rows: list[PartitionRow], known: list[str]) -> Finding:
    if not rows:
        todo = f"name one of these as slurm.partition: {', '.join(known)}"
        return Finding(what="partition", verdict=Verdict.FAIL, found=f"there is no partition {name}", todo=todo)
    limits = [row.limit_sec for row in rows if row.limit_sec is not None]
    limit = f"at most {duration_text(min(limits))}" if limits else "no time limit"
    shapes = [f"{row.nodes} x {row.cores} cores, {row.memory_mb / 1024:.3g} GB{_of(row.gres)}" for row in rows]
    found = f"{name}: {'; '.join(shapes)}; {limit}"
    if all(row.is_up for row in rows):
        return Finding(what="partition", found=found)
    return Finding(what="partition", verdict=Verdict.WARN, found=f"{found}; down", todo="jobs wait until it is up")


def _of(gres: str) -> str:
    return f", {gres}" if gres else ""


def _trial(site: Site, backend: SlurmBackend) -> Finding:
    """Ask whether a job of one core and one minute would be taken on as the wiring has it; none is submitted."""
    what = "sbatch --test-only"
    try:
        options = directives(Demand(slurm=backend.slurm, resources={"cores": 1}, limit_sec=_MINUTE_SEC))
    except ScriptletError as error:
        return Finding(what=what, verdict=Verdict.FAIL, found=error.message, todo=error.hint)
    answer = site.command(("sbatch", "--test-only", *options, "--wrap=true"))
    forecast = read_forecast(answer.stderr) if answer else None
    if answer is None or answer.exit_code or forecast is None or forecast.refusal:
        refusal = forecast.refusal if forecast and forecast.refusal else _said(answer)
        todo = advice_on(refusal) or "mend the backend's 'slurm' in operators.yaml"
        return Finding(what=what, verdict=Verdict.FAIL, found=refusal, todo=todo)
    return Finding(what=what, found=_start(forecast))


def _start(forecast: Forecast) -> str:
    at = f" at {forecast.starts}" if forecast.starts else ""
    return f"a small job would start{at} in partition {forecast.partition}"


def _said(answer: Answer | None) -> str:
    if answer is None:
        return "no whole answer came"
    return " ".join(answer.stderr.split())[-300:] or f"exit code {answer.exit_code}"


def _told(text: str) -> defaultdict[str, list[str]]:
    """Give what lines tell by their first words."""
    told: defaultdict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if rest:
            told[name].append(rest)
    return told
