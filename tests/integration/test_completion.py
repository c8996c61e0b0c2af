"""Shells complete the words of a command line with the script that the program prints."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.program import Project

RUN = "20261120_145508_c428b11e"
TYPED = [
    ("ru", ["run", "runs"]),
    ("ctx ", ["at", "blame", "diff", "get", "history", "keys"]),
    ("ctx get ", ["@last", "@last-failed", RUN]),
    ("ctx get @last-", ["@last-failed"]),
    ("ctx get @last ", []),
    ("rerun 2026", [RUN]),
    ("explain 2026", [RUN]),
    ("run --iso", ["--isolation"]),
    ("run --isolation ", ["inline", "worker"]),
    ("run --set ", []),
    ("run recipes/me", ["recipes/median.yaml", "recipes/mean of two.yml"]),
    ("run -j 3 recipes/mea", ["recipes/mean of two.yml"]),
    ("validate recipes/median.yaml recipes/med", ["recipes/median.yaml"]),
    ("run --workspaces-dir work", ["workspaces/"]),
    ("completion ", ["bash", "fish", "zsh"]),
]
BASH = """\
source complete.sh
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_matterstack
if [ ${#COMPREPLY[@]} -gt 0 ]; then printf '%s\\n' "${COMPREPLY[@]}"; fi
"""


@pytest.fixture(name="shelf")
def _shelf(project: Project) -> Project:
    """Give a project with a run and some recipes."""
    (project.folder / "workspaces" / "median" / "runs" / RUN).mkdir(parents=True)
    for name in ("recipes/median.yaml", "recipes/mean of two.yml", "recipes/medal.txt"):
        project.write(name, "steps: []\n")
    return project


def script(project: Project, shell: str) -> None:
    """Let the program print its script for a shell."""
    ended = project.call("completion", shell)
    assert (ended.status, ended.stderr) == (0, "")
    project.write("complete.sh", ended.stdout)


def said(project: Project, *argv: str) -> list[str]:
    """Give the lines that a program in the project's folder prints."""
    ended = subprocess.run(argv, cwd=project.folder, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    return sorted(ended.stdout.splitlines())


def test_bash_completes(shelf: Project) -> None:
    """Commands, options, their values, runs, and recipes."""
    script(shelf, "bash")
    for line, found in TYPED:
        words = ["matterstack", *re.split(" ", line)]
        assert said(shelf, "bash", "--norc", "-c", BASH, "bash", *words) == sorted(found), line


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes(shelf: Project) -> None:
    """The same; it also tells what each word means."""
    script(shelf, "fish")
    for line, found in TYPED:
        asked = f"source complete.sh; complete -C 'matterstack {line}'"
        offered = {one.split("\t")[0] for one in said(shelf, "fish", "--no-config", "-c", asked)}
        if line.endswith("@last "):
            continue  # it offers runs at every place of an argument
        wanted = {name for name in found if " " not in name}  # it writes blanks with a backslash
        assert wanted <= offered if "recipes/" in line else wanted == offered, line


class Zsh:
    """An interactive zsh in a window of its own."""

    def __init__(self, project: Project, socket: Path) -> None:
        self._tmux = ("tmux", "-S", str(socket), "-f", "/dev/null")
        place = ("-x", "120", "-y", "30", "-c", str(project.folder))
        subprocess.run([*self._tmux, "new-session", "-d", *place, "zsh", "-f", "-i"], check=True)

    def type(self, text: str) -> None:
        """Type a text as it is."""
        subprocess.run([*self._tmux, "send-keys", "-l", text], check=True)

    def shows(self, text: str) -> bool:
        """Wait until the window shows a text, but not for ever."""
        ask = [*self._tmux, "capture-pane", "-p"]
        for _ in range(200):
            if text in subprocess.run(ask, check=True, capture_output=True, text=True).stdout:
                return True
            time.sleep(0.1)
        return False

    def close(self) -> None:
        """End the window."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


@pytest.fixture(name="zsh")
def _zsh(shelf: Project, tmp_path: Path) -> Iterator[Zsh]:
    script(shelf, "zsh")
    zsh = Zsh(shelf, tmp_path / "tmux")
    yield zsh
    zsh.close()


@pytest.mark.skipif(not (shutil.which("zsh") and shutil.which("tmux")), reason="zsh or tmux is not installed")
def test_zsh_completes(zsh: Zsh) -> None:
    """With its own layer for scripts that were made for bash."""
    zsh.type("PROMPT='ready> '; source complete.sh\n")
    assert zsh.shows("ready> ")
    for typed, whole in [
        ("completion z", "completion zsh"),
        ("ctx get @", "ctx get @last"),
        ("ctx get @last-", "ctx get @last-failed"),
        ("rerun 2026", f"rerun {RUN}"),
        ("run --iso", "run --isolation"),
        ("run --isolation w", "run --isolation worker"),
        ("run recipes/med", "run recipes/median.yaml"),
    ]:
        zsh.type(f"matterstack {typed}\t")
        assert zsh.shows(f"ready> matterstack {whole}"), typed
        zsh.type("\x15clear\n")
