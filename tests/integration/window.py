"""Open a real terminal, type into it, and read what it shows."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.acceptance.program import COMMAND, Project, environment


class Terminal:
    """A window in which one command runs; it is as wide and as high as ``size`` says."""

    def __init__(self, socket: Path, size: tuple[int, int] = (100, 40)) -> None:
        self._size = size
        self._tmux = ("tmux", "-S", str(socket), "-f", "/dev/null")

    def start(self, project: Project, *words: str, env: Mapping[str, str] | None = None) -> None:
        """Run the program with these words in the window, which stays open afterwards."""
        # The trap keeps the shell, which hears ^C too, from ending before it has told the status.
        command = 'trap : INT; "$@"; echo "status $?"; ' + " ".join((*self._tmux, "wait-for -S done")) + "; cat"
        size = ("-x", str(self._size[0]), "-y", str(self._size[1]))
        session = ("new-session", "-d", *size, "-c", str(project.folder), "sh", "-c", command, "sh", *COMMAND, *words)
        subprocess.run([*self._tmux, *session], check=True, env=environment({"SHELL": "/bin/sh", **(env or {})}))

    def finish(self) -> str:
        """Wait for the end of the command and give what the window shows."""
        subprocess.run([*self._tmux, "wait-for", "done"], check=True, timeout=60)
        return self.screen()

    def screen(self) -> str:
        """Give what the window shows now."""
        return subprocess.run([*self._tmux, "capture-pane", "-p"], check=True, capture_output=True, text=True).stdout

    def press(self, *keys: str) -> None:
        """Press keys, such as ``C-c``."""
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def resize(self, width: int, height: int) -> None:
        """Change the size of the window."""
        subprocess.run([*self._tmux, "resize-window", "-x", str(width), "-y", str(height)], check=True)

    def ask(self, what: str) -> str:
        """Give what tmux knows of the window, such as ``#{alternate_on}``."""
        asked = [*self._tmux, "display-message", "-p", what]
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()

    def close(self) -> None:
        """End the window and whatever runs in it."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


def until(terminal: Terminal, shows: Callable[[str], bool]) -> str:
    """Look at the window until it shows what is waited for."""
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline:
        screen = terminal.screen()
        if shows(screen):
            return screen
        time.sleep(0.02)
    message = f"the window never showed it: {screen}"
    raise AssertionError(message)
