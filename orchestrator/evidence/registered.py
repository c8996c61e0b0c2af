"""Find out which secrets must not be in an evidence: those that the recipe declares, and those that are named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.errors import InvalidFileError, UsageError
from orchestrator.paths import located
from orchestrator.plan import recipes_of
from orchestrator.recipe.model import Secret
from orchestrator.secrecy import read_secrets
from orchestrator.sources import read_source
from orchestrator.store.database import Database
from orchestrator.store.queries import read_inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The secrets that could be read, and of each of the others why it cannot be looked for."""

    values: tuple[str, ...] = field(repr=False)
    unread: tuple[str, ...] = ()


def declared_secrets(database: Database) -> list[Mapping[str, Secret]]:
    """Give the secrets that the recipe of a run declares, and the recipes that it uses.

    Raises `InvalidFileError` where one of these cannot be read.
    """
    path = database.run_root / "recipe.yaml"
    folder = located(read_inputs(database).get("recipe_folder", ""), database.run_root.parent)
    return [recipe.secrets for recipe in recipes_of(read_source(path), folder)]


def registered_secrets(database: Database, variables: Sequence[str]) -> Registered:
    """Read the secrets that the recipe declares, as far as they can be read here, and those in these variables.

    A variable that is named must hold one: raises `UsageError` (MS211) where it does not.
    """
    named = read_secrets({variable: Secret(env=variable) for variable in variables})
    values, unread = list(named.values()), []
    try:
        declared = [pair for secrets in declared_secrets(database) for pair in secrets.items()]
    except InvalidFileError:
        declared = []
        unread.append("the recipe, or one that it uses, cannot be read, so that nobody knows its secrets")
    for name, secret in declared:
        try:
            values += read_secrets({name: secret}).values()
        except UsageError as error:
            unread.append(error.message)
    return Registered(values=tuple(values), unread=tuple(unread))
