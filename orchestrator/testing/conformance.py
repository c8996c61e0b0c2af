"""Check that a scriptlet keeps the contract: JSON params in, one JSON line out, an exit code that agrees with it."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.envelope import Envelope, parse_envelope
from orchestrator.errors import EnvelopeError
from orchestrator.jsonsafe import JsonValue

BAD_PARAMS = ("{", "[1]", "", '{"a": NaN}')
TIMEOUT_SEC = 60.0


def check_scriptlet(command: Sequence[str], params: Mapping[str, JsonValue]) -> None:
    """Run a scriptlet with good params, once, and with bad ones; raise `AssertionError` listing all that is wrong.

    ``command`` is a program and its arguments, such as ``[sys.executable, "-I", "/lab/relax.py"]``. It is run in an
    empty directory, so paths in it and in ``params`` are best absolute. The good params must lead to success.
    """
    faults = [
        *(f"with params {json.dumps(params)}: {fault}" for fault in _faults(command, json.dumps(params), "ok")),
        *(f"with params {text!r}: {fault}" for text in BAD_PARAMS for fault in _faults(command, text, "error")),
        *_undocumented(command),
    ]
    if faults:
        message = "\n".join([f"{' '.join(command)} does not keep the contract of a scriptlet:", *faults])
        raise AssertionError(message)


def _faults(command: Sequence[str], params: str, wanted: str) -> Iterator[str]:
    """Run the scriptlet and say in which ways its answer is not the one that was wanted."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            answer = subprocess.run(
                [*command, "--params", params], cwd=folder, capture_output=True, timeout=TIMEOUT_SEC, check=False
            )
        except subprocess.TimeoutExpired:
            yield f"it does not end within {TIMEOUT_SEC:g} s"
            return
    try:
        envelope = parse_envelope(answer.stdout.decode("utf-8", "replace"), own=True)
    except EnvelopeError as error:
        yield error.message
        return
    yield from _disagreements(envelope, answer.returncode, wanted)


def _disagreements(envelope: Envelope, exit_code: int, wanted: str) -> Iterator[str]:
    if envelope.status != wanted:
        yield f"the status is {envelope.status!r}, not {wanted!r}: {envelope.reason or 'without a reason'}"
    if exit_code != (0 if envelope.is_ok else 1):
        yield f"the exit code is {exit_code}, which does not agree with the status {envelope.status!r}"
    if not envelope.is_ok and not (envelope.reason and envelope.step):
        yield "the error envelope lacks its reason or the name of its step"


def _undocumented(command: Sequence[str]) -> Iterator[str]:
    """Name what has no description: a Python file and its classes, or a script below its first line."""
    files = [Path(word) for word in command[1:] if Path(word).is_file()] or [Path(command[0])]
    text = files[0].read_text(encoding="utf-8", errors="replace")
    if files[0].suffix == ".py":
        tree = ast.parse(text)
        classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
        yield from (f"class {node.name} has no docstring" for node in classes if not ast.get_docstring(node))
        yield from () if ast.get_docstring(tree) else ["the module has no docstring"]
    elif not any(line.startswith("# ") for line in text.splitlines()[:3]):
        yield "the script does not begin with a comment that says what it does"
