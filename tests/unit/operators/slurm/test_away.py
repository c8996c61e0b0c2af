"""What waits for a site that is away says so once, and the site's notice says when it is tried again."""

from __future__ import annotations

import dataclasses
import socket
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from orchestrator.clock import utc_now
from orchestrator.errors import LoginRefusedError
from orchestrator.operators.slurm.accounts import Accounts
from orchestrator.operators.slurm.cluster import SlurmOperator
from orchestrator.operators.slurm.ledger import Job, enter
from orchestrator.operators.slurm.notices import notices
from orchestrator.operators.slurm.sites import Site
from orchestrator.progress import Remark
from orchestrator.remote.ssh import SshTransport
from orchestrator.remote.ssh_config import Login
from orchestrator.remote.transport import Transport
from orchestrator.wiring.model import SlurmBackend
from tests.unit.operators.slurm.attempts import attempt


@pytest.fixture(name="way")
def _way(tmp_path: Path) -> Iterator[SshTransport]:
    """Give a way to a port of this machine at which nobody answers, opened again soon."""
    with socket.socket() as held:  # so that nobody else gets the port
        held.bind(("127.0.0.1", 0))
        config = tmp_path / "config"
        config.write_text(f"Host alpha\n  HostName 127.0.0.1\n  Port {held.getsockname()[1]}\n")
        yield SshTransport("alpha", Login(host="alpha", config_path=str(config)), reopen_sec=0.05)


def operator_of(way: Transport) -> SlurmOperator:
    """Give an operator that reaches its site by a way."""
    backend = SlurmBackend(type="slurm", workspace_root="/nowhere")
    return SlurmOperator(Site(way, backend.workspace_root, "alpha", Accounts(), let_go=way.close), backend)


def test_S28_tries_of_a_site_that_is_away_are_told_once(way: SshTransport, tmp_path: Path) -> None:  # noqa: N802  a statement
    """Each attempt would otherwise record each of them."""
    operator = operator_of(way)
    told = list(operator.submit([attempt(tmp_path, "a1")]))
    tries = set()
    for _ in range(3):
        time.sleep(operator.looks_every_sec or 0.0)
        told += operator.look()
        tries.add(notices(tmp_path)["hpc.default"].next_at)
    operator.close()

    trouble = notices(tmp_path)["hpc.default"].trouble
    assert [sighting.note for sighting in told if not sighting.remark] == ["", trouble]
    assert "alpha cannot be reached" in trouble
    remarks = [sighting.remark for sighting in told if sighting.remark]
    assert remarks == [Remark(text=f"hpc.default: {trouble}", todo="a1 waits; it is tried again by itself")]
    assert len(tries) == 3


def test_S18_a_try_that_comes_too_early_tells_why_the_last_one_failed(way: SshTransport, tmp_path: Path) -> None:  # noqa: N802  a statement
    """As where several operators share the way."""
    first, second = operator_of(way), operator_of(way)
    tried, too_early = (list(one.submit([attempt(tmp_path, name)])) for one, name in ((first, "a1"), (second, "a2")))

    assert tried[-1].note == too_early[-1].note
    assert "cannot be reached" in tried[-1].note


class Refusing(Transport):
    """A way to a site that lets the user in no more."""

    def open(self) -> None:
        """Refuse, for good."""
        raise LoginRefusedError("alpha refused the key", hint="see that it is right")

    def close(self) -> None:
        """Do nothing."""

    def _converse(self, line: bytes, given: Iterable[bytes], deadline_sec: float) -> NoReturn:
        self.open()
        raise AssertionError


def test_a_site_that_lets_nobody_in_any_more_is_not_looked_at_again(tmp_path: Path) -> None:
    """The notice gives no time of a next look, as there is none."""
    enter(tmp_path, Job(key="k", operator_key="hpc.default", attempts=("a1",), script_sha256="", asked_at=utc_now()))
    operator = operator_of(Refusing("alpha"))
    assert list(operator.adopt([dataclasses.replace(attempt(tmp_path, "a1"), external_id="7")])) == []

    told = list(operator.look())

    assert operator.looks_every_sec is None
    notice = notices(tmp_path)["hpc.default"]
    remark = Remark(text=f"hpc.default: {notice.trouble}", todo="until then, a1 waits")
    assert [sighting.remark for sighting in told] == [remark]
    assert notice.next_at == ""
    assert notice.trouble.startswith("alpha refused the key: see that it is right; try it with: matterstack operators")
