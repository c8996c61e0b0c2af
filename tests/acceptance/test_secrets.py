"""A secret is in nothing that a run leaves, whatever a step does with it; the names are those of the fault matrix."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.acceptance.program import Project, finish, until
from tests.acceptance.spellings import spellings

SECRET = 'kX7/qP+z "9" & (.*)[a-z]\\d{2}|$é'  # noqa: S105  it opens nothing
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n"
JSON = json.dumps({"user": "ada-lovelace", "keys": [{"token": "zz-top-secret-1"}, "another-one-22"]})

WAYS = {
    "stdout": "print(text)\nreturn 0",
    "stderr": 'sys.stderr.write(text + "\\n")\nprint(OK)\nreturn 0',
    "exception": "raise ValueError(text)",
    "reason": 'print(json.dumps({"status": "error", "reason": text}))\nreturn 1',
    "context": 'ctx.set("a.b_v1", {"deep": [text]})\nprint(OK)\nreturn 0',
    "context key": 'ctx.set("a.b_v1", {text: 1})\nprint(OK)\nreturn 0',
    "logging": 'logging.getLogger().error("sent %s", text)\nprint(OK)\nreturn 0',
    "border of a chunk": 'sys.stderr.write("x" * 65_520 + text + "\\n")\nprint(OK)\nreturn 0',
    "traceback with locals": "secret = text\nassert secret == 1, locals()",
}
HEAD = "schema: matterstack/recipe/v1\nsecrets: { lab: { env: LAB_TOKEN } }\nsteps:\n"


def write_step(project: Project, body: str) -> None:
    """Write a recipe for each encoding's text, which a step then does something with."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    project.write(
        "leak.py",
        "import json, logging, os, sys\nsys.path.insert(0, os.path.dirname(__file__))\n"
        "from orchestrator import BaseScriptlet\n\n"
        'OK = \'{"status": "ok", "outputs": []}\'\n\n\nclass Leak(BaseScriptlet):\n'
        f'    def run(self, ctx, params):\n        text = os.environ["TOKEN"]\n{lines}',
    )
    step = (
        '- { name: leak, type: python, module: ./leak.py, env: { TOKEN: "${{ secrets.lab }}" }, allow_failure: true }\n'
    )
    project.write("recipe.yaml", HEAD + step)


def left(project: Project) -> str:
    """Give all bytes that the run left, as text in which each byte is a letter."""
    files = [path for path in (project.folder / "workspaces").rglob("*") if path.is_file()]
    assert files
    return b"".join(path.read_bytes() for path in files).decode("latin-1")


@pytest.mark.parametrize("way", WAYS)
def test_E1_a_secret_is_masked_in_every_encoding(project: Project, way: str) -> None:
    """In records, logs, answers and reports, in 22 encodings at once and by whichever way it leaves the step."""
    shutil.copy(Path(__file__).with_name("spellings.py"), project.folder / "spellings_of.py")
    write_step(project, f'from spellings_of import spellings\ntext = " ".join(spellings(text).values())\n{WAYS[way]}')
    reports = ("--html", "workspaces/r.html", "--junit", "workspaces/j.xml")

    ended = project.call("run", "recipe.yaml", *reports, env={"LAB_TOKEN": SECRET})
    checked = project.call("check-leaks", "@last", env={"LAB_TOKEN": SECRET})

    everything = left(project) + ended.stdout + ended.stderr
    assert len(spellings(SECRET)) == 22
    assert [name for name, text in spellings(SECRET).items() if in_text(text, everything)] == []
    assert checked.status == 0
    assert "***" in everything or "holds a secret" in everything


def in_text(text: str, everything: str) -> bool:
    """Tell whether a text, as UTF-8, stands in the bytes of files."""
    return text.encode().decode("latin-1") in everything


def test_E2_no_secret_is_in_a_command_line(project: Project) -> None:
    """All command lines of the machine are looked at, a hundred times a second, while a run hands a secret on."""
    project.write(
        "recipe.yaml",
        HEAD
        + '- { name: a, type: shell, env: { TOKEN: "${{ secrets.lab }}" }, stdout: free,\n'
        + '    run: "for _ in $(seq 1200); do test -e handed-on && break; sleep 0.05; done" }\n',
    )

    with command_lines() as seen:
        runner = project.start("run", "recipe.yaml", env={"LAB_TOKEN": SECRET})
        until(lambda: any(b"handed-on" in line for line in list(seen)))
        (project.folder / "handed-on").touch()
        ended = finish(runner)

    assert ended.status == 0
    assert not any(SECRET.encode() in line for line in seen)


@contextmanager
def command_lines() -> Iterator[set[bytes]]:
    """Collect the command lines of all processes while the block lasts."""
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                with suppress(OSError):  # it has ended
                    seen.add((process / "cmdline").read_bytes())
            time.sleep(0.01)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("abc", "secret 'lab' has 3 characters"),
        ("", "secret 'lab' has 0 characters"),
        ("password", "secret 'lab' is a common word"),
        ("  ChangeMe ", "secret 'lab' is a common word"),
    ],
)
def test_E4_a_secret_that_is_none_is_refused(project: Project, value: str, reason: str) -> None:
    """Before anything runs, and without telling it."""
    write_step(project, "print(OK)\nreturn 0")

    ended = project.call("run", "recipe.yaml", env={"LAB_TOKEN": value})

    assert (ended.status, ended.answer["reason"]) == (2, reason)
    assert "error[MS211]" in ended.stderr


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (PEM, ["MIIEvQIBADANBgkqhkiG9w0B", "AQEFAASCBKcwggSjAgEAAoIB"]),
        (JSON, ["ada-lovelace", "zz-top-secret-1", "another-one-22"]),
        ("first-line-here\nsecond-line-here", ["first-line-here", "second-line-here"]),
        ("a.c+d[e]f(g)*h^$|\\", ["a.c+d[e]f(g)*h^$|\\"]),
    ],
    ids=["PEM", "JSON", "several lines", "regular expression"],
)
def test_E5_every_leaf_and_line_is_masked(project: Project, value: str, parts: list[str]) -> None:
    """Also where one of them stands alone; what only resembles it stays."""
    pieces = "\\n".join(f"<{part}>".replace("\\", "\\\\\\\\") for part in parts)
    write_step(project, f'sys.stderr.write("{pieces}\\n" + text + "\\nabcd e f g h\\n")\nprint(OK)\nreturn 0')

    project.call("run", "recipe.yaml", env={"LAB_TOKEN": value})
    logged = project.call("attempts", "@last", "leak", "--stderr").stdout

    assert [part for part in parts if in_text(part, left(project))] == []
    assert logged.startswith("<***>\n" * len(parts))
    assert "abcd e f g h" in logged


def test_E6_a_crash_leaves_no_image_of_the_memory(project: Project) -> None:
    """A process that has a secret may not leave a core file."""
    write_step(
        project,
        'import resource\nctx.set("core.limit_v1", resource.getrlimit(resource.RLIMIT_CORE)[0])\nprint(OK)\nreturn 0',
    )

    project.call("run", "recipe.yaml", env={"LAB_TOKEN": SECRET})

    assert json.loads(project.call("ctx", "get", "@last", "core.limit_v1").stdout) == 0
