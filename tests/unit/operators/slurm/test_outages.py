"""People hear of a site that is away once, when it matters, and of its end where they heard of its beginning."""

from __future__ import annotations

from orchestrator.operators.slurm.outages import Outage


def test_a_site_that_was_never_reached_is_told_at_once_and_once() -> None:
    """The wiring may be wrong, and nobody else would say so."""
    outage = Outage()

    assert [outage.is_news(now, looked_at=0.0, is_final=False) for now in (1.0, 11.0, 400.0)] == [True, False, False]


def test_a_trouble_is_told_once_it_has_lasted_for_a_minute() -> None:
    """A single question without an answer is no news."""
    outage = Outage()

    told = [outage.is_news(now, looked_at=5.0, is_final=False) for now in (10.0, 69.0, 70.0, 80.0)]

    assert told == [False, False, True, False]


def test_what_a_person_has_to_end_is_told_at_once_though_the_trouble_was_told() -> None:
    """As where the site is reached again, but lets the user in no more."""
    outage = Outage()
    outage.is_news(1.0, looked_at=0.0, is_final=False)

    assert [outage.is_news(2.0, looked_at=0.0, is_final=True) for _ in range(2)] == [True, False]


def test_the_end_of_a_trouble_is_told_after_a_look_at_the_queue() -> None:
    """That nothing was asked of the site does not show that it is there."""
    outage = Outage()
    outage.is_news(10.0, looked_at=0.0, is_final=False)

    assert [outage.is_over(looked_at) for looked_at in (0.0, 12.0, 13.0)] == [False, True, False]


def test_the_end_of_a_short_trouble_is_not_told() -> None:
    """Nobody heard that it had begun; the next one begins anew."""
    outage = Outage()
    outage.is_news(10.0, looked_at=5.0, is_final=False)

    assert not outage.is_over(12.0)
    assert not outage.is_news(75.0, looked_at=12.0, is_final=False)
