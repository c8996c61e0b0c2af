"""Nobody is let in, or logged in to, who should not be; and nobody is asked twice."""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.errors import HostKeyError, LoginNeededError, LoginRefusedError, SiteAwayError
from orchestrator.remote.known_hosts import trust
from orchestrator.remote.login import Ask, Prompt
from orchestrator.remote.ssh import SshTransport
from orchestrator.remote.ssh_config import Login, way_to
from tests.acceptance.program import until
from tests.hpc.centre.faultproxy import FaultProxy
from tests.hpc.stack import Centre

pytestmark = pytest.mark.slurm

ROOT = Path(__file__).resolve().parents[2]


class Typist:
    """A person who types a code whenever asked, or goes away."""

    def __init__(self, code: str | None) -> None:
        self.prompts: list[Prompt] = []
        self._code = code

    def __call__(self, prompts: Sequence[Prompt]) -> Sequence[str] | None:
        """Type."""
        self.prompts += prompts
        return None if self._code is None else [self._code] * len(prompts)


def transport(centre: Centre, folder: Path, host: str, *, ask: Ask | None = None) -> SshTransport:
    """Make a way to a host of the centre that may be opened again at once."""
    config = centre.config(folder)
    return SshTransport("hpc.a", Login(host=host, config_path=str(config)), ask=ask, reopen_sec=0.0)


def other_key(folder: Path, *options: str) -> Path:
    """Make a key that nobody knows."""
    path = folder / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", *options, "-f", path], check=True)
    return path


def test_s16_d6_an_unknown_host_is_refused(centre: Centre, tmp_path: Path) -> None:
    """By its fingerprint, and with what to type; also where the configuration would take any."""
    known = tmp_path / "known"
    config = centre.config(tmp_path, known_hosts=known)
    config.write_text(f"StrictHostKeyChecking no\n{config.read_text()}")
    with SshTransport("hpc.a", Login(host="alpha", config_path=str(config)), reopen_sec=0.0) as way:
        with pytest.raises(HostKeyError) as caught:
            way.run("true", deadline_sec=20.0)

        listed = subprocess.run(
            ["ssh-keygen", "-l", "-f", centre.folder / "ssh/alpha_host_ed25519.pub"], capture_output=True, check=True
        )
        assert caught.value.fingerprint == listed.stdout.decode().split()[1]
        assert caught.value.fingerprint in str(caught.value)
        assert "matterstack operators trust-host hpc.a" in caught.value.hint
        assert (caught.value.code, caught.value.is_final, known.exists()) == ("MS806", False, False)


@pytest.mark.parametrize("hashes", ["yes", "no"])
def test_s16_a_host_is_trusted_once_its_key_was_compared(centre: Centre, tmp_path: Path, hashes: str) -> None:
    """It is added as OpenSSH would add it, for OpenSSH too; hosts on the way come first."""
    known = tmp_path / "known"
    known.write_text("# mine, without an end of line")
    config = centre.config(tmp_path, known_hosts=known)
    config.write_text(f"HashKnownHosts {hashes}\n{config.read_text()}")
    trusted = []
    with SshTransport("hpc.a", Login(host="inner", config_path=str(config)), reopen_sec=0.0) as way:
        while (found := way.unknown_host()) is not None:
            assert trust(*found) == known
            trusted.append(found[0].port)
        way.open()

    assert trusted == [centre.port("jump"), centre.port("alpha")]
    assert known.read_text().startswith("# mine, without an end of line\n")
    assert ("|1|" in known.read_text()) == (hashes == "yes")
    name = f"[127.0.0.1]:{centre.port('alpha')}"
    assert subprocess.run(["ssh-keygen", "-F", name, "-f", known], capture_output=True, check=True).stdout


def test_s16_f37_a_changed_key_is_a_hard_stop(centre: Centre, tmp_path: Path) -> None:
    """Also in the middle of a run, and it stays one though the key were the known one again."""
    known = tmp_path / "known"
    known.write_text(Path(centre["KNOWN_HOSTS"]).read_text())
    config = centre.config(tmp_path, known_hosts=known)
    way = SshTransport("hpc.a", Login(host="alpha", config_path=str(config)), reopen_sec=0.0)
    way.open()
    way.close()
    public = other_key(tmp_path).with_suffix(".pub").read_text().split()
    known.write_text(f"[127.0.0.1]:{centre.port('alpha')} {public[0]} {public[1]}\n")

    with pytest.raises(HostKeyError, match="has changed") as caught:
        way.run("true", deadline_sec=20.0)

    assert (caught.value.code, caught.value.is_final) == ("MS807", True)
    assert "ssh-keygen -R" in caught.value.hint
    known.unlink()
    with pytest.raises(HostKeyError, match="has changed"):
        way.open()


def test_s16_hosts_are_never_added_by_the_library() -> None:
    """The class that does so occurs nowhere."""
    sources = (ROOT / "orchestrator").rglob("*.py")

    assert [path for path in sources if "AutoAdd" in path.read_text(encoding="utf-8")] == []


def test_s17_the_configuration_counts(centre: Centre, tmp_path: Path) -> None:
    """Include, Match, HostKeyAlias and ProxyJump, with what operators.yaml says on top."""
    centre.config(tmp_path)
    (tmp_path / "main").write_text(
        f"Include {tmp_path}/ssh_config\nMatch originalhost site exec true\n"
        f"    Port {centre.port('alpha')}\n    ProxyJump jump\n"
    )
    login = Login(host="site", config_path=str(tmp_path / "main"), user=centre.user(), key_path=centre["KEY"])
    with SshTransport("hpc.a", login) as way:
        ran = way.run("whoami", deadline_sec=20.0)

    assert ran.text.strip() == centre.user()
    assert len(way_to(login)) == 2


def test_s17_a_key_of_the_agent_will_do(centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where its file has a passphrase, or is not there at all."""
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        while subprocess.run(["ssh-add", "-q", centre["KEY"]], check=False, capture_output=True).returncode:
            assert agent.poll() is None
        config = centre.config(tmp_path)
        text = config.read_text().replace("IdentitiesOnly yes", "IdentitiesOnly no")
        config.write_text(text.replace(f"IdentityFile {centre['KEY']}", f"IdentityFile {tmp_path}/none"))
        with SshTransport("hpc.a", Login(host="alpha", config_path=str(config))) as way:
            way.open()
    finally:
        agent.terminate()
        agent.wait()


def test_s18_a_refused_login_is_not_tried_again(centre: Centre, tmp_path: Path) -> None:
    """Not by this object: the account would be locked."""
    config = centre.config(tmp_path)
    login = Login(host="alpha", config_path=str(config), user=f"{centre.user()}x")
    with SshTransport("hpc.a", login, reopen_sec=0.0) as way:
        with pytest.raises(LoginRefusedError, match="was refused"):
            way.open()
        # A connection is told of as it begins, its user now and then only after the refusal has arrived here.
        seen = centre.log("ssh-alpha").count("Connection from")
        for _ in range(3):
            with pytest.raises(LoginRefusedError):
                way.run("true", deadline_sec=5.0)

    assert f"{centre.user()}x" in centre.log("ssh-alpha")
    assert seen > 0
    assert centre.log("ssh-alpha").count("Connection from") == seen


def test_d7_a_key_that_others_may_read_is_left_out(centre: Centre, tmp_path: Path) -> None:
    """And one with a passphrase is for the agent."""
    key = other_key(tmp_path, "-N", "correct horse")
    config = centre.config(tmp_path)
    open_key = tmp_path / "open"
    open_key.write_bytes(Path(centre["KEY"]).read_bytes())
    open_key.chmod(0o644)
    config.write_text(config.read_text().replace(centre["KEY"], f"{open_key}\n    IdentityFile {key}"))

    way = SshTransport("hpc.a", Login(host="alpha", config_path=str(config)))
    with pytest.raises(LoginRefusedError) as caught:
        way.open()

    assert f"others may read it: chmod 600 {open_key}" in str(caught.value)
    assert f"ssh-add {key}" in str(caught.value)


def test_s19_a_code_is_asked_for_once(centre: Centre, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It lets one in, and is found nowhere; the next connection would need another, for which nobody is asked."""
    code = centre["OTP_CODES"].split()[0]
    typist = Typist(code)
    caplog.set_level(logging.DEBUG)
    way = transport(centre, tmp_path, "otp", ask=typist)

    assert way.run("echo in", deadline_sec=20.0).text == "in\n"
    assert way.run("echo in", deadline_sec=20.0).text == "in\n"
    way.close()
    with pytest.raises(LoginNeededError) as caught:
        way.open()

    assert [(prompt.text, prompt.is_shown) for prompt in typist.prompts] == [("Verification code:", False)]
    assert code not in caplog.text
    assert code not in f"{way!r} {vars(way)!r} {caught.value!r} {caught.value.explained()}"


def test_s19_each_host_on_the_way_asks_once(centre: Centre, tmp_path: Path) -> None:
    """A gate may want a code as well as the login node behind it."""
    codes = iter(centre["OTP_CODES"].split()[10:12])
    config = centre.config(tmp_path)
    with config.open("a", encoding="utf-8") as file:
        file.write(f"Host behind\n    Port {centre.port('otp')}\n    User {centre.user()}\n    ProxyJump otp\n")
    way = SshTransport("hpc.a", Login(host="behind", config_path=str(config)), ask=lambda _: [next(codes)])

    assert way.run("echo in", deadline_sec=20.0).text == "in\n"
    way.close()
    with pytest.raises(LoginNeededError):
        way.open()


def test_s19_a_site_needs_login_where_nobody_can_be_asked(centre: Centre, tmp_path: Path) -> None:
    """It says so each time, and goes to the site once: that it is away then changes nothing."""
    with FaultProxy(centre.port("otp")) as proxy:
        config = centre.config(tmp_path, otp=proxy.port)
        way = SshTransport("hpc.a", Login(host="otp", config_path=str(config)), reopen_sec=0.0)
        with pytest.raises(LoginNeededError, match="needs login"):
            way.open()
        proxy.refuse()
        with pytest.raises(LoginNeededError):
            way.run("true", deadline_sec=20.0)


@pytest.mark.parametrize(("code", "error"), [("12345678", LoginRefusedError), (None, LoginNeededError)])
def test_s19_a_wrong_code_is_a_refusal(
    centre: Centre, tmp_path: Path, code: str | None, error: type[SiteAwayError]
) -> None:
    """And none at all is a login that is still needed; what was typed is not shown."""
    typist = Typist(code)
    with transport(centre, tmp_path, "otp", ask=typist) as way:
        with pytest.raises(error) as caught:
            way.open()
        with pytest.raises(error):
            way.open()

    assert len(typist.prompts) == 1
    assert "12345678" not in f"{caught.value.explained()} {caught.value.__cause__!r} {caught.value.__context__!r}"


def test_s18_a_site_that_is_away_is_not_tried_at_once(centre: Centre, tmp_path: Path) -> None:
    """It is said when it will be, and nothing is sent meanwhile."""
    with FaultProxy(centre.port("alpha")) as proxy:
        proxy.refuse()
        config = centre.config(tmp_path, alpha=proxy.port)
        way = SshTransport("hpc.a", Login(host="alpha", config_path=str(config)))
        with pytest.raises(SiteAwayError, match="cannot be reached") as first:
            way.open()
        proxy.resume()
        with pytest.raises(SiteAwayError, match="cannot be reached") as second:
            way.run("true", deadline_sec=20.0)

    assert first.value.again_sec is not None
    assert 10 <= first.value.again_sec <= 15
    assert "tried again in" in second.value.hint
    assert second.value.again_sec is not None
    assert second.value.again_sec <= first.value.again_sec


def test_s18_there_is_one_connection(centre: Centre, tmp_path: Path) -> None:
    """However many commands are run, and from however many threads."""
    before = centre.log("ssh-alpha").count("Accepted publickey")
    with transport(centre, tmp_path, "alpha") as way:
        for _ in range(30):
            way.run("true", deadline_sec=20.0)
        own = way.run("echo $SSH_CLIENT", deadline_sec=20.0).text.split()[1]

    lines = [line for line in centre.log("ssh-alpha").splitlines() if "Accepted publickey" in line]
    assert len(lines) > before
    assert sum(f"port {own} " in line for line in lines) == 1


def test_s18_a_site_has_four_commands_at_once(centre: Centre, tmp_path: Path) -> None:
    """The others wait for their turn, more than the site would let in."""
    seen: list[int] = []
    with transport(centre, tmp_path, "alpha") as way:
        folder = way.run("mktemp -d", deadline_sec=20.0).text.strip()
        met = f"{folder}.met"  # four have met
        meet = f"until test -e {met}; do test $(ls {folder} | wc -l) -lt 4 || mkdir -p {met}; sleep 0.1; done"
        command = f"mkdir {folder}/$$; {meet}; sleep 0.3; ls {folder} | wc -l; rmdir {folder}/$$"

        def ask() -> None:
            seen.append(int(way.run(command, deadline_sec=60.0).text))

        threads = [threading.Thread(target=ask) for _ in range(14)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        way.run(f"rmdir {folder} {met}", deadline_sec=20.0)

    assert len(seen) == 14
    assert max(seen) <= 4


def test_s18_a_command_that_gets_no_turn_was_not_sent(centre: Centre, tmp_path: Path) -> None:
    """So it may be asked again."""
    with transport(centre, tmp_path, "alpha") as way:
        folder = way.run("mktemp -d", deadline_sec=20.0).text.strip()
        command = f"mkdir {folder}/$$; while test -e {folder}/$$; do sleep 0.1; done"
        kwargs = {"deadline_sec": 60.0}
        threads = [threading.Thread(target=way.run, args=(command,), kwargs=kwargs) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: len(list(Path(folder).iterdir())) == 4)
        with pytest.raises(SiteAwayError, match="4 commands are running"):
            way.run("true", deadline_sec=0.5)
        shutil.rmtree(folder)
        for thread in threads:
            thread.join()
