"""Make a Python class a scriptlet: params and context in, one JSON line out, the same by hand and in a run."""

from __future__ import annotations

import functools
import json
import os
import resource
import sys
import time
import traceback
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Callable, ClassVar, Dict, Mapping, Optional, Sequence, TypeVar

from orchestrator.context import Context
from orchestrator.envelope import Envelope, failure, parse_envelope
from orchestrator.errors import ContextError, EnvelopeError, MatterStackError, ScriptletError, UsageError
from orchestrator.jsonsafe import JsonValue, loads
from orchestrator.keys import snake_case

Params = Dict[str, Any]
Outputs = Optional[Mapping[str, Any]]
Schema = Mapping[str, Any]
_Call = TypeVar("_Call", bound=Callable[..., Any])


class BaseScriptlet:
    """One step of work.

    Override `work`, which returns a map from context key to value; or override `run` to print the envelope yourself.
    Flags: ``parallelizable`` lets it run beside steps with the same predecessors, ``requires_process`` keeps it out
    of the runner's own process, ``needs`` names the context keys that travel with it to another machine, and
    ``own_keys`` lets a core scriptlet write the keys that begin with ``_``.

    Declarations, for people and tools: ``params_schema`` is the JSON Schema of the params, and ``outputs_schema`` maps
    each context key that the step always writes to the JSON Schema of its value. A key whose name depends on a param
    is left out and told of in the docstring. None declares nothing. Both are written as literals, so that they can be
    read without importing the file.
    """

    parallelizable = False
    requires_process = False
    own_keys = False
    needs: Sequence[str] = ()
    params_schema: ClassVar[Optional[Schema]] = None
    outputs_schema: ClassVar[Optional[Mapping[str, Schema]]] = None

    @property
    def name(self) -> str:
        """Give the scriptlet's name: its class name in snake case."""
        return snake_case(type(self).__name__)

    def validate(self, ctx: Context, params: Params) -> None:
        """Raise `ValueError` where the params cannot work; called before `work`."""

    def work(self, ctx: Context, params: Params) -> Outputs:  # noqa: ARG002  for those who override it
        """Do the work and return what to write to the context, by key."""
        raise ScriptletError(f"{type(self).__name__} defines neither work() nor run()", hint="define work(ctx, params)")

    def answer(self, ctx: Context, params: Params) -> Envelope:
        """Validate, work, write the outputs to ``ctx`` and return the envelope; errors propagate."""
        if not isinstance(params, dict):
            raise ScriptletError(f"params are a {type(params).__name__}, not a JSON object")
        self.validate(ctx, params)
        before = len(ctx.history())
        for key, value in (self.work(ctx, params) or {}).items():
            ctx.set(key, value, who=self.name, own=self.own_keys)
        written = dict.fromkeys(change.key for change in ctx.since(before))
        return Envelope(outputs=tuple(key for key in written if key in ctx), step=self.name)

    def run(self, ctx: Context, params: Params) -> int:
        """Print the envelope as one JSON line and return 0, or 1 when validation or work failed."""
        return guarded(self.name, lambda: _print_answer(self.answer(ctx, params)))

    @classmethod
    def main(cls, argv: Optional[Sequence[str]] = None) -> None:
        """Run the class as a command and exit with its status; see ``--help``."""
        sys.exit(_command(cls(), argv))


def guarded(step: str, call: Callable[[], int]) -> int:
    """Return what ``call`` returns; turn whatever it raises into an error envelope on stdout and return 1.

    This is the boundary between the program and the code of a scriptlet: its traceback goes to standard error.
    """
    try:
        return call()
    except Exception as error:  # noqa: BLE001  a scriptlet may raise anything, and that is an answer
        if not isinstance(error, (ValueError, MatterStackError)):
            print_traceback(error)
        print(failure(reason_of(error), step=step).line(), flush=True)
        return 1


def print_traceback(error: BaseException) -> None:
    """Print a traceback from the first frame that is not ours."""
    frames, own = error.__traceback__, str(Path(__file__).resolve().parent)
    while frames and frames.tb_next and frames.tb_frame.f_code.co_filename.startswith(own):
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)


def exit_code_of(value: object) -> int:
    """Give the exit code that `sys.exit` makes of a value: 0 for None, an integer as it is, 1 for the rest."""
    return int(value) if isinstance(value, int) else int(value is not None)


def reason_of(error: BaseException) -> str:
    """Give an exception as the text of an envelope's reason."""
    text = str(error)
    if isinstance(error, (ValueError, MatterStackError)) and text:
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def track_resources(call: _Call) -> _Call:
    """Decorate a scriptlet's `run` or `work`: report its seconds and peak memory in MB on standard error."""

    @functools.wraps(call)
    def tracked(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  whatever the decorated method takes
        began = time.perf_counter()
        try:
            return call(*args, **kwargs)
        finally:
            duration = time.perf_counter() - began
            print(f"[resource] duration_sec={duration:.6f} max_rss_mb={max_rss_mb():.1f}", file=sys.stderr)

    return tracked  # type: ignore[return-value]


def max_rss_mb() -> float:
    """Give the peak resident memory of this process in megabytes (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def read_params(text: str) -> Params:
    """Read params given as JSON, as ``@file``, or as ``-`` for standard input.

    Raises `UsageError` for anything that is not a JSON object.
    """
    try:
        value = loads(_params_text(text))
    except (OSError, ValueError, MatterStackError) as error:
        raise UsageError(f"--params: {error}", hint="give a JSON object, @file or -") from error
    if not isinstance(value, dict):
        raise UsageError(f"--params is {type(value).__name__}, not a JSON object", hint='as in {"src": "data.csv"}')
    return value


def read_context(text: str) -> Context:
    """Read a context from a JSON file, or from the newest run below the workspaces with ``@last``."""
    path = last_context_file() if text == "@last" else Path(text)
    try:
        return _context_in(path)
    except (OSError, ValueError, MatterStackError) as error:
        raise UsageError(f"--ctx: {error}", hint="give the context.json of a run, or @last") from error


def last_context_file() -> Path:
    """Find the context.json of the newest run below ``$MATTERSTACK_WORKSPACES`` or ``./workspaces``."""
    root = Path(os.environ.get("MATTERSTACK_WORKSPACES", "workspaces"))
    found = sorted(root.glob("**/runs/*/context.json"), key=lambda path: path.parent.name)
    if not found:
        raise UsageError(f"@last: no run with a context.json below {str(root)!r}", hint="run a recipe first")
    return found[-1]


def _context_in(path: Path) -> Context:
    values = loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ContextError(f"{path} holds no JSON object")
    return Context(values)


def _print_answer(envelope: Envelope) -> int:
    print(envelope.line(), flush=True)
    return 0 if envelope.is_ok else 1


def _command(scriptlet: BaseScriptlet, argv: Optional[Sequence[str]]) -> int:
    import argparse

    summary = (type(scriptlet).__doc__ or "").strip() or scriptlet.name
    parser = argparse.ArgumentParser(prog=scriptlet.name, description=summary)
    parser.add_argument("--params", default="{}", metavar="JSON|@FILE|-", help="the step's arguments, a JSON object")
    parser.add_argument("--ctx", metavar="FILE|@last", help="a context.json to read from")
    parser.add_argument("--pretty", action="store_true", help="indent the answer and show the written values")
    options = parser.parse_args(argv)
    try:
        params = read_params(options.params)
        ctx = read_context(options.ctx) if options.ctx else Context()
    except UsageError as error:
        print(f"{scriptlet.name}: {error.explained()}", file=sys.stderr)
        return _print_answer(failure(error.message, step=scriptlet.name))
    return _run_pretty(scriptlet, ctx, params) if options.pretty else _run_plain(scriptlet, ctx, params)


def _run_plain(scriptlet: BaseScriptlet, ctx: Context, params: Params) -> int:
    return guarded(scriptlet.name, lambda: exit_code_of(scriptlet.run(ctx, params)))


def _run_pretty(scriptlet: BaseScriptlet, ctx: Context, params: Params) -> int:
    captured = StringIO()
    with redirect_stdout(captured):
        status = _run_plain(scriptlet, ctx, params)
    try:
        envelope = parse_envelope(captured.getvalue(), own=scriptlet.own_keys)
    except EnvelopeError as error:
        print(captured.getvalue(), end="")
        print(f"{scriptlet.name}: {error.explained()}", file=sys.stderr)
        return status or error.exit_status
    values: Dict[str, JsonValue] = {key: ctx.get(key) for key in envelope.outputs}
    shown = {**envelope.to_json(), **({"outputs": values} if envelope.is_ok else {})}
    print(json.dumps(shown, indent=2, ensure_ascii=False))
    return status


def _params_text(text: str) -> str:
    if text == "-":
        return sys.stdin.read()
    return Path(text[1:]).read_text(encoding="utf-8") if text.startswith("@") else text
