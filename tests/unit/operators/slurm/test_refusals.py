"""A submission that ends in no job is refused for ever, for now, or may have ended in one."""

from __future__ import annotations

import pytest

from orchestrator.operators.slurm.answers import Submitted
from orchestrator.operators.slurm.asking import BUSY, Answer
from orchestrator.operators.slurm.refusals import Refusal, Verdict, judge_submission

FAILED = "sbatch: error: Batch job submission failed: "
POLICY = f"{FAILED}Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)"
SHAPE = f"{FAILED}Requested node configuration is not available"

REJECTED = [
    (1, f"sbatch: error: invalid partition specified: nosuch\n{FAILED}Invalid partition name specified"),
    (1, f"{FAILED}Requested time limit is invalid (missing or exceeds some limit)"),
    (1, f"{FAILED}More processors requested than permitted"),
    (1, f"{FAILED}Node count specification invalid"),
    (1, f"sbatch: error: Memory specification can not be satisfied\n{SHAPE}"),
    (1, f"sbatch: error: CPU count per node can not be satisfied\n{SHAPE}"),
    (1, SHAPE),
    (1, "sbatch: error: Invalid generic resource (gres) specification"),
    (1, f"{FAILED}Invalid account or account/partition combination specified"),
    (1, f"{FAILED}Invalid qos specification"),
    (1, f"{FAILED}Invalid node name specified"),
    (1, f"{FAILED}Invalid feature specification"),
    (1, f"{FAILED}Invalid license specification"),
    (1, f"{FAILED}Requested reservation is invalid"),
    (1, f"{FAILED}Job dependency problem"),
    (1, f"{FAILED}Invalid job array specification"),
    (1, f"{FAILED}Pathname of a file, directory or other parameter too long"),
    (255, "sbatch: unrecognized option '--bogus'\nTry \"sbatch --help\" for more information"),
    (255, "sbatch: error: Invalid --time specification"),
    (1, "sbatch: error: Unable to open file nosuch.sh"),
    (1, "sbatch: error: This does not look like a batch script.  The first"),
    (1, "sbatch: error: Batch script is empty!"),
    (1, "sbatch: error: Batch script contains DOS line breaks (\\r\\n)"),
    (1, f"sbatch: error: QOSMaxWallDurationPerJobLimit\n{POLICY}"),
    (1, f"sbatch: error: AssocMaxCpuPerJobLimit\n{POLICY}"),
    (1, f"sbatch: error: QOSMaxCpuPerJobLimit\n{POLICY}"),
    (1, f"sbatch: error: QOSMinCpuNotSatisfied\n{FAILED}a word that nobody knows"),
    (127, "sh: 1: sbatch: not found"),
]
NOT_NOW = [
    (1, f"sbatch: error: AssocMaxSubmitJobLimit\n{POLICY}"),
    (1, f"sbatch: error: QOSMaxSubmitJobPerUserLimit\n{POLICY}"),
    (1, f"sbatch: error: QOSGrpSubmitJobsLimit\n{POLICY}"),
    (1, f"sbatch: error: AssocGrpSubmitJobsLimit\n{POLICY}"),
    (1, POLICY),
    (1, f"{FAILED}Required partition not available (inactive or drain)"),
    (1, f"{FAILED}Unable to contact slurm controller (connect failure)"),
    (
        1,
        f'sbatch: error: Munge encode failed: Failed to access "/x"\n{FAILED}Protocol authentication error',
    ),
    (1, f"{FAILED}Resource temporarily unavailable"),
    (1, f"{FAILED}I/O error writing script/environment to file"),
    (1, f"{FAILED}Slurm backup controller in standby mode"),
]
AMBIGUOUS = [
    (BUSY, "another submission is under way"),
    (1, f"{FAILED}Socket timed out on send/recv operation"),
    (1, f"{FAILED}Zero Bytes were transmitted or received"),
    (1, f"{FAILED}Unspecified error"),
    (1, f"sbatch: error: AssocMaxSubmitJobLimit\n{FAILED}Socket timed out on send/recv operation"),
    (1, ""),
    (0, "sbatch: warning: something"),
    (0, ""),
    (137, ""),
    (143, "Terminated"),
]


@pytest.mark.parametrize(
    ("exit_code", "stderr", "verdict"),
    [
        *((code, text, Verdict.REJECTED) for code, text in REJECTED),
        *((code, text, Verdict.NOT_NOW) for code, text in NOT_NOW),
        *((code, text, Verdict.AMBIGUOUS) for code, text in AMBIGUOUS),
    ],
)
def test_S4_a_refusal_is_for_ever_for_now_or_unknown(  # noqa: N802  a statement of the design
    exit_code: int, stderr: str, verdict: Verdict
) -> None:
    """By what Slurm says, and nothing that may have been carried out is taken for refused."""
    refusal = judge_submission(Answer(exit_code=exit_code, stdout="\n", stderr=stderr))

    assert isinstance(refusal, Refusal)
    assert refusal.verdict is verdict


def test_a_refusal_keeps_slurms_words_and_says_what_to_do() -> None:
    """Without the program's name on each line."""
    text = "bash: warning: setlocale\n" + REJECTED[0][1]

    refusal = judge_submission(Answer(exit_code=1, stdout="", stderr=text))

    assert refusal == Refusal(
        verdict=Verdict.REJECTED,
        text="invalid partition specified: nosuch; Invalid partition name specified",
        hint="name a partition that 'sinfo' lists, under slurm.partition",
    )


def test_S2_an_answer_that_did_not_come_is_unknown() -> None:  # noqa: N802  a statement of the design
    """The job may be there."""
    refusal = judge_submission(None)

    assert isinstance(refusal, Refusal)
    assert refusal.verdict is Verdict.AMBIGUOUS


def test_a_job_that_slurm_took_is_no_refusal() -> None:
    """Whatever it says beside it."""
    answer = Answer(exit_code=0, stdout="WELCOME\n12;alpha\n", stderr="sbatch: error: AssocMaxSubmitJobLimit")

    assert judge_submission(answer) == Submitted(job_id="12", cluster="alpha")


def test_a_job_id_beside_a_failure_proves_nothing() -> None:
    """It is looked for."""
    refusal = judge_submission(Answer(exit_code=143, stdout="12\n", stderr=""))

    assert isinstance(refusal, Refusal)
    assert refusal.verdict is Verdict.AMBIGUOUS
