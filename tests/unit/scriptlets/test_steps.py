"""The steps that ship do what their descriptions say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator import BaseScriptlet, Context
from orchestrator.errors import ContextError, InfrastructureError
from scriptlets.steps.compute_median import ComputeMedian
from scriptlets.steps.compute_numbers import ComputeNumbers
from scriptlets.steps.generate_report import GenerateReport
from scriptlets.steps.load_numbers import LoadNumbers
from scriptlets.steps.normalize_numbers import NormalizeNumbers

DATA = Path(__file__).resolve().parents[3] / "data"


def outputs_of(scriptlet: BaseScriptlet, params: dict[str, Any], ctx: Context | None = None) -> dict[str, Any]:
    """Run a step that must succeed and give what it wrote."""
    context = ctx or Context()
    scriptlet.answer(context, params)
    return {change.key: change.value for change in context.history()}


@pytest.fixture(name="numbers")
def _numbers(tmp_path: Path) -> str:
    path = tmp_path / "numbers.txt"
    path.write_text("# a comment\n3\n\n  1.5 \n-2e1\n", encoding="utf-8")
    return str(path)


def test_numbers_are_loaded_in_their_order(numbers: str) -> None:
    """Blank lines and comments are passed over."""
    assert outputs_of(LoadNumbers(), {"src": numbers}) == {"numbers.values_v1": [3.0, 1.5, -20.0]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("1\nx2\n", ":2: 'x2' is not a number"),
        ("nan\n", ":1: 'nan' is not a finite number"),
        ("1e999\n", ":1: '1e999' is not a finite number"),
        ("# nothing\n", " holds no numbers"),
    ],
)
@pytest.mark.parametrize("step", [LoadNumbers, ComputeMedian, ComputeNumbers])
def test_a_wrong_line_is_named(
    tmp_path: Path, step: type[BaseScriptlet], content: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, line and what stands there."""
    path = tmp_path / "numbers.txt"
    path.write_text(content, encoding="utf-8")

    assert step().run(Context(), {"src": str(path)}) == 1
    assert json.loads(capsys.readouterr().out)["reason"] == f"{path}{reason}"


@pytest.mark.parametrize("step", [LoadNumbers, ComputeMedian, ComputeNumbers])
def test_a_missing_file_is_named(step: type[BaseScriptlet]) -> None:
    """And so is a missing param."""
    with pytest.raises(ValueError, match=r"file not found: /no/such\.txt"):
        step().answer(Context(), {"src": "/no/such.txt"})
    with pytest.raises(ValueError, match="missing src"):
        step().answer(Context(), {})


def test_the_median_is_the_middle(numbers: str) -> None:
    """Of three numbers the second."""
    assert outputs_of(ComputeMedian(), {"src": numbers}) == {"numbers.median_v1": {"median": 1.5, "count": 3}}


def test_certified_statistics_are_met_to_the_last_digit() -> None:
    """The values that NIST certifies for Michelson's measurements of the speed of light."""
    stats = outputs_of(ComputeNumbers(), {"src": str(DATA / "michelson_1879.csv")})["numbers.stats_v1"]

    assert stats["count"] == 100
    assert f"{stats['mean']:.15g}" == "299.8524"
    assert f"{stats['std']:.15g}" == "0.0790105478190518"
    assert f"{stats['autocorrelation']:.15g}" == "0.535199668621283"


def test_one_number_has_no_spread(tmp_path: Path) -> None:
    """And can be written under another key."""
    path = tmp_path / "one.txt"
    path.write_text("4\n", encoding="utf-8")

    outputs = outputs_of(ComputeNumbers(), {"src": str(path), "key": "lab.one_v1"})

    assert outputs == {"lab.one_v1": {"count": 1, "sum": 4.0, "mean": 4.0, "min": 4.0, "max": 4.0}}


def test_equal_numbers_have_no_autocorrelation(tmp_path: Path) -> None:
    """A constant column divides by nothing."""
    path = tmp_path / "same.txt"
    path.write_text("2\n2\n2\n", encoding="utf-8")

    stats = outputs_of(ComputeNumbers(), {"src": str(path)})["numbers.stats_v1"]

    assert (stats["std"], stats["autocorrelation"]) == (0.0, 0.0)


@pytest.mark.parametrize(("values", "expected"), [([2, 4, 3], [0.0, 1.0, 0.5]), ([5, 5], [0.0, 0.0])])
def test_numbers_are_scaled_from_zero_to_one(values: list[float], expected: list[float]) -> None:
    """A constant column becomes zeros."""
    ctx = Context({"numbers.values_v1": values})

    assert outputs_of(NormalizeNumbers(), {}, ctx) == {"numbers.normalized_v1": expected}


def test_scaling_needs_loaded_numbers() -> None:
    """The missing key is named, and a wrong value is refused."""
    with pytest.raises(ContextError, match=r"the context has no key 'numbers\.values_v1'"):
        NormalizeNumbers().answer(Context(), {})
    with pytest.raises(ValueError, match="is not a list of numbers"):
        NormalizeNumbers().answer(Context({"numbers.values_v1": []}), {})


def test_a_report_shows_values_and_fields(tmp_path: Path) -> None:
    """One row for a plain value, one for each field of an object; the folder is made."""
    out = tmp_path / "deep" / "report.md"
    ctx = Context({"a.note_v1": "x|y\nz", "numbers.stats_v1": {"mean": 2.5, "list": [1]}})

    outputs = outputs_of(GenerateReport(), {"out": str(out), "title": "Speed"}, ctx)

    assert outputs == {"report.file_v1": {"path": str(out), "rows": 3}}
    assert out.read_text(encoding="utf-8") == (
        "# Speed\n\n| value | |\n| --- | --- |\n"
        "| a.note_v1 | x\\|y z |\n| numbers.stats_v1.mean | 2.5 |\n| numbers.stats_v1.list | [1] |\n"
    )


def test_a_report_shows_the_keys_it_is_asked_for(tmp_path: Path) -> None:
    """One that is not there is an error before anything is written."""
    out = tmp_path / "report.md"
    ctx = Context({"a.x": 1, "b.x": 2})

    assert outputs_of(GenerateReport(), {"out": str(out), "keys": ["b.x"]}, ctx)["report.file_v1"]["rows"] == 1
    with pytest.raises(ContextError, match=r"no key 'c\.x'"):
        GenerateReport().answer(ctx, {"out": str(tmp_path / "other.md"), "keys": ["c.x"]})
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_a_report_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    """The path and the reason."""
    (tmp_path / "file").touch()

    with pytest.raises(InfrastructureError, match=r"cannot make the directory .*/file/deep"):
        GenerateReport().answer(Context(), {"out": str(tmp_path / "file" / "deep" / "report.md")})


def test_a_report_is_filled_into_a_template(tmp_path: Path) -> None:
    """Values stand where they are named; what they hold is not searched for names again."""
    template = tmp_path / "t.md"
    template.write_text(
        "# {{ title.text_v1 }}\n\nMean {{numbers.stats_v1.mean}} of {{ numbers.stats_v1 }}\n", encoding="utf-8"
    )
    context = Context({"title.text_v1": "About {{ numbers.x }}", "numbers.stats_v1": {"mean": 2.5}})
    params = {"out": str(tmp_path / "sub" / "r.md"), "template": str(template)}

    written = outputs_of(GenerateReport(), params, context)

    text = (tmp_path / "sub" / "r.md").read_text(encoding="utf-8")
    assert text == '# About {{ numbers.x }}\n\nMean 2.5 of {"mean": 2.5}\n'
    assert written["report.file_v1"] == {"path": params["out"], "rows": 3}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ numbers.none }}", "the context has no key 'numbers.none'"),
        ("{{ numbers.stats_v1.max }}", "the template names 'numbers.stats_v1.max', and there is no 'max'"),
    ],
)
def test_a_template_that_names_what_is_not_there_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """Nothing is written."""
    (tmp_path / "t.md").write_text(text, encoding="utf-8")
    params = {"out": str(tmp_path / "r.md"), "template": str(tmp_path / "t.md")}

    with pytest.raises((ValueError, ContextError), match=reason):
        outputs_of(GenerateReport(), params, Context({"numbers.stats_v1": {"mean": 2.5}}))

    assert not (tmp_path / "r.md").exists()
    with pytest.raises(ValueError, match="template not found: none"):
        outputs_of(GenerateReport(), {"out": "x", "template": "none"})
