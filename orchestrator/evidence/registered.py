"""Find out which secrets must not be in an evidence: those that the recipe declares, and those that are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.errors import InvalidFileError, ScriptletError, UsageError
from orchestrator.paths import located
from orchestrator.plan import recipes_of
from orchestrator.recipe.model import Recipe, Secret
from orchestrator.secrecy import read_secrets
from orchestrator.sources import read_source
from orchestrator.store.database import Database
from orchestrator.store.queries import has_legacy_tables, has_recipe, read_inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The secrets that could be read, and of each of the others why it cannot be looked for.

    ``recipe`` is the one that declares most of them; None where it cannot be read.
    """

    values: tuple[str, ...] = field(repr=False)
    unread: tuple[str, ...] = ()
    recipe: Recipe | None = None


def declared_secrets(database: Database) -> list[Mapping[str, Secret]]:
    """Give the secrets that the recipe of a run declares, and the recipes that it uses.

    Raises `InvalidFileError` or `ScriptletError` where one of these cannot be read.
    """
    return [recipe.secrets for recipe in _recipes(database)]


def registered_secrets(database: Database, variables: Sequence[str]) -> Registered:
    """Read the secrets that the recipe declares, as far as they can be read here, and those in these variables.

    A variable that is named must hold one: raises `UsageError` (MS211) where it does not.
    """
    named = read_secrets({variable: Secret(env=variable) for variable in variables})
    recipes: list[Recipe] = []
    values, unread = list(named.values()), []
    try:
        for recipe in _recipes(database):
            recipes.append(recipe)  # noqa: PERF402  those that come before one that cannot be read count
    except (InvalidFileError, ScriptletError) as error:
        first = error.problems[0].message if isinstance(error, InvalidFileError) else error.message
        unread.append(f"what a recipe declares that cannot be read: {first}")
    for name, secret in (pair for recipe in recipes for pair in recipe.secrets.items()):
        try:
            values += read_secrets({name: secret}).values()
        except UsageError as error:
            unread.append(error.message)
    return Registered(values=tuple(values), unread=tuple(unread), recipe=recipes[0] if recipes else None)


def _recipes(database: Database) -> Iterator[Recipe]:
    """Give the recipe of a run, then those that it uses; a run of MatterStack 0.2.x may have none."""
    if has_legacy_tables(database) and not has_recipe(database):
        return
    folder = located(read_inputs(database).get("recipe_folder", ""), database.run_root.parent)
    yield from recipes_of(read_source(database.run_root / "recipe.yaml"), folder)
