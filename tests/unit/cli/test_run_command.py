"""``run`` drives a recipe as its options say, and its result is all that it prints."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from orchestrator.operators.asking import current_user
from tests.unit.cli.program import Answer, Terminal
from tests.unit.workshop import Workshop, python, recipe, shell

Call = Callable[..., Answer]

AB = recipe(python("a", keys="args: {a.x_v1: {n: 1, m: [µ]}}"), python("b", keys="args: {b.x_v1: 2}"))
INLINE = ("--isolation", "inline")


@pytest.fixture(name="run")
def _run(call: Call, workshop: Workshop) -> Call:
    """Run a recipe, given as text, in this process."""
    return lambda text, *words: call("run", str(workshop.write("r.yaml", text)), *INLINE, *words)


def test_the_result_is_one_json_line(run: Call, workshop: Workshop) -> None:
    """For a program; what people read goes to standard error."""
    answer = run(AB)

    (root,) = workshop.runs()
    place = {"run_id": root.name, "run_root": str(root)}
    assert answer.json == {"status": "ok", "ctx_keys": ["a.x_v1", "b.x_v1"], **place}
    assert (answer.status, answer.stderr.splitlines()[-1].split(" in ")[0]) == (0, "completed: 2 ok")


def test_a_failed_step_is_the_status(run: Call) -> None:
    """With its name and its reason."""
    answer = run(recipe(python("a", "Fail", "args: {reason: 'too µ'}")))

    assert answer.status == 1
    assert (answer.json["status"], answer.json["step"], answer.json["exit_code"]) == ("error", "a", 1)
    assert answer.json["reason"] == "the exit code is 1, not 0: too µ"
    assert "µ" in answer.stdout


def test_people_see_no_json(run: Call, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of the report says it."""
    monkeypatch.setattr(sys, "stdout", terminal.stream)

    assert run(AB).status == 0
    assert terminal.read() == ""


def test_the_results_may_be_a_table(run: Call, workshop: Workshop) -> None:
    """The fields of an object have a row each."""
    lines = run(AB, "--table").stdout.splitlines()

    assert [line.split(maxsplit=1) for line in lines[2:-1]] == [
        ["a.x_v1.n", "1"],
        ["a.x_v1.m", '["µ"]'],
        ["b.x_v1", "2"],
    ]
    assert lines[-1] == f"run: {workshop.runs()[0]}"


def test_a_value_in_the_table_does_not_speak_to_the_terminal(run: Call) -> None:
    """JSON writes control characters out, but not all of them."""
    told = """printf %s '{"status": "ok", "outputs": {"a.x_v1": "\\u001b[2J\\u009b\\u202e"}}'"""

    assert '"\\u001b[2J\\x9b\\u202e"' in run(recipe(shell("a", told)), "--table").stdout


def test_quiet_leaves_the_result(run: Call) -> None:
    """And nothing else."""
    answer = run(AB, "-q")

    assert (answer.json["status"], answer.stderr) == ("ok", "")


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (("--only", "c"), 2, "{recipe}: the recipe has no step 'c'"),
        (("--only", ""), 4, "--only '' names no step"),
        (("--skip", "a,b"), 4, "{recipe}: the selection leaves no step to run"),
        (("--set", "n"), 2, "--set 'n' has no '='"),
        (("--set", "n=1"), 2, "{recipe}: the recipe has no input 'n'"),
        (("--from", "b"), 2, "--resume-from b: 'r' has no earlier run to take values from"),
        (("--workspace", "../up"), 2, "workspace '../up' is not a folder name"),
    ],
)
def test_what_cannot_begin_has_a_result_too(
    run: Call, workshop: Workshop, words: tuple[str, ...], status: int, reason: str
) -> None:
    """A program that reads it need not look at standard error, where people find the same."""
    answer = run(AB, *words)
    reason = reason.replace("{recipe}", str(workshop.folder / "r.yaml"))

    assert answer.status == status
    assert answer.json == {"status": "error", "reason": reason, "exit_code": status, "step": ""}
    assert f"]: {reason}\n" in answer.stderr


@pytest.mark.parametrize(
    ("words", "reason", "hint"),
    [
        (("run", "r.yaml", "--bogus"), "no such option '--bogus'", "see: matterstack run --help"),
        (
            ("run", "r.yaml", "--quite"),
            "no such option '--quite'",
            "did you mean '--quiet'? see: matterstack run --help",
        ),
        (("resume", "--jobs", "many"), "invalid value for '-j' / '--jobs'", "see: matterstack resume --help"),
        (("retry", "a", "b"), "got unexpected extra argument (b)", "see: matterstack retry --help"),
        (("rerun",), "missing argument 'RUN'", "see: matterstack rerun --help"),
    ],
)
def test_words_that_are_not_understood_have_a_result_too(
    call: Call, words: tuple[str, ...], reason: str, hint: str
) -> None:
    """All commands that drive a run print one line, whatever is wrong; people read where the words are explained."""
    answer = call(*words)

    assert (answer.status, answer.json["status"], answer.json["exit_code"]) == (2, "error", 2)
    assert answer.json["reason"].startswith(reason)
    assert f"error[MS002]: {reason}" in answer.stderr
    assert f"= help: {hint}" in answer.stderr


def test_a_recipe_that_is_not_valid_has_a_result_of_one_line(run: Call, workshop: Workshop) -> None:
    """The first problem, and how many more there are; the frames are for people."""
    answer = run(recipe(python("a", "Gone"), python("b", "Gone")))

    assert answer.json == {
        "status": "error",
        "reason": f"{workshop.folder / 'r.yaml'}:2:57: './steps.py' has no class 'Gone' (and 1 more)",
        "exit_code": 3,
        "step": "",
    }
    assert answer.stderr.count("did you mean") == 0
    assert answer.stderr.count("^") == 8


def test_nothing_is_left_of_what_did_not_begin(run: Call, workshop: Workshop) -> None:
    """No run is listed that never was."""
    run(AB, "--only", "c")

    assert workshop.runs() == []


@pytest.mark.parametrize("words", [(), ("r.yaml", "--recipe", "r.yaml")])
def test_one_recipe_is_run(call: Call, words: tuple[str, ...]) -> None:
    """Not none, and not two."""
    answer = call("run", *words)

    assert (answer.status, answer.json["reason"]) == (2, "give one recipe")
    assert "give one recipe" in answer.stderr


def test_the_recipe_may_be_an_option(call: Call, workshop: Workshop) -> None:
    """As some programs expect it."""
    workshop.write("r.yaml", AB)

    assert call("run", "--recipe", "r.yaml", *INLINE).status == 0


def test_the_recipe_may_come_from_standard_input(call: Call, feed: Callable[[bytes], None]) -> None:
    """It then has no name."""
    feed(AB.encode())

    assert call("run", "-", *INLINE).stderr.startswith("<stdin>  run ")


def test_the_options_reach_the_run(run: Call, workshop: Workshop) -> None:
    """Inputs, selection and first values."""
    path = workshop.write("ctx.json", json.dumps({"c.x_v1": 5}))
    text = recipe(
        python("a", keys="args: {a.x_v1: 1}"),
        python("b", keys="args: {b.x_v1: '${{ ctx.c.x_v1 + inputs.n }}'}"),
        head="inputs: {n: {type: integer}}\n",
    )

    run(text, "--set", "inputs.n=3", "--skip", "a", "--ctx", str(path), "--workspace", "demos/x")

    (context,) = workshop.folder.glob("workspaces/demos/x/runs/*/context.json")
    assert json.loads(context.read_text()) == {"b.x_v1": 8, "c.x_v1": 5}


def test_a_run_may_keep_going(run: Call) -> None:
    """After a failure, what does not need it still runs."""
    answer = run(recipe(python("a", "Fail"), python("b", keys="depends_on: [], args: {b.x_v1: 1}")), "--keep-going")

    assert (answer.status, answer.json["ctx_keys"]) == (1, ["b.x_v1"])


def test_the_same_command_goes_on(run: Call, workshop: Workshop) -> None:
    """Unless a new run is asked for."""
    text = recipe(python("a"), python("b", "Interrupt"))
    stopped = run(text)
    assert (stopped.status, stopped.json["reason"]) == (130, "interrupted")

    assert run(text).json["run_id"] == stopped.json["run_id"]

    (workshop.folder / "interruptions.txt").unlink()
    assert run(text).json["run_id"] != stopped.json["run_id"]
    assert run(text, "--new").status == 0
    assert len(workshop.runs()) == 3


def test_a_run_that_somebody_drives_is_not_said_to_be_another(
    call: Call, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command begins a second one beside it, and says so."""
    monkeypatch.chdir(workshop.folder)
    # The step of the first ends when that of the second has begun, and not before: the first is driven until then.
    meet = "mkdir one || mkdir two; for _ in $(seq 1200); do test -e two && break; sleep 0.05; done"
    path = workshop.write("r.yaml", recipe(shell("a", meet, "stdout: free")))
    first = threading.Thread(
        target=lambda: subprocess.run([sys.executable, "-m", "orchestrator", "run", str(path), "-q"], check=True)
    )
    first.start()
    for _ in range(1200):
        if (workshop.folder / "one").exists():
            break
        time.sleep(0.05)

    answer = call("run", str(path))
    first.join()

    assert answer.status == 0
    assert "was started in the same way, and is being driven; this is another" in answer.stderr


ASKING = "{name: q, type: human, instructions: Is it so?}"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--approve", "--reject"), "--approve and --reject are both given"),
        (("--approve", "--data", '{"approved": false}'), "--data says otherwise than the option"),
        (("--data", ""), "--data: "),
        (("--data", "{"), "--data: "),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(
    call: Call, workshop: Workshop, words: tuple[str, ...], reason: str
) -> None:
    """Nothing is written."""
    ran = workshop.run(recipe(ASKING), inline=False, once=True)

    answer = call("respond", "@last", "q", *words)

    assert (answer.status, reason in answer.stderr) == (2, True)
    assert list(ran.root.rglob("response.json")) == []


def test_a_question_says_how_it_can_be_answered(call: Call, workshop: Workshop) -> None:
    """What counts so far, whose answers do, by when, and what silence means."""
    workshop.write(
        "workspaces/r/operators.yaml",
        f"operators: {{ human.default: {{ kind: human, approvers: [{current_user()}, ada] }} }}",
    )
    keys = "approvals: 2, deadline: {after: 2d, then: reject}"
    ran = workshop.run(recipe(ASKING.replace("}", f", {keys}}}")), inline=False, once=True)
    call("respond", "@last", "q", "--approve")
    (responses,) = ran.root.rglob("responses")
    (responses / "other.json").write_text("{")

    shown = call("respond", "@last", "q").stdout
    described = call("respond", "@last", "q", "--json").json

    assert f"approvals: 1 of 2 so far ({current_user()})\nmay answer: {current_user()}, ada\n" in shown
    assert "does not count: responses/other.json: it is not, or not yet, one whole JSON document\n" in shown
    assert f"to be answered by {described['deadline_at_utc']}; then it is rejected, and the step fails\n" in shown
    assert (described["approved_by"], described["then"]) == ([current_user()], "reject")


def test_a_question_is_answered_once(call: Call, workshop: Workshop) -> None:
    """A second answer would undo the first without a word."""
    workshop.run(recipe(ASKING), inline=False, once=True)

    first = call("respond", "@last", "q", "--reject", "--reason", "no")
    second = call("respond", "@last", "q", "--approve")
    listed = call("respond", "@last")

    assert (first.status, second.status, "was answered by" in second.stderr) == (0, 2, True)
    assert listed.stdout == "q: answered; the run takes it when it goes on\n"
