"""Recipes are tests: pytest collects, selects, runs and reports them as it does all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import is_installed

PLUGIN = "orchestrator.testing.pytest_plugin"
ROOT = Path(__file__).resolve().parents[2]
STEPS = """
from orchestrator import BaseScriptlet


class Write(BaseScriptlet):
    def work(self, ctx, params):
        return params


class Fail(BaseScriptlet):
    def work(self, ctx, params):
        print("about to divide", file=__import__("sys").stderr)
        return {"a.x_v1": divide(params["n"])}


def divide(number):
    return 1 / number
"""
OK = """\
schema: matterstack/recipe/v1
test_meta: { test_id: NUM-001 }
inputs: { n: { type: integer, default: 1 } }
steps:
  - { name: write, type: python, module: ./steps.py, function: Write, args: { a.x_v1: "${{ inputs.n }}" } }
"""
CASES = f"{OK}pytest: {{ markers: [smoke, {{usefixtures: [lab]}}], cases: [{{id: small, n: 1}}, {{id: big, n: 9}}] }}\n"
FAILING = """\
schema: matterstack/recipe/v1
steps:
  - { name: good, type: python, module: ./steps.py, function: Write }
  - { name: bad, type: python, module: ./steps.py, function: Fail, args: { n: 0 } }
  - { name: behind, type: python, module: ./steps.py, function: Write }
"""
BROKEN = "steps: [{name: a, type: python, modul: x}]\n"


@pytest.fixture(name="suite")
def _suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Give a project of its own, in which recipes are tests."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makefile(".toml", matterstack="")
    pytester.makepyfile(steps=STEPS)
    pytester.makeini("[pytest]\nmarkers =\n    smoke: quick\n")
    return pytester


def write(suite: pytest.Pytester, name: str, text: str) -> None:
    """Write a recipe."""
    (suite.path / name).parent.mkdir(parents=True, exist_ok=True)
    (suite.path / name).write_text(text, encoding="utf-8")


def run(suite: pytest.Pytester, *words: str) -> pytest.RunResult:
    """Run pytest in a process of its own."""
    own = () if is_installed() else ("-p", PLUGIN)
    return suite.runpytest_subprocess(*own, *words)


def test_recipes_are_collected_by_their_names(suite: pytest.Pytester) -> None:
    """Other YAML files are left alone."""
    write(suite, "num.recipe.yaml", OK)
    write(suite, "below/plain.recipe.yaml", OK.replace("test_meta: { test_id: NUM-001 }", ""))
    (suite.path / "below" / "steps.py").write_text(STEPS)
    write(suite, "other.yaml", "not: [a recipe")

    result = run(suite, "-v")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*below/plain.recipe.yaml::plain PASSED*", "*num.recipe.yaml::NUM-001 PASSED*"])


def test_recipes_are_collected_by_the_settings(suite: pytest.Pytester) -> None:
    """As patterns from the root."""
    write(suite, "recipes/num.yaml", OK.replace("./steps.py", "./s.py"))
    (suite.path / "recipes" / "s.py").write_text(STEPS)

    run(suite).assert_outcomes()
    run(suite, "-o", "matterstack_files=recipes/*.yaml").assert_outcomes(passed=1)


def test_a_recipe_is_collected_when_it_is_asked_for(suite: pytest.Pytester) -> None:
    """By its path, whatever its name."""
    write(suite, "num.yaml", OK)

    run(suite, "num.yaml").assert_outcomes(passed=1)
    run(suite, "num.yaml::NUM-001").assert_outcomes(passed=1)


def test_each_case_is_a_test(suite: pytest.Pytester) -> None:
    """With its inputs, markers and an id of its own; fixtures are set up for it."""
    write(suite, "num.recipe.yaml", CASES)
    suite.makeconftest("import pytest\n@pytest.fixture\ndef lab():\n    print('lab is on')\n    yield")

    result = run(suite, "-v", "-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*num.recipe.yaml::NUM-001?small?*lab is on*", "*num.recipe.yaml::NUM-001?big?*"])
    run(suite, "-k", "big").assert_outcomes(passed=1, deselected=1)
    run(suite, "-m", "not smoke").assert_outcomes(deselected=2)


def test_an_input_can_be_given(suite: pytest.Pytester) -> None:
    """To all recipes of a call."""
    write(suite, "num.recipe.yaml", OK)

    run(suite, "--recipe-set", "n=3").assert_outcomes(passed=1)
    result = run(suite, "--recipe-set", "n=three")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["error?MS209?: num.recipe.yaml: input 'n': expected integer, got 'three'*"])


def test_a_fixture_is_seen_by_expressions(suite: pytest.Pytester) -> None:
    """Where its value is JSON; any other is set up all the same."""
    args = '{ a.x_v1: "${{ fixtures.port }}" }'
    write(
        suite,
        "num.recipe.yaml",
        "pytest: { fixtures: [port, device] }\nsteps:\n- { name: w, type: python, module: ./steps.py, function: Write,"
        f" args: {args}, success: {{ expect: [ctx.a.x_v1 == 7] }} }}\n",
    )
    suite.makeconftest(
        "import pytest\n@pytest.fixture\ndef port():\n    return 7\n@pytest.fixture\ndef device():\n    return object()"
    )

    run(suite).assert_outcomes(passed=1)


def test_a_broken_recipe_is_an_error_of_collection(suite: pytest.Pytester) -> None:
    """With the caret under what is wrong, and no traceback."""
    write(suite, "bad.recipe.yaml", BROKEN)

    result = run(suite)

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*bad.recipe.yaml:1:*: error?MS101?: unknown key 'modul'", "*^^^^^*"])
    assert "Traceback" not in result.stdout.str()


def test_a_failure_shows_line_envelope_and_stderr(suite: pytest.Pytester) -> None:
    """And of the traceback only what is the user's."""
    write(suite, "bad.recipe.yaml", FAILING)

    result = run(suite)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*bad.recipe.yaml:4:*: error?MS301?: bad: *ZeroDivisionError: division by zero",
            "*name: bad, type: python*",
            "*= its envelope: *ZeroDivisionError*",
            "*about to divide*",
            "*steps.py*in work*",
            "*= run: *",
        ]
    )
    assert "orchestrator/scriptlet.py" not in result.stdout.str()
    assert "pytest_plugin.py" not in result.stdout.str()


def test_each_step_can_be_a_test(suite: pytest.Pytester) -> None:
    """The recipe runs once; a step behind a failed one fails too."""
    write(suite, "bad.recipe.yaml", f"{FAILING}pytest: {{ report: steps }}\n")

    result = run(suite, "-v")

    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*::bad/good PASSED*", "*::bad/bad FAILED*", "*::bad/behind FAILED*", "*needs bad*"])


def test_the_last_failures_can_be_run_alone(suite: pytest.Pytester) -> None:
    """As those of any test."""
    write(suite, "num.recipe.yaml", OK)
    write(suite, "bad.recipe.yaml", FAILING)

    run(suite, "--lf").assert_outcomes(passed=1, failed=1)
    run(suite, "--lf").assert_outcomes(failed=1)


def test_recipes_run_side_by_side(suite: pytest.Pytester) -> None:
    """With pytest-xdist."""
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    write(suite, "num.recipe.yaml", OK.replace("steps:", "pytest: {cases: [{id: a}, {id: b}, {id: c}]}\nsteps:"))

    run(suite, "-n", "2").assert_outcomes(passed=3)


def test_a_failure_can_be_tried_again(suite: pytest.Pytester) -> None:
    """With pytest-rerunfailures: the recipe runs anew each time."""
    pytest.importorskip("pytest_rerunfailures", reason="pytest-rerunfailures is not installed")
    write(suite, "bad.recipe.yaml", f"{FAILING}pytest: {{ report: steps }}\n")

    result = run(suite, "--reruns", "1", "-k", "bad/bad", "--recipe-run-dir", "runs", "--recipe-keep")

    result.assert_outcomes(failed=1, deselected=2)
    result.stdout.fnmatch_lines(["*1 rerun*"])
    assert len(list((suite.path / "runs" / "bad" / "runs").iterdir())) == 2


def test_results_go_to_junit(suite: pytest.Pytester) -> None:
    """As those of any test."""
    write(suite, "num.recipe.yaml", OK)

    run(suite, "--junitxml", "out.xml").assert_outcomes(passed=1)

    assert 'name="NUM-001"' in (suite.path / "out.xml").read_text()


@pytest.mark.parametrize(("keep", "left"), [((), ["bad"]), (("--recipe-keep",), ["bad", "num"])])
def test_runs_are_kept_where_they_are_wanted(suite: pytest.Pytester, keep: tuple[str, ...], left: list[str]) -> None:
    """Those of failed tests in any case."""
    write(suite, "num.recipe.yaml", OK)
    write(suite, "bad.recipe.yaml", FAILING)

    run(suite, "--recipe-run-dir", "runs", *keep).assert_outcomes(passed=1, failed=1)

    assert sorted(path.parent.parent.name for path in (suite.path / "runs").glob("*/runs/*")) == left


def test_a_test_in_python_can_run_a_recipe(suite: pytest.Pytester) -> None:
    """By a fixture; the context is what it gets."""
    write(suite, "num.yaml", OK)
    suite.makepyfile(
        test_num="def test_num(run_recipe):\n    assert run_recipe('num.yaml', {'n': 4}).get('a.x_v1') == 4"
    )

    run(suite).assert_outcomes(passed=1)


def test_the_plugin_can_be_left_out(suite: pytest.Pytester) -> None:
    """Then recipes are files like others."""
    write(suite, "num.recipe.yaml", OK)

    run(suite, "-p", f"no:{'matterstack' if is_installed() else PLUGIN}").assert_outcomes()


def test_without_recipes_nothing_of_the_runner_is_loaded(suite: pytest.Pytester) -> None:
    """A suite that has none starts as quickly as before."""
    suite.makepyfile(
        test_light="import sys\ndef test_light():\n    assert not {'pydantic', 'apsw', 'yaml'} & set(sys.modules)"
    )

    run(suite, "-p", "no:hypothesispytest").assert_outcomes(passed=1)
