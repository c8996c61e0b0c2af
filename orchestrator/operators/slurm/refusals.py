"""Tell what a submission means that did not end in a job: for ever, for now, or nobody knows."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.operators.slurm.answers import Submitted, read_submitted
from orchestrator.operators.slurm.asking import BUSY, Answer


class Verdict(StrEnum):
    """What came of a submission. AMBIGUOUS: there may be a job, so it is looked for by its name."""

    REJECTED = "REJECTED"
    NOT_NOW = "NOT_NOW"
    AMBIGUOUS = "AMBIGUOUS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """No job that is known of, Slurm's own words for why, and what to do where that is known."""

    verdict: Verdict
    text: str
    hint: str = ""

    @property
    def explained(self) -> str:
        """Give Slurm's words, and below them what to do where that is known."""
        return f"{self.text}\n{self.hint}".strip()

    @property
    def is_of_many(self) -> bool:
        """Tell whether fewer jobs at once might be taken."""
        return self.verdict is Verdict.NOT_NOW and bool(_OF_MANY.search(self.text))

    @property
    def about(self) -> frozenset[str]:
        """Name the resources of a step of which Slurm says that too much or too little was asked for."""
        return frozenset(name for pattern, names in _RESOURCES if re.search(pattern, self.text) for name in names)


_RESOURCES = (
    (r"[Tt]ime limit|WallDuration", ("time_limit",)),
    (r"[Pp]rocessors|CPU|Cpu", ("cores",)),
    (r"[Mm]emory|Mem(Per|\b)", ("memory_gb",)),
    (r"[Gg]res|GRES", ("gpus",)),
    (r"node configuration", ("cores", "memory_gb", "gpus")),
)
_OF_MANY = re.compile(r"Submit|Jobs|Job violates|[Jj]ob limit|Too many jobs")
_NO_PROGRAM = (126, 127)
_SAYS = re.compile(r"(?:sbatch|slurm_\w+|.*sbatch): (?:error: )?(.*)")
_FAILED = "Batch job submission failed: "
# The first that is found decides; each says what it stands for on a site.
_PATTERNS = (
    # The request was sent, and may have been carried out.
    (Verdict.AMBIGUOUS, r"Socket timed out on send/recv", ""),
    (Verdict.AMBIGUOUS, r"Zero Bytes were transmitted or received", ""),
    (Verdict.AMBIGUOUS, r"Message (receive|send) failure", ""),
    (Verdict.AMBIGUOUS, r"(Unexpected message|Unspecified error|Communication connection failure)", ""),
    (Verdict.AMBIGUOUS, r"(Connection reset|Broken pipe)", ""),
    # A limit on one job by itself; waiting does not change it.
    (
        Verdict.REJECTED,
        r"\b(QOS|Assoc)(Max|Min)\w*(PerJob|WallDuration)\w*",
        "ask for less by the step's resources, or name another qos or account",
    ),
    # A limit on all jobs together.
    (Verdict.NOT_NOW, r"\b(QOS|Assoc)\w*(Submit|Jobs|Grp)\w*", ""),
    (Verdict.NOT_NOW, r"Job violates accounting/QOS policy", ""),
    (Verdict.NOT_NOW, r"Unable to contact slurm controller", ""),
    (
        Verdict.NOT_NOW,
        r"Munge (encode|decode) failed|Protocol authentication error|Invalid authentication credential",
        "",
    ),
    (Verdict.NOT_NOW, r"Slurm (temporarily unable|backup controller|controller not|is in standby)", ""),
    (Verdict.NOT_NOW, r"Resource temporarily unavailable|Job limit exceeded|Too many jobs", ""),
    (Verdict.NOT_NOW, r"Required partition not available|Requested partition .* is (down|drained)", ""),
    (Verdict.NOT_NOW, r"I/O error writing script/environment|No space left on device|Disk quota exceeded", ""),
    # The rest is wrong as it stands; these say what mends it.
    (
        Verdict.REJECTED,
        r"[Ii]nvalid partition|Partition name",
        "name a partition that 'sinfo' lists, under slurm.partition",
    ),
    (
        Verdict.REJECTED,
        r"Invalid account or account/partition",
        "name an account that 'sacctmgr show associations user=$USER' lists, under slurm.account",
    ),
    (Verdict.REJECTED, r"Invalid qos", "name a qos of your account, under slurm.qos"),
    (Verdict.REJECTED, r"Invalid feature", "name a feature that 'sinfo -o %f' lists, under slurm.constraint"),
    (
        Verdict.REJECTED,
        r"Invalid generic resource|[Gg]res",
        "name what 'sinfo -o %G' lists, under slurm.gres, or ask for no gpus",
    ),
    (
        Verdict.REJECTED,
        r"Requested time limit is invalid",
        "give the step a time_limit below the partition's, which 'sinfo -o \"%P %l\"' tells",
    ),
    (
        Verdict.REJECTED,
        r"More processors|node configuration|Node count|Memory specification|CPU count",
        "ask for less by the step's resources: no node of the partition has as much",
    ),
    (Verdict.REJECTED, r"Invalid job array specification", "let fewer tasks be one array"),
    (Verdict.REJECTED, r"unrecognized option|Invalid --\w+ specification", "mend slurm.extra in operators.yaml"),
)


def judge_submission(answer: Answer | None) -> Submitted | Refusal:
    """Say what came of a submission; None is an answer that did not arrive, or not whole."""
    if answer is None:
        return Refusal(verdict=Verdict.AMBIGUOUS, text="no whole answer came from the site")
    submitted = read_submitted(answer.stdout)
    if answer.exit_code == 0 and submitted is not None:
        return submitted
    refusal = _refusal(answer.exit_code, answer.stderr)
    # A wrapper of the site's may have failed after Slurm had the job.
    return refusal if submitted is None else replace(refusal, verdict=Verdict.AMBIGUOUS)


def advice_on(text: str) -> str:
    """Give what mends a refusal in Slurm's words; empty where that is not known."""
    return next((hint for _, pattern, hint in _PATTERNS if re.search(pattern, text)), "")


def _refusal(exit_code: int, stderr: str) -> Refusal:
    text = _words(stderr)
    if exit_code in _NO_PROGRAM:
        hint = "see that a login by SSH finds Slurm's programs on its PATH"
        return Refusal(verdict=Verdict.REJECTED, text=text or "there is no program 'sbatch'", hint=hint)
    # Another submission is under way there, which needs what was brought for it.
    if exit_code in (0, BUSY) or (exit_code > _NO_PROGRAM[1] and exit_code != 255) or not text:  # noqa: PLR2004  a wrong option
        return Refusal(verdict=Verdict.AMBIGUOUS, text=text or f"sbatch told no job and ended with {exit_code}")
    for verdict, pattern, hint in _PATTERNS:
        if re.search(pattern, text):
            return Refusal(verdict=verdict, text=text, hint=hint)
    return Refusal(verdict=Verdict.REJECTED, text=text)


def _words(stderr: str) -> str:
    """Give what sbatch said, without its name on each line; all that was said where none has it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    said = [found[1] for line in lines if (found := _SAYS.fullmatch(line))]
    return "; ".join(line.removeprefix(_FAILED) for line in said or lines)
