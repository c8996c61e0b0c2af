"""Type a document's commands into a terminal, as its reader does, and compare what appears with what is shown."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.paths import iterate_runs
from orchestrator.states import TaskState
from orchestrator.store.database import reading
from orchestrator.store.queries import count_tasks
from tests.docs.documents import Block, blocks

INTERRUPT = "^C"

# What the fixture has done, or what would change the machine.
_INSTALLING = ("git clone ", "cd ", "python3 -m venv ", ".venv/bin/pip ", ". .venv/bin/activate", "make test")
# The terminal must belong to the command, or Ctrl-C would reach nobody.
_LAUNCH = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv("/bin/sh", ["sh", "-c", sys.argv[1]])
"""
# How a document kills a program after a while; here that is done once a step is under way, however long that takes.
_KILLING = re.compile(r"sleep [0-9]+; (?=kill -9 \$!)")
_PATIENCE_SEC = 120.0
_ABOUT_TO_STOP = "about-to-stop"
# What takes the place of a sleep, so that it is under way when a program is killed or Ctrl-C is pressed, and no longer.
LASTS = f"for _ in $(seq 2400); do test -e {_ABOUT_TO_STOP} || break; sleep 0.05; done"
_VARYING = {
    r"\b[0-9]{8}_[0-9]{6}_[0-9a-f]{8}\b": "<run>",
    r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z": "<time>",
    r"\b[0-9a-f]{16}\b": "<attempt>",
    r" *\b([0-9]+\.[0-9]{2}|[0-9]+m[0-9]{2})s\b( \([0-9:]+\))?": "<seconds>",
    r"\b[0-9]+\.[0-9]{2} ms\b": "<milliseconds>",
    r"\b(duration_sec|max_rss_mb)=[0-9.]+": r"\1=<number>",
    r"[ \t]+$": "",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A command of a console block, and what is shown below it."""

    command: str
    shown: str


def follow(
    folder: Path, document: Path, *, changes: Mapping[str, str] | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Do what a document says, in order: write its files and type its commands, and compare all that appears.

    ``changes`` are texts of its files that are other ones here, and ``env`` further variables.
    """
    for block in blocks(document):
        if block.file:
            text = block.text
            for theirs, ours in (changes or {}).items():
                text = text.replace(theirs, ours)
            _write(folder / block.file, text)
        elif block.language == "console":
            _converse(folder, block, env or {})


def exchanges(text: str) -> Iterator[Exchange]:
    """Split a console block at its commands, which begin with ``$`` and go on with ``>``."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        count = next((number for number, line in enumerate(lines) if number and not line.startswith("> ")), len(lines))
        command = lines[0] + "".join(line.removeprefix("> ") for line in lines[1:count])
        yield Exchange(command=command.rstrip("\n"), shown="".join(lines[count:]))


def matches(shown: str, seen: str) -> bool:
    """Tell whether a document shows what was seen; ``…`` stands for anything within a line, or for whole lines."""
    return re.fullmatch(_pattern(shown), _masked(seen)) is not None


def _converse(folder: Path, block: Block, env: Mapping[str, str]) -> None:
    for exchange in exchanges(block.text):
        if exchange.command.startswith(_INSTALLING):
            continue
        seen = type_in(folder, exchange, env)
        assert matches(exchange.shown, seen), f"{block.place}\n$ {exchange.command}\n{seen}"


def type_in(folder: Path, exchange: Exchange, env: Mapping[str, str] | None = None) -> str:
    """Run a command in a terminal of its own and give all that appears; ``^C`` is typed where the document shows it.

    A program that the document kills is killed when it has shown all that the document does and a step is under way.
    Until the command is stopped so, a step that is to be under way then lasts, by `LASTS`.
    """
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    command, kills = _KILLING.subn("read _; ", exchange.command)
    if kills:
        _hide_what_is_typed(theirs)
    if kills or INTERRUPT in exchange.shown:
        (folder / _ABOUT_TO_STOP).touch()
    launch = [sys.executable, "-I", "-S", "-c", _LAUNCH, command]
    with subprocess.Popen(
        launch,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env={**_environment(folder), **(env or {})},
        start_new_session=True,
    ) as process:
        os.close(theirs)
        try:
            return _read_until_killed(ours, exchange.shown, folder) if kills else _read(ours, exchange.shown)
        finally:
            (folder / _ABOUT_TO_STOP).unlink(missing_ok=True)
            os.close(ours)
            process.kill()


def _read(terminal: int, shown: str) -> str:
    head, interrupt, _ = shown.partition(INTERRUPT)
    seen = b""
    for chunk in _chunks(terminal):
        seen += chunk
        if interrupt and matches(head, _text(seen)):
            os.write(terminal, b"\x03")
            interrupt = ""
    return _text(seen)


def _read_until_killed(terminal: int, shown: str, folder: Path) -> str:
    seen, is_shown = b"", False
    for chunk in _chunks(terminal):
        seen += chunk
        if not is_shown and matches(shown, _text(seen)):
            is_shown = True
            _wait_for_a_step(folder)
            os.write(terminal, b"\n")
    return _text(seen)


def _wait_for_a_step(folder: Path) -> None:
    """Wait until a step of the newest run is under way."""
    run_root = next(iterate_runs(folder / "workspaces"))
    for _ in range(int(_PATIENCE_SEC * 20)):
        with reading(run_root) as database:
            if count_tasks(database).keys() & {TaskState.RUNNING, TaskState.WAITING_EXTERNAL}:
                return
        time.sleep(0.05)
    message = "no step is under way"
    raise AssertionError(message)


def _hide_what_is_typed(terminal: int) -> None:
    attributes = termios.tcgetattr(terminal)
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def _chunks(terminal: int) -> Iterator[bytes]:
    """Give what appears until the last program has left the terminal."""
    deadline = time.monotonic() + _PATIENCE_SEC
    while select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            chunk = os.read(terminal, 65_536)
        except OSError:  # how Linux says that nobody is left
            return
        if not chunk:
            return
        yield chunk
    message = "the command does not end"
    raise AssertionError(message)


def _text(seen: bytes) -> str:
    return seen.decode("utf-8", "replace").replace("\r\n", "\n")


def _environment(folder: Path) -> dict[str, str]:
    programs = f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": programs, "PYTHONPATH": str(folder), "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"]}
    # A pytest of its own would tidy up what other ones left, for a minute or more.
    own["PYTEST_DEBUG_TEMPROOT"] = str(folder.parent)
    return {**own, "LANG": "C.UTF-8", "TERM": "dumb", "NO_COLOR": "1"}


def _pattern(shown: str) -> str:
    lines = [_line_pattern(line) for line in _masked(shown).splitlines(keepends=True)]
    return "".join(lines)


def _line_pattern(line: str) -> str:
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    return ".*?".join(re.escape(part) for part in line.split("…"))


def _masked(text: str) -> str:
    for pattern, word in _VARYING.items():
        text = re.sub(pattern, word, text, flags=re.MULTILINE)
    return text


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
