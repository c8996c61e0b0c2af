"""Start the command line: ``matterstack``, ``python -m orchestrator``, ``python orchestrator/runner.py``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command in ``sys.argv`` and exit with its status."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from orchestrator import __version__  # noqa: PLC0415  answers before anything else is loaded

        sys.stdout.write(f"matterstack {__version__}\n")
        return
    from orchestrator.cli.main import run_command_line  # noqa: PLC0415  the version needs none of it

    sys.exit(run_command_line())


if __name__ == "__main__":
    main()
