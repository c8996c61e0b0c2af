"""One cluster as an operator asks it: whole answers, or the news that it is away."""

from __future__ import annotations

import math
import secrets
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import AnswerLostError, HostKeyError, SiteAwayError, TransferError
from orchestrator.operators.slurm.accounts import Accounts
from orchestrator.operators.slurm.answers import AccountRow, Settings, read_accounting, read_settings
from orchestrator.operators.slurm.asking import CONFIGURATION, Answer, answer, question
from orchestrator.operators.slurm.leavings import Left, Place, listing, read_listing
from orchestrator.operators.slurm.parcels import Places
from orchestrator.remote.contents import content_of, digest_lines
from orchestrator.remote.transport import Transport
from orchestrator.remote.trees import archive, archive_size

ASK_SEC = 60.0
# The slowest line over which files are still sent and fetched.
LEAST_BYTES_PER_SEC = 64 * 1024
# What a script ends with that could not unpack what it was given.
_NOT_UNPACKED = 74
_LIST_SEC = 300.0
_SACCT_SEC = 20.0
# What Slurm sets by itself for how long it remembers a job that has ended.
_REMEMBERS_SEC = 300.0
# Where the folder of the wiring is, made where it is missing.
_ARRIVE = """\
mkdir -p -- {root} && cd -- {root} || exit 1
printf 'root %s\\n' "$(pwd -P)"
"""
_COMPARE = """\
{{ test ! -s ./{digests} || if command -v sha256sum >/dev/null 2>&1
then sha256sum --quiet -c ./{digests} >&2; else shasum -a 256 --quiet -c ./{digests} >&2; fi; }}"""
_FIRST_LINES = """\
for file in {files}; do
  line=
  test ! -s "$file" || read -r line < "$file"
  printf '%s\\n' "$line"
done
"""


class AwayError(Exception):
    """The site cannot be asked now; the text says why. What was asked ``may_have_arrived`` and been done.

    Where the last try is too young, the next one is ``again_sec`` from now; infinity is in another session. With
    ``is_final``, it stays so until a person does something.
    """

    def __init__(
        self, note: str, *, may_have_arrived: bool, again_sec: float | None = None, is_final: bool = False
    ) -> None:
        super().__init__(note)
        self.may_have_arrived = may_have_arrived
        self.again_sec = again_sec
        self.is_final = is_final


class NoRoomError(AwayError):
    """The site takes no files now, as where its disk or a quota is full; nothing else was done there."""

    def __init__(self, note: str) -> None:
        super().__init__(note, may_have_arrived=False)


class TooMuchError(AwayError):
    """The answer is too large to be taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What holds for a session: the absolute root there, and Slurm's settings."""

    root: str
    settings: Settings

    @property
    def places(self) -> Places:
        """Give where things lie there."""
        return Places(root=self.root)


class Site:
    """A cluster and the folder there that belongs to the wiring; ``identity`` is the same for all who log in alike.

    ``accounts`` is what these know of its accounting together.
    ``let_go`` is called when nobody needs the site any more.
    """

    def __init__(
        self, transport: Transport, root: str, identity: str, accounts: Accounts, *, let_go: Callable[[], None]
    ) -> None:
        self.identity = identity
        self.accounts = accounts
        self.let_go = let_go
        self._transport = transport
        self._root = root
        self._facts: Facts | None = None
        self._has: set[str] = set()

    @property
    def name(self) -> str:
        """Give the site's name for people."""
        return self._transport.site

    @property
    def forgets_after_sec(self) -> float:
        """Give after how many seconds an ended job may be known to nobody, as far as the site was asked.

        Without an accounting that answers, that is once the queue shows it no more.
        """
        if self._facts is None or (self._facts.settings.has_accounting and not self.accounts.is_silent):
            return math.inf
        remembers_sec = self._facts.settings.min_job_age_sec
        return (_REMEMBERS_SEC if remembers_sec is None else remembers_sec) or math.inf

    def open(self) -> None:
        """Open the way to the site.

        Raises `SiteAwayError` or one of its kinds, and `UsageError` where the SSH configuration cannot be followed.
        """
        self._transport.open()

    def facts(self) -> Facts:
        """Give what holds for the session; raises `AwayError`."""
        if self._facts is None:
            told = self.ask(_ARRIVE.format(root=expanded(self._root)))
            words = dict(line.split(" ", 1) for line in told.splitlines() if " " in line)
            settings = self.command(CONFIGURATION)
            if "root" not in words or settings is None or settings.exit_code:
                said = settings.stderr.strip() if settings else ""
                raise AwayError(f"{self.name}: scontrol show config said {said or 'nothing'}", may_have_arrived=False)
            self._facts = Facts(root=words["root"], settings=read_settings(settings.stdout))
        return self._facts

    def ask(self, script: str, *, stdin: bytes | Iterable[bytes] = b"", deadline_sec: float = ASK_SEC) -> str:
        """Run a script for a POSIX shell and give what it printed; raises `AwayError`, also where it failed."""
        with _told_as_away():
            ran = self._transport.run(script, stdin, deadline_sec=deadline_sec)
        if ran.exit_code:
            said = "; ".join(ran.stderr.strip()[-500:].splitlines()) or f"a script ended with {ran.exit_code}"
            if ran.exit_code == _NOT_UNPACKED:
                raise NoRoomError(f"{self.name}: files cannot be put there: {said}")
            raise AwayError(f"{self.name}: {said}", may_have_arrived=True)
        if not ran.is_whole:
            raise TooMuchError(f"{self.name}: an answer had more than 16 MiB", may_have_arrived=True)
        return ran.stdout.decode("utf-8", "surrogateescape")

    def command(self, words: Sequence[str], *, deadline_sec: float = ASK_SEC) -> Answer | None:
        """Run one of Slurm's programs; None where its answer is not whole. Raises `AwayError`."""
        mark = secrets.token_hex(8)
        return answer(self.ask(question(words, mark), deadline_sec=deadline_sec), mark)

    def accounted(self, words: Sequence[str]) -> tuple[AccountRow, ...] | None:
        """Run a command that asks the accounting; None where that cannot be asked, or does not answer."""
        with suppress(AwayError):
            told = self.command(words, deadline_sec=_SACCT_SEC)
            if told is not None and told.exit_code == 0:
                return read_accounting(told.stdout)
        return None

    def deliver(
        self,
        files: Mapping[str, Path | bytes],
        root: str,
        script: str,
        *,
        lasting: Mapping[str, bytes] | None = None,
        deadline_sec: float,
    ) -> str:
        """Put files into the root by their relative paths, then run a script, in one go; give what the script printed.

        ``lasting`` are files of the root that have their digests in their names: they come once a session, each whole,
        as others may be using them. Nothing of the script is run where not all has arrived. Raises `AwayError`; that is
        a `NoRoomError` where the site did not take the files. Raises `InfrastructureError` for a file that cannot be
        read. The time for the files comes to that of ``deadline_sec``, which is for the script.
        """
        mark = secrets.token_hex(8)
        new = {name: content for name, content in (lasting or {}).items() if f"{root}/{name}" not in self._has}
        drafts = {f".{name}.{mark}": content for name, content in new.items()}
        # An archive that was cut between two files is none that is damaged, for tar.
        last = f".arrived-{mark}"
        sent = {**files, **drafts}
        sent[last] = digest_lines({name: content_of(source).sha256 for name, source in sent.items()})
        size = archive_size(sent)
        takes = [f"head -c {size} | tar -xof -", _COMPARE.format(digests=last), f"rm ./{last}"]
        takes += [f"mv -f ./.{name}.{mark} ./{name}" for name in new]
        takes += [f"test -s ./{name}" for name in lasting or {}]
        leaves = shlex.join(["rm", "-f", *drafts, last])
        unpacked = f"{' && '.join(takes)} || {{ {leaves}; exit {_NOT_UNPACKED}; }}\n"
        # What the site was thought to have may have been purged: it comes again with the next try.
        self._has.difference_update(kept := {f"{root}/{name}" for name in lasting or {}})
        printed = self.ask(
            f"cd -- {shlex.quote(root)} && {unpacked}{script}",
            stdin=archive(sent, text_mode=0o600),
            deadline_sec=deadline_sec + size / LEAST_BYTES_PER_SEC,
        )
        self._has.update(kept)
        return printed

    def bring(self, root: str, names: Sequence[str], into: Path, *, deadline_sec: float) -> dict[str, str]:
        """Fetch files below the root into a folder here; give the digests of those that came. Raises `AwayError`."""
        with _told_as_away():
            return dict(self._transport.get_tree(root, names, into, deadline_sec=deadline_sec).sha256)

    def leavings(self, places: Sequence[Place]) -> list[Left | None]:
        """Tell what attempts left, each in its place; None for one of which nothing whole is known.

        Raises `AwayError`.
        """
        mark = secrets.token_hex(8)
        try:
            printed = self.ask(listing(self.facts().root, places, mark), deadline_sec=_LIST_SEC)
        except TooMuchError:
            if len(places) == 1:
                raise
            half = len(places) // 2
            return [*self.leavings(places[:half]), *self.leavings(places[half:])]
        told = read_listing(printed, mark)
        return [told.get(number) for number in range(len(places))]

    def first_lines(self, files: Sequence[str]) -> list[str]:
        """Give the first line of each of some files; empty where there is none. Raises `AwayError`."""
        lines = self.ask(_FIRST_LINES.format(files=shlex.join(files))).split("\n")
        if len(lines) != len(files) + 1:
            raise AwayError(f"{self.name}: an answer was not whole", may_have_arrived=False)
        return lines[:-1]


@contextmanager
def _told_as_away() -> Iterator[None]:
    try:
        yield
    except AnswerLostError as error:
        raise AwayError(error.message, may_have_arrived=True) from error
    except SiteAwayError as error:
        again_sec = math.inf if error.is_final else error.again_sec
        # A host that somebody trusts meanwhile is reached at the next try.
        is_final = error.is_final or isinstance(error, HostKeyError)
        note = f"{error.message}: {error.hint}" if is_final and error.hint else error.message
        raise AwayError(note, may_have_arrived=False, again_sec=again_sec, is_final=is_final) from error
    except TransferError as error:
        raise AwayError(error.message, may_have_arrived=False) from error


def expanded(root: str) -> str:
    """Give a folder as a word for a POSIX shell that knows what ``~`` and ``$NAME`` at its beginning stand for."""
    head, slash, rest = root.partition("/")
    if head == "~":
        return f'"$HOME"{shlex.quote(slash + rest)}'
    if head.startswith("$"):
        return f'"${{{head[1:].strip("{}")}:?}}"{shlex.quote(slash + rest)}'
    return shlex.quote(root)
