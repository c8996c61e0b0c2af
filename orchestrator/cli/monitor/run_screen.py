"""One run on a screen, and what keys do with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.text import Text

from orchestrator.cli.answers import record_answer, refuse_late, terms, verdict
from orchestrator.cli.frontier import asks_people
from orchestrator.cli.monitor import view
from orchestrator.cli.monitor.reading import Choice, RunGlance, RunReader, read_question
from orchestrator.cli.monitor.screens import LOOK_SEC, Dialog, Leave, Page, Screen, moved
from orchestrator.clock import utc_now
from orchestrator.errors import MatterStackError
from orchestrator.operators.asking import Question
from orchestrator.steering import ask
from orchestrator.store.database import update_legacy
from orchestrator.store.glances import Order
from orchestrator.store.leases import is_driven
from orchestrator.store.requests import Wish

HELP = """\
↑ ↓ j k, page up, page down     move; the first line is followed until you do
home, g                         follow the first line again
enter, l                        the log of the task, which is followed to its end
a                               approve what the task asks
x                               reject it
o                               order: loud first, or as planned
i                               show also items of fan-outs that wait or are done, or hide them
p                               ask the run to pause
r                               ask the run not to pause
c                               ask the run to end for good
escape, left                    all runs
?                               this page
q, ctrl-c                       leave; the run goes on

Loud tasks are those that wait for people or others, that run, and that failed.
What is asked of a run is done by the process that drives it, or by the next one.
"""
_KEYS = "↑↓ move  enter log  a approve  x reject  p pause  r resume  c cancel  ? help  q quit"
_DOES = {
    Wish.PAUSE: "pauses when what its runner runs has ended; what operators have goes on",
    Wish.RESUME: "goes on, if it had not paused yet",
    Wish.CANCEL: "ends: what runs is told to end, and what comes last is done",
}
_WISHES = {"p": Wish.PAUSE, "r": Wish.RESUME, "c": Wish.CANCEL}


class RunScreen:
    """A run, read anew at each look; one of its tasks is chosen, and what is asked of the run is confirmed first."""

    def __init__(self, run_root: Path) -> None:
        self._root = run_root
        self._reader = RunReader(run_root)
        self._choice = Choice()
        self._glance: RunGlance | None = None
        self._note = ""

    @property
    def look_sec(self) -> float:
        """Look again twice a second."""
        return LOOK_SEC

    def draw(self, width: int, height: int) -> list[Text]:
        """Read the run and draw it; raise `StoreError` where it cannot be read."""
        if self._glance is None:
            update_legacy(self._root)
        glance = self._reader.look(self._choice)
        parts = view.heights(height, view.wanted_heights(glance, len(glance.positions)))
        if parts.tasks != self._choice.height:
            self._choice = replace(self._choice, height=max(parts.tasks, 1))
            glance = self._reader.look(self._choice)
        self._glance = glance
        self._choice = replace(self._choice, first=glance.choice.first, index=glance.choice.index)
        lines = view.run_screen(glance, parts, width=width, now=utc_now())[: height - 1]
        blank = [Text()] * (height - 1 - len(lines))
        return [*lines, *blank, view.footer(self._note or _KEYS, width, is_loud=bool(self._note))]

    def press(self, key: str) -> Screen | Leave | None:
        """Move, open, ask, or leave."""
        self._note = ""
        if key in ("escape", "left", "backspace"):
            return Leave.BACK
        if key == "q":
            return Leave.QUIT
        if key == "?":
            return Page("keys", HELP.splitlines)
        acts: dict[str, Callable[[], Screen | None]] = {
            "enter": self._log,
            "right": self._log,
            "l": self._log,
            "a": lambda: self._answering(approves=True),
            "x": lambda: self._answering(approves=False),
            "o": self._reorder,
            "i": self._turn_items,
        }
        if key in acts:
            return acts[key]()
        if key in _WISHES:
            return self._asking(_WISHES[key])
        self._move(key)
        return None

    def _move(self, key: str) -> None:
        step = moved(key, self._choice.height, 1 + (len(self._glance.positions) if self._glance else 0))
        if step is None or self._glance is None or not self._glance.positions:
            return
        positions = self._glance.positions
        index = max(0, min(self._choice.index + step, len(positions) - 1))
        position = None if key in ("home", "g") else positions[index]
        self._choice = replace(self._choice, index=index, position=position)

    def _reorder(self) -> None:
        order = Order.PLANNED if self._choice.order is Order.LOUD_FIRST else Order.LOUD_FIRST
        self._choice = replace(self._choice, order=order)

    def _turn_items(self) -> None:
        self._choice = replace(self._choice, with_items=not self._choice.with_items)

    def _log(self) -> Screen | None:
        if self._glance is None or self._glance.selected is None:
            return None
        chosen = replace(self._choice, position=self._glance.selected.position)
        name = self._glance.selected.task_id
        return Page(f"log of {name}", lambda: self._logged(chosen), follows=True)

    def _logged(self, chosen: Choice) -> Sequence[str]:
        glance = self._reader.look(chosen)
        return glance.log or (
            "nothing was printed, or nothing is kept yet: steps without operator keep it at their end",
        )

    def _answering(self, *, approves: bool) -> Screen | None:
        line = self._glance.selected if self._glance else None
        if line is None or not asks_people(line):
            self._note = "this task waits for no answer"
            return None
        try:
            question = read_question(self._root, line)
            refuse_late(question)
        except MatterStackError as error:
            self._note = error.explained().replace("\n", " ")
            return None
        return Dialog(
            f"{'approve' if approves else 'reject'} {question.task_id}?",
            shown_question(question),
            lambda reason: self._answer(question, approves=approves, reason=reason),
            self._tell,
            asks_why=not approves,
        )

    def _answer(self, question: Question, *, approves: bool, reason: str) -> str:
        refuse_late(question)
        document = {**verdict(approves=approves, reason=reason, said={}), "attempt_id": question.attempt_id}
        file = record_answer(self._root, question.task_id, document)
        return f"{question.task_id}: {'approved' if approves else 'rejected'}, in {file}"

    def _asking(self, wish: Wish) -> Screen:
        name = self._root.name
        body = [f"ask run {name}: {wish}", "", f"Then it {_DOES[wish]}.", *self._undriven(wish)]
        return Dialog(
            f"{wish} {name}?",
            body,
            lambda reason: self._ask(wish, reason),
            self._tell,
            asks_why=wish is not Wish.RESUME,
        )

    def _ask(self, wish: Wish, reason: str) -> str:
        ask(self._root, wish, reason)
        return " ".join([f"asked: {wish}.", *self._undriven(wish)])

    def _undriven(self, wish: Wish) -> list[str]:
        if is_driven(self._root):
            return []
        return [f"Nobody drives it here; to bring it about: matterstack {wish} {self._root.name}"]

    def _tell(self, note: str) -> None:
        self._note = note
        self._reader.forget()


def shown_question(question: Question) -> list[str]:
    """Give all that somebody has to read who answers."""
    texts = [f"{question.task_id} asks:", "", *question.instructions.rstrip().splitlines(), ""]
    return [*texts, *terms(question), f"files: {question.folder}"]
