"""Read the secrets that a recipe declares, and keep their values out of everything that is written down."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from urllib.parse import quote, quote_plus

from orchestrator.errors import UsageError
from orchestrator.files import own_directory, private_files, refused
from orchestrator.recipe.model import Secret

MASK = "***"
_CUT_BEFORE = re.compile(r"\[… [0-9]+ bytes cut …\]\n")
_CUT_AFTER = re.compile(r"\n\[… [0-9]+ bytes cut …\]\Z")
# Programs that encode end their lines after 20 characters at the least, with an end that JSON may have escaped.
_SHORTEST_LINE = 19
_LINE_END = r"(?:\r?\n|\\n)?"
MIN_LENGTH = 8
CODE = "MS211"
# Words of eight letters or more that stand for a secret where nobody has set one, or in records as they are.
_COMMON = frozenset(
    {"password", "changeme", "undefined", "username", "localhost", "12345678", "123456789", "placeholder", "completed"}
    | {"cancelled", "interrupted", "scriptlets", "workspaces", "matterstack"}
)


def read_secrets(declared: Mapping[str, Secret]) -> dict[str, str]:
    """Give the value of every declared secret; raise `UsageError` (MS211) for one that is missing or too short.

    One that comes from a file and is handed on as one keeps the line end after it. A short value would be found in,
    and cut out of, texts that have nothing to do with it.
    """
    values = {name: _read(name, secret) for name, secret in declared.items()}
    for name, value in values.items():
        if len(value.strip()) < MIN_LENGTH:
            hint = f"use one of {MIN_LENGTH} characters or more: a shorter one cannot be told from other text"
            raise UsageError(f"secret {name!r} has {len(value.strip())} characters", hint=hint, code=CODE)
        if value.strip().lower() in _COMMON:
            hint = "use one that nobody guesses: this one would be cut out of texts that have nothing to do with it"
            raise UsageError(f"secret {name!r} is a common word", hint=hint, code=CODE)
    return values


def _read(name: str, secret: Secret) -> str:
    if secret.env is not None:
        if (value := os.environ.get(secret.env)) is None:
            raise UsageError(f"secret {name!r}: ${secret.env} is not set", hint=f"export {secret.env}", code=CODE)
        return value
    if secret.file is not None:
        text = _read_file(name, Path(secret.file).expanduser())
        return text if secret.as_ == "file" else text.rstrip("\n")
    return _read_keyring(name, secret.keyring or "")


def _read_file(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or "").lower() if isinstance(error, OSError) else "it is no UTF-8"
        raise UsageError(f"secret {name!r}: cannot read {path}: {reason}", hint="check the file", code=CODE) from error


def _read_keyring(name: str, entry: str) -> str:
    """Read ``service/user`` from the system's keyring, with the package ``keyring`` where it is installed."""
    try:
        keyring = import_module("keyring")
    except ModuleNotFoundError as error:
        hint = "install it: pip install 'matterstack[keyring]'"
        raise UsageError(f"secret {name!r}: the package 'keyring' is missing", hint=hint, code=CODE) from error
    service, _, user = entry.rpartition("/")
    value: str | None = keyring.get_password(service or entry, user)
    if value is None:
        hint = f"add it: keyring set {service or entry} {user}"
        raise UsageError(f"secret {name!r}: the keyring has no {entry!r}", hint=hint, code=CODE)
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOn:
    """What steps get of the secrets of each recipe, by the recipe's name: the values, or the paths of their files."""

    secrets: Mapping[str, Mapping[str, str]]
    contents: Mapping[str, str]

    def with_contents(self, text: str) -> str:
        """Put the secret itself in the place of its file's path."""
        for path, content in self.contents.items():
            text = text.replace(path, content)
        return text


@contextmanager
def handing_on(
    declared: Mapping[str, Mapping[str, Secret]], values: Mapping[str, Mapping[str, str]]
) -> Iterator[HandedOn]:
    """Keep a file for each secret that is handed on as one, which this user alone may read, while the block lasts.

    They lie in $XDG_RUNTIME_DIR, which is memory and gone at the end of the session, or in the temporary directory.
    Raises `InfrastructureError`.
    """
    wanted = [
        (recipe, name)
        for recipe, secrets in declared.items()
        for name, secret in secrets.items()
        if secret.as_ == "file"
    ]
    numbered = {f"{number}-{name}": values[recipe][name] for number, (recipe, name) in enumerate(wanted)}
    with private_files(runtime_folder(), {name: value.encode() for name, value in numbered.items()}) as files:
        given = {recipe: dict(secrets) for recipe, secrets in values.items()}
        for number, (recipe, name) in enumerate(wanted):
            given[recipe][name] = str(files[f"{number}-{name}"])
        yield HandedOn(secrets=given, contents={str(files[name]): value for name, value in numbered.items()})


def runtime_folder() -> Path:
    """Give the folder of this user for files that matter while the machine is up; it need not exist yet."""
    import tempfile

    named = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
    base = named if os.access(named, os.W_OK) else Path(tempfile.gettempdir())
    return base / f"matterstack-{os.getuid()}"


def own_runtime_folder() -> Path:
    """Make that folder, or see that it is there for this user alone; raises `InfrastructureError`."""
    folder = runtime_folder()
    try:
        own_directory(folder)
    except OSError as error:
        raise refused(error, f"make the directory {folder}") from error
    return folder


class Masker:
    """Finds secrets in text, also in base64, hexadecimal, URL- or JSON-escaped, and line by line, and masks them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        variants = sorted({text for value in secrets for text in _variants(value)}, key=len, reverse=True)
        self._wanted = "|".join(map(_wrapped, variants))
        self._pattern = re.compile(self._wanted, re.IGNORECASE) if variants else None
        self._longest = max(map(len, variants), default=0) * 2

    @property
    def is_needed(self) -> bool:
        """Tell whether there is anything to look for."""
        return self._pattern is not None

    def mask(self, text: str) -> str:
        """Give the text with ``***`` in the place of every secret."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def mask_output(self, text: str) -> str:
        """Mask what a program wrote, of which the beginning or the end may be cut off, and with it part of a secret."""
        if self._pattern is None:
            return text
        if cut := _CUT_BEFORE.match(text):
            text = f"{cut[0]}{text[cut.end() + self._longest :]}"
        if cut := _CUT_AFTER.search(text):
            text = f"{text[: max(0, cut.start() - self._longest)]}{cut[0]}"
        return self.mask(text)

    def finds(self, text: str) -> bool:
        """Tell whether a secret is in the text."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def places(self, content: bytes) -> list[int]:
        """Give where secrets begin in the bytes of a file, which is in UTF-8 where it is text."""
        return [match.start() for match in self._raw.finditer(content)] if self._wanted else []

    @cached_property
    def _raw(self) -> re.Pattern[bytes]:
        return re.compile(self._wanted.encode(), re.IGNORECASE)


def _wrapped(variant: str) -> str:
    """Give the pattern of a variant; one that is longer than a line may be is found also over several lines."""
    if len(variant) <= _SHORTEST_LINE:
        return re.escape(variant)
    return _LINE_END.join(map(re.escape, variant))


def _variants(value: str) -> Iterator[str]:
    """Give the forms in which a value may turn up; those too short to be told from other text are left out."""
    parts = {value.strip("\r\n"), value.strip(), *value.splitlines(), *_leaves(value)}
    for part in filter(_is_long, parts):
        content = part.encode()
        yield part
        yield json.dumps(part)[1:-1]
        yield json.dumps(part, ensure_ascii=False)[1:-1]
        yield from (quote(part, safe=""), quote(part), quote_plus(part))
        yield content.hex()
        yield from filter(_is_long, _base64(content))


def _is_long(text: str) -> bool:
    return len(text) >= MIN_LENGTH


def _leaves(value: str) -> Iterator[str]:
    """Give the texts inside a secret that is JSON."""
    try:
        stack = [json.loads(value)]
    except (ValueError, RecursionError):
        return
    while stack:
        part = stack.pop()
        if isinstance(part, dict | list):
            stack.extend(part.values() if isinstance(part, dict) else part)
        elif isinstance(part, str):
            yield part


def _base64(content: bytes) -> Iterator[str]:
    """Give the part of a value's base64 that is the same wherever in a text it was encoded, in both alphabets."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            text = encode(b"\0" * shift + content).decode().rstrip("=")
            first = (shift * 8 + 5) // 6
            last = (shift + len(content)) * 8 // 6
            yield text[first:last]
