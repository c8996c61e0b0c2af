"""A driver program for a furnace that is not there: ``python -m orchestrator.testing.furnace start|poll|abort``."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.files import make_directory, open_lock, replace_file
from orchestrator.testing.oxidation import Film, complaint, measure

if TYPE_CHECKING:
    import argparse

SPECTRUM = "reflectance.csv"

_LOST = 75


class Furnace:
    """A furnace with room for one wafer, which remembers every request by its token.

    ``kept`` is all that it remembers, as JSON carries it: of each token among others how often it was told, and how
    often it measured.
    """

    def __init__(self, *, seconds: float, kept: dict[str, Any] | None = None) -> None:
        self.kept: dict[str, Any] = {} if kept is None else kept
        self._seconds = seconds

    def start(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Begin to measure, unless the request is known, refused, or another one is in the furnace."""
        token = request["token"]
        if token in self.kept:
            self.kept[token]["told"] += 1
            return self.poll(token)
        asked = {**request["config"], **request["parameters"]}
        seed = asked.pop("seed", 0)
        if refusal := complaint(asked):
            return {"state": "ended", "status": "FAILED", "error": refusal}
        for other in self.kept:
            if self.poll(other)["state"] == "running":
                return {"state": "busy", "note": f"{self.kept[other]['task_id']} is in the furnace"}
        self.kept[token] = {
            "task_id": request["task_id"],
            "parameters": asked,
            "seed": seed,
            "began": time.time(),
            "told": 1,
            "measured": 1,
            "aborted": False,
        }
        return self.poll(token)

    def poll(self, token: str) -> dict[str, Any]:
        """Say how a measurement stands."""
        if token not in self.kept:
            return {"state": "unknown"}
        if self.kept[token]["aborted"]:
            return {"state": "ended", "status": "FAILED", "error": "aborted"}
        left = self.kept[token]["began"] + self._seconds - time.time()
        if left > 0:
            return {"state": "running", "note": f"{left:.0f} seconds are left"}
        film = self.film(token)
        files = [{"name": SPECTRUM, "sha256": hashlib.sha256(film.spectrum).hexdigest()}]
        return {"state": "ended", "status": "COMPLETED", "data": {"thickness_nm": film.thickness_nm}, "files": files}

    def abort(self, token: str) -> dict[str, Any]:
        """Take the wafer out, unless it is done."""
        if self.poll(token)["state"] == "running":
            self.kept[token]["aborted"] = True
        return self.poll(token)

    def film(self, token: str) -> Film:
        """Give what was measured."""
        return measure(self.kept[token]["parameters"], self.kept[token]["seed"])


def main(words: Sequence[str] | None = None) -> int:
    """Answer one call, and give the exit code."""
    options = _options(words)
    request = json.load(sys.stdin)
    make_directory(options.state)
    lock = open_lock(options.state / "furnace.lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _answered(options, request)
    finally:
        os.close(lock)


def _answered(options: argparse.Namespace, request: Mapping[str, Any]) -> int:
    path = options.state / "furnace.json"
    furnace = Furnace(seconds=options.seconds, kept=json.loads(path.read_bytes()) if path.exists() else {})
    known, token = len(furnace.kept), request["token"]
    answer = furnace.start(request) if options.verb == "start" else getattr(furnace, options.verb)(token)
    replace_file(path, json.dumps(furnace.kept, indent=2).encode())
    if options.lose_first and len(furnace.kept) > known:
        sys.stderr.write("the line was cut\n")
        return _LOST
    if answer.get("files"):
        replace_file(Path(request["folder"]) / SPECTRUM, furnace.film(token).spectrum, mode=0o644)
    sys.stdout.write(f"{json.dumps(answer)}\n")
    return 0


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    import argparse

    parser = argparse.ArgumentParser(prog="furnace", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="the folder in which the furnace remembers")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a measurement takes")
    parser.add_argument("--lose-first", action="store_true", help="lose the answer whenever a measurement begins")
    parser.add_argument("verb", choices=["start", "poll", "abort"])
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
