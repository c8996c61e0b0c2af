"""What a site is given arrives whole, or nothing is done with it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import pytest

from orchestrator.operators.slurm.accounts import Accounts
from orchestrator.operators.slurm.leavings import Place
from orchestrator.operators.slurm.sites import NoRoomError, Site
from orchestrator.remote.framing import Ended
from orchestrator.remote.local import LocalTransport


class CutTransport(LocalTransport):
    """Reaches this machine, and lets no more than some bytes of what a command is given pass."""

    most = 0

    def _converse(self, line: bytes, given: Iterable[bytes], deadline_sec: float) -> Generator[bytes, None, Ended]:
        return super()._converse(line, self._passing(given), deadline_sec)

    def _passing(self, given: Iterable[bytes]) -> Iterator[bytes]:
        left = self.most
        for piece in given:
            if some := piece[:left]:
                left -= len(some)
                yield some


def site_here(root: Path, way: LocalTransport) -> Site:
    """Give this machine as a site; its Slurm tells nothing of itself."""
    return Site(way, str(root), "here", Accounts(), let_go=lambda: None)


def test_S3_F30_nothing_is_submitted_of_which_not_all_arrived(tmp_path: Path) -> None:  # noqa: N802  a statement
    """Wherever the connection was cut, also between two files; what runs there may outlive it."""
    way = CutTransport("here")
    site = site_here(tmp_path, way)
    files: dict[str, Path | bytes] = {f"run/{name}": b"x" * 600 for name in ("a", "b", "c")}

    for way.most in range(0, 4 * 1536 + 1, 512):
        with pytest.raises(NoRoomError):
            site.deliver(files, str(tmp_path), "touch ran", lasting={"kit": b"k" * 600}, deadline_sec=10)
        assert {path.name for path in tmp_path.iterdir()} <= {"run"}

    way.most = 1_000_000
    site.deliver(files, str(tmp_path), "touch ran", lasting={"kit": b"k" * 600}, deadline_sec=10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kit", "ran", "run"]


def test_what_lasts_comes_once_a_session(tmp_path: Path) -> None:
    """Whole and in the place of what was there, which may be half of it; and again where it was purged meanwhile."""
    site = site_here(tmp_path, LocalTransport("here"))
    (tmp_path / "kit").write_bytes(b"half")

    for content in (b"whole", b"another"):
        site.deliver({}, str(tmp_path), "", lasting={"kit": content}, deadline_sec=10)

    assert (tmp_path / "kit").read_bytes() == b"whole"
    (tmp_path / "kit").unlink()
    with pytest.raises(NoRoomError):
        site.deliver({}, str(tmp_path), "touch ran", lasting={"kit": b"whole"}, deadline_sec=10)
    site.deliver({}, str(tmp_path), "", lasting={"kit": b"again"}, deadline_sec=10)
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == [("kit", b"again")]


def test_S21_what_many_attempts_left_is_told_in_parts(tmp_path: Path) -> None:  # noqa: N802  a statement of the design
    """One answer could not hold it: hundreds of attempts may have left tens of thousands of files each."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "scontrol").write_text("#!/bin/sh\n")
    (bin_folder / "scontrol").chmod(0o755)
    site = site_here(tmp_path, LocalTransport("here", {"PATH": f"{bin_folder}:{os.environ['PATH']}"}))
    places = [Place(folder=str(tmp_path / name), job_folder=str(tmp_path / name)) for name in ("a", "b", "c")]
    deep = "/".join(["x" * 250] * 13)
    for place in places:
        made = Path(place.folder) / deep
        made.mkdir(parents=True)
        for number in range(2000):
            (made / f"{number}-{'y' * 240}").touch()

    told = site.leavings(places)

    assert [len(left.files) for left in told if left] == [2000, 2000, 2000]
