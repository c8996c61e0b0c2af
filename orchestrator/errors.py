"""Every error raised on purpose, as one tree with its exit status, and the codes a message can carry.

MatterStackError                 70  something of ours is broken
├── UsageError                    2  the command asks for what does not exist or is not allowed
│   └── NothingSelectedError      4  the selection leaves no step to run
├── InvalidFileError              3  a recipe or a configuration file is wrong; carries every problem found
├── StepFailedError               1  a run ended because a step failed
├── ScriptletError                1  a scriptlet cannot be loaded or refuses its params
│   ├── MissingClassError         1  a module has no class of that name
│   └── EnvelopeError             1  a scriptlet's answer is not one valid JSON line
├── ContextError                  1  a context key or value that cannot be kept
│   └── NotJsonSafeError          1  a value JSON cannot carry unchanged
├── ExpressionError               1  an expression that cannot be read or evaluated
├── InfrastructureError           6  the machine said no: disk, database, lock, process
│   ├── StoreError                6  the state file cannot be trusted or used
│   │   └── FencedError           6  another runner took the run over
│   ├── RunLockedError            6  another runner drives the run
│   ├── InstrumentAwayError       6  an instrument cannot be reached at the moment
│   │   └── DriverMissingError    6  the program that would reach it is not there
│   └── SiteError                 6  a site did not do what it was asked for
│       ├── SiteAwayError         6  it cannot be reached: nothing was asked
│       │   ├── LoginRefusedError 6  it does not let the user in
│       │   ├── LoginNeededError  6  somebody has to log in by hand
│       │   └── HostKeyError      6  its host key is not known, or not the one that is known
│       ├── AnswerLostError       6  it was asked, and what became of it is not known
│       │   └── AnswerLateError   6  the same, since it took too long
│       └── TransferError         6  files did not arrive
├── RunTimedOutError            124  the run exceeded its time
└── InterruptedRunError         130  the user or the system asked to stop
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Optional, Sequence

CODES = {
    "MS001": "internal error",
    "MS002": "usage error",
    "MS003": "nothing selected",
    "MS004": "run not found",
    "MS005": "interrupted",
    "MS006": "run timed out",
    "MS101": "unknown key",
    "MS102": "duplicate key",
    "MS103": "not valid YAML",
    "MS104": "YAML feature that recipes do not use",
    "MS105": "value outside JSON",
    "MS106": "wrong type or value",
    "MS107": "required key is missing",
    "MS108": "file cannot be read as a recipe",
    "MS109": "file exceeds a limit",
    "MS201": "name is not allowed",
    "MS202": "name is used twice",
    "MS203": "unknown step",
    "MS204": "steps depend on each other in a circle",
    "MS205": "module or script is not allowed",
    "MS206": "module, class or script not found",
    "MS207": "expression cannot be read",
    "MS208": "construct is not executed yet",
    "MS209": "input is missing or has the wrong type",
    "MS210": "steps are out of order",
    "MS211": "a secret is missing, too short, or would be written down",
    "MS212": "file of stubs is wrong",
    "MS213": "an argument does not fit what its scriptlet declares",
    "MS214": "operator key or wiring is not allowed",
    "MS215": "wiring is not the one that the run began with",
    "MS216": "key is for steps that an operator carries out",
    "MS217": "the steps ask for more than the budget",
    "MS218": "a step under a budget has no time limit",
    "MS219": "fewer people may answer than must approve",
    "MS220": "a step imports what does not travel with it",
    "MS301": "step failed",
    "MS302": "success condition does not hold",
    "MS303": "answer is not one JSON line",
    "MS304": "step timed out",
    "MS305": "scriptlet cannot be loaded or refuses its params",
    "MS306": "expression cannot be evaluated",
    "MS307": "recipe or scriptlet changed since the run began",
    "MS308": "two steps side by side wrote one context key",
    "MS309": "the steps were repeated as often as allowed",
    "MS310": "the budget does not allow another attempt",
    "MS401": "context key is not allowed",
    "MS402": "value is not JSON-safe",
    "MS501": "state file is damaged or empty",
    "MS502": "state file is newer than this program",
    "MS503": "run is driven by another runner",
    "MS504": "runner was fenced off",
    "MS505": "network file system refused",
    "MS506": "run has no recipe to go on with",
    "MS507": "a file of an attempt is missing or changed",
    "MS508": "state file is locked by another program",
    "MS601": "the machine refused a file or a process",
    "MS602": "an instrument cannot be reached",
    "MS603": "the folder that people share cannot be used",
    "MS604": "the driver of an instrument is not there",
    "MS701": "the version of the language is missing",
    "MS702": "a context key is read that no step writes",
    "MS703": "context key without area or version",
    "MS704": "an input, constant or secret is not used",
    "MS705": "value that other programs read otherwise",
    "MS706": "a kept result does not depend on a file that the step reads",
    "MS707": "two steps side by side write one context key",
    "MS708": "a secret is written in the recipe",
    "MS801": "a site cannot be reached",
    "MS802": "the answer of a site was lost",
    "MS803": "a site did not answer in time",
    "MS804": "a site does not let the user in",
    "MS805": "a site asks for something that a person must type",
    "MS806": "the host key of a site is not known",
    "MS807": "the host key of a site has changed",
    "MS808": "files did not arrive",
}


# One column each, so that the caret stays below what it marks, and nothing that a terminal would obey.
_STAND_IN = {"\t": " "}


@dataclass(frozen=True)
class Place:
    """Where in a file something is: 1-based line and column, the line's text, and how many characters to mark."""

    file: str
    line: int
    column: int
    text: str = ""
    width: int = 1

    def __str__(self) -> str:
        """Give the clickable form ``file:line:column``."""
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, with its code, its place when it has one, and what to do about it."""

    code: str
    message: str
    place: Optional[Place] = None
    help: str = ""

    def __str__(self) -> str:
        """Draw the caret frame: head line, source line, caret, help."""
        if self.place is not None and not self.place.text:
            return "\n".join([f"{self.place}: error[{self.code}]: {self.message}", *self._help("  ")])
        if self.place is None:
            return "\n".join([f"error[{self.code}]: {self.message}", *self._help("  ")])
        number = f"{self.place.line:>5}"
        gutter = " " * len(number)
        head = f"{self.place}: error[{self.code}]: {self.message}"
        text = "".join(letter if letter.isprintable() else _STAND_IN.get(letter, "�") for letter in self.place.text)
        caret = " " * (self.place.column - 1) + "^" * max(1, self.place.width)
        return "\n".join([head, f"{number} | {text}", f"{gutter} | {caret}", *self._help(gutter + " ")])

    def _help(self, margin: str) -> Sequence[str]:
        return [f"{margin}= help: {self.help}"] if self.help else []


class MatterStackError(Exception):
    """The root of every error raised on purpose.

    ``code`` is stable and documented; ``exit_status`` is what a command ends with; ``hint`` says what to do next.
    """

    code = "MS001"
    exit_status = 70

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or type(self).code

    def __str__(self) -> str:
        """Give the message alone; `explained` adds code and hint."""
        return self.message

    def explained(self) -> str:
        """Give what a terminal shows: code, message and, on its own line, the hint."""
        return str(Problem(self.code, self.message, None, self.hint))


class UsageError(MatterStackError):
    """The command asks for something that does not exist or is not allowed."""

    code = "MS002"
    exit_status = 2


class NothingSelectedError(UsageError):
    """The selection leaves no step to run."""

    code = "MS003"
    exit_status = 4


class InvalidFileError(MatterStackError):
    """A recipe or configuration file is wrong; ``problems`` holds every fault found, in file order."""

    code = "MS108"
    exit_status = 3

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), code=self.problems[0].code)

    def explained(self) -> str:
        """Give every problem as its caret frame."""
        return self.message


class StepFailedError(MatterStackError):
    """A run ended because the step ``step`` failed."""

    code = "MS301"
    exit_status = 1

    def __init__(self, message: str, *, step: str, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.step = step


class ScriptletError(MatterStackError):
    """A scriptlet cannot be loaded or refuses its params; ``key`` is the key of its step that is at fault."""

    code = "MS305"
    exit_status = 1
    key = "module"


class MissingClassError(ScriptletError):
    """A module has no class of the name that its step gives."""

    code = "MS206"
    key = "function"


class EnvelopeError(ScriptletError):
    """A scriptlet's standard output is not one valid envelope."""

    code = "MS303"


class ContextError(MatterStackError):
    """A context key or value that cannot be kept."""

    code = "MS401"
    exit_status = 1


class NotJsonSafeError(ContextError):
    """A value that JSON cannot carry unchanged; the message names the path inside the value."""

    code = "MS402"


class ExpressionError(MatterStackError):
    """An expression that cannot be read or evaluated; ``offset`` is the 0-based character where reading it stopped."""

    code = "MS306"
    exit_status = 1

    def __init__(self, message: str, *, hint: str = "", code: str = "", offset: int = 0) -> None:
        super().__init__(message, hint=hint, code=code)
        self.offset = offset


class InfrastructureError(MatterStackError):
    """The machine said no: a disk, a database, a lock, a process."""

    code = "MS601"
    exit_status = 6


class StoreError(InfrastructureError):
    """The state file cannot be trusted or used."""

    code = "MS501"


class StoreBusyError(InfrastructureError):
    """Another program writes to the state file and does not come to an end."""

    code = "MS508"


class FencedError(StoreError):
    """Another runner took the run over; nothing of this process is written any more."""

    code = "MS504"


class RunLockedError(InfrastructureError):
    """Another runner drives the run."""

    code = "MS503"


class InstrumentAwayError(InfrastructureError):
    """An instrument cannot be reached at the moment, and what it measures is not known: ask again later."""

    code = "MS602"


class DriverMissingError(InstrumentAwayError):
    """The program that would reach an instrument cannot be executed, so the instrument was told nothing."""

    code = "MS604"


class SiteError(InfrastructureError):
    """A site, such as a cluster, did not do what it was asked for."""

    code = "MS801"


class SiteAwayError(SiteError):
    """A site cannot be reached. Nothing was asked, so it is safe to ask again, after ``again_sec`` where that is known.

    One with ``is_final`` stays as it is until a person does something and a new session begins.
    """

    is_final = False

    def __init__(self, message: str, *, hint: str = "", code: str = "", again_sec: Optional[float] = None) -> None:
        super().__init__(message, hint=hint, code=code)
        self.again_sec = again_sec


class LoginRefusedError(SiteAwayError):
    """A site does not let the user in; trying again by itself may lock the account."""

    code = "MS804"
    is_final = True


class LoginNeededError(SiteAwayError):
    """A site asks for something that a person must type, and nobody was there to be asked."""

    code = "MS805"
    is_final = True


class HostKeyError(SiteAwayError):
    """The host key of a site is not known (MS806), or is not the one that is known (MS807).

    ``fingerprint`` is that of the key which the host showed, as ``SHA256:…``.
    """

    code = "MS806"

    def __init__(self, message: str, *, fingerprint: str, hint: str, has_changed: bool) -> None:
        super().__init__(message, hint=hint, code="MS807" if has_changed else "MS806")
        self.fingerprint = fingerprint
        self.is_final = has_changed


class AnswerLostError(SiteError):
    """A site was asked, and the connection was lost before it answered: whether it was done is not known."""

    code = "MS802"


class AnswerLateError(AnswerLostError):
    """A site was asked, and did not answer in time: it may be doing it, or may have done it."""

    code = "MS803"


class TransferError(SiteError):
    """Files did not arrive, and nothing of them is under its final name; ``is_hostile`` where they may do harm."""

    code = "MS808"

    def __init__(self, message: str, *, hint: str = "", code: str = "", is_hostile: bool = False) -> None:
        super().__init__(message, hint=hint, code=code)
        self.is_hostile = is_hostile


class RunTimedOutError(MatterStackError):
    """The run exceeded its time."""

    code = "MS006"
    exit_status = 124


class InterruptedRunError(MatterStackError):
    """The user or the system asked to stop; the run can be resumed."""

    code = "MS005"
    exit_status = 130
