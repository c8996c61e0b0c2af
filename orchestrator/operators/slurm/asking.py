"""Ask a site by a script for its POSIX shell, and read the answer out of whatever else is printed there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from orchestrator.errors import ScriptletError
from orchestrator.layout import OWN
from orchestrator.operators.slurm.names import ARRAY_LOG, JOB, LOCK, LOG, SCRIPT, of_turn

QUEUE_FORMAT = "%A|%F|%K|%T|%r|%S|%e|%N|%j"
ACCOUNT_FIELDS = "JobID,JobIDRaw,JobName,State,ExitCode,Submit,Start,End,ElapsedRaw,NodeList"
PARTITION_FORMAT = "%R|%a|%l|%s|%D|%c|%m|%G"

QUEUE = ("squeue", "-h", "--me", "-t", "all", "-r", "-o", QUEUE_FORMAT)
CONFIGURATION = ("scontrol", "show", "config")
PARTITIONS = ("sinfo", "-h", "-o", PARTITION_FORMAT)

# What a submission answers while another one is under way in the same directory.
BUSY = 75

_MARK = re.compile(r"[A-Za-z0-9._-]+")
_CLEANING = """\
for name in $(env | sed -n \
-e 's/^\\(SQUEUE_[A-Za-z0-9_]*\\)=.*/\\1/p' -e 's/^\\(SBATCH_[A-Za-z0-9_]*\\)=.*/\\1/p' \
-e 's/^\\(SACCT_[A-Za-z0-9_]*\\)=.*/\\1/p' -e 's/^\\(SCANCEL_[A-Za-z0-9_]*\\)=.*/\\1/p' \
-e 's/^\\(SINFO_[A-Za-z0-9_]*\\)=.*/\\1/p'); do
  unset "$name"
done
unset SLURM_TIME_FORMAT
TZ=UTC LC_ALL=C
export TZ LC_ALL
"""
_ASK = """\
ask() {
  printf '\\n%s begin\\n' "$mark"
  { told=$("$@" 2>&1 >&3 3>&- </dev/null); rc=$?; } 3>&1
  printf '\\n%s stderr\\n%s\\n%s end %s\\n' "$mark" "$told" "$mark" "$rc"
}
"""
# A lock that a killed one left is taken away after ten minutes, where there is no flock to do so at once.
_SUBMISSION = """\
submit() {{
  mkdir -p {own} || return 1
  if command -v flock >/dev/null 2>&1; then
    exec 9>{lock}
    flock -w 30 9 || {{ echo 'another submission is under way' >&2; return {busy}; }}
    submit_once
  else
    find {lock}.d -prune -mmin +10 -exec rmdir {{}} ';' 2>/dev/null
    mkdir {lock}.d 2>/dev/null || {{ echo 'another submission is under way' >&2; return {busy}; }}
    submit_once
    set -- $?
    rmdir {lock}.d
    return "$1"
  fi
}}
submit_once() {{
  held=
  test ! -s {job} || read -r held < {job}
  if test -n "$held"; then
    printf '%s\\n' "$held"
    return 0
  fi
  avoid={avoid}
  test -z "$avoid" || {sbatch} --test-only "$avoid" {script} > /dev/null 2>&1 9>&- || avoid=
  answer=$({sbatch} ${{avoid:+"$avoid"}} {script} 9>&-) || {{ rc=$?; printf '%s\\n' "$answer"; return "$rc"; }}
  id=$(printf '%s\\n' "$answer" | sed -n 's/^\\([0-9]\\{{1,10\\}}\\)\\(;[^[:blank:]]*\\)*$/&/p' | tail -n 1)
  test -z "$id" || {{ printf '%s\\n' "$id" > {own}/.job && mv -f {own}/.job {job}; }}
  printf '%s\\n' "$answer"
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job to be submitted from an absolute ``folder`` of the site, where its script lies.

    ``signal`` reaches it ``before_sec`` seconds before the end of its time. An array has the ``tasks`` of these
    numbers, in rising order. The nodes of the list ``avoid`` are left out if any others may do.
    """

    key: str
    folder: str
    tasks: Sequence[int] = ()
    signal: str | None = None
    before_sec: int = 0
    turn: int = 0
    avoid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a program of the site answered, whole."""

    exit_code: int
    stdout: str
    stderr: str


def accounting(*, ids: Sequence[str] = (), name: str = "", since: str = "") -> tuple[str, ...]:
    """Give the command that asks for ended jobs, by ids, or by a name since a time of UTC (``YYYY-MM-DDTHH:MM``)."""
    which = [f"--jobs={','.join(ids)}"] if ids else [f"--name={name}", f"--starttime={since}"]
    return ("sacct", "-X", "-n", "-P", "-D", *which, "-o", ACCOUNT_FIELDS)


def cancelling(ids: Sequence[str], *, only_waiting: bool = False) -> tuple[str, ...]:
    """Give the command that cancels jobs; that it succeeds says nothing of them.

    With ``only_waiting``, those that have begun go on.
    """
    return ("scancel", *(("--state=PENDING",) if only_waiting else ()), *ids)


def question(command: Sequence[str], mark: str) -> str:
    """Give a script that runs a command free of the user's own settings, in UTC; `answer` reads what it prints.

    ``mark`` is a word that nobody else prints, such as a random number.
    """
    return f"{_CLEANING}{_opening(mark)}ask {shlex.join(command)}\n"


def submission(asked: Submission, mark: str) -> str:
    """Give a script that submits a job, unless it was submitted from its folder before, and prints its id.

    It may run any number of times, also side by side. Raises `ScriptletError` for a folder that is not absolute.
    """
    return _CLEANING + _submission(asked, mark)


def submissions(asked: Iterable[tuple[Submission, str]]) -> str:
    """Give a script that submits several jobs, each with the mark of its own answer, as `submission` does one."""
    return _CLEANING + "".join(f"({_submission(one, mark)})\n" for one, mark in asked)


def forecast_of(script: str) -> tuple[str, ...]:
    """Give the command that asks when a script would start, and submits nothing."""
    return ("sbatch", "--test-only", script)


def answer(text: str, mark: str) -> Answer | None:
    """Read the answer out of what a site printed; None where it is not there, or not whole."""
    _, begun, rest = text.rpartition(f"\n{mark} begin\n")
    stdout, told, rest = rest.partition(f"\n{mark} stderr\n")
    ended = re.search(rf"\n{re.escape(mark)} end (\d+)\n", f"\n{rest}")
    if not begun or not told or ended is None:
        return None
    return Answer(exit_code=int(ended[1]), stdout=stdout, stderr=rest[: max(0, ended.start() - 1)])


def _submission(asked: Submission, mark: str) -> str:
    if not asked.folder.startswith("/") or "\0" in asked.folder or "\n" in asked.folder:
        hint = "give the wiring another workspace_root"
        raise ScriptletError(f"{asked.folder!r} is no absolute directory for a job", hint=hint, code="MS214")
    steps = _SUBMISSION.format(
        own=OWN,
        lock=LOCK,
        job=of_turn(JOB, asked.turn),
        busy=BUSY,
        sbatch=shlex.join(_sbatch(asked)),
        avoid=shlex.quote(f"--exclude={asked.avoid}" if asked.avoid else ""),
        script=SCRIPT,
    )
    place = f"enter() {{\n  cd -- {shlex.quote(asked.folder)} && submit\n}}\n"
    return f"{_opening(mark)}{steps}{place}ask enter\n"


def _opening(mark: str) -> str:
    if not _MARK.fullmatch(mark):
        raise ValueError(f"{mark!r} cannot mark an answer")
    return f"mark={mark}\n{_ASK}"


def _sbatch(asked: Submission) -> list[str]:
    return [
        "sbatch",
        "--parsable",
        f"--job-name={asked.key}",
        f"--comment={asked.key}",
        "--open-mode=append",
        "--no-requeue",
        *([f"--signal=B:{asked.signal}@{asked.before_sec}"] if asked.signal else []),
        *([f"--array={','.join(_ranges(asked.tasks))}"] if asked.tasks else []),
        f"--output={ARRAY_LOG if asked.tasks else LOG}",
    ]


def _ranges(numbers: Sequence[int]) -> Iterator[str]:
    """Give numbers in rising order as ``0-3`` and ``7``."""
    for _, run in groupby(enumerate(numbers), lambda one: one[1] - one[0]):
        first, *others = [number for _, number in run]
        yield f"{first}-{others[-1]}" if others else str(first)
