"""How a command ended is known however much of what it printed was read."""

from __future__ import annotations

from collections.abc import Generator

from orchestrator.remote.framing import Ended
from orchestrator.remote.transport import Answer


def printed() -> Generator[bytes, None, Ended]:
    """Give what a command prints, and how it ends."""
    yield from (b"an archive", b"its padding", b"more")
    return Ended(exit_code=3, stderr="")


def test_an_answer_that_was_read_in_part_tells_its_end() -> None:
    """Who unpacks an archive stops where that ends, which may be before the last piece."""
    answer = Answer(printed())

    first = next(iter(answer))

    assert (first, answer.ended.exit_code) == (b"an archive", 3)
    assert (answer.ended.exit_code, list(answer)) == (3, [])
