"""Find the backends that other distributions bring, and load those alone that the project allows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel

from orchestrator.errors import InvalidFileError, Problem
from orchestrator.paths import SETTINGS_NAME

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "matterstack.operators"

_ENTRY = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==(\S+)")


class OperatorPlugin(Protocol):
    """What an entry point of the group leads to; its name there is the backend's type in operators.yaml.

    ``kinds`` are the kinds of operators that may have the backend, and ``backend`` is the model of its keys, of which
    ``type`` is one.
    """

    kinds: tuple[str, ...]
    backend: type[BaseModel]

    @staticmethod
    def make(operator_key: str, backend: Any, environment: Mapping[str, str]) -> Any:  # noqa: ANN401  an Operator, which is made of what lies above
        """Make the operator of a key; ``environment`` is that of what it starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Why a backend of another distribution is not used, and what to do."""

    message: str
    hint: str


def find_plugin(name: str, workspace: Path | None) -> type[OperatorPlugin] | Unusable | None:
    """Give the class behind a type of backend; None where no distribution brings it.

    Nothing of a distribution is imported before the project of the workspace allows it, by name and version. Raises
    `InvalidFileError` for a wrong ``matterstack.toml``.
    """
    points = _points(name)
    if not points:
        return None
    settings = _settings(workspace)
    allowed = _allowed(settings) if settings else frozenset()
    usable = {_distribution(point): point for point in points if _distribution(point) in allowed}
    if len(usable) > 1:
        names = " and ".join(_shown(each) for each in sorted(usable))
        return Unusable(message=f"backend {name!r} comes from {names}", hint="allow one of them")
    if not usable:
        found = _shown(_distribution(points[0]))
        where = settings or (workspace or Path()) / SETTINGS_NAME
        message = f"backend {name!r} comes from the distribution {found}, which the project does not allow"
        return Unusable(message=message, hint=f'write into {where}: [plugins] allow = ["{found}"]')
    ((distribution, point),) = usable.items()
    return _load(point, _shown(distribution))


def _points(name: str) -> list[EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415  slow, and few wirings need it

    return list(entry_points(group=GROUP, name=name))


def _load(point: EntryPoint, distribution: str) -> type[OperatorPlugin] | Unusable:
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        return Unusable(message=f"{point.value} of {distribution} cannot be loaded: {error}", hint="install it again")
    backend = getattr(found, "backend", None)
    is_model = isinstance(backend, type) and issubclass(backend, BaseModel) and "type" in backend.model_fields
    has_kinds = isinstance(getattr(found, "kinds", None), tuple)
    if not (isinstance(found, type) and is_model and has_kinds and callable(getattr(found, "make", None))):
        hint = "it is to have 'kinds', 'make' and a pydantic model 'backend' with a field 'type'"
        return Unusable(message=f"{point.value} of {distribution} is no operator", hint=hint)
    return found


def _settings(workspace: Path | None) -> Path | None:
    """Give the settings of the project in which a workspace lies."""
    if workspace is None:
        return None
    here = workspace.absolute()
    return next((path for folder in (here, *here.parents) if (path := folder / SETTINGS_NAME).is_file()), None)


def _allowed(settings: Path) -> frozenset[tuple[str, str]]:
    import tomllib

    try:
        document = tomllib.loads(settings.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidFileError([Problem("MS108", f"{settings}: {error}", help="mend the file")]) from error
    plugins = document.get("plugins", {})
    entries = plugins.get("allow", []) if isinstance(plugins, dict) else None
    matches = [_ENTRY.fullmatch(one) if isinstance(one, str) else None for one in entries or []]
    if not isinstance(entries, list) or None in matches:
        message = f"{settings}: [plugins] allow is not a list of distributions with their versions"
        raise InvalidFileError([Problem("MS106", message, help='as in: allow = ["lab-robots==1.2"]')])
    return frozenset((_normal(match[1]), match[2]) for match in matches if match)


def _distribution(point: EntryPoint) -> tuple[str, str]:
    return (_normal(point.dist.name), point.dist.version) if point.dist else ("", "")


def _shown(distribution: tuple[str, str]) -> str:
    return "==".join(distribution)


def _normal(name: str) -> str:
    """Give the name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
