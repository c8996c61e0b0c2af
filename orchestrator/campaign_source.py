"""Give the recipe that a campaign written in Python amounts to: plan, run what was planned, look at it, and again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from orchestrator.errors import InvalidFileError, Problem, UsageError
from orchestrator.sources import Source, read_source

MAIN = "main.py"
RECIPE = "recipe.yaml"
CONFIG = "config.json"
MODES = ("Local", "HPC", "Simulation")

WORKFLOW_NAME = "<workflow>"

_HEAD = """\
schema: matterstack/recipe/v1
description: A campaign that is written in Python
"""
_TEXT = """\
steps:
  - name: campaign_plan
    type: python
    module: scriptlets.steps.plan_campaign
    args: {{ main: {main}, sha256: {sha256}, execution_mode: {mode} }}{isolation}
  - name: campaign_tasks
    type: workflow
    tasks: "${{{{ ctx.campaign.workflow_v1 }}}}"
  - name: campaign_analyze
    type: python
    module: scriptlets.steps.analyze_campaign
    when: not ctx.campaign.is_done_v1
    args: {{ main: {main} }}{isolation}
repeat: {{ until: ctx.campaign.is_done_v1, max: 1000000 }}
"""


def is_written(source: Source) -> bool:
    """Tell whether people have the lines of a recipe before them: those of campaigns and workflows are made here."""
    return source.name != WORKFLOW_NAME and not source.text.startswith(_HEAD)


def entry_of(path: Path) -> Path:
    """Give the file that a workspace's folder is run by, its recipe or else its campaign; another path as it is.

    Raises `UsageError` for a folder with neither.
    """
    if not path.is_dir() or path.suffix in {".yaml", ".yml"}:
        return path
    for name in (RECIPE, MAIN):
        if (path / name).is_file():
            return path / name
    raise UsageError(f"{path} has no {RECIPE} and no {MAIN}", hint="name a recipe, or a workspace that has one of them")


def read_recipe(path: Path) -> Source:
    """Read a recipe; of a campaign's main.py, give the recipe that it amounts to. Raises `InvalidFileError`."""
    if path.name != MAIN:
        return read_source(path)
    main = json.dumps("${{ recipe.path }}")
    return Source.from_text(str(path), _text(main, read_source(path).sha256, execution_mode(path.parent)))


def source_of_given(name: str) -> Source:
    """Give the recipe of a campaign that a program holds under a name; its steps run in that program."""
    text = _text(json.dumps(name), hashlib.sha256(name.encode()).hexdigest(), "Local", "\n    isolation: inline")
    return Source.from_text(name, text)


def _text(main: str, sha256: str, mode: str, isolation: str = "") -> str:
    return _HEAD + _TEXT.format(main=main, sha256=json.dumps(sha256), mode=mode, isolation=isolation)


def settings_of(workspace: Path) -> str | None:
    """Give the text of a workspace's config.json, or None where it has none; raises `InvalidFileError`."""
    path = workspace / CONFIG
    return read_source(path).text if path.is_file() else None


def execution_mode(workspace: Path) -> str:
    """Give where tasks run that name no operator, as the workspace's config.json says; raises `InvalidFileError`."""
    path = workspace / CONFIG
    if not path.is_file():
        return MODES[0]
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        mode = document.get("execution_mode", MODES[0])
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidFileError([Problem("MS108", f"{path}: {error}", help="write a JSON object")]) from error
    found = {known.lower(): known for known in MODES}.get(str(mode).lower())
    if found is None:
        message = f"{path}: execution_mode {mode!r} is none of {', '.join(MODES)}"
        raise InvalidFileError([Problem("MS106", message, help="leave it out for Local")])
    return found
