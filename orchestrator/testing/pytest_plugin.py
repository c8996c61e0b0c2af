"""Let pytest collect recipes: each is a test, or each of its cases or steps is one.

Only the standard library and pytest are imported here; the runner is loaded when there is a recipe to read.
"""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from orchestrator.context import Context
    from orchestrator.recipe.load import LoadedRecipe
    from orchestrator.testing.recipe_runs import RecipeRun

SUFFIXES = (".recipe.yaml", ".recipe.yml")
FILES_INI = "matterstack_files"

_YAML = (".yaml", ".yml")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of recipes."""
    group = parser.getgroup("matterstack", "recipes")
    group.addoption("--recipe-set", action="append", default=[], metavar="NAME=VALUE", help="Give an input of recipes.")
    group.addoption("--recipe-run-dir", metavar="DIR", help="Keep the runs below DIR instead of a temporary folder.")
    group.addoption("--recipe-keep", action="store_true", help="Keep the runs of tests that passed, too.")
    parser.addini(FILES_INI, "Recipes to collect besides *.recipe.yaml, as patterns from the root.", "args", [])


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take a recipe: a file that is named like one, is listed in the settings, or is asked for by its name."""
    is_recipe = file_path.name.endswith(SUFFIXES) or _is_listed(file_path, parent.config)
    is_asked_for = file_path.suffix in _YAML and parent.session.isinitpath(file_path)
    return RecipeFile.from_parent(parent, path=file_path) if is_recipe or is_asked_for else None


def _is_listed(path: Path, config: pytest.Config) -> bool:
    root = config.rootpath
    if not path.is_relative_to(root):
        return False
    relative = path.relative_to(root)
    return any(relative.match(pattern) for pattern in config.getini(FILES_INI))


@pytest.fixture
def run_recipe(tmp_path: Path) -> Callable[..., Context]:
    """Give a function that runs a recipe in this process, keeps the run in the test's folder, and returns the context.

    It takes what `orchestrator.run_recipe` takes, and raises as that does.
    """
    from orchestrator import run_recipe as run  # noqa: PLC0415  slow, and not every test needs it

    def call(path: str | Path, inputs: Mapping[str, Any] | None = None, **options: Any) -> Context:  # noqa: ANN401
        return run(path, inputs, **{"workspaces_dir": tmp_path / "workspaces", **options})

    return call


class RecipeFile(pytest.File):
    """A recipe whose tests are its cases, or its steps; what is wrong with it is told as the runner tells it."""

    def collect(self) -> Iterator[pytest.Item]:
        """Give one test a case, and with ``report: steps`` one a step of it."""
        from orchestrator.testing.recipe_runs import RecipeRun  # noqa: PLC0415  slow, and only recipes need it

        loaded = self._loaded()
        recipe = loaded.recipe
        name = recipe.test_meta.test_id or self.path.name.split(".")[0]
        for case in recipe.pytest.cases or (None,):
            inputs = {**(case.inputs if case else {}), **self._given()}
            run = RecipeRun(path=self.path, inputs=inputs)
            title = f"{name}[{case.id}]" if case else name
            if recipe.pytest.report == "steps":
                for step in recipe.every_step():
                    place = loaded.place(step.name, "name")
                    yield self._item(f"{title}/{step.name}", run, recipe.pytest, step=step.name, line=place.line)
            else:
                yield self._item(title, run, recipe.pytest)

    def _loaded(self) -> LoadedRecipe:
        from orchestrator.errors import MatterStackError  # noqa: PLC0415  as above
        from orchestrator.plan import check_recipe  # noqa: PLC0415  as above
        from orchestrator.testing.recipe_runs import shown_path  # noqa: PLC0415  as above

        try:
            return check_recipe(shown_path(self.path)).loaded
        except MatterStackError as error:
            raise self.CollectError(error.explained()) from None

    def _given(self) -> dict[str, str]:
        from orchestrator.inputs import read_settings  # noqa: PLC0415  as above

        return read_settings(tuple(self.config.getoption("--recipe-set")))

    def _item(self, name: str, run: RecipeRun, options: Any, step: str = "", line: int = 1) -> RecipeItem:  # noqa: ANN401
        test = _test_of(run, step, options.fixtures)
        for mark in options.markers:
            for marker, arguments in ({mark: []} if isinstance(mark, str) else mark).items():
                test = _marker(marker, arguments)(test)
        item: RecipeItem = RecipeItem.from_parent(self, name=name, callobj=test)
        item.line = line
        return item


class RecipeItem(pytest.Function):
    """One test of a recipe."""

    line = 1

    def reportinfo(self) -> tuple[Path, int, str]:
        """Give the place in the recipe, counted from 0."""
        return self.path, self.line - 1, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Show a failed recipe as its runner shows it; anything else as pytest does."""
        from orchestrator.testing.recipe_runs import RecipeFailedError  # noqa: PLC0415  as above

        if isinstance(excinfo.value, RecipeFailedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


def _marker(name: str, arguments: Any) -> pytest.MarkDecorator:  # noqa: ANN401  whatever stands in the recipe
    mark: pytest.MarkDecorator = getattr(pytest.mark, name)
    if isinstance(arguments, dict):
        return mark(**arguments)
    return mark(*(arguments if isinstance(arguments, list) else [arguments]))


def _test_of(run: RecipeRun, step: str, fixtures: tuple[str, ...]) -> Callable[..., None]:
    """Make the function of a test, which asks for the recipe's fixtures by its signature."""

    def test(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, **values: Any) -> None:  # noqa: ANN401
        config = request.config
        chosen = config.getoption("--recipe-run-dir")
        folder = Path(chosen).absolute() if chosen else tmp_path_factory.mktemp("recipe")
        outcome = run.outcome(request.node.nodeid, folder, values)
        run.check(outcome, step)
        if not config.getoption("--recipe-keep") and not step:
            shutil.rmtree(outcome.run_root, ignore_errors=True)

    names = dict.fromkeys(("request", "tmp_path_factory", *fixtures))
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    test.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return test
