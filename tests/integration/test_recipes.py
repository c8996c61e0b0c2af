"""Every recipe that ships runs to its end, in this process and in workers, and can be read and edited with help."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from orchestrator import run_recipe
from orchestrator.plan import plan_recipe
from orchestrator.recipe.model import SCHEMA_ID
from orchestrator.sources import read_source
from orchestrator.strict_yaml import parse

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "recipes").glob("**/*.yaml"))
NAMING_THEIR_SCHEMA = [path for path in RECIPES if f"schema: {SCHEMA_ID}" in path.read_text(encoding="utf-8")]
SCHEMA = ROOT / "orchestrator" / "schema" / "recipe-v1.json"
KEYS = {
    "conditions": ["always.alarm_v1", "always.mean_v1", "numbers.stats_v1"],
    "retries": ["failure.injected_v1"],
    "kept_results": ["numbers.stats_v1"],
    "secrets": ["login.length_v1"],
    "side_by_side": ["lab.last_v1"],
    "last_steps": ["lamp.on_v1"],
    "what_success_means": ["count.by_v1", "count.lines_v1"],
    "cases": ["numbers.median_v1"],
    "tags_and_outputs": ["_runner.outputs_v1", "check.sites_v1"],
    "balance": ["numbers.median_v1", "numbers.stats_v1"],
    "basic_mixed": [
        "csv.clean_v1",
        "numbers.normalized_v1",
        "numbers.stats_v1",
        "numbers.values_v1",
        "report.file_v1",
    ],
    "advanced_full": [
        "_runner.outputs_v1",
        "audit.resources_v1",
        "cleanup.removed_v1",
        "csv.clean_v1",
        "csv.enriched_v1",
        "failure.injected_v1",
        "metrics.quantiles_v1",
        "metrics.summary_v1",
        "numbers.cached_v1",
        "numbers.valid_v1",
        "numbers.values_v1",
        "primes.factors_v1",
        "report.file_v1",
    ],
    "parallel_fan_in": [
        "_runner.outputs_v1",
        "metrics.summary_v1",
        "numbers.mean_v1",
        "numbers.median_v1",
        "numbers.std_v1",
    ],
    "closed_loop": [
        "_loop.index_v1",
        "_runner.outputs_v1",
        "root.below_v1",
        "root.high_v1",
        "root.low_v1",
        "root.middle_v1",
    ],
    "fan_out": ["grid.point_v1", "metrics.summary_v1", "primes.factors_v1"],
    "sub_recipe": [
        "_runner.outputs_v1",
        "spread.relative_v1",
        "stats.mean",
        "stats.median",
        "stats.std",
    ],
    "example_numbers": ["numbers.stats_v1"],
    "median": ["numbers.median_v1"],
    "speed_of_light": ["light.stats_v1", "numbers.median_v1"],
}

each = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


@pytest.fixture(name="project", autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder: a recipe runs from any."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_recipes() -> None:
    """A test of none would say nothing."""
    assert {path.stem for path in RECIPES} == KEYS.keys()


@pytest.mark.parametrize("isolation", ["inline", "worker"])
@each
def test_a_recipe_runs_to_its_end(path: Path, isolation: str, project: Path) -> None:
    """And leaves the values that it is there for."""
    context = run_recipe(path, workspaces_dir=project / "workspaces", isolation=isolation)

    assert context.keys() == KEYS[path.stem]


@each
def test_a_recipe_says_what_it_shows(path: Path) -> None:
    """In a sentence, for whoever looks for an example."""
    recipe = plan_recipe(str(path), {}).recipe

    assert len((recipe.description or recipe.test_meta.description).split()) >= 2


@pytest.mark.parametrize("path", NAMING_THEIR_SCHEMA, ids=lambda path: path.stem)
def test_a_recipe_that_names_its_schema_tells_editors_where_it_is(path: Path) -> None:
    """The first line leads from the recipe to the file."""
    beginning, _, link = path.read_text(encoding="utf-8").splitlines()[0].partition("$schema=")

    assert beginning == "# yaml-language-server: "
    assert (path.parent / link).resolve() == SCHEMA


@each
def test_an_editor_finds_nothing_wrong(path: Path) -> None:
    """The published schema accepts what the program accepts."""
    validator = Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))

    assert list(validator.iter_errors(parse(read_source(path)))) == []
