"""Say in a few lines what an evidence is, and how to check it by hand."""

from __future__ import annotations

from orchestrator.evidence.draft import Draft
from orchestrator.paths import package_root

SCHEMA_NAME = "evidence-bundle-1.json"

_TEXT = """\
# Evidence of a run

`report.md` is for people, `bundle.json` for programs; `schemas/` says what may stand in it.

| file | what it is |
| --- | --- |
| `recipe.yaml` | the recipe as it was started |
| `operators_snapshot/` | what operator keys meant in this run, where anybody wired them |
| `events/` | all that happened, each line with the hash of the one before |
| `attempts/` | every attempt with its arguments, its answer and what it printed |
| `context/` | the values that steps shared: at the end, and every write |
| `artifacts/` | the files of attempts |
| `manifest-sha256.txt` | the SHA-256 of each of these files |

To see that no file was changed since: `sha256sum -c manifest-sha256.txt`. Nothing here is signed: whoever can change
the files can change the manifest too, so keep its digest, or `events.head` of `bundle.json`, where they cannot.
"""


def write_readme(draft: Draft) -> None:
    """Write README.md."""
    draft.folder.write("README.md", [_TEXT.encode()])


def write_schemas(draft: Draft) -> None:
    """Write ``schemas/``, so that checking the bundle needs no network."""
    path = package_root() / "orchestrator" / "schema" / SCHEMA_NAME
    draft.folder.write(f"schemas/{SCHEMA_NAME}", [path.read_bytes()])
