"""One runner asks for a queue, and the others of the machine take its answer."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator.clock import up_sec
from orchestrator.operators.slurm.lookout import Look, look_at_queue

ASKS = """
import sys, time
from pathlib import Path
from orchestrator.clock import up_sec
from orchestrator.operators.slurm.lookout import look_at_queue

def ask():
    with Path(sys.argv[1]).open("a") as asked:
        asked.write("asked\\n")
    time.sleep(0.5)
    return "of one"

print(look_at_queue("alpha", ask, not_before=up_sec() - 30).text)
"""


@pytest.fixture(autouse=True)
def _runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def never() -> str:
    """Fail where an answer is to be there."""
    raise AssertionError("the queue was asked for again")


def test_an_answer_that_is_young_enough_is_taken() -> None:
    """For each site its own; what is older is asked for again."""
    before = up_sec()
    first = look_at_queue("alpha", lambda: "one", not_before=before)

    assert look_at_queue("alpha", never, not_before=before) == first
    assert look_at_queue("beta", lambda: "two", not_before=before).text == "two"
    assert look_at_queue("alpha", lambda: "three", not_before=up_sec()).text == "three"


def test_S28_one_that_was_stopped_while_it_asked_holds_nobody_up(tmp_path: Path) -> None:  # noqa: N802  a statement
    """As by Ctrl-Z: the others wait for as long as an answer may take, and then ask for themselves."""
    asked = tmp_path / "asked"
    with subprocess.Popen([sys.executable, "-c", ASKS.replace("0.5", "60"), str(asked)]) as stopped:
        while not asked.exists():
            time.sleep(0.05)
        stopped.send_signal(signal.SIGSTOP)

        look = look_at_queue("alpha", lambda: "of another", not_before=up_sec(), patience_sec=0.2)

        stopped.kill()
    assert look.text == "of another"


def test_what_cannot_be_asked_is_kept_from_nobody() -> None:
    """The next one asks anew."""

    def refuse() -> str:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        look_at_queue("alpha", refuse, not_before=up_sec())

    assert look_at_queue("alpha", lambda: "there", not_before=0.0).text == "there"


def test_a_large_answer_is_whole() -> None:
    """Sites with a hundred thousand jobs have an answer of ten megabytes."""
    text = "1|1|0|PENDING|Priority|N/A|N/A||ms-x\n" * 300_000

    assert look_at_queue("alpha", lambda: text, not_before=0.0).text == text
    assert look_at_queue("alpha", never, not_before=0.0).text == text


@pytest.mark.parametrize("damage", ["", "{", '{"at_sec": 1}', "[]", '{"boot_id": "another", "at_sec": 1, "text": ""}'])
def test_an_answer_that_is_torn_or_of_another_day_counts_for_nothing(damage: str, tmp_path: Path) -> None:
    """It is asked for again."""
    look_at_queue("alpha", lambda: "one", not_before=0.0)
    (kept,) = tmp_path.glob("matterstack-*/queue-*")
    kept.write_text(damage)

    assert look_at_queue("alpha", lambda: "two", not_before=0.0).text == "two"


def test_S7_two_runners_ask_once(tmp_path: Path) -> None:  # noqa: N802  a statement of the design
    """The second waits for the answer of the first."""
    asked = tmp_path / "asked"
    runners = [
        subprocess.Popen([sys.executable, "-c", ASKS, str(asked)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]

    answers = [runner.communicate()[0] for runner in runners]

    assert answers == ["of one\n"] * 2
    assert asked.read_text() == "asked\n"


def test_S7_a_question_of_a_runner_that_was_killed_is_a_look(tmp_path: Path) -> None:  # noqa: N802  a statement of the design
    """The site was asked, and is not asked again before its time; its answer is nowhere."""
    asked = tmp_path / "asked"
    before = up_sec()
    runner = subprocess.Popen([sys.executable, "-c", ASKS, str(asked)])
    while not asked.exists():
        time.sleep(0.01)
    runner.kill()
    runner.wait()

    look = look_at_queue("alpha", never, not_before=before)

    assert look.text is None
    assert before <= look.at_sec <= up_sec()
    assert look_at_queue("alpha", lambda: "anew", not_before=up_sec()).text == "anew"


def test_a_runner_that_waits_is_served_by_the_one_that_asks() -> None:
    """Threads of one process are runners too."""
    looks: list[Look] = []
    not_before = up_sec()

    def ask() -> str:
        time.sleep(0.2)
        return str(len(looks))

    threads = [
        threading.Thread(target=lambda: looks.append(look_at_queue("alpha", ask, not_before=not_before)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(looks)) == 1
