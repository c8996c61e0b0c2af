"""Let an operator key take on nothing new for a while: a file in the folder of a run, or of all workspaces, says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.errors import InfrastructureError, UsageError
from orchestrator.files import make_directory, refused, remove_file, replace_file

FOLDER = ".paused-operators"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Who let an operator key rest, since when (UTC), and why; for one run, with its id, or for all."""

    by: str
    at: str
    reason: str = ""
    run_id: str = ""

    def __str__(self) -> str:
        """Give it for people: ``by ada since 2026-11-20T12:02:33Z: maintenance``."""
        return f"by {self.by} since {self.at}{f': {self.reason}' if self.reason else ''}"

    def way_on(self, key: str) -> str:
        """Give the command that lets the key go on."""
        return f"matterstack operators resume {key}{f' --run {self.run_id}' if self.run_id else ''}"


def hold_of(folder: Path, key: str) -> Hold | None:
    """Give what lets a key rest in a folder; None where nothing does. A file that is torn lets it rest too.

    Raises `InfrastructureError` for one that cannot be read.
    """
    path = _path(folder, key)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Hold(**{name: str(told[name]) for name in ("by", "at", "reason", "run_id")})
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refused(error, f"read {path}") from error
    except (ValueError, TypeError, KeyError):
        return Hold(by="somebody", at="an unknown time")


def paused(folders: Sequence[Path], key: str) -> str:
    """Say for people who lets a key rest in one of some folders, and how it goes on; nothing where nobody does.

    Raises `InfrastructureError` for what cannot be read.
    """
    holds = (hold for folder in folders if (hold := hold_of(folder, key)))
    return next((f"{key} was paused {hold}; go on with: {hold.way_on(key)}" for hold in holds), "")


def holds_in(folder: Path) -> dict[str, Hold]:
    """Give what lets keys rest in a folder, by key; raises `InfrastructureError` for what cannot be read."""
    try:
        names = [path.name for path in (folder / FOLDER).iterdir()]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise refused(error, f"read {folder / FOLDER}") from error
    keys = [name.removesuffix(".json") for name in names if name.endswith(".json") and not name.startswith(".")]
    return {key: hold for key in keys if (hold := hold_of(folder, key))}


def put_hold(folder: Path, key: str, hold: Hold) -> None:
    """Let a key rest, durably; raises `UsageError` where it rests already, and `InfrastructureError`."""
    if earlier := hold_of(folder, key):
        raise UsageError(f"{key} is paused already, {earlier}", hint=f"go on with: {earlier.way_on(key)}")
    make_directory(folder / FOLDER)
    replace_file(_path(folder, key), json.dumps(asdict(hold)).encode(), mode=0o644)


def end_hold(folder: Path, key: str) -> None:
    """Let a key go on; raises `UsageError` where it does not rest, and `InfrastructureError`."""
    if hold_of(folder, key) is None:
        raise UsageError(f"{key} is not paused", hint="see: matterstack operators list")
    remove_file(_path(folder, key))


def _path(folder: Path, key: str) -> Path:
    if "/" in key or key.startswith("."):
        raise InfrastructureError(f"{key!r} is no operator key")
    return folder / FOLDER / f"{key}.json"
