"""One module writes files, so that there is one place where a file could be left half written."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path for folder in ("orchestrator", "scriptlets") for path in (ROOT / folder).rglob("*.py"))

ALLOWED = {
    "orchestrator/files.py": "it is the one",
    "orchestrator/store/cache.py": "SQLite writes its own file; what is lost with it is run again",
    "orchestrator/store/database.py": "SQLite writes its own file, with a journal of its own",
    "orchestrator/store/leases.py": "a look at the lock opens it as a writer would, and writes nothing",
    "orchestrator/remote/connection.py": "what is connected is a socket",
    "orchestrator/remote/trees.py": "an archive that is read as a stream has a mode of its own",
    "orchestrator/workers/commands.py": "params too long for a command line pass through a temporary file",
    "orchestrator/operators/slurm/notices.py": "what was last seen of a site is of use while its runner lives",
    "orchestrator/operators/web.py": "what is connected is a socket",
    "orchestrator/testing/fake_slurm/__init__.py": "a cluster that is not there has programs of its own",
    "orchestrator/testing/fake_slurm/cluster.py": "a cluster that is not there keeps its jobs in its own folder",
    "orchestrator/testing/fake_slurm/sbatch.py": "a cluster that is not there copies the scripts of its jobs",
    "orchestrator/testing/fake_slurm/supervisor.py": "a cluster that is not there opens the output of its jobs",
    "orchestrator/testing/conformance.py": "a scriptlet is tried in a folder that is thrown away",
    "orchestrator/cli/monitor/view.py": "what is cut there is a text on the screen, not a file",
    "orchestrator/cli/output.py": "streams that are missing, or that nobody reads any more, become the null device",
    "orchestrator/cli/self_test_command.py": "the test of the installation runs in a folder that is thrown away",
}

WRITING_METHODS = frozenset(
    {"write_text", "write_bytes", "touch", "symlink_to", "hardlink_to", "copyfile", "copytree", "copy2", "mkstemp"}
    | {"mkdtemp", "NamedTemporaryFile", "TemporaryFile", "TemporaryDirectory", "SpooledTemporaryFile"}
    | {"Connection", "connect", "truncate", "mkfifo", "mknod"}
)
WRITING_FLAGS = frozenset({"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"})


def writes_in(text: str) -> Iterator[int]:
    """Give the lines on which a source opens something for writing, other than the null device."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call | ast.Attribute) and _writes(node) and "os.devnull" not in lines[node.lineno - 1]:
            yield node.lineno


def _writes(node: ast.Call | ast.Attribute) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in WRITING_FLAGS
    return _is_writing_open(node) or _name_of(node) in WRITING_METHODS


def _name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _is_writing_open(call: ast.Call) -> bool:
    """Tell whether a call of `open`, as a function or as a method, gives a mode that is not known to be for reading."""
    if _name_of(call) not in ("open", "fdopen") or _is_os_open(call):
        return False
    position = 1 if isinstance(call.func, ast.Name) or _name_of(call) == "fdopen" else 0
    modes = [*call.args[position : position + 1], *(word.value for word in call.keywords if word.arg == "mode")]
    return any(not isinstance(mode, ast.Constant) or not set(str(mode.value)) <= set("rbt") for mode in modes)


def _is_os_open(call: ast.Call) -> bool:
    """Tell whether a call is `os.open`, which has flags that are looked for on their own."""
    return ast.unparse(call.func) == "os.open"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_the_one_module_writes(path: Path) -> None:
    """Every other module asks it, or is listed with its reason."""
    lines = sorted(writes_in(path.read_text(encoding="utf-8")))

    assert bool(lines) == (path.relative_to(ROOT).as_posix() in ALLOWED), f"writes on lines {lines}"


@pytest.mark.parametrize(
    "text",
    [
        "open('x', 'w')",
        "open('x', mode='ab')",
        "open('x', 'r+')",
        "open('x', mode)",
        "Path('x').open('w')",
        "Path('x').open(mode='x')",
        "Path('x').write_text('')",
        "path.write_bytes(b'')",
        "path.touch()",
        "os.open('x', os.O_WRONLY)",
        "os.open('x', os.O_CREAT | flags)",
        "os.fdopen(3, 'w')",
        "tempfile.mkstemp()",
        "sqlite3.connect('x')",
        "shutil.copytree(a, b)",
    ],
)
def test_writing_is_recognised(text: str) -> None:
    """Each way of opening a file for writing is seen."""
    assert list(writes_in(text)) == [1]


@pytest.mark.parametrize(
    "text",
    [
        "open('x')",
        "open('x', 'rb')",
        "path.open()",
        "path.open('rb')",
        "os.open('x', os.O_RDONLY)",
        "file.write('')",
        "os.open(os.devnull, os.O_WRONLY)",
    ],
)
def test_reading_is_allowed(text: str) -> None:
    """Reading harms nothing."""
    assert list(writes_in(text)) == []
