"""How a host is reached is what OpenSSH makes of the user's configuration."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.errors import UsageError
from orchestrator.remote.ssh_config import Login, way_to

pytestmark = pytest.mark.skipif(shutil.which("ssh") is None, reason="OpenSSH's client is not installed")


def login(folder: Path, text: str, host: str = "site") -> Login:
    """Give a login by a configuration of its own."""
    path = folder / "config"
    path.write_text(text)
    return Login(host=host, config_path=str(path))


def test_s17_a_host_is_as_it_is_configured(tmp_path: Path) -> None:
    """With tokens put in, and the name under which its key is known."""
    text = (
        "Host site\n  HostName Login.Example.org\n  User me\n  Port 2222\n  IdentityFile /keys/%r@%n\n"
        "  UserKnownHostsFile /known/one /known/%p\n  GlobalKnownHostsFile none\n  IdentitiesOnly yes\n"
        "  HashKnownHosts yes\n  ConnectTimeout 7\n"
    )

    (hop,) = way_to(login(tmp_path, text))

    assert (hop.host.lower(), hop.port, hop.user) == ("login.example.org", 2222, "me")
    assert hop.key_files == (Path("/keys/me@site"),)
    assert hop.own_known_hosts == (Path("/known/one"), Path("/known/2222"))
    assert (hop.all_known_hosts, hop.known_as) == ((), "[login.example.org]:2222")
    assert (hop.uses_other_keys, hop.hashes_names, hop.connect_sec) == (False, True, 7.0)


def test_s17_what_operators_yaml_says_counts_more(tmp_path: Path) -> None:
    """User, port and key; the configuration's keys come after it."""
    text = "Host site\n  User me\n  Port 2222\n  IdentityFile /keys/mine\n"

    (hop,) = way_to(Login(host="site", user="you", port=22, key_path="/keys/yours", config_path=_write(tmp_path, text)))

    assert (hop.user, hop.port, hop.known_as) == ("you", 22, "site")
    assert hop.key_files[:2] == (Path("/keys/yours"), Path("/keys/mine"))


def test_s17_hosts_to_jump_over_come_first(tmp_path: Path) -> None:
    """The first of several by a way of its own, each with its own settings and those that the jump gives."""
    text = (
        "Host site\n  ProxyJump first,you@second:2200\nHost first\n  ProxyJump gate\n  Port 2022\n"
        "Host second\n  ProxyJump nowhere\n  HostKeyAlias Second\nHost gate\n  User guard\n"
    )

    hops = way_to(login(tmp_path, text))

    assert [(hop.host, hop.port) for hop in hops] == [("gate", 22), ("first", 2022), ("second", 2200), ("site", 22)]
    assert [hops[0].user, hops[2].user, hops[2].known_as] == ["guard", "you", "second"]


def test_s17_a_circle_of_jumps_is_refused(tmp_path: Path) -> None:
    """It would never end."""
    text = "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n"

    with pytest.raises(UsageError, match="in a circle"):
        way_to(login(tmp_path, text, "a"))


def test_d5_a_host_is_never_an_option(tmp_path: Path) -> None:
    """Nor a command."""
    with pytest.raises(UsageError):
        way_to(login(tmp_path, "", f"-oProxyCommand=touch {tmp_path}/canary"))

    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Host site\n  ProxyCommand ssh -W %h:%p gate\n", "its ProxyCommand is not supported"),
        ("Hots site\n", "Bad configuration option: hots"),
    ],
)
def test_a_configuration_that_cannot_be_followed_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """With the reason."""
    with pytest.raises(UsageError, match=message):
        way_to(login(tmp_path, text))


def _write(folder: Path, text: str) -> str:
    path = folder / "config"
    path.write_text(text)
    return str(path)
