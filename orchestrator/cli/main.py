"""Find the command that was asked for, run it, and turn every error into a message and an exit status."""

from __future__ import annotations

import contextlib
import errno
import gc
import sys
import traceback
from importlib import import_module
from pathlib import Path

import click
from click.exceptions import NoArgsIsHelpError

from orchestrator.cli.output import as_usage_error, drop_unwritten, open_closed_streams, while_read
from orchestrator.clock import run_stamp
from orchestrator.errors import MatterStackError, UsageError
from orchestrator.files import replace_file
from orchestrator.keys import did_you_mean

COMMANDS = {
    "run": "run a recipe; an interrupted run of it goes on where it stopped",
    "init": "open a run that 'loop' or 'step' drives",
    "loop": "drive a run, or all that are active, until each settles",
    "step": "go on with a run without waiting for people",
    "resume": "continue an interrupted or paused run",
    "pause": "let a run start nothing more until it is resumed",
    "cancel": "end a run for good",
    "revive": "open a run that has ended once more",
    "respond": "answer what a run asks people",
    "retry": "run what failed in a run once more",
    "rerun": "run one task of a run once more",
    "reset-run": "make one task of a run pending again, or give it up",
    "cancel-attempt": "end one attempt; its task goes on by its rules",
    "cleanup-orphans": "end attempts that a dead runner left open",
    "new": "begin a project, a recipe or a scriptlet",
    "validate": "check recipes and show every error with its place",
    "lint": "give advice on recipes",
    "plan": "show what would run, in which order, writing nothing",
    "status": "show where a run stands",
    "monitor": "watch runs on a terminal, answer what they ask, and steer them",
    "attempts": "list the attempts at one task",
    "logs": "print what steps wrote to standard error",
    "explain": "say what an error code means, or what keeps a run from its end",
    "replay": "run one step of a run again, with the arguments and values that it had",
    "report": "write a page, or JUnit XML, that tells what came of a run",
    "export-evidence": "write what a third party needs to check a run",
    "stub": "write what steps answered, for runs in which they are not to run",
    "graph": "draw the steps, or the tasks of a run, and what they wait for",
    "runs": "list runs, newest first",
    "cache": "look at and forget results that steps left for later runs",
    "ctx": "read the values that steps shared, and their history",
    "check-leaks": "look for the recipe's secrets in all that a run left",
    "operators": "list what operator keys mean here",
    "scriptlets": "list and show the scriptlets that recipes can use",
    "upgrade": "rewrite a recipe into the newest version of the language",
    "schema": "print the JSON Schema of recipes, for editors",
    "completion": "print what makes a shell complete these words",
    "self-test": "run a small recipe here and check that everything works",
}

_SAFE = "runs are safe: 'matterstack status' shows where the last one stands"
_REFUSALS = {
    errno.ENOSPC: ("no space is left where the output goes", _SAFE),
    errno.EDQUOT: ("the quota is used up where the output goes", _SAFE),
    errno.EMFILE: ("too many files are open in this process", f"raise 'ulimit -n'; {_SAFE}"),
    errno.ENFILE: ("too many files are open on this machine", _SAFE),
    errno.ENOMEM: ("no memory is left", _SAFE),
}

EPILOG = (
    "Exit status: 0 ok, 1 a step failed or the run was cancelled, 2 usage, 3 recipe invalid, 4 nothing selected, "
    "5 paused, 6 infrastructure, 70 internal error, 124 timeout, 130/143 interrupted. "
    "RUN is an id, a unique prefix, a path, @last, or @last-failed."
)


class _Commands(click.Group):
    """The group of commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Give the commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:  # noqa: ARG002
        """Load one command; raise `UsageError` for one that there is not."""
        if cmd_name not in COMMANDS:
            hint = did_you_mean(cmd_name, COMMANDS) or "see: matterstack --help"
            raise UsageError(f"there is no command {cmd_name!r}", hint=hint)
        # What is loaded here stays: collecting garbage meanwhile, or looking through it later, is time lost.
        gc.disable()
        module = import_module(f"orchestrator.cli.{cmd_name.replace('-', '_')}_command")
        gc.freeze()
        gc.enable()
        command: click.Command = module.command
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a reader who leaves before the end of its output is no fault."""
        with while_read(sys.stdout):
            return super().invoke(ctx)
        return 0

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="matterstack", message="matterstack %(version)s")
def cli() -> None:
    """Run declarative recipes of scientific work: durable, resumable, with evidence."""


def run_command_line() -> int:
    """Run the command in ``sys.argv``; return the exit status. The only boundary for errors nobody expected."""
    open_closed_streams()
    try:
        status = cli.main(prog_name="matterstack", standalone_mode=False)
    except NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.UsageError as error:
        return _told(as_usage_error(error))
    except (click.Abort, KeyboardInterrupt):
        return 130
    except MatterStackError as error:
        return _told(error)
    except Exception as error:  # noqa: BLE001  the one boundary: what nobody expected becomes a crash file
        return _refused(_REFUSALS[number]) if (number := _errno(error)) in _REFUSALS else _crashed()
    return status if isinstance(status, int) else 0


def _told(error: MatterStackError) -> int:
    click.echo(error.explained(), err=True)
    return error.exit_status


def _errno(error: Exception) -> int:
    return errno.ENOMEM if isinstance(error, MemoryError) else getattr(error, "errno", None) or 0


def _refused(refusal: tuple[str, str]) -> int:
    """Tell that the machine refused something, most often to take what is printed."""
    reason, hint = refusal
    with contextlib.suppress(OSError):  # standard error may be what is full
        click.echo(f"error[MS601]: the machine refused: {reason}\n  = help: {hint}", err=True)
    for stream in (sys.stdout, sys.stderr):
        drop_unwritten(stream)
    return 6


def _crashed() -> int:
    text = traceback.format_exc()
    path = Path(f"matterstack-crash-{run_stamp()}.txt").absolute()
    evidence = str(path)
    try:
        replace_file(path, text.encode())
    except MatterStackError:
        click.echo(text, err=True)
        evidence = "the lines above"
    click.echo(f"error[MS001]: internal error: {text.strip().splitlines()[-1]}", err=True)
    click.echo(f"  = help: please report it with {evidence}; runs are safe and can be resumed", err=True)
    return 70
