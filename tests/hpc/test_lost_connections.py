"""A connection that is lost says what is known of the command, and leaves no half a file."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.clock import monotonic
from orchestrator.errors import AnswerLateError, AnswerLostError, SiteAwayError, SiteError
from orchestrator.remote.connection import PULSE_SEC, SILENCE_SEC, Pace
from orchestrator.remote.ssh import SshTransport
from orchestrator.remote.ssh_config import Login
from tests.hpc.centre.faultproxy import FaultProxy
from tests.hpc.stack import Centre

pytestmark = pytest.mark.slurm

QUICK = Pace(pulse_sec=0.5, silence_sec=5.0)
MEGABYTE = 1_000_000
# What is more than the memory that is allowed would show also with less; MS_LARGE_FILE sets another.
SIZE = int(os.environ.get("MS_LARGE_FILE", 400 * MEGABYTE))


@pytest.fixture(name="proxy")
def _proxy(centre: Centre) -> Iterator[FaultProxy]:
    """Put something between the runner and the site."""
    with FaultProxy(centre.port("alpha")) as proxy:
        yield proxy


@pytest.fixture(name="way")
def _way(centre: Centre, proxy: FaultProxy, tmp_path: Path) -> Iterator[SshTransport]:
    """Reach the site through it, with short times."""
    config = centre.config(tmp_path, alpha=proxy.port)
    with SshTransport("hpc.a", Login(host="alpha", config_path=str(config)), pace=QUICK, reopen_sec=0.0) as way:
        yield way


@pytest.fixture(name="there")
def _there(centre: Centre, request: pytest.FixtureRequest) -> Path:
    """Give a folder of the site that this test alone uses."""
    return centre.home() / f"{request.node.name}-{os.getpid()}"


def test_f29_a_connection_that_is_cut_before_is_opened_anew(way: SshTransport, proxy: FaultProxy) -> None:
    """Nobody notices: nothing was sent."""
    way.open()
    proxy.cut()

    ran = _until_sent(way, "echo on")

    assert ran == "on\n"


@pytest.mark.parametrize("kind", ["refused", "closed", "silent", "babbling"])
def test_f29_a_site_that_does_not_answer_is_away(centre: Centre, proxy: FaultProxy, tmp_path: Path, kind: str) -> None:
    """Nothing was sent, so that one may ask again later; there is a time for it."""
    config = centre.config(tmp_path, alpha=proxy.port)
    config.write_text(f"ConnectTimeout 2\n{config.read_text()}")
    deadline_sec = 60.0
    if kind == "closed":
        proxy.close()
    elif kind == "refused":
        proxy.refuse()
    elif kind == "silent":
        proxy.stall()
    else:
        proxy.target_port = _babbler()
    started = monotonic()

    way = SshTransport("hpc.a", Login(host="alpha", config_path=str(config)))
    with pytest.raises(SiteAwayError, match="cannot be reached") as caught:
        way.run("true", deadline_sec=deadline_sec)

    assert type(caught.value) is SiteAwayError
    assert monotonic() - started < deadline_sec / 2


def test_f30_a_connection_that_is_cut_after_leaves_it_unknown(
    way: SshTransport, proxy: FaultProxy, there: Path
) -> None:
    """The command was carried out, once."""
    way.open()
    _once(there, proxy.cut)

    with pytest.raises(AnswerLostError) as caught:
        way.run(f"echo done >> '{there}'; sleep 60", deadline_sec=60.0)

    assert type(caught.value) is AnswerLostError
    assert there.read_text() == "done\n"
    there.unlink()


@pytest.mark.parametrize("count", range(0, 3000, 150))
def test_f29_f30_a_cut_at_any_byte_never_lies(way: SshTransport, proxy: FaultProxy, there: Path, count: int) -> None:
    """Where it is said that nothing was sent, nothing was done."""
    way.open()
    proxy.cut_after(count)

    try:
        way.run(f"echo done >> '{there}'", deadline_sec=10.0)
    except AnswerLostError:
        done = {"", "done\n"}
    except SiteAwayError:
        done = {""}
    else:
        done = {"done\n"}

    assert (there.read_text() if there.exists() else "") in done
    there.unlink(missing_ok=True)


def test_s21_a_stalled_connection_is_noticed(way: SshTransport, proxy: FaultProxy, there: Path) -> None:
    """Though the command may take longer, and nothing is being sent: long before its time is over."""
    way.open()
    _once(there, proxy.stall)

    with pytest.raises(AnswerLostError, match="connection timed out"):
        way.run(f"echo begun >> '{there}'; sleep 60", deadline_sec=60.0)

    there.unlink()
    assert PULSE_SEC + SILENCE_SEC < 60


def test_s21_a_quiet_command_keeps_its_connection(way: SshTransport) -> None:
    """Its host still shows signs of life."""
    quiet_sec = QUICK.pulse_sec + QUICK.silence_sec + 2
    assert way.run(f"sleep {quiet_sec}; echo on", deadline_sec=60.0).text == "on\n"


def test_s21_a_command_that_is_stuck_in_sending_has_its_time(
    centre: Centre, proxy: FaultProxy, there: Path, tmp_path: Path
) -> None:
    """Also where nothing else would notice."""
    config = centre.config(tmp_path, alpha=proxy.port)
    with SshTransport("hpc.a", Login(host="alpha", config_path=str(config)), reopen_sec=0.0) as way:
        way.open()
        _once(there, proxy.stall)

        with pytest.raises(AnswerLateError):
            way.run(f"echo begun >> '{there}'; sleep 60", b"x" * 50 * MEGABYTE, deadline_sec=8.0)

    there.unlink()


def test_s21_a_stalled_connection_starts_nothing(centre: Centre, proxy: FaultProxy, tmp_path: Path) -> None:
    """Not within the time, and says so: it may be tried again."""
    config = centre.config(tmp_path, alpha=proxy.port)
    with SshTransport("hpc.a", Login(host="alpha", config_path=str(config)), reopen_sec=0.0) as way:
        way.open()
        proxy.stall()

        with pytest.raises(SiteAwayError):
            way.run("true", deadline_sec=1.0)


@pytest.mark.parametrize("share", range(1, 10, 2))
def test_s22_f38_a_cut_transfer_leaves_nothing(
    way: SshTransport, proxy: FaultProxy, there: Path, tmp_path: Path, share: int
) -> None:
    """Not at the site and not here; what was there stays, and the next try succeeds."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(10 * MEGABYTE))
    way.put(b"before", f"{there}/a")
    (tmp_path / "back").write_bytes(b"before")

    proxy.cut_after(share * MEGABYTE)
    with pytest.raises(SiteError):
        way.put(source, f"{there}/a")
    assert (there / "a").read_bytes() == b"before"
    _again(way)
    way.put(source, f"{there}/a")
    proxy.cut_after(share * MEGABYTE)
    with pytest.raises(SiteError):
        way.get(f"{there}/a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"before"
    _again(way)
    way.get(f"{there}/a", tmp_path / "back")

    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert [path.name for path in there.iterdir()] == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "source", "ssh_config"]


def test_s22_a_cut_tree_leaves_nothing(way: SshTransport, proxy: FaultProxy, there: Path, tmp_path: Path) -> None:
    """What came here of it is whole, each file."""
    files = {f"{number}": os.urandom(MEGABYTE) for number in range(5)}
    for name, content in files.items():
        way.put(content, f"{there}/tree/{name}")

    proxy.cut_after(2_500_000)
    with pytest.raises(SiteError):
        way.get_tree(f"{there}/tree", ["."], tmp_path / "back")

    assert all(path.read_bytes() == files[path.name] for path in (tmp_path / "back").iterdir())
    assert len([*(tmp_path / "back").iterdir()]) < len(files)


@pytest.mark.slow
def test_s22_a_large_file_needs_little_memory(centre: Centre, tmp_path: Path, there: Path) -> None:
    """Less than 100 MB for the whole process, however large the file is."""
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(SIZE)
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from orchestrator.remote.ssh import SshTransport\nfrom orchestrator.remote.ssh_config import Login\n"
        "config, source, there, back = sys.argv[1:]\n"
        "way = SshTransport('hpc.a', Login(host='alpha', config_path=config))\n"
        "way.put(Path(source), there)\nway.get(there, Path(back))\nway.close()\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
    )
    words = [str(centre.config(tmp_path)), str(source), f"{there}/big", str(tmp_path / "back")]

    ran = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) < 100_000
    assert (tmp_path / "back").stat().st_size == SIZE
    (tmp_path / "back").unlink()
    (there / "big").unlink()


def _once(there: Path, deed: Callable[[], None]) -> None:
    """Do something as soon as a file has content, which a command makes that has begun."""

    def wait() -> None:
        for _ in range(6000):
            if there.exists() and there.stat().st_size:
                deed()
                return
            time.sleep(0.01)

    threading.Thread(target=wait, daemon=True).start()


def _until_sent(way: SshTransport, command: str) -> str:
    """Run a command; that the connection was lost may be noticed only when it is to be used."""
    for _ in range(5):
        try:
            return way.run(command, deadline_sec=20.0).text
        except SiteAwayError:
            continue
    raise AssertionError


def _again(way: SshTransport) -> None:
    assert _until_sent(way, "echo") == "\n"


def _babbler() -> int:
    """Serve something that is no SSH, for as long as the test process lives; give its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            client = listener.accept()[0]
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n" * 200)

    threading.Thread(target=serve, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port
