"""Ask a site what attempts left there: how each ended, the end of Slurm's own log, and its files; and remove it.

Answers are read out of whatever else is printed: each part begins with a mark that nobody else prints.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from orchestrator.operators.slurm.ends import Record, read_record
from orchestrator.operators.slurm.names import ARRAY_LOG, CLAIM, EXIT, FOLDERS, JOBS, LOG, SECRETS, of_turn

# Of Slurm's log, only what it says at the end is of use.
_LOG_BYTES = 2000
_RECORD_BYTES = 4000
# One attempt alone fits into an answer.
_LIST_BYTES = 8 * 1024 * 1024

_LIST = """\
{mark_is}
cd -- {root} || exit 1
tell() {{
  printf '\\n%s attempt %s\\n' "$mark" "$1"
  cd -- "$2" 2>/dev/null || {{ test -e "$2" || printf 'gone\\n'; return; }}
  test ! -s "$3" || head -n 1 "$3"
  printf '\\n%s record\\n' "$mark"
  test ! -s "$4" || head -c {record_bytes} "$4"
  printf '\\n%s log\\n' "$mark"
  test ! -s "$5" || tail -c {log_bytes} "$5"
  printf '\\n%s files\\n' "$mark"
  find . ! -type d -printf '%y %n %s %P\\0' 2>/dev/null | head -c {list_bytes}
  printf '\\n%s end\\n' "$mark"
}}
{calls}"""
# The folder of an array goes with the last of the attempts that it lists.
_CLEAR = """\
clear() {{
  test -s "./$1/{listed}" || return 0
  while IFS= read -r folder; do test ! -e "$folder" || return 0; done < "./$1/{listed}"
  rm -rf -- "./$1"
}}
"""
_REMOVE = """\
cd -- {root} || exit 1
for folder in {folders}; do
  case $folder in
  /*|*..*|"") exit 1 ;;
  esac
  test ! -L "./${{folder%%/*}}" || continue
  rm -rf -- "./$folder"
done
{clear}for job in {jobs}; do
  test -L "./${{job%%/*}}" || clear "$job"
  rmdir -- "./${{job%%/*}}/{arrays}" "./${{job%%/*}}" 2>/dev/null
done
true
"""
# A job that never began, or that was ended by others, has left the secrets that it was given.
_FORGET = """\
cd -- {root} || exit 1
for folder in {folders}; do
  test -L "./${{folder%%/*}}" || rm -f -- "./$folder/{secrets}"
done
"""
# The day on which an attempt of these folders was fetched is that of the file; a full disk refuses it.
_KEEP = """\
for folder in {folders}; do
  test ! -d "./$folder" || (: > "./$folder/{kept}") 2>/dev/null
done
true
"""
_SWEEP = """\
cd -- {root} || exit 1
{clear}find . -mindepth 4 -maxdepth 4 -path './*/*/{kept}' -mtime +{days} 2>/dev/null | while IFS= read -r found; do
  attempt=${{found%/{kept}}}
  run=${{attempt%/*}}
  rm -rf -- "$attempt"
  find "$run/{arrays}" -mindepth 1 -maxdepth 1 -mtime +{days} 2>/dev/null |
    while IFS= read -r job; do clear "$job"; done
  rmdir -- "$run/{arrays}" "$run" 2>/dev/null
done
true
"""
KEPT = ".ms/fetched"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an attempt lies on the cluster, by which turn it ended, and its number where its job is an array."""

    folder: str
    job_folder: str
    turn: int = 0
    index: int | None = None

    @property
    def log(self) -> str:
        """Give the file in which Slurm tells of the job."""
        name = LOG if self.index is None else ARRAY_LOG.replace("%a", str(self.index))
        return f"{self.job_folder}/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What an attempt left: its record where there is one, the end of Slurm's log, and its files with their sizes.

    ``others`` are the names of what is no file, or has another name elsewhere, with the reason why it is left there.
    ``holder`` is the id of the job that carries it out, or did. ``is_gone`` where its directory is not there.
    """

    holder: str
    record: Record | None
    log: str
    files: dict[str, int]
    others: dict[str, str] = field(default_factory=dict)
    is_gone: bool = False

    def told(self) -> bytes:
        """Give what it tells of the job's end; `read_told` reads that."""
        record = self.record.to_json() if self.record else None
        return json.dumps({"holder": self.holder, "record": record, "log": self.log, "others": self.others}).encode()


NOTHING = Left(holder="", record=None, log="", files={}, is_gone=True)


def read_told(text: bytes) -> Left | None:
    """Read what an attempt left that has no files there any more; None where that is not whole."""
    try:
        told = json.loads(text)
        record = read_record(json.dumps(told["record"]))
        return Left(holder=told["holder"], record=record, log=told["log"], files={}, others=told["others"])
    except (ValueError, TypeError, KeyError):
        return None


def listing(root: str, places: Sequence[Place], mark: str) -> str:
    """Give a script that tells what attempts left below the root, which must be there; `read_listing` reads it."""
    words = (
        (str(number), place.folder, of_turn(CLAIM, place.turn), of_turn(EXIT, place.turn), place.log)
        for number, place in enumerate(places)
    )
    calls = "".join(f"(tell {shlex.join(five)})\n" for five in words)
    mark_is = f"LC_ALL=C; export LC_ALL; mark={shlex.quote(mark)}"
    return _LIST.format(
        mark_is=mark_is,
        root=shlex.quote(root),
        record_bytes=_RECORD_BYTES,
        log_bytes=_LOG_BYTES,
        list_bytes=_LIST_BYTES,
        calls=calls,
    )


def read_listing(printed: str, mark: str) -> dict[int, Left]:
    """Give what attempts left, by their place in the question; one whose answer is not whole is left out."""
    own = re.escape(mark)
    whole = rf"(.*?)\n{own} record\n(.*?)\n{own} log\n(.*?)\n{own} files\n(.*?)\n{own} end\n"
    part = re.compile(rf"\n{own} attempt (\d+)\n(?:(gone)\n|{whole})", re.DOTALL)
    found: dict[int, Left] = {}
    for told in part.finditer(printed):
        number, gone, claim, record, log, files = told.groups()
        if gone:
            found[int(number)] = Left(holder="", record=None, log="", files={}, is_gone=True)
            continue
        regular, others = _sorted(files)
        found[int(number)] = Left(
            holder=claim.partition(" ")[0], record=read_record(record), log=log, files=regular, others=others
        )
    return found


def removal(root: str, folders: Sequence[str], jobs: Sequence[str]) -> str:
    """Give a script that removes folders below the root, and those of jobs and runs of which nothing is left."""
    return _REMOVE.format(
        root=shlex.quote(root), folders=shlex.join(folders), jobs=shlex.join(jobs), arrays=JOBS, clear=_clearing()
    )


def keeping(root: str, folders: Sequence[str]) -> str:
    """Give a script that notes in folders below the root that they were fetched today."""
    return forgetting(root, folders) + _KEEP.format(folders=shlex.join(folders), kept=KEPT)


def forgetting(root: str, folders: Sequence[str]) -> str:
    """Give a script that removes the secrets from the folders of attempts below the root."""
    return _FORGET.format(root=shlex.quote(root), folders=shlex.join(folders), secrets=SECRETS)


def sweeping(root: str, days: int) -> str:
    """Give a script that removes what was fetched more than so many days ago."""
    return _SWEEP.format(root=shlex.quote(root), days=days, kept=KEPT, arrays=JOBS, clear=_clearing())


def _clearing() -> str:
    return _CLEAR.format(listed=FOLDERS)


def _sorted(text: str) -> tuple[dict[str, int], dict[str, str]]:
    """Give the files with their sizes, and what is none with the reason."""
    files: dict[str, int] = {}
    others: dict[str, str] = {}
    for kind, links, size, name in (entry.split(" ", 3) for entry in text.split("\0")[:-1]):
        if kind != "f":
            others[name] = "it is no regular file"
        elif links != "1":
            others[name] = "it has another name elsewhere"
        else:
            files[name] = int(size)
    return files, others
