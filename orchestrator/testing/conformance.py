"""Check that a scriptlet keeps the contract: JSON params in, one JSON line out, an exit code that agrees with it."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.envelope import Envelope, parse_envelope
from orchestrator.errors import EnvelopeError
from orchestrator.jsonsafe import JsonValue

BAD_PARAMS = ("{", "[1]", "", '{"a": NaN}')
TIMEOUT_SEC = 60.0

_DECLARED = ("params_schema", "outputs_schema")


def check_scriptlet(command: Sequence[str], params: Mapping[str, JsonValue]) -> None:
    """Run a scriptlet with good params, once, and with bad ones; raise `AssertionError` listing all that is wrong.

    ``command`` is a program and its arguments, such as ``[sys.executable, "-I", "/lab/relax.py"]``. It is run in an
    empty directory, so paths in it and in ``params`` are best absolute. The good params must lead to success. A Python
    file that declares ``params_schema`` or ``outputs_schema`` must keep what it declares; one with ``outputs_schema``
    is run with good params a second time, with ``--pretty``, to see the values.
    """
    faults = [
        *(f"with params {json.dumps(params)}: {fault}" for fault in _faults(command, json.dumps(params), "ok")),
        *(f"with params {text!r}: {fault}" for text in BAD_PARAMS for fault in _faults(command, text, "error")),
        *_undocumented(command),
        *_undeclared(command, params),
    ]
    if faults:
        message = "\n".join([f"{' '.join(command)} does not keep the contract of a scriptlet:", *faults])
        raise AssertionError(message)


def _faults(command: Sequence[str], params: str, wanted: str) -> Iterator[str]:
    """Run the scriptlet and say in which ways its answer is not the one that was wanted."""
    try:
        answer = _run([*command, "--params", params])
    except subprocess.TimeoutExpired:
        yield f"it does not end within {TIMEOUT_SEC:g} s"
        return
    try:
        envelope = parse_envelope(answer.stdout.decode("utf-8", "replace"), own=True)
    except EnvelopeError as error:
        yield error.message
        return
    yield from _disagreements(envelope, answer.returncode, wanted)


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(command, cwd=folder, capture_output=True, timeout=TIMEOUT_SEC, check=False)


def _disagreements(envelope: Envelope, exit_code: int, wanted: str) -> Iterator[str]:
    if envelope.status != wanted:
        yield f"the status is {envelope.status!r}, not {wanted!r}: {envelope.reason or 'without a reason'}"
    if exit_code != (0 if envelope.is_ok else 1):
        yield f"the exit code is {exit_code}, which does not agree with the status {envelope.status!r}"
    if not envelope.is_ok and not (envelope.reason and envelope.step):
        yield "the error envelope lacks its reason or the name of its step"


def _undocumented(command: Sequence[str]) -> Iterator[str]:
    """Name what has no description: a Python file and its classes, or a script below its first line."""
    path = _file_of(command)
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix == ".py":
        tree = ast.parse(text)
        yield from (f"class {node.name} has no docstring" for node in _classes(tree) if not ast.get_docstring(node))
        yield from () if ast.get_docstring(tree) else ["the module has no docstring"]
    elif not any(line.startswith("# ") for line in text.splitlines()[:3]):
        yield "the script does not begin with a comment that says what it does"


def _undeclared(command: Sequence[str], params: Mapping[str, JsonValue]) -> Iterator[str]:
    """Say where the schemas that a Python file declares are none, or are not kept."""
    path = _file_of(command)
    if path.suffix != ".py":
        return
    try:
        declared = _declarations(path)
    except ValueError as error:
        yield str(error)
        return
    yield from _misfits("params_schema", declared.get("params_schema"), dict(params))
    outputs = declared.get("outputs_schema")
    if outputs:
        written = _written(command, params)
        for key, schema in outputs.items():
            if key in written:
                yield from _misfits(f"outputs_schema: {key}", schema, written[key])
            else:
                yield f"outputs_schema names {key!r}, which is not written"


def _declarations(path: Path) -> dict[str, Any]:
    """Give the schemas that the classes of a file declare; raise `ValueError` for one that is not a literal."""
    found: dict[str, Any] = {}
    for node in _classes(ast.parse(path.read_bytes())):
        for name, value in _assignments(node):
            try:
                found[name] = ast.literal_eval(value)
            except ValueError as error:
                message = f"{name} of class {node.name} is not a literal"
                raise ValueError(message) from error
    return found


def _assignments(node: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    """Give the declarations in the body of a class, with or without a type."""
    for line in node.body:
        if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
            name = ast.unparse(line.target if isinstance(line, ast.AnnAssign) else line.targets[0])
            if name in _DECLARED:
                yield name, line.value


def _misfits(name: str, schema: Any, value: JsonValue) -> Iterator[str]:  # noqa: ANN401  a schema as it was found
    """Say that what is declared is no JSON Schema, or where the value does not fit it."""
    from jsonschema import Draft202012Validator, SchemaError

    if schema is None:
        return
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        yield f"{name} is not a JSON Schema: {error.message}"
        return
    for fault in Draft202012Validator(schema).iter_errors(value):
        yield f"{name}: {fault.json_path}: {fault.message}"


def _written(command: Sequence[str], params: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Run the scriptlet so that it shows what it writes, and give that; nothing when it does not show it."""
    try:
        answer = _run([*command, "--params", json.dumps(params), "--pretty"])
        return parse_envelope(json.dumps(json.loads(answer.stdout)), own=True).values
    except (ValueError, EnvelopeError, subprocess.TimeoutExpired):
        return {}


def _file_of(command: Sequence[str]) -> Path:
    files = [Path(word) for word in command[1:] if Path(word).is_file()]
    return files[0] if files else Path(command[0])


def _classes(tree: ast.Module) -> list[ast.ClassDef]:
    return [node for node in tree.body if isinstance(node, ast.ClassDef)]
