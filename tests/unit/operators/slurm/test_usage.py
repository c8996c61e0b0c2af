"""What jobs used is read from the accounting's text."""

from __future__ import annotations

from orchestrator.operators.slurm.usage import Usage, read_usage


def test_the_peak_is_that_of_the_greatest_step() -> None:
    """The job's own line knows the times and no memory; lines of steps know it."""
    told = "7|60|01:30.500|\n7.batch|60|01:30.500|2048K\n7.0|10|00:01|1.50G\n8_1|0|1-02:03:04|\n"

    assert read_usage(told) == {
        "7": Usage(elapsed_sec=60.0, cpu_sec=90.5, max_rss_mb=1536.0),
        "8_1": Usage(elapsed_sec=0.0, cpu_sec=93784.0),
    }


def test_what_is_no_answer_is_left_out() -> None:
    """A line of something else says nothing of a job."""
    assert read_usage("welcome\n|||\nx|y|z|\n9.batch|1|00:01|1K\n") == {}
