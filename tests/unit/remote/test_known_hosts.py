"""Files of known hosts mean what they mean to OpenSSH."""

from __future__ import annotations

import base64
import hmac
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.remote.known_hosts import HostKey, Verdict, known_of, trust
from orchestrator.remote.ssh_config import Hop

KEY = HostKey(kind="ssh-ed25519", blob=b"one")
OTHER = HostKey(kind="ssh-ed25519", blob=b"two")
RSA = HostKey(kind="ssh-rsa", blob=b"three")


def hop(path: Path, name: str = "login.lab") -> Hop:
    """Give a host that is known, if at all, from one file."""
    return Hop(
        host=name,
        port=22,
        user="me",
        key_files=(),
        uses_other_keys=False,
        known_as=name,
        own_known_hosts=(path,),
        all_known_hosts=(),
        hashes_names=False,
        connect_sec=1.0,
    )


def line(names: str, key: HostKey) -> str:
    """Write a line as OpenSSH does."""
    return f"{names} {key.kind} {base64.b64encode(key.blob).decode()} a comment\n"


def hashed(name: str) -> str:
    """Hide a name as ssh-keygen -H does."""
    salt = b"s" * 20
    digest = hmac.digest(salt, name.encode(), "sha1")
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", Verdict.UNKNOWN),
        (line("login.lab", KEY), Verdict.KNOWN),
        (line("other,login.lab,third", KEY), Verdict.KNOWN),
        (line("*.lab", KEY), Verdict.KNOWN),
        (line("LOGIN.lab", KEY), Verdict.KNOWN),
        (line(hashed("login.lab"), KEY), Verdict.KNOWN),
        (line(hashed("login.lab"), OTHER), Verdict.CHANGED),
        (line("*.lab,!login.lab", KEY), Verdict.UNKNOWN),
        (line("[login.lab]:2222", KEY), Verdict.UNKNOWN),
        (line("login.lab", OTHER), Verdict.CHANGED),
        (line("login.lab", OTHER) + line("login.lab", KEY), Verdict.KNOWN),
        (line("login.lab", RSA), Verdict.CHANGED),
        ("@revoked " + line("*", KEY) + line("login.lab", KEY), Verdict.CHANGED),
        ("@cert-authority " + line("*", KEY), Verdict.UNKNOWN),
        ("# " + line("login.lab", KEY), Verdict.UNKNOWN),
        ("login.lab ssh-ed25519\nlogin.lab ssh-ed25519 !!!\n|1|x login.lab a\n\xff\n", Verdict.UNKNOWN),
    ],
)
def test_s16_a_key_is_judged_by_the_file(tmp_path: Path, text: str, verdict: Verdict) -> None:
    """Names in lists, as patterns, hashed and excluded; a key of another kind than the known ones is a change."""
    path = tmp_path / "known"
    path.write_text(text)

    assert known_of(hop(path)).verdict(KEY) is verdict


def test_s16_a_missing_file_knows_nobody(tmp_path: Path) -> None:
    """It is made when somebody is trusted, for the user alone."""
    path = tmp_path / "ssh" / "known"
    assert known_of(hop(path)).verdict(KEY) is Verdict.UNKNOWN

    trust(hop(path), KEY)

    assert path.read_text() == "login.lab ssh-ed25519 b25l\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_s16_names_are_hashed_where_the_configuration_says_so(tmp_path: Path) -> None:
    """Each with a salt of its own; the file may be a link."""
    (tmp_path / "real").write_text(line("old", OTHER))
    (tmp_path / "known").symlink_to("real")
    at = replace(hop(tmp_path / "known", "[login.lab]:2222"), hashes_names=True)

    trust(at, KEY)

    assert (tmp_path / "known").is_symlink()
    assert (tmp_path / "real").read_text().startswith(line("old", OTHER))
    assert "login.lab" not in (tmp_path / "real").read_text()
    assert known_of(at).verdict(KEY) is Verdict.KNOWN


def test_fingerprints_are_those_that_sites_publish() -> None:
    """The same as of ssh-keygen -l."""
    assert KEY.fingerprint == "SHA256:dpLDrTVAu4A8Ags67mbNiIcSMjTqDG5xQ8Ct1z/0Me0"
