"""A recipe that cannot be right is refused before anything runs, with the place and the way out; text stays text."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.acceptance.program import Project

# Two seconds on a machine of its own; the limit only has to tell a refusal from a hang.
SOON_SEC = 10

HEAD = "schema: matterstack/recipe/v1\n"
STEPS = "steps:\n  - { name: one, type: shell, run: 'true' }\n"
ALIASES = "".join(f"{name}: &{name} [{', '.join([f'*{of}'] * 9)}]\n" for of, name in pairwise("abcdefghi"))

REFUSED = {
    "tag that calls": (
        f"{HEAD}vars: {{ a: !!python/object/apply:os.system ['echo touched > canary'] }}\n{STEPS}",
        "recipe.yaml:2:12: error[MS104]: explicit tags ('!') are not used here",
    ),
    "tag that names": (
        f"{HEAD}vars: {{ a: !!python/name:os.system }}\n{STEPS}",
        "recipe.yaml:2:12: error[MS104]: explicit tags ('!') are not used here",
    ),
    "tag that includes": (
        f"{HEAD}vars: {{ a: !include /etc/passwd }}\n{STEPS}",
        "recipe.yaml:2:12: error[MS104]: explicit tags ('!') are not used here",
    ),
    "alias bomb": (
        f"a: &a [x, x, x, x, x, x, x, x, x]\n{ALIASES}",
        "recipe.yaml:6:36: error[MS109]: more than 600000 values",
    ),
    "10,000 anchors": (
        "".join(f"k{number}: &k{number} 1\n" for number in range(10_000)),
        "recipe.yaml:1001:8: error[MS109]: more than 1000 anchors",
    ),
    "alias of itself": (
        "a: &x { b: *x }\n",
        "recipe.yaml:1:12: error[MS104]: alias '*x' stands inside what it names",
    ),
    "list in itself": (
        "- &a [*a]\n",
        "recipe.yaml:1:7: error[MS104]: alias '*a' stands inside what it names",
    ),
    "200 MB": ("x" * 200_000_000, "error[MS109]: 'recipe.yaml' is larger than 8388608 bytes"),
    "one line of 7 MB": (f"a: {'x' * 7_000_000}", "recipe.yaml:1:1: error[MS101]: unknown key 'a'"),
    "100,000 brackets": ("[" * 100_000, "recipe.yaml:1:65: error[MS109]: nested deeper than 64 levels"),
    "600,000 keys": (
        "".join(f"k{number}: 1\n" for number in range(600_000)),
        "recipe.yaml:300000:10: error[MS109]: more than 600000 values",
    ),
    "duplicate key": (
        f"{HEAD}steps:\n  - name: one\n    type: shell\n    name: two\n    run: 'true'\n",
        "recipe.yaml:5:5: error[MS102]: duplicate key 'name' (first at line 3)",
    ),
    "merge key": (
        f"{HEAD}vars: {{ a: &a {{ operator_key: hpc.x }} }}\nsteps:\n  - {{ name: one, type: shell, <<: *a }}\n",
        "recipe.yaml:4:31: error[MS104]: merge keys ('<<') are not used here",
    ),
    "not a number": (f"{HEAD}vars: {{ a: .nan }}\n{STEPS}", "recipe.yaml:2:12: error[MS105]: '.nan' is not a finite"),
    "infinity": (f"{HEAD}vars: {{ a: .inf }}\n{STEPS}", "recipe.yaml:2:12: error[MS105]: '.inf' is not a finite"),
    "1e400": (f"{HEAD}vars: {{ a: 1e400 }}\n{STEPS}", "recipe.yaml:2:12: error[MS105]: '1e400' is not a finite"),
    "2^60": (
        f"{HEAD}vars: {{ a: 1152921504606846976 }}\n{STEPS}",
        "recipe.yaml:2:12: error[MS105]: '1152921504606846976' is beyond ±(2^53-1)",
    ),
    "lone surrogate": (
        f'{HEAD}vars: {{ a: "\\ud800" }}\n{STEPS}',
        "recipe.yaml:2:15: error[MS105]: the escape names no character",
    ),
    "escaped NUL": (
        f'{HEAD}vars: {{ a: "\\0" }}\n{STEPS}',
        "recipe.yaml:2:12: error[MS105]: the text holds the invisible character U+0000",
    ),
    "raw escape character": (
        f'{HEAD}vars: {{ a: "\x1b[31m" }}\n{STEPS}',
        "recipe.yaml:2:13: error[MS105]: the file holds the invisible character U+001B",
    ),
    "direction mark in a name": (
        f"{HEAD}{STEPS}".replace("one", "o\u202ene"),
        r"recipe.yaml:3:13: error[MS201]: step name 'o\u202ene' is not allowed",
    ),
    "invisible character in a name": (
        f"{HEAD}{STEPS}".replace("one", "o\u200bne"),
        r"recipe.yaml:3:13: error[MS201]: step name 'o\u200bne' is not allowed",
    ),
    "mistyped key": (
        f"{HEAD}{STEPS}".replace("run:", "operator_keey:"),
        "recipe.yaml:3:31: error[MS101]: unknown key 'operator_keey'",
    ),
    "wrong type": (f"{HEAD}{STEPS}".replace("'true'", "3"), "recipe.yaml:3:36: error[MS106]: expected text, got 3"),
    "two documents": (
        f"{HEAD}{STEPS}---\n{HEAD}{STEPS}",
        "recipe.yaml:4:1: error[MS104]: a second document begins here",
    ),
    "tab": (f"{HEAD}steps:\n\t- name: one\n", "recipe.yaml:3:1: error[MS103]: a tab cannot stand here"),
    "include": (f"{HEAD}include: /etc/passwd\n{STEPS}", "recipe.yaml:2:1: error[MS101]: unknown key 'include'"),
    "extends": (f"{HEAD}extends: http://x\n{STEPS}", "recipe.yaml:2:1: error[MS101]: unknown key 'extends'"),
    "recipe above": (
        f"{HEAD}steps: [ {{ name: one, type: recipe, uses: ../../x.yaml }} ]\n",
        "recipe.yaml:2:43: error[MS205]: path '../../x.yaml' is not allowed",
    ),
    "circle": (
        f"{HEAD}{STEPS}  - {{ name: two, type: shell, run: x, depends_on: [one] }}\n".replace(
            "'true'", "x, depends_on: [two]"
        ),
        "recipe.yaml:3:52: error[MS204]: steps depend on each other in a circle: one -> two -> one",
    ),
    "circle of one": (
        f"{HEAD}{STEPS}".replace("run:", "depends_on: [one], run:"),
        "recipe.yaml:3:44: error[MS204]: step 'one' depends on itself",
    ),
    "unknown dependency": (
        f"{HEAD}{STEPS}".replace("run:", "depends_on: [onne], run:"),
        "recipe.yaml:3:44: error[MS203]: step 'one' depends on unknown step 'onne'",
    ),
    "50,000 steps": (
        f"{HEAD}steps:\n" + "".join(f"  - {{ name: s{number}, type: shell, run: x }}\n" for number in range(50_000)),
        "recipe.yaml:2:1: error[MS109]: 50000 steps are more than 20000",
    ),
    "step name with a slash": (
        f"{HEAD}{STEPS}".replace("one", "../one"),
        "recipe.yaml:3:13: error[MS201]: step name '../one' is not allowed",
    ),
    "names that differ in case": (
        f"{HEAD}{STEPS}  - {{ name: ONE, type: shell, run: x }}\n",
        "recipe.yaml:4:13: error[MS202]: step name 'ONE' differs from 'one' only in case",
    ),
    "workspace above": (
        f"{HEAD}workspace: ../outside\n{STEPS}",
        "recipe.yaml:2:12: error[MS201]: workspace '../outside' is not allowed",
    ),
    "nothing": ("", "recipe.yaml:1:1: error[MS108]: the file is empty"),
}

STEP_NAMES = ["../x", "/abs", "a/b", ".", "..", "''", "-rf", "x" * 300, '"a\\nb"', "a%2fb", "e\u0301", "CON"]

ECHO = """\
from orchestrator import BaseScriptlet

class Echo(BaseScriptlet):
    def work(self, ctx, params):
        return {"echo.params_v1": params}
"""

LITERAL = {
    "clock": "12:00:00",
    "minutes": "1:30",
    "date": "2026-11-20",
    "octal": "0o10x",
    "grouped": "1_000",
    "no": "no",
    "on": "on",
    "braces": "'{{ 7 * 7 }}'",
    "dollar": "'${HOME} $HOME'",
    "percent": "'%(x)s %s'",
    "command": "'$(echo touched > canary)'",
    "backticks": "'`echo touched > canary`'",
}


@pytest.fixture(name="canary")
def _canary(project: Project) -> Path:
    """Make a file that must not change."""
    return project.write("canary", "alive")


def symlink(path: Path) -> None:
    """Make the recipe a link to a recipe."""
    (path.parent / "other.yaml").write_text(f"{HEAD}{STEPS}")
    path.symlink_to("other.yaml")


def device(path: Path) -> None:
    """Make the recipe a link to something without end."""
    path.symlink_to("/dev/zero")


ODD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (symlink, "'recipe.yaml' is a symbolic link"),
    "link to a device": (device, "'recipe.yaml' is a symbolic link"),
    "pipe": (os.mkfifo, "'recipe.yaml' is a pipe"),
    "directory": (Path.mkdir, "'recipe.yaml' is a directory"),
    "nothing": (lambda path: path, "'recipe.yaml' does not exist"),
}


def processor_sec() -> float:
    """Give the time that processors gave to all children so far; a busy machine does not lengthen it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(("text", "complaint"), REFUSED.values(), ids=REFUSED)
def test_a_bad_recipe_is_refused(project: Project, canary: Path, text: str, complaint: str) -> None:
    """It is not run, in little time, and both commands say where the fault is."""
    project.write("recipe.yaml", text)
    began = processor_sec()

    validated, run = project.call("validate", "recipe.yaml"), project.call("run", "recipe.yaml")

    assert (validated.status, run.status, run.answer["exit_code"]) == (3, 3, 3)
    assert complaint in validated.stderr
    assert complaint in run.stderr
    assert processor_sec() - began < SOON_SEC
    assert (canary.read_text(), project.run_folders()) == ("alive", [])


@pytest.mark.parametrize(("make", "complaint"), ODD_FILES.values(), ids=ODD_FILES)
def test_what_is_no_file_is_refused(project: Project, make: Callable[[Path], object], complaint: str) -> None:
    """A link, a pipe, a device or a directory is neither followed nor waited for."""
    make(project.folder / "recipe.yaml")

    ended = project.call("validate", "recipe.yaml")

    assert ended.status == 3
    assert f"error[MS108]: {complaint}" in ended.stderr


def test_a_device_is_refused(project: Project) -> None:
    """A recipe without end is not read."""
    ended = project.call("validate", "/dev/zero")

    assert (ended.status, ended.stderr.splitlines()[0]) == (3, "error[MS108]: '/dev/zero' is a device")


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_refused(project: Project, encoding: str) -> None:
    """Bytes that are no UTF-8 are pointed at."""
    text = f"# é\n{HEAD}{STEPS}"
    (project.folder / "recipe.yaml").write_bytes(text.encode(encoding))

    ended = project.call("validate", "recipe.yaml")

    assert ended.status == 3
    assert "error[MS108]: expected UTF-8, got " in ended.stderr


@pytest.mark.parametrize("text", [f"\ufeff{HEAD}{STEPS}", f"{HEAD}{STEPS}".replace("\n", "\r\n")], ids=["BOM", "CRLF"])
def test_files_from_other_systems_are_read(project: Project, text: str) -> None:
    """A byte order mark and line ends of another system do no harm."""
    (project.folder / "recipe.yaml").write_bytes(text.encode())

    assert project.call("validate", "recipe.yaml").status == 0


@pytest.mark.parametrize("name", STEP_NAMES)
def test_a_step_name_that_is_no_folder_is_refused(project: Project, name: str) -> None:
    """A name that leads elsewhere, hides, or means another thing to some system never becomes a path."""
    project.write("recipe.yaml", f"{HEAD}steps:\n  - name: {name}\n    type: shell\n    run: 'true'\n")

    ended = project.call("validate", "recipe.yaml")

    assert ended.status == 3
    assert "recipe.yaml:3:11: error[MS201]" in ended.stderr


@pytest.mark.parametrize("run_id", ["../x", "/abs", "", ".", "..", "%2e%2e", "x\ny"])
def test_a_run_id_never_leads_elsewhere(project: Project, run_id: str) -> None:
    """What is no run of this project is not found, whatever it is called."""
    ended = project.call("status", run_id)

    assert ended.status == 2
    assert "error[MS004]: no run " in ended.stderr


def test_text_is_never_evaluated(project: Project, canary: Path) -> None:
    """Times, dates, words and the syntax of other tools reach a step as they are written."""
    project.write("echo.py", ECHO)
    args = "".join(f"      {name}: {text}\n" for name, text in LITERAL.items())
    project.write(
        "recipe.yaml", f"{HEAD}steps:\n  - name: echo\n    type: python\n    module: ./echo.py\n    args:\n{args}"
    )

    ended = project.call("run", "recipe.yaml")

    assert ended.status == 0
    assert project.call("ctx", "get", "@last", "echo.params_v1").answer == {
        name: text.strip("'") for name, text in LITERAL.items()
    }
    assert canary.read_text() == "alive"


def test_arguments_reach_a_program_as_they_are(project: Project, canary: Path) -> None:
    """A list is never read by a shell."""
    words = [
        "; echo touched > canary",
        "$(echo touched > canary)",
        "`echo touched > canary`",
        "* -rf 'quoted' \"twice\"",
    ]
    script = "import json, sys; print(json.dumps({'status': 'ok', 'outputs': {'echo.words_v1': sys.argv[1:]}}))"
    project.write(
        "recipe.yaml", f"steps: [{{ name: echo, type: shell, run: {json.dumps(['python3', '-c', script, *words])} }}]"
    )

    ended = project.call("run", "recipe.yaml")

    assert ended.status == 0, ended.stderr
    assert project.call("ctx", "get", "@last", "echo.words_v1").answer == words
    assert canary.read_text() == "alive"
