"""The check finds every way of breaking the contract, and says which."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.testing import conformance
from orchestrator.testing.conformance import check_scriptlet

WELL = """
import json, sys
try:
    params = json.loads(sys.argv[2], parse_constant=lambda name: json.loads(name + "?"))
    params["n"]
    print(json.dumps({"status": "ok", "outputs": []}))
except Exception as error:
    print(json.dumps({"status": "error", "reason": str(error) or "?", "exit_code": 1, "step": "well"}))
    sys.exit(1)
"""


def complaints(folder: Path, text: str, name: str = "step.py") -> str:
    """Check a scriptlet with this text and give what is wrong with it."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    interpreter = sys.executable if name.endswith(".py") else "sh"
    with pytest.raises(AssertionError) as caught:
        check_scriptlet([interpreter, str(path)], {"n": 1})
    return str(caught.value)


def test_one_that_keeps_the_contract_passes(tmp_path: Path) -> None:
    """Whatever library it uses, or none."""
    path = tmp_path / "well.py"
    path.write_text(f'"""Do well."""\n{WELL}', encoding="utf-8")

    check_scriptlet([sys.executable, str(path)], {"n": 1})


def test_one_that_never_fails_is_found(tmp_path: Path) -> None:
    """Bad params must not pass for good ones; each is named."""
    found = complaints(tmp_path, '"""Be glad."""\nprint(\'{"status": "ok"}\')')

    assert "with params '{': the status is 'ok', not 'error': without a reason" in found
    assert "with params '[1]': the status is 'ok', not 'error': without a reason" in found
    assert 'with params {"n": 1}' not in found


def test_one_that_fails_with_good_params_is_found(tmp_path: Path) -> None:
    """Its own reason is shown."""
    found = complaints(tmp_path, f'"""Want more."""\n{WELL}'.replace('params["n"]', 'params["m"]'))

    assert "with params {\"n\": 1}: the status is 'error', not 'ok': 'm'" in found


def test_an_exit_code_that_disagrees_is_found(tmp_path: Path) -> None:
    """Both are named."""
    found = complaints(tmp_path, f'"""Exit gladly."""\n{WELL.replace("sys.exit(1)", "pass")}')

    assert "the exit code is 0, which does not agree with the status 'error'" in found


def test_chatter_is_found(tmp_path: Path) -> None:
    """The line that is too much is shown."""
    found = complaints(tmp_path, f'"""Talk."""\n{WELL}print("bye")')

    assert "standard output has 2 lines; the first after the envelope is 'bye'" in found


def test_an_error_without_its_step_is_found(tmp_path: Path) -> None:
    """Whoever reads it wants to know where it comes from."""
    found = complaints(tmp_path, f'"""Be nobody."""\n{WELL.replace("well", "")}')

    assert "the error envelope lacks its reason or the name of its step" in found


def test_a_crash_is_found(tmp_path: Path) -> None:
    """A traceback is no answer."""
    assert "standard output is empty" in complaints(tmp_path, '"""Crash."""\nraise SystemError')


def test_one_that_does_not_end_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for."""
    monkeypatch.setattr(conformance, "TIMEOUT_SEC", 0.2)

    assert "it does not end within 0.2 s" in complaints(tmp_path, '"""Wait."""\nimport time; time.sleep(60)')


def test_missing_docstrings_are_found(tmp_path: Path) -> None:
    """Of the module and of its classes."""
    found = complaints(tmp_path, f"class Step: pass\n{WELL}")

    assert "class Step has no docstring" in found
    assert "the module has no docstring" in found


def test_a_script_without_a_comment_is_found(tmp_path: Path) -> None:
    """A shell script says what it does below its first line."""
    found = complaints(tmp_path, "#!/bin/sh\necho\n", name="step.sh")

    assert "the script does not begin with a comment that says what it does" in found


DECLARING = """
import json, sys
from typing import ClassVar
class Step:
    \"\"\"Declare.\"\"\"
    params_schema: ClassVar = {"type": "object", "properties": {"n": {"type": "integer"}}}
    outputs_schema = {"lab.n_v1": {"type": "integer"}}
try:
    params = json.loads(sys.argv[2], parse_constant=lambda name: json.loads(name + "?"))
    value = params["n"]
    if "--pretty" in sys.argv:
        print(json.dumps({"status": "ok", "outputs": {"lab.n_v1": value}}, indent=2))
    else:
        print(json.dumps({"status": "ok", "outputs": ["lab.n_v1"]}))
except Exception as error:
    print(json.dumps({"status": "error", "reason": str(error) or "?", "exit_code": 1, "step": "step"}))
    sys.exit(1)
"""


def test_one_that_keeps_what_it_declares_passes(tmp_path: Path) -> None:
    """Params and outputs fit their schemas."""
    path = tmp_path / "step.py"
    path.write_text(f'"""Declare."""\n{DECLARING}', encoding="utf-8")

    check_scriptlet([sys.executable, str(path)], {"n": 1})


@pytest.mark.parametrize(
    ("declared", "instead", "fault"),
    [
        ('{"type": "integer"}}}', '{"type": "word"}}}', "params_schema is not a JSON Schema: 'word' is not valid"),
        ('{"type": "integer"}}}', '{"type": "string"}}}', "params_schema: $.n: 1 is not of type 'string'"),
        ('"lab.n_v1": {"type": "integer"}', '"lab.n_v1": 5', "outputs_schema: lab.n_v1 is not a JSON Schema: 5 is not"),
        ('{"lab.n_v1": {"type": "integer"}}', '{"lab.n_v1": {"minimum": 2}}', "outputs_schema: lab.n_v1: $: 1 is less"),
        ('{"lab.n_v1": {"type": "integer"}}', '{"lab.m_v1": {}}', "outputs_schema names 'lab.m_v1', which is not"),
        ('{"lab.n_v1": {"type": "integer"}}', "dict()", "outputs_schema of class Step is not a literal"),
    ],
)
def test_a_declaration_that_is_not_kept_is_found(tmp_path: Path, declared: str, instead: str, fault: str) -> None:
    """The schema, the place and the value are named."""
    assert declared in DECLARING

    assert fault in complaints(tmp_path, f'"""Declare."""\n{DECLARING.replace(declared, instead)}')
