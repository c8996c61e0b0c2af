"""A job asks for what wiring and step say, and a value stays a value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import ScriptletError
from orchestrator.operators.slurm.directives import Demand, directives, duration_text
from orchestrator.wiring.model import Slurm


def test_a_job_asks_for_all_that_is_said() -> None:
    """By the names that sbatch has for it."""
    slurm = Slurm(partition="batch", account="main", qos="normal", constraint="a&b", extra=("--exclusive", "--nice=5"))
    demand = Demand(
        slurm=slurm,
        resources={"cores": 4, "memory_gb": 1.5, "gpus": 2},
        limit_sec=7200,
    )

    assert directives(demand) == [
        "--ntasks=1",
        "--cpus-per-task=4",
        "--mem=1536M",
        "--gres=gpu:2",
        "--time=0-02:00:00",
        "--partition=batch",
        "--account=main",
        "--qos=normal",
        "--constraint=a&b",
        "--exclusive",
        "--nice=5",
    ]


def test_what_is_not_said_is_left_to_the_site() -> None:
    """One core is what every step asks for."""
    assert directives(Demand(slurm=Slurm(), resources={"cores": 1, "gpus": 0})) == ["--ntasks=1", "--cpus-per-task=1"]


@pytest.mark.parametrize(
    ("wired", "gpus", "expected"),
    [
        ("gpu:1", 0, ["--gres=gpu:1"]),
        ("gpu:1", 2, ["--gres=gpu:2"]),
        ("gpu:a100", 2, ["--gres=gpu:a100:2"]),
        ("gpu:a100:1,ssd:1", 4, ["--gres=ssd:1,gpu:a100:4"]),
        ("ssd:1", 1, ["--gres=ssd:1,gpu:1"]),
    ],
)
def test_the_wiring_says_which_gpus_and_the_step_how_many(wired: str, gpus: int, expected: list[str]) -> None:
    """Other generic resources are the wiring's alone."""
    assert directives(Demand(slurm=Slurm(gres=wired), resources={"gpus": gpus}))[2:] == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.1, "0-00:01:00"),
        (60, "0-00:01:00"),
        (61, "0-00:02:00"),
        (3600, "0-01:00:00"),
        (7 * 86_400, "7-00:00:00"),
        (1e30, "1491308-02:07:00"),
    ],
)
def test_times_are_whole_minutes(seconds: float, expected: str) -> None:
    """Slurm would round them up as well, and would refuse what it cannot count."""
    assert duration_text(seconds) == expected


@pytest.mark.parametrize(
    "bad", ["batch\n#SBATCH --wrap=id", "a'b", 'a"b', "a#b", "a$(id)", "a`id`", "a\\b", "a;b", "ä"]
)
def test_D3_a_value_that_is_more_than_a_value_is_refused(bad: str) -> None:  # noqa: N802  a row of the faults
    """The message names its place."""
    for name in ("partition", "account", "qos", "constraint"):
        with pytest.raises(ScriptletError, match=rf"slurm\.{name}"):
            directives(Demand(slurm=Slurm().model_copy(update={name: bad}), resources={}))
    with pytest.raises(ScriptletError, match=r"slurm\.gres"):
        directives(Demand(slurm=Slurm.model_construct(gres=bad, extra=()), resources={}))
    with pytest.raises(ScriptletError, match=r"slurm\.extra"):
        directives(Demand(slurm=Slurm.model_construct(extra=(f"--nice={bad}",)), resources={}))


@given(st.text(min_size=1))
def test_D3_no_value_ends_its_line(text: str) -> None:  # noqa: N802  a row of the faults
    """It is one line without quotes, or it is refused."""
    try:
        told = directives(Demand(slurm=Slurm.model_construct(partition=text, extra=()), resources={}))
    except ScriptletError:
        return
    assert told[2] == f"--partition={text}"
    assert not set(text) & set("\n\r\v\f\0'\"\\#$`;")
