"""Start a program with its params and wait for it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from resource import struct_rusage
from typing import Any

PARAMS_VARIABLE = "MATTERSTACK_PARAMS"
INLINE_PARAMS_MAX = 64 * 1024

_PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)


class CommandRefusedError(Exception):
    """The system did not start the program."""


def run_command(
    argv: Sequence[str],
    params: Mapping[str, Any],
    env: Mapping[str, str],
    takes_params: bool,  # noqa: FBT001  mirrors the field of the request
) -> tuple[int, struct_rusage]:
    """Run a program to its end with this process's stdout and stderr; return its wait status and resource usage.

    ``env`` is the program's whole environment but for the params, which go as JSON in ``$MATTERSTACK_PARAMS`` and,
    with ``takes_params``, in ``--params``; those above 64 KiB go as ``@file`` in both. Raises `CommandRefusedError`
    when the program cannot be started.
    """
    text = json.dumps(params, ensure_ascii=False)
    if len(text.encode()) <= INLINE_PARAMS_MAX:
        return _spawn(argv, text, env, takes_params=takes_params)
    import tempfile

    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        return _spawn(argv, f"@{file.name}", env, takes_params=takes_params)


def command_for(script: Path) -> tuple[str, ...]:
    """Give the command that runs a script: itself when it is executable, else by its first line, else by ``sh``."""
    if os.access(script, os.X_OK):
        return (str(script),)
    with script.open("rb") as file:
        first = file.readline(256).decode("utf-8", "replace").strip()
    interpreter = first[2:].split() if first.startswith("#!") else ["sh"]
    return (*interpreter, str(script))


def _spawn(
    argv: Sequence[str], params: str, env: Mapping[str, str], *, takes_params: bool
) -> tuple[int, struct_rusage]:
    command = [*argv, "--params", params] if takes_params else list(argv)
    environment = {**env, PARAMS_VARIABLE: params}
    try:
        pid = os.posix_spawnp(command[0], command, environment, setsigdef=_PYTHON_IGNORES)
    except (OSError, ValueError) as error:
        reason = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
        message = f"cannot start {command[0]!r}: {reason}"
        raise CommandRefusedError(message) from error
    _, status, usage = os.wait4(pid, 0)
    return status, usage
