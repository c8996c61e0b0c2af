"""What a site is given arrives whole, or nothing is done with it."""

from __future__ import annotations

import os
import shutil
import time
import tracemalloc
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import pytest

from orchestrator.operators.slurm.accounts import Accounts
from orchestrator.operators.slurm.leavings import Place
from orchestrator.operators.slurm.sites import AwayError, NoRoomError, Site
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


class SlowTransport(LocalTransport):
    """Reaches this machine, and needs a moment for each piece that a command is given."""

    def _converse(self, line: bytes, given: Iterable[bytes], deadline_sec: float) -> Generator[bytes, None, Ended]:
        return super()._converse(line, self._passing(given), deadline_sec)

    def _passing(self, given: Iterable[bytes]) -> Iterator[bytes]:
        for piece in given:
            time.sleep(0.02)
            yield piece


def spoilt(folder: Path, deed: str) -> LocalTransport:
    """Reach this machine, where `tar` does something else, too, once it is done, or before."""
    (folder / "tar").write_text(f"#!/bin/sh\n{deed.format(tar=shutil.which('tar'))}\n")
    (folder / "tar").chmod(0o755)
    return LocalTransport("here", {"PATH": f"{folder}:{os.environ['PATH']}"})


def site_here(root: Path, way: LocalTransport) -> Site:
    """Give this machine as a site; its Slurm tells nothing of itself."""
    return Site(way, str(root), "here", Accounts(), let_go=lambda: None)


def test_S3_F30_nothing_is_submitted_of_which_not_all_arrived(tmp_path: Path) -> None:  # noqa: N802  a statement
    """Wherever the connection was cut, also between two files; what runs there may outlive it."""
    way = CutTransport("here")
    site = site_here(tmp_path, way)
    files: dict[str, Path | bytes] = {f"run/{name}": b"x" * 600 for name in ("a", "b", "c")}

    for way.most in range(0, 4 * 1536 + 513, 512):
        with pytest.raises(NoRoomError):
            site.deliver(files, str(tmp_path), "touch ran", lasting={"kit": b"k" * 600}, deadline_sec=60)
        assert {path.name for path in tmp_path.iterdir()} <= {"run"}

    way.most = 1_000_000
    site.deliver(files, str(tmp_path), "touch ran", lasting={"kit": b"k" * 600}, deadline_sec=60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kit", "ran", "run"]


def test_S22_nothing_is_submitted_that_is_not_what_was_sent(tmp_path_factory: pytest.TempPathFactory) -> None:  # noqa: N802  a statement
    """Also where a disk there says that it took everything."""
    root, bins = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("bin")
    site = site_here(root, spoilt(bins, '{tar} "$@" && echo x > run/b'))

    with pytest.raises(NoRoomError, match="run/b"):
        site.deliver({"run/a": b"1", "run/b": b"2"}, str(root), "touch ran", deadline_sec=60)

    assert [path.name for path in root.iterdir()] == ["run"]
    Site.deliver(site_here(root, LocalTransport("here")), {"run/b\n\\": b"2"}, str(root), "touch ran", deadline_sec=60)
    assert (root / "ran").exists()


def test_S22_nothing_is_home_that_is_not_what_is_there(tmp_path_factory: pytest.TempPathFactory) -> None:  # noqa: N802  a statement
    """A file that is still written there is fetched again."""
    root, bins, home = (tmp_path_factory.mktemp(name) for name in ("root", "bin", "home"))
    site = site_here(root, spoilt(bins, 'echo more >> b; {tar} "$@"'))
    for name in ("a", "b"):
        (root / name).write_text(name)

    assert list(site.bring(str(root), ["a"], home, deadline_sec=60)) == ["a"]
    with pytest.raises(AwayError, match="another sha256 arrived than was said of b"):
        site.bring(str(root), ["a", "b"], home, deadline_sec=60)


def test_S22_large_files_need_little_memory(tmp_path: Path) -> None:  # noqa: N802  a statement of the design
    """However large what a step is given is."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    site = site_here(tmp_path, LocalTransport("here"))

    tracemalloc.start()
    site.deliver({"run/large": tmp_path / "large"}, str(tmp_path), "", deadline_sec=60)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (tmp_path / "run/large").stat().st_size == 64 * 1024 * 1024
    assert peak < 8 * 1024 * 1024


def test_large_files_have_the_time_that_they_need(tmp_path: Path) -> None:
    """Over a slow line, too; the deadline is that of what is done with them."""
    site = site_here(tmp_path, SlowTransport("here"))

    site.deliver({"run/a": bytes(4_000_000)}, str(tmp_path), "touch ran", deadline_sec=0.5)

    assert (tmp_path / "ran").exists()


def test_what_lasts_comes_once_a_session(tmp_path: Path) -> None:
    """Whole and in the place of what was there, which may be half of it; and again where it was purged meanwhile."""
    site = site_here(tmp_path, LocalTransport("here"))
    (tmp_path / "kit").write_bytes(b"half")

    for content in (b"whole", b"another"):
        site.deliver({}, str(tmp_path), "", lasting={"kit": content}, deadline_sec=60)

    assert (tmp_path / "kit").read_bytes() == b"whole"
    (tmp_path / "kit").unlink()
    with pytest.raises(NoRoomError):
        site.deliver({}, str(tmp_path), "touch ran", lasting={"kit": b"whole"}, deadline_sec=60)
    site.deliver({}, str(tmp_path), "", lasting={"kit": b"again"}, deadline_sec=60)
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
