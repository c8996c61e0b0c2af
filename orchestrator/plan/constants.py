"""Settle the constants of a recipe."""

from __future__ import annotations

import os

from orchestrator.errors import ExpressionError, InvalidFileError, Problem
from orchestrator.expressions import Scope, resolve
from orchestrator.jsonsafe import JsonValue
from orchestrator.recipe.load import LoadedRecipe


def settle_vars(loaded: LoadedRecipe, inputs: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Evaluate the expressions in ``vars``, which see the inputs and the environment, or raise with all that fail.

    A variable that a secret comes from is no part of the environment: a constant may stand in arguments.
    """
    withheld = {secret.env for secret in loaded.recipe.secrets.values()}
    env: dict[str, JsonValue] = {name: value for name, value in os.environ.items() if name not in withheld}
    scope = Scope(names={"inputs": inputs, "env": env})
    settled: dict[str, JsonValue] = {}
    problems: list[Problem] = []
    for name, value in loaded.recipe.vars.items():
        try:
            settled[name] = resolve(value, scope)
        except ExpressionError as error:
            place = loaded.source.place(("vars", name))
            problems.append(Problem(error.code, f"{name}: {error.message}", place, error.hint))
    if problems:
        raise InvalidFileError(problems)
    return settled
