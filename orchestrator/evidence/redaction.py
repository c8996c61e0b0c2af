"""Keep secrets and homes out of an evidence before anything of it is hashed."""

from __future__ import annotations

import json
import pwd
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.secrecy import MASK, Masker
from orchestrator.store.events import text_digest

POLICY = "1"
RULES = ("secrets", "home")
REDACTED_HOME = "<redacted-home>"

_HOMES = r"/home/[^/]+|/Users/[^/]+|/root"


class Redaction:
    """What is done about secrets, and what was; unless ``is_masking``, they are left for others to find and refuse.

    The digest of a text that held a secret goes with it: a short secret could be guessed from it.
    """

    def __init__(self, secrets: Sequence[str], *, is_masking: bool) -> None:
        self.masker = Masker(secrets)
        self.is_masking = is_masking and self.masker.is_needed
        self.values_redacted = 0
        self.files_withheld: list[str] = []
        self._secrets = list(secrets)
        self._digests: set[str] = set()

    def hide(self, sha256: str) -> None:
        """Leave the digest of what is withheld out of everything that comes after it."""
        self._digests.add(sha256)
        self._secrets.append(sha256)
        self.masker = Masker(self._secrets)

    def clean_value(self, text: str) -> Any:  # noqa: ANN401  any JSON value
        """Give the JSON value of a recorded text without secrets; the digest by which events name it goes with them."""
        value = json.loads(text)
        cleaned = self.clean(value)
        if cleaned != value:
            self._digests.add(text_digest(text))
        return cleaned

    def clean(self, value: Any) -> Any:  # noqa: ANN401  any JSON value
        """Give a JSON value with ``***`` in the place of every secret, also in its keys."""
        return self._cleaned(value) if self.is_masking else value

    def _cleaned(self, value: Any) -> Any:  # noqa: ANN401  any JSON value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._cleaned(part) for part in value]
        if isinstance(value, dict):
            return {self._text(key): self._cleaned(part) for key, part in value.items()}
        return value

    def _text(self, text: str) -> str:
        masked = MASK if text in self._digests else self.masker.mask(text)
        self.values_redacted += masked != text
        return masked


def without_home(path: str, run_root: Path) -> str:
    """Give a path with a word in the place of a home: of whoever the run belongs to, or one as systems name them.

    It depends on no setting of whoever asks.
    """
    homes = f"{re.escape(_home_of_owner(run_root))}|{_HOMES}"
    return re.sub(rf"\A(?:{homes})(?=/|\Z)", REDACTED_HOME, path)


def _home_of_owner(run_root: Path) -> str:
    try:
        found = pwd.getpwuid(run_root.stat().st_uid).pw_dir.rstrip("/")
    except KeyError:
        found = ""
    return found or "/root"
