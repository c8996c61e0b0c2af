"""``matterstack scriptlets``: the steps that recipes of this project can name, found without importing them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import click

from orchestrator.cli.options import json_option
from orchestrator.cli.output import print_json, print_table
from orchestrator.paths import package_root, project_root

HEADERS = ["module", "class", "what it does"]


@click.command("scriptlets")
@json_option
def command(as_json: bool) -> None:  # noqa: FBT001  a command-line flag
    """List the scriptlets of this project and those that ship."""
    roots = dict.fromkeys([project_root(Path.cwd()), package_root()])
    rows = [row for root in roots for row in _scriptlets(root)]
    if as_json:
        print_json([dict(zip(("module", "class", "summary"), row, strict=True)) for row in rows])
    else:
        print_table(rows, HEADERS)


def _scriptlets(root: Path) -> Iterator[tuple[str, str, str]]:
    for path in sorted((root / "scriptlets").rglob("*.py")):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        for node in _classes(path):
            summary = (ast.get_docstring(node) or "").split("\n")[0]
            yield module, node.name, summary
    for path in sorted((root / "scriptlets" / "shell").glob("[!_]*.sh")):
        yield path.relative_to(root).as_posix(), "", _first_comment(path)


def _classes(path: Path) -> list[ast.ClassDef]:
    """Give the classes of a file that derive from a scriptlet; none for a file that is not valid Python."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:
        return []
    return [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Scriptlet") for base in node.bases)
    ]


def _first_comment(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.lstrip("# ") for line in lines[1:] if line.startswith("#")), "")
