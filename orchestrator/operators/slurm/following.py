"""Read what a step writes on the cluster while it runs: what is new, and no more of it at once than a screen needs."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.layout import EXIT_CODE, STDERR, STDOUT
from orchestrator.operators.slurm.sites import AwayError, Site, expanded

MOST_BYTES = 64 * 1024

# A file that is shorter than what was read of it has begun anew.
_READ = """\
LC_ALL=C; export LC_ALL; mark={mark}
tell() {{
  test -f "$1" || return 0
  from=$2
  test "$(wc -c < "$1")" -ge "$from" || from=0
  printf '\\n%s %s %s\\n' "$mark" "$1" "$from"
  tail -c "+$((from + 1))" "$1" | head -c {most}
}}
if cd -- {root}/{folder} 2> /dev/null; then
  tell {stdout} {stdout_from}
  tell {stderr} {stderr_from}
  test ! -s {exit_code} || printf '\\n%s ended 0\\n' "$mark"
fi
printf '\\n%s whole 0\\n' "$mark"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fresh:
    """What is new of the files of an attempt, by their names; ``has_ended`` where the step has left its exit code."""

    texts: Mapping[str, bytes]
    has_ended: bool

    @property
    def has_more(self) -> bool:
        """Tell whether there may be more to read at once."""
        return any(len(text) >= MOST_BYTES for text in self.texts.values())


@dataclass(slots=True, kw_only=True)
class Follower:
    """Reads the files of the attempt in ``folder`` below ``root``; ``read`` says how many bytes of each were read."""

    site: Site
    root: str
    folder: str
    read: dict[str, int] = field(default_factory=lambda: {STDOUT: 0, STDERR: 0})

    def look(self) -> Fresh:
        """Give what is new; raises `AwayError`."""
        mark = secrets.token_hex(8)
        script = _READ.format(
            mark=mark,
            most=MOST_BYTES,
            root=expanded(self.root),
            folder=shlex.quote(self.folder),
            stdout=STDOUT,
            stderr=STDERR,
            exit_code=EXIT_CODE,
            stdout_from=self.read[STDOUT],
            stderr_from=self.read[STDERR],
        )
        _, *parts = self.site.ask(script).split(f"\n{mark} ")
        told = {
            head.split(" ")[0]: (int(head.split(" ")[1]), text) for head, _, text in (p.partition("\n") for p in parts)
        }
        if "whole" not in told:
            raise AwayError(f"{self.site.name}: an answer was not whole", may_have_arrived=False)
        texts = {name: told[name][1].encode("utf-8", "surrogateescape") for name in self.read if name in told}
        self.read |= {name: told[name][0] + len(text) for name, text in texts.items()}
        return Fresh(texts=texts, has_ended="ended" in told)
