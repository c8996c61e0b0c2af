"""The shell scriptlet keeps the numbers of a messy file, and answers with JSON whatever the files are called."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scriptlets" / "shell" / "sanitize_csv.sh"
MESSY = '1,2;x\r\n"3.5"\n# a comment\n\n  -4e-2\t.5\n1.2.3\n'

ODD_NAMES = [
    "two words.csv",
    'quo"te.csv',
    "apos'trophe.csv",
    "back\\slash.csv",
    "\\u0041.csv",
    "ünïcödé 日本.csv",
    "😀.csv",
    "tab\there.csv",
    "new\nline.csv",
    "end\n",
    "$HOME `id` $(id).csv",
    "-rf",
    "[a]:{b},c",
    '{"src": "x"}',
    "%s%d.csv",
    "*",
    "\x01\x7f\u2028",
]

Answer = tuple[int, dict[str, Any]]


@pytest.fixture(name="sanitize")
def _sanitize(tmp_path: Path) -> Callable[..., Answer]:
    """Run the script with words or with the variable; give its exit code and its one JSON line."""

    def run(*words: str | bytes, variable: str = "") -> Answer:
        environment = {"PATH": os.environ["PATH"], "MATTERSTACK_PARAMS": variable}
        answer = subprocess.run([SCRIPT, *words], cwd=tmp_path, env=environment, capture_output=True, check=False)
        assert answer.stdout.count(b"\n") == 1
        return answer.returncode, json.loads(answer.stdout)

    return run


@pytest.fixture(name="messy")
def _messy(tmp_path: Path) -> Path:
    path = tmp_path / "messy.csv"
    path.write_text(MESSY, encoding="utf-8", newline="")
    return path


def test_numbers_are_kept_one_a_line(sanitize: Callable[..., Answer], messy: Path) -> None:
    """Everything else is counted as dropped."""
    code, answer = sanitize("--params", '{"src": "messy.csv", "dst": "deep/clean.csv"}')

    assert code == 0
    assert answer["outputs"] == {"csv.clean_v1": {"path": "deep/clean.csv", "kept": 5, "dropped": 3}}
    assert (messy.parent / "deep" / "clean.csv").read_text() == "1\n2\n3.5\n-4e-2\n.5\n"


def test_params_come_from_the_environment(sanitize: Callable[..., Answer], messy: Path) -> None:
    """As the runner gives them."""
    assert sanitize(variable='{"src": "messy.csv", "dst": "clean.csv"}')[0] == 0


def test_params_come_from_a_file(sanitize: Callable[..., Answer], messy: Path) -> None:
    """As the runner gives long ones."""
    messy.with_name("params.json").write_text('{\n  "src": "messy.csv",\n  "dst": "clean.csv"\n}\n')

    assert sanitize("--params", "@params.json")[0] == 0
    assert sanitize(variable="@params.json")[0] == 0


@pytest.mark.parametrize("ascii_only", [True, False], ids=["escaped", "plain"])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_go_in_and_come_out(
    sanitize: Callable[..., Answer], messy: Path, name: str, ascii_only: bool
) -> None:
    """Both as the file that is read and as the one that is written and named in the answer."""
    odd = messy.with_name(name)
    messy.rename(odd)
    params = json.dumps(
        {"title": 'a: "b", {c', "src": name, "n": [1, {"src": "no"}], "dst": f"out {name}"}, ensure_ascii=ascii_only
    )

    code, answer = sanitize("--params", params)

    assert (code, answer["outputs"]["csv.clean_v1"]["path"]) == (0, f"out {name}")
    assert messy.with_name(f"out {name}").read_text().startswith("1\n2\n")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_named_in_an_error(sanitize: Callable[..., Answer], name: str) -> None:
    """The reason is the name as it was given."""
    code, answer = sanitize("--params", json.dumps({"src": name, "dst": "x"}))

    assert (code, answer["reason"]) == (1, f"file not found: {name}")


def test_a_name_that_is_no_text_is_still_answered(sanitize: Callable[..., Answer]) -> None:
    """Its foreign bytes are shown as such."""
    code, answer = sanitize("--params", b'{"src": "n\xff\xc3", "dst": "x"}')

    assert (code, answer["reason"]) == (1, "file not found: n\ufffd\ufffd")


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ("", "missing src"),
        ("{", "missing src"),
        ('["src", "messy.csv"]', "missing src"),
        ('{"src": 5, "dst": "x"}', "missing src"),
        ('{"src": {"src": "messy.csv"}}', "missing src"),
        ('{"src": "messy.csv"}', "missing dst"),
        ('{"src": "messy.csv", "dst": "/proc/none/x"}', "cannot make the folder of /proc/none/x"),
        ('{"src": "messy.csv", "dst": "/proc/none"}', "cannot write /proc/none"),
        ('{"src": "messy.csv", "dst": "."}', ". is a folder"),
        ('{"src": ".", "dst": "x"}', "file not found: ."),
        ("@none.json", "cannot read the params"),
    ],
)
def test_every_refusal_is_one_line_of_json(
    sanitize: Callable[..., Answer], messy: Path, params: str, reason: str
) -> None:
    """With the reason and exit code 1."""
    assert sanitize("--params", params) == (
        1,
        {"status": "error", "reason": reason, "exit_code": 1, "step": "sanitize_csv"},
    )


def test_a_file_without_numbers_leaves_nothing(sanitize: Callable[..., Answer], messy: Path) -> None:
    """Neither a result nor a half of one."""
    messy.write_text("n/a\n")

    code, answer = sanitize("--params", '{"src": "messy.csv", "dst": "clean.csv"}')

    assert (code, answer["reason"]) == (1, "no numbers in messy.csv")
    assert [path.name for path in messy.parent.iterdir()] == ["messy.csv"]


def test_a_file_can_be_cleaned_in_place(sanitize: Callable[..., Answer], messy: Path) -> None:
    """It is read to its end before it is replaced."""
    _, answer = sanitize("--params", '{"src": "messy.csv", "dst": "messy.csv"}')

    assert answer["outputs"]["csv.clean_v1"] == {"path": "messy.csv", "kept": 5, "dropped": 3}
    assert messy.read_text().count("\n") == 5
