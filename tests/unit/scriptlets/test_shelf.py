"""The steps for statistics, files and trials do what their descriptions say."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import BaseScriptlet, Context
from orchestrator.errors import ContextError
from scriptlets.steps.aggregate_metrics import AggregateMetrics
from scriptlets.steps.cache_numbers import CacheNumbers
from scriptlets.steps.cleanup_intermediate import CleanupIntermediate
from scriptlets.steps.compute_mean import ComputeMean
from scriptlets.steps.compute_metrics import ComputeMetrics, quantile
from scriptlets.steps.compute_std import ComputeStd
from scriptlets.steps.inject_failure import InjectFailure
from scriptlets.steps.prime_factor_analysis import PrimeFactorAnalysis, prime_factors
from scriptlets.steps.resource_audit import ResourceAudit
from scriptlets.steps.validate_numbers import ValidateNumbers

ENRICH = Path(__file__).resolve().parents[3] / "scriptlets" / "shell" / "enrich_csv.sh"


def outputs_of(scriptlet: BaseScriptlet, params: dict[str, Any], **context: Any) -> dict[str, Any]:  # noqa: ANN401
    """Run a step that must succeed and give what it wrote; values of the context are given with ``__`` for dots."""
    ctx = Context({key.replace("__", "."): value for key, value in context.items()})
    scriptlet.answer(ctx, params)
    return {change.key: change.value for change in ctx.history()}


@pytest.fixture(name="src")
def _src(tmp_path: Path) -> str:
    (tmp_path / "numbers.txt").write_text("0.1\n0.2\n0.6\n", encoding="utf-8")
    return str(tmp_path / "numbers.txt")


def test_a_mean_is_that_of_the_decimals(src: str) -> None:
    """Rounded once."""
    assert outputs_of(ComputeMean(), {"src": src}) == {"numbers.mean_v1": {"mean": 0.3, "count": 3}}
    assert set(outputs_of(ComputeMean(), {"src": src, "key": "a.b_v1"})) == {"a.b_v1"}


def test_a_deviation_is_that_of_a_sample(src: str, tmp_path: Path) -> None:
    """Of two numbers at least."""
    (output,) = outputs_of(ComputeStd(), {"src": src}).values()
    assert output == {"std": pytest.approx(statistics.stdev([0.1, 0.2, 0.6])), "count": 3}
    (tmp_path / "one.txt").write_text("1\n", encoding="utf-8")

    with pytest.raises(ValueError, match="holds one number; a deviation needs two"):
        outputs_of(ComputeStd(), {"src": str(tmp_path / "one.txt")})


@pytest.mark.parametrize("step", [ComputeMean(), ComputeStd()])
def test_a_file_is_needed(step: BaseScriptlet) -> None:
    """One that is there."""
    with pytest.raises(ValueError, match="missing src"):
        outputs_of(step, {})
    with pytest.raises(ValueError, match="file not found: none"):
        outputs_of(step, {"src": "none"})


def test_quantiles_are_interpolated() -> None:
    """As the standard library does it for a whole population."""
    values = [4.0, 1.0, 3.0, 2.0]

    (output,) = outputs_of(ComputeMetrics(), {}, numbers__values_v1=values).values()

    assert output == {"p50": 2.5, "p90": pytest.approx(3.7), "p99": pytest.approx(3.97), "count": 4}


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50), st.integers(1, 99))
def test_a_quantile_is_that_of_the_standard_library(numbers: list[float], percent: int) -> None:
    """Its inclusive method is the same."""
    expected = statistics.quantiles(numbers, n=100, method="inclusive")[percent - 1]

    assert quantile(sorted(numbers), percent / 100) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_values_are_put_together() -> None:
    """Under their keys; each has to be there."""
    written = outputs_of(AggregateMetrics(), {"keys": ["a.x_v1", "b.x_v1"]}, a__x_v1=1, b__x_v1={"y": 2})
    assert written == {"metrics.summary_v1": {"a.x_v1": 1, "b.x_v1": {"y": 2}}}

    with pytest.raises(ContextError, match=r"the context has no key 'a\.x_v1'"):
        outputs_of(AggregateMetrics(), {"keys": ["a.x_v1"]})
    with pytest.raises(ValueError, match="missing keys"):
        outputs_of(AggregateMetrics(), {})


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"minimum": 2}, "number 1 is 1, not between 2 and inf"),
        ({"maximum": 2}, "number 3 is 3, not between -inf and 2"),
        ({"min_count": 4}, "there are 3 numbers, fewer than 4"),
    ],
)
def test_numbers_that_are_wrong_are_named(params: dict[str, Any], reason: str) -> None:
    """The first of them."""
    with pytest.raises(ValueError, match=reason):
        outputs_of(ValidateNumbers(), params, numbers__values_v1=[1, 2, 3])


def test_numbers_that_are_right_pass() -> None:
    """With their bounds."""
    written = outputs_of(ValidateNumbers(), {"minimum": 1, "maximum": 3}, numbers__values_v1=[1, 2, 3])

    assert written == {"numbers.valid_v1": {"count": 3, "min": 1, "max": 3}}


@pytest.mark.parametrize("values", [None, [], "1", [1, "2"], [True]])
def test_what_is_no_list_of_numbers_is_refused(values: object) -> None:
    """By every step that reads one."""
    with pytest.raises((ValueError, ContextError), match=r"is not a list of numbers|has no key"):
        outputs_of(ValidateNumbers(), {}, **({} if values is None else {"numbers__values_v1": values}))


def test_numbers_are_kept_in_a_file(tmp_path: Path) -> None:
    """One that holds them already is left alone."""
    path = tmp_path / "sub" / "kept.txt"
    first = outputs_of(CacheNumbers(), {"dst": str(path)}, numbers__values_v1=[1, 2.5])
    before = path.stat().st_mtime_ns

    assert outputs_of(CacheNumbers(), {"dst": str(path)}, numbers__values_v1=[1, 2.5]) == first
    assert path.read_text() == "1\n2.5\n"
    assert path.stat().st_mtime_ns == before
    assert outputs_of(CacheNumbers(), {"dst": str(path)}, numbers__values_v1=[3]) != first


@given(st.integers(2, 10**6))
def test_factors_are_prime_and_give_the_number(number: int) -> None:
    """In rising order."""
    factors = prime_factors(number)

    assert math.prod(factors) == number
    assert factors == sorted(factors)
    assert all(prime_factors(factor) == [factor] for factor in factors)


@pytest.mark.parametrize("numbers", [None, [], [1], [2.0], [True], [10**14 + 1], "12"])
def test_what_cannot_be_factored_is_refused(numbers: object) -> None:
    """Before the work begins."""
    with pytest.raises(ValueError, match="whole number"):
        outputs_of(PrimeFactorAnalysis(), {"numbers": numbers})


def test_a_failure_is_injected_so_many_times(tmp_path: Path) -> None:
    """Counted in a file, over attempts and runs."""
    params = {"times": 2, "counter": str(tmp_path / "sub" / "calls.txt"), "reason": "no luck"}
    for call in (1, 2):
        with pytest.raises(ValueError, match=rf"no luck \({call} of 2\)"):
            outputs_of(InjectFailure(), params)

    assert outputs_of(InjectFailure(), params) == {"failure.injected_v1": {"failures": 2}}
    with pytest.raises(ValueError, match="injected failure"):
        outputs_of(InjectFailure(), {"times": -1})
    with pytest.raises(ValueError, match="missing counter"):
        outputs_of(InjectFailure(), {})


def test_files_are_removed_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their names or by patterns; links go, what they point at stays."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.tmp", "b.tmp", "c.txt", "kept.txt"):
        (tmp_path / name).write_text("12345")
    (tmp_path / "link.tmp").symlink_to(tmp_path / "kept.txt")
    (tmp_path / "folder.tmp").mkdir()

    written = outputs_of(CleanupIntermediate(), {"paths": ["*.tmp", "c.txt", "none"]})

    assert written["cleanup.removed_v1"]["paths"] == ["a.tmp", "b.tmp", "c.txt", "link.tmp"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.tmp", "kept.txt"]


@pytest.mark.parametrize("paths", [None, "x", [1], ["/etc/x"], ["../x"], ["a/../../x"], [""]])
def test_paths_that_lead_away_are_refused(paths: object) -> None:
    """Nothing is removed."""
    with pytest.raises(ValueError, match=r"path below the working directory|missing paths"):
        outputs_of(CleanupIntermediate(), {"paths": paths})


METRICS = {
    "a": {"duration_sec": 1.0, "cpu_sec": 1.0, "max_rss_mb": 50.0, "attempts": 1},
    "b": {"duration_sec": 3.0, "cpu_sec": None, "max_rss_mb": None, "attempts": 2},
}


def test_resources_are_added_up() -> None:
    """And held against the limits."""
    written = outputs_of(ResourceAudit(), {"max_duration_sec": 2, "max_rss_mb": 60}, _runner__step_metrics_v1=METRICS)

    assert written == {
        "audit.resources_v1": {
            "tasks": 2,
            "total_duration_sec": 4.0,
            "slowest": "b",
            "peak_rss_mb": 50.0,
            "over": ["b"],
        }
    }
    with pytest.raises(ValueError, match=r"over the limits .*: a"):
        outputs_of(ResourceAudit(), {"max_rss_mb": 40, "strict": True}, _runner__step_metrics_v1=METRICS)
    with pytest.raises(ValueError, match=r"there is no _runner\.step_metrics_v1"):
        outputs_of(ResourceAudit(), {})


def enrich(folder: Path, text: str, **params: str) -> tuple[dict[str, Any], str]:
    """Run the shell scriptlet; give its answer and the file that it wrote."""
    (folder / "in.csv").write_text(text, encoding="utf-8")
    whole = {"src": str(folder / "in.csv"), "dst": str(folder / "out.csv"), "column": "n", **params}
    ended = subprocess.run([ENRICH, "--params", json.dumps(whole)], capture_output=True, text=True, check=False)
    path = folder / "out.csv"
    return json.loads(ended.stdout), path.read_text(encoding="utf-8") if path.exists() else ""


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "a,b,n\n1,2,1\n3,4,2\n"),
        ({"header": "no"}, "a,b,1\n1,2,2\n3,4,3\n"),
        ({"column": "site", "value": "north %s"}, "a,b,site\n1,2,north %s\n3,4,north %s\n"),
    ],
)
def test_a_column_is_added(tmp_path: Path, params: dict[str, str], expected: str) -> None:
    """Numbers of lines, or one text."""
    answer, written = enrich(tmp_path, "a,b\r\n1,2\r\n3,4\r\n", **params)

    assert written == expected
    assert answer["outputs"]["csv.enriched_v1"] == {"path": str(tmp_path / "out.csv"), "lines": 3}


@pytest.mark.parametrize(
    ("text", "params", "reason"),
    [
        ("", {}, "is empty"),
        ("a\n", {"column": ""}, "missing column"),
        ("a\n", {"column": "x,y"}, "column and value hold no commas and no quotes"),
        ("a\n", {"src": "none.csv"}, "file not found: none.csv"),
    ],
)
def test_what_cannot_be_enriched_is_refused(tmp_path: Path, text: str, params: dict[str, str], reason: str) -> None:
    """With the step's name."""
    answer, written = enrich(tmp_path, text, **params)

    assert (answer["status"], answer["step"], written) == ("error", "enrich_csv", "")
    assert answer["reason"].endswith(reason)
