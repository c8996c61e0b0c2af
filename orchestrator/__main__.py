"""Start the command line: ``matterstack``, ``python -m orchestrator``, ``python orchestrator/runner.py``."""

from __future__ import annotations

import sys

_LACKING = """\
error[MS601]: the package {!r} is not installed for {}
  = help: run 'make demo', or: python3 -m pip install -r requirements.txt
"""


def main() -> None:
    """Run the command in ``sys.argv`` and exit with its status."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from orchestrator import __version__  # noqa: PLC0415  answers before anything else is loaded

        sys.stdout.write(f"matterstack {__version__}\n")
        return
    try:
        from orchestrator.cli.main import run_command_line  # noqa: PLC0415  the version needs none of it
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("orchestrator"):
            raise
        sys.stderr.write(_LACKING.format(error.name, sys.executable))
        sys.exit(6)
    sys.exit(run_command_line())


if __name__ == "__main__":
    main()
