"""What a program prints and ends with, and how the options of programs are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.testing.fake_slurm.cluster import Cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a program prints, what it ends with, and after how many seconds."""

    stdout: str = ""
    stderr: str = ""
    exit_code: int = 0
    after_sec: float = 0.0


class RefusedError(Exception):
    """A program ends before its time."""

    def __init__(self, stderr: str, exit_code: int = 1, after_sec: float = 0.0) -> None:
        super().__init__(stderr)
        self.reply = Reply(stderr=f"{stderr}\n", exit_code=exit_code, after_sec=after_sec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a program by their long names, and what else stands in its command."""

    values: Mapping[str, str] = field(default_factory=dict)
    rest: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        """Tell whether an option was given."""
        return name in self.values

    def get(self, name: str, default: str = "") -> str:
        """Give the value of an option."""
        return self.values.get(name, default)


def read_options(
    program: str,
    words: Sequence[str],
    names: Mapping[str, str],
    flags: Mapping[str, str],
    *,
    ends_at_word: bool = False,
) -> Options:
    """Read a command: ``names`` are options with a value, ``flags`` those without, each by its short letter or itself.

    With ``ends_at_word``, what follows the first word that is no option is not read.
    """
    values: dict[str, str] = {}
    rest: list[str] = []
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("-") or word == "-":
            rest.append(word)
            if ends_at_word:
                break
        elif word.startswith("--"):
            _read_long(program, word, queue, values, names, flags)
        else:
            _read_short(program, word, queue, values, names, flags)
    return Options(values=values, rest=(*rest, *queue))


def reach(cluster: Cluster, call: str) -> None:
    """Raise `RefusedError` where the controller does not answer."""
    if (text := trouble(cluster)) is not None:
        raise RefusedError(f"{call}: {text}", after_sec=cluster.setting("patience_sec"))


def trouble(cluster: Cluster) -> str | None:
    """Say what is wrong with the controller; None where nothing is."""
    texts = {
        "down": "Unable to contact slurm controller (connect failure)",
        "hung": "Socket timed out on send/recv operation",
    }
    return texts.get(cluster.setting("controller"))


def _read_long(
    program: str,
    word: str,
    queue: list[str],
    values: dict[str, str],
    names: Mapping[str, str],
    flags: Mapping[str, str],
) -> None:
    name, has_value, value = word[2:].partition("=")
    if name in flags.values():
        values[name] = value
    elif name in names.values():
        values[name] = value if has_value else _next(program, word, queue)
    else:
        raise _unrecognized(program, f"unrecognized option '{word}'")


def _read_short(
    program: str,
    word: str,
    queue: list[str],
    values: dict[str, str],
    names: Mapping[str, str],
    flags: Mapping[str, str],
) -> None:
    letter, value = word[1], word[2:]
    if letter in flags:
        values[flags[letter]] = ""
        if value:
            queue.insert(0, f"-{value}")
    elif letter in names:
        values[names[letter]] = value or _next(program, word, queue)
    else:
        raise _unrecognized(program, f"invalid option -- '{letter}'")


def _next(program: str, word: str, queue: list[str]) -> str:
    if not queue:
        raise _unrecognized(program, f"option '{word}' requires an argument")
    return queue.pop(0)


def _unrecognized(program: str, what: str) -> RefusedError:
    code = 255 if program == "sbatch" else 1
    return RefusedError(f'{program}: {what}\nTry "{program} --help" for more information', code)
