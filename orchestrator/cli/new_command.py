"""``matterstack new``: begin a project, a recipe or a scriptlet with something that runs."""

from __future__ import annotations

import re
from pathlib import Path

import click

from orchestrator.errors import UsageError
from orchestrator.files import make_directory, replace_file
from orchestrator.keys import camel_case, snake_case

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,60}")

_RECIPE = """\
schema: matterstack/recipe/v1
description: Describe in a sentence what this recipe shows
inputs:
  count: {{ type: integer, default: 3, minimum: 1, description: how many samples }}
steps:
  - name: {name}
    type: python
    module: ./{name}.py
    args: {{ count: "${{{{ inputs.count }}}}" }}
    success:
      ctx_has_keys: [{name}.samples_v1]
      expect: ["len(ctx.{name}.samples_v1) == inputs.count"]
outputs: {{ mean: sum(ctx.{name}.samples_v1) / inputs.count }}
"""
_SCRIPTLET = '''\
"""Say in a sentence what this step does."""

from __future__ import annotations

from orchestrator import BaseScriptlet, Context, get_logger, track_resources

log = get_logger(__name__)


class {class_name}(BaseScriptlet):
    """Write ``{name}.samples_v1``, a list of numbers.

    Params: ``count``, how many.
    """

    def validate(self, ctx: Context, params: dict) -> None:
        """Raise `ValueError` where the params cannot work; called before the work."""
        if type(params.get("count")) is not int or params["count"] < 1:
            raise ValueError("count is not a whole number from 1")

    @track_resources
    def work(self, ctx: Context, params: dict) -> dict:
        """Return what to write to the context, by key."""
        log.info("making %d samples", params["count"])
        return {{"{name}.samples_v1": [number * 0.5 for number in range(params["count"])]}}


if __name__ == "__main__":
    {class_name}.main()
'''
_SETTINGS = """\
# The modules whose scriptlets recipes of this project may name, besides files below a recipe's own folder.
[allow]
modules = ["scriptlets.*"]
"""
_IGNORE = """\
# What runs leave behind
/workspaces/**/runs/
/workspaces/.cache.sqlite*
/build/
__pycache__/
"""


@click.group("new")
def command() -> None:
    """Begin a project, a recipe or a scriptlet with something that runs; nothing that exists is touched."""


@command.command("recipe")
@click.argument("path", type=click.Path(path_type=Path))
def recipe(path: Path) -> None:
    """Write the recipe PATH, which ends in .yaml, and beside it the scriptlet that it runs."""
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{str(path)!r} does not end in .yaml", hint="as in: matterstack new recipe screening.yaml")
    name = _checked(path.name.split(".")[0])
    _write({path: _RECIPE.format(name=name), path.with_name(f"{name}.py"): _scriptlet(name)})
    click.echo(f"run it:  matterstack run {path}", err=True)


@command.command("scriptlet")
@click.argument("path", type=click.Path(path_type=Path))
def scriptlet(path: Path) -> None:
    """Write the scriptlet PATH, which ends in .py; its class has the same name in CamelCase."""
    if path.suffix != ".py":
        raise UsageError(f"{str(path)!r} does not end in .py", hint="as in: matterstack new scriptlet relax.py")
    _write({path: _scriptlet(_checked(path.stem))})
    click.echo(f"run it:  python {path} --params '{{\"count\": 3}}' --pretty", err=True)


@command.command("project")
@click.argument("path", type=click.Path(path_type=Path))
def project(path: Path) -> None:
    """Write a project: a folder with its settings, a first recipe and the scriptlet that it runs."""
    name = _checked(snake_case(path.name.replace("-", "_")))
    _write(
        {
            path / "matterstack.toml": _SETTINGS,
            path / ".gitignore": _IGNORE,
            path / "recipes" / f"{name}.yaml": _RECIPE.format(name=name),
            path / "recipes" / f"{name}.py": _scriptlet(name),
        }
    )
    click.echo(f"run it:  cd {path} && matterstack run recipes/{name}.yaml", err=True)


def _scriptlet(name: str) -> str:
    return _SCRIPTLET.format(name=name, class_name=camel_case(name))


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a step and a class", hint="use letters, digits and '_', a letter first")
    return name


def _write(files: dict[Path, str]) -> None:
    """Write all files or, where one exists, none; print their paths."""
    for path in files:
        if path.exists():
            raise UsageError(f"{path} exists already", hint="give another name, or remove it")
    for path, text in files.items():
        make_directory(path.absolute().parent)
        replace_file(path, text.encode(), mode=0o644)
        click.echo(str(path))
