"""``matterstack scriptlets``: the steps that recipes of this project can name, found without importing them."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from orchestrator.catalog import declarations_of, syntax_of
from orchestrator.cli.options import json_option
from orchestrator.cli.output import harmless, print_json, print_table
from orchestrator.errors import UsageError
from orchestrator.keys import did_you_mean
from orchestrator.paths import package_root, project_root

HEADERS = ["module", "class", "what it does"]

_FLAGS = {
    "parallelizable": "may run beside steps that wait for the same",
    "requires_process": "runs in a process of its own",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A scriptlet: what a recipe writes to run it, its file and what it says of itself; a script has no class."""

    module: str
    class_name: str
    path: Path
    doc: str
    declared: Mapping[str, Any]

    @property
    def summary(self) -> str:
        """Give the first line of what it says."""
        return self.doc.split("\n")[0]

    @property
    def names(self) -> frozenset[str]:
        """Give the names by which it can be asked for."""
        last = self.path.stem if self.path.suffix == ".py" else self.path.name
        return frozenset({self.module, self.class_name, last, self.path.stem} - {""})

    def to_json(self) -> dict[str, Any]:
        """Give all that is known of it."""
        return {
            "module": self.module,
            "class": self.class_name,
            "file": str(self.path),
            "doc": self.doc,
            "flags": [flag for flag in _FLAGS if self.declared.get(flag) is True],
            "needs": list(self.declared.get("needs") or ()),
            "params_schema": self.declared.get("params_schema"),
            "outputs_schema": self.declared.get("outputs_schema"),
        }


@click.group("scriptlets", invoke_without_command=True)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:  # noqa: FBT001  a command-line flag
    """Look at the scriptlets that recipes can use; without a command, list them."""
    if context.invoked_subcommand is None:
        context.invoke(list_scriptlets, as_json=as_json)


@command.command("list")
@json_option
def list_scriptlets(as_json: bool) -> None:  # noqa: FBT001  a command-line flag
    """List the scriptlets of this project and those that ship."""
    rows = [(found.module, found.class_name, found.summary) for found in _scriptlets()]
    if as_json:
        print_json([dict(zip(("module", "class", "summary"), row, strict=True)) for row in rows])
    else:
        print_table(rows, HEADERS)


@command.command("show")
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:  # noqa: FBT001  a command-line flag
    """Show what a scriptlet does, what it takes and what it writes.

    NAME is what a recipe writes as 'module' or 'script', the name of its class, or that of its file.
    """
    every = list(_scriptlets())
    found = next((one for one in every if name in one.names), None)
    if found is None:
        hint = did_you_mean(name, {other for one in every for other in one.names})
        raise UsageError(f"there is no scriptlet {name!r}", hint=hint)
    if as_json:
        print_json(found.to_json())
    else:
        click.echo(harmless("\n".join(_page(found))))


def _page(found: _Found) -> Iterator[str]:
    yield f"{found.module}{f':{found.class_name}' if found.class_name else ''}"
    yield f"{found.path}\n"
    yield f"{found.doc}\n"
    params, outputs = found.declared.get("params_schema"), found.declared.get("outputs_schema")
    if isinstance(params, dict):
        yield "params:"
        yield from _properties(params) or ["  none"]
    if isinstance(outputs, dict):
        yield "always writes:"
        yield from (f"  {key}  {_type(schema)}" for key, schema in outputs.items())
    notes = [meaning for flag, meaning in _FLAGS.items() if found.declared.get(flag) is True]
    if needs := found.declared.get("needs"):
        notes.append(f"needs {', '.join(map(str, needs))}")
    yield from notes


def _properties(schema: Mapping[str, Any]) -> list[str]:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    width = max(map(len, properties), default=0)
    return [
        f"  {name.ljust(width)}  {_type(entry)}{', required' if name in required else ''}{_meaning(entry)}"
        for name, entry in properties.items()
    ]


def _type(schema: Any) -> str:  # noqa: ANN401  a part of a JSON Schema
    said = schema.get("type", "any value") if isinstance(schema, dict) else "any value"
    items = schema.get("items") if isinstance(schema, dict) else None
    name = " or ".join(said) if isinstance(said, list) else str(said)
    return f"{name} of {_type(items)}" if isinstance(items, dict) else name


def _meaning(schema: Any) -> str:  # noqa: ANN401  a part of a JSON Schema
    meaning = schema.get("description", "") if isinstance(schema, dict) else ""
    return f": {meaning}" if meaning else ""


def _scriptlets() -> Iterator[_Found]:
    for root in dict.fromkeys([project_root(Path.cwd()), package_root()]):
        for path in sorted((root / "scriptlets").rglob("*.py")):
            module = ".".join(path.relative_to(root).with_suffix("").parts)
            for node in _classes(path):
                doc = inspect.cleandoc(ast.get_docstring(node) or "")
                declared = dict(declarations_of(node))
                yield _Found(module=module, class_name=node.name, path=path, doc=doc, declared=declared)
        for path in sorted((root / "scriptlets" / "shell").glob("[!_]*.sh")):
            name = path.relative_to(root).as_posix()
            yield _Found(module=name, class_name="", path=path, doc=_first_comment(path), declared={})


def _classes(path: Path) -> list[ast.ClassDef]:
    """Give the classes of a file that derive from a scriptlet; none for a file that is not valid Python."""
    try:
        tree = syntax_of(path)
    except SyntaxError:
        return []
    return [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Scriptlet") for base in node.bases)
    ]


def _first_comment(path: Path) -> str:
    """Give the comment below a script's first line."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    comment = []
    for line in lines:
        if not line.startswith("#"):
            break
        comment.append(line.lstrip("# "))
    return "\n".join(comment)
