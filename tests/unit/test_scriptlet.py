"""A scriptlet takes params and a context and answers with one line, by hand as in a run."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator import BaseScriptlet, Context, track_resources
from orchestrator.errors import ScriptletError, UsageError
from orchestrator.scriptlet import Outputs, Params, exit_code_of, max_rss_mb, read_context, read_params, reason_of


class CountWords(BaseScriptlet):
    """Write ``words.count_v1``, the number of words in ``text``."""

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse params without text."""
        if "text" not in params:
            raise ValueError("missing text")

    @track_resources
    def work(self, ctx: Context, params: Params) -> Outputs:
        """Count."""
        return {"words.count_v1": len(params["text"].split())}


class Chatter(BaseScriptlet):
    """Print what is no envelope."""

    def run(self, ctx: Context, params: Params) -> int:
        """Forget the contract."""
        sys.stdout.write("hello\n")
        return 0


class ForgetDraft(BaseScriptlet):
    """Replace a key by another."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Write one key and delete another."""
        ctx.set("words.scratch_v1", 1)
        ctx.delete("words.scratch_v1")
        return {"words.final_v1": 2}


class OpenThing(BaseScriptlet):
    """Answer with a key of the runner, as core scriptlets do."""

    own_keys = True

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Name what was opened."""
        return {"_thing.opened_v1": 1}


class Raiser(BaseScriptlet):
    """Fail in the way that a test asks for."""

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Raise."""
        raise params["error"]


def run_by_hand(scriptlet: type[BaseScriptlet], *words: str) -> int:
    """Run the class as a command and return its exit status."""
    with pytest.raises(SystemExit) as caught:
        scriptlet.main(words)
    return exit_code_of(caught.value.code)


def test_work_becomes_context_and_envelope(capsys: pytest.CaptureFixture[str]) -> None:
    """Returned values are written under the scriptlet's name and listed as outputs."""
    ctx = Context()

    status = CountWords().run(ctx, {"text": "one two"})

    assert status == 0
    assert capsys.readouterr().out == '{"status": "ok", "outputs": ["words.count_v1"]}\n'
    assert [(change.key, change.value, change.who) for change in ctx.history()] == [
        ("words.count_v1", 2, "count_words")
    ]


def test_refused_params_become_an_error_envelope(capsys: pytest.CaptureFixture[str]) -> None:
    """Validation speaks by `ValueError`, without a traceback."""
    status = CountWords().run(Context(), {})

    captured = capsys.readouterr()
    assert status == 1
    assert json.loads(captured.out) == {
        "status": "error",
        "reason": "missing text",
        "exit_code": 1,
        "step": "count_words",
    }
    assert captured.err == ""


def test_an_unexpected_error_leaves_its_traceback_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """The envelope has the type and message, standard error the rest."""
    status = Raiser().run(Context(), {"error": KeyError("x")})

    captured = capsys.readouterr()
    assert status == 1
    assert json.loads(captured.out)["reason"] == "KeyError: 'x'"
    assert captured.err.startswith("Traceback (most recent call last):")


def test_params_that_are_no_object_are_refused() -> None:
    """Params are a JSON object."""
    with pytest.raises(ScriptletError, match="params are a list, not a JSON object"):
        CountWords().answer(Context(), ["text"])  # type: ignore[arg-type]


def test_a_scriptlet_without_work_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Forgetting the one method is explained."""

    class Idle(BaseScriptlet):
        """Do nothing."""

    assert Idle().run(Context(), {}) == 1
    assert "Idle defines neither work() nor run()" in capsys.readouterr().out


def test_a_key_that_was_deleted_again_is_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Only what is there afterwards is declared."""
    ForgetDraft().run(Context(), {})

    assert json.loads(capsys.readouterr().out)["outputs"] == ["words.final_v1"]


def test_steps_may_not_write_the_keys_of_the_runner(capsys: pytest.CaptureFixture[str]) -> None:
    """Only a class with ``own_keys`` does."""

    class Sly(OpenThing):
        """Try."""

        own_keys = False

    assert Sly().run(Context(), {}) == 1
    assert "which only the runner may write" in capsys.readouterr().out


def test_resources_are_reported_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """One line with seconds and megabytes, also beside an error."""
    CountWords().run(Context(), {"text": "a"})

    line = capsys.readouterr().err
    assert re.fullmatch(r"\[resource\] duration_sec=\d+\.\d{6} max_rss_mb=\d+\.\d\n", line)


def test_decorated_methods_keep_their_name() -> None:
    """Documentation and tracebacks name the method that was decorated."""
    assert CountWords.work.__name__ == "work"
    assert CountWords.work.__doc__ == "Count."


def test_memory_is_in_megabytes() -> None:
    """A Python process needs more than two and less than four thousand."""
    assert 2 < max_rss_mb() < 4000


def test_by_hand_the_answer_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints the envelope and exits with 0."""
    assert run_by_hand(CountWords, "--params", '{"text": "one two"}') == 0
    assert capsys.readouterr().out == '{"status": "ok", "outputs": ["words.count_v1"]}\n'


def test_pretty_shows_the_written_values(capsys: pytest.CaptureFixture[str]) -> None:
    """For people the values stand where the names were."""
    assert run_by_hand(CountWords, "--params", '{"text": "one two"}', "--pretty") == 0
    assert capsys.readouterr().out == '{\n  "status": "ok",\n  "outputs": {\n    "words.count_v1": 2\n  }\n}\n'


def test_pretty_shows_the_keys_of_the_runner(capsys: pytest.CaptureFixture[str]) -> None:
    """Core scriptlets are run by hand like any other."""
    assert run_by_hand(OpenThing, "--pretty") == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == {"_thing.opened_v1": 1}


def test_pretty_passes_on_what_is_no_envelope(capsys: pytest.CaptureFixture[str]) -> None:
    """A scriptlet under construction shows what it printed, and why that will not do."""
    assert run_by_hand(Chatter, "--pretty") == 1

    captured = capsys.readouterr()
    assert captured.out == "hello\n"
    assert "standard output is not the JSON envelope" in captured.err


@pytest.mark.parametrize("params", ["{", "[1]", "NaN", "@/no/such/file", '{"a": 1, "a": 2}'])
def test_unreadable_params_are_answered_with_an_envelope(params: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever started the scriptlet finds one JSON line, whatever was wrong."""
    assert run_by_hand(CountWords, "--params", params) == 1

    captured = capsys.readouterr()
    assert json.loads(captured.out)["status"] == "error"
    assert "give a JSON object, @file or -" in captured.err or "as in" in captured.err


def test_params_come_from_a_file(tmp_path: Path) -> None:
    """An at sign names a file, for params too long for a command line."""
    path = tmp_path / "params.json"
    path.write_text('{"text": "Grüße"}', encoding="utf-8")

    assert read_params(f"@{path}") == {"text": "Grüße"}


def test_params_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash reads standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 1}'))

    assert read_params("-") == {"a": 1}


def test_a_params_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are the caller's error, not a crash."""
    path = tmp_path / "params.json"
    path.write_bytes(b'{"text": "\xff"}')

    with pytest.raises(UsageError, match=r"--params: 'utf-8' codec can't decode"):
        read_params(f"@{path}")


def test_a_context_comes_from_a_file(tmp_path: Path) -> None:
    """The context.json of a run feeds a scriptlet by hand."""
    path = tmp_path / "context.json"
    path.write_text('{"a.b_v1": [1], "_runner.x_v1": 2}', encoding="utf-8")

    assert read_context(str(path)).to_dict() == {"_runner.x_v1": 2, "a.b_v1": [1]}


def write_run(workspaces: Path, slug: str, run_id: str, values: Mapping[str, Any]) -> None:
    """Leave what a finished run leaves behind."""
    folder = workspaces / slug / "runs" / run_id
    folder.mkdir(parents=True)
    (folder / "context.json").write_text(json.dumps(values), encoding="utf-8")


def test_the_last_run_gives_its_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``@last`` is the newest run of all workspaces."""
    monkeypatch.setenv("MATTERSTACK_WORKSPACES", str(tmp_path))
    write_run(tmp_path, "a", "20260102_000000_00000000", {"a.x": 2})
    write_run(tmp_path, "b/c", "20260101_000000_00000000", {"a.x": 1})

    assert read_context("@last").to_dict() == {"a.x": 2}


def test_without_a_run_there_is_no_last_context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says where was looked."""
    monkeypatch.setenv("MATTERSTACK_WORKSPACES", str(tmp_path))

    with pytest.raises(UsageError, match=r"@last: no run with a context\.json below"):
        read_context("@last")


@pytest.mark.parametrize("content", ["[]", "{", '{"a..b": 1}', "\xff"])
def test_a_wrong_context_file_is_refused(tmp_path: Path, content: str) -> None:
    """Only a JSON object under dotted keys is a context."""
    path = tmp_path / "context.json"
    path.write_bytes(content.encode("latin-1"))

    with pytest.raises(UsageError, match="--ctx"):
        read_context(str(path))


@pytest.mark.parametrize(("value", "code"), [(None, 0), (0, 0), (3, 3), (True, 1), ("no", 1)])
def test_exit_codes_are_those_of_sys_exit(value: object, code: int) -> None:
    """A `run` that returns nothing has succeeded, as a program that ends has."""
    assert exit_code_of(value) == code


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("missing src"), "missing src"),
        (ValueError(), "ValueError"),
        (OSError("disk on fire"), "OSError: disk on fire"),
        (ScriptletError("no class"), "no class"),
    ],
)
def test_reasons_are_for_people(error: BaseException, reason: str) -> None:
    """An error raised on purpose speaks for itself, others name their type."""
    assert reason_of(error) == reason
