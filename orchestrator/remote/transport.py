"""What can be done at a site, however it is reached; all of it is made of commands for a POSIX shell there."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, cast

from orchestrator.errors import SiteAwayError, TransferError
from orchestrator.files import replace_file_by
from orchestrator.remote import scripts
from orchestrator.remote.contents import CHANGED, apart, content_of, read_digests, verified
from orchestrator.remote.framing import Ended, new_mark, script_line, unframed
from orchestrator.remote.known_hosts import HostKey
from orchestrator.remote.ssh_config import Hop
from orchestrator.remote.trees import MOST_BYTES, MOST_FILES, Fetched, unpack

Kind = Literal["file", "directory", "link", "other"]

TRANSFER_SEC = 3600.0
STAT_SEC = 60.0
OUTPUT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of a command; of more than 16 MiB of standard output the rest is left out and ``is_whole`` false."""

    exit_code: int
    stdout: bytes
    stderr: str
    is_whole: bool = True

    @property
    def text(self) -> str:
        """Give standard output as text; bytes that are no UTF-8 show as �."""
        return self.stdout.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """What a remote path is, without following a link, and its size in bytes."""

    kind: Kind
    size: int


class Answer:
    """What a command writes to standard output, piece by piece; ``ended`` is there once all was read."""

    def __init__(self, pieces: Generator[bytes, None, Ended]) -> None:
        self._pieces = pieces
        self._ended: Ended | None = None

    def __iter__(self) -> Iterator[bytes]:
        """Give the pieces; who stops early leaves the rest unread."""
        while True:
            try:
                piece = next(self._pieces)
            except StopIteration as end:
                self._ended = self._ended or end.value
                return
            yield piece

    @property
    def ended(self) -> Ended:
        """Give how the command ended; whatever it still had to say is thrown away."""
        if self._ended is None:
            for _ in self:
                pass
        return cast("Ended", self._ended)


class Transport(ABC):
    """A way to one site, whose name is ``site``; it may be used from several threads.

    Whatever asks the site for something opens the way where it is not open. Each raises `SiteAwayError` or one of its
    kinds where nothing was asked, so that it is safe to ask again, and `AnswerLostError` where what became of it is not
    known.
    """

    def __init__(self, site: str) -> None:
        self.site = site

    @abstractmethod
    def open(self) -> None:
        """Open the way to the site; nothing happens where it is open. Raises `SiteAwayError` or one of its kinds."""

    @abstractmethod
    def close(self) -> None:
        """Close the way; commands that are running there are left to themselves."""

    def unknown_host(self) -> tuple[Hop, HostKey] | None:
        """Give the first host on the way whose key is not known, with the key; None where all are.

        It is for a person to compare and for `known_hosts.trust` to keep. Raises `SiteAwayError` or one of its kinds.
        """
        return None

    @abstractmethod
    def _converse(self, line: bytes, given: Iterable[bytes], deadline_sec: float) -> Generator[bytes, None, Ended]:
        """Start the program of `framing`, give it a line and then the pieces, none empty, and give what it writes."""

    def __enter__(self) -> Self:
        """Give the transport, which need not be open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def run(self, command: str, stdin: bytes | Iterable[bytes] = b"", *, deadline_sec: float) -> Ran:
        """Run text for a POSIX shell, whatever the login shell is; an exit code other than 0 is no error.

        Its environment is that of the login; set ``LC_ALL=C`` in it for programs whose words are read. What it leaves
        running must not keep its outputs, or the command does not end.
        """
        given = [stdin] if isinstance(stdin, bytes) else stdin
        with self._asking(command, given, deadline_sec) as answer:
            stdout = bytearray()
            is_whole = True
            for piece in answer:
                room = OUTPUT_BYTES - len(stdout)
                stdout += piece[:room]
                is_whole = is_whole and len(piece) <= room
            ended = answer.ended
            return Ran(exit_code=ended.exit_code, stdout=bytes(stdout), stderr=ended.stderr, is_whole=is_whole)

    def put(self, source: Path | bytes, remote: str, *, mode: int = 0o644, deadline_sec: float = TRANSFER_SEC) -> None:
        """Let a file appear at the site under its name, whole; the folders above it are made.

        Raises `TransferError` where it does not arrive as it was sent, and then leaves what was there.
        """
        content = content_of(source)
        script = scripts.put_script(remote, content.size, content.sha256, mode)
        with self._asking(script, content.pieces(), deadline_sec) as answer:
            self._check(answer.ended, "put", remote)

    def get(self, remote: str, path: Path, *, deadline_sec: float = TRANSFER_SEC) -> None:
        """Bring a file of the site here; it appears as ``path``, whole. Raises `TransferError`, and leaves ``path``."""
        with self._asking(scripts.get_script(remote), [], deadline_sec) as answer:
            replace_file_by(path, verified(answer, lambda: self._check(answer.ended, "fetch", remote)))

    def get_tree(
        self,
        remote: str,
        names: Iterable[str],
        folder: Path,
        *,
        most_bytes: int = MOST_BYTES,
        most_files: int = MOST_FILES,
        deadline_sec: float = TRANSFER_SEC,
    ) -> Fetched:
        """Bring files, and all files of folders, below a directory of the site into a folder here, in one round trip.

        Each file appears whole, and is compared with the digest that the site made of it. Links and what is no file are
        left out and named; paths that lead elsewhere, or more than was allowed, raise `TransferError`, as does what is
        missing or another than was said.
        """
        wanted = list(names)
        if not wanted:
            return Fetched(sha256={}, left_out=())
        script, given = scripts.get_tree_script(remote, wanted)
        with self._asking(script, [given], deadline_sec) as answer:
            head, pieces = apart(answer)
            try:
                fetched = unpack(pieces, folder, most_bytes=most_bytes, most_files=most_files)
            except TransferError as error:
                # Where the other side says why its archive is none, that is the better reason.
                if not error.is_hostile:
                    self._check(answer.ended, "fetch from", remote)
                raise TransferError(f"{self.site}: cannot fetch from {remote}: {error}", hint=error.hint) from error
            self._check(answer.ended, "fetch from", remote)
        said = read_digests(head)
        for name, sha256 in fetched.sha256.items():
            if said.get(name) != sha256:
                message = f"{self.site}: cannot fetch from {remote}: another sha256 arrived than was said of {name}"
                raise TransferError(message, hint=CHANGED)
        return fetched

    def stat(self, remote: str) -> Stat | None:
        """Say what a path is; None where there is nothing. Raises `TransferError` where one may not even look."""
        with self._asking(scripts.stat_script(remote), [], STAT_SEC) as answer:
            words = b"".join(answer).decode("ascii", "replace").split()
            self._check(answer.ended, "look at", remote)
        if words[0] == "missing":
            return None
        return Stat(kind=cast("Kind", words[0]), size=int(words[1]))

    @contextlib.contextmanager
    def _asking(self, script: str, given: Iterable[bytes], deadline_sec: float) -> Iterator[Answer]:
        """Hold a command while the block reads its answer."""
        mark = new_mark()
        with (
            contextlib.closing(self._converse(script_line(script, mark), filter(None, given), deadline_sec)) as raw,
            contextlib.closing(self._begun(unframed(raw, mark))) as pieces,
        ):
            yield Answer(pieces)

    def _begun(self, pieces: Generator[bytes, None, Ended]) -> Generator[bytes, None, Ended]:
        """Refuse what ended before the command began: nothing was done then."""
        ended = yield from pieces
        if not ended.has_begun:
            said = " ".join(ended.stderr.split())[:300]
            hint = "log in by hand and run 'sh': what the login prints or starts may be in the way"
            raise SiteAwayError(f"{self.site}: the login does not run commands{said and f': {said}'}", hint=hint)
        return ended

    def _check(self, ended: Ended, deed: str, remote: str) -> None:
        if ended.exit_code:
            said = ended.stderr.strip()[-500:] or f"exit code {ended.exit_code}"
            hint = "check the path, the space and the permissions there"
            raise TransferError(f"{self.site}: cannot {deed} {remote}: {said}", hint=hint)
