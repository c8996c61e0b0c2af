"""Commands that show why a run is as it is, and what a recipe looks like."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from orchestrator.errors import CODES
from tests.unit.cli.program import Answer
from tests.unit.workshop import Workshop, python, recipe, shell

Call = Callable[..., Answer]

LOUD = 'echo "hello $0" >&2; echo \'{"status": "ok", "outputs": []}\''


@pytest.mark.parametrize("code", ["MS101", "ms306"])
def test_a_code_is_explained(call: Call, code: str) -> None:
    """Its meaning and what to do, without the links of the page."""
    answer = call("explain", code)

    assert answer.status == 0
    assert answer.stdout.startswith(f"{code.upper()}: {CODES[code.upper()]}\n\n")
    assert "](" not in answer.stdout


def test_every_code_can_be_explained(call: Call) -> None:
    """None is forgotten."""
    assert [code for code in CODES if call("explain", code, "--json").json["advice"] == ""] == []


def test_an_unknown_code_is_refused(call: Call) -> None:
    """With the closest one."""
    answer = call("explain", "MS999")

    assert answer.status == 2
    assert "there is no error code 'MS999'" in answer.stderr


def test_a_failed_run_is_explained(call: Call, workshop: Workshop) -> None:
    """What failed, what waits for it, and what to do."""
    ran = workshop.run(recipe(python("a", "Fail"), python("b"), python("c")))

    assert call("explain", "@last").stdout.splitlines() == [
        f"{ran.root.name}: FAILED, a: the exit code is 1, not 0: no luck",
        "  a failed: the exit code is 1, not 0: no luck",
        "  2 tasks: needs a",
        "  Operator wiring: source=NONE sha256=none snapshot=none",
        f"  = mend the cause, then: matterstack retry {ran.root.name}",
    ]


def test_logs_are_shown_in_the_order_of_their_ends(call: Call, workshop: Workshop) -> None:
    """With the name of their task; retries are told apart."""
    flaky = "echo try >&2; test -f warm || { touch warm; exit 1; }; " + LOUD
    workshop.run(recipe(shell("a", LOUD), shell("b", flaky, "retry: {max: 1}")), inline=False)

    assert call("logs", "@last").stdout.splitlines() == [
        "a: hello sh",
        "b: try",
        "b #2: try",
        "b #2: hello sh",
    ]
    assert call("logs", "@last", "a").stdout == "hello sh\n"
    assert call("logs", "@last", "b", "--attempt", "1").stdout == "try\n"
    assert call("logs", "@last", "--follow").stdout.count("\n") == 4


def test_logs_of_an_unknown_task_are_refused(call: Call, workshop: Workshop) -> None:
    """With the one that was meant."""
    workshop.run(recipe(python("relax")))

    assert "did you mean 'relax'?" in call("logs", "@last", "relx").stderr


GRAPH = """\
steps:
- {name: a, type: python, module: ./steps.py, function: Write}
- {name: b, type: python, module: ./steps.py, function: Write, parallel: true, foreach: [1]}
- {name: c, type: python, module: ./steps.py, function: Write, parallel: true, matrix: {n: [1]}}
- {name: d, type: recipe, uses: ./used.yaml}
finally:
- {name: z, type: python, module: ./steps.py, function: Write}
"""


@pytest.fixture(name="drawn")
def _drawn(workshop: Workshop) -> str:
    """Write a recipe that has something of everything."""
    workshop.write("used.yaml", recipe(python("x")))
    return str(workshop.write("g.yaml", GRAPH))


def test_a_graph_is_drawn_for_mermaid(call: Call, drawn: str) -> None:
    """Fan-outs, used recipes and the other lists show."""
    assert call("graph", drawn).stdout.splitlines() == [
        "flowchart TD",
        "  subgraph steps",
        '    n0["a"]',
        '    n1[["b (foreach)"]]',
        '    n2[["c (matrix)"]]',
        '    n3[/"d"/]',
        "  end",
        "  subgraph finally",
        '    n4["z"]',
        "  end",
        "  n0 --> n1",
        "  n0 --> n2",
        "  n1 --> n3",
        "  n2 --> n3",
    ]


def test_a_graph_is_drawn_for_graphviz(call: Call, drawn: str) -> None:
    """The same nodes and edges."""
    lines = call("graph", drawn, "--format", "dot").stdout.splitlines()

    assert lines[0] == "digraph recipe {"
    assert '  n1 [label="b (foreach)", peripheries=2];' in lines
    assert '  n4 [label="z", style=dashed];' in lines
    assert [line for line in lines if "->" in line] == ["  n0 -> n1;", "  n0 -> n2;", "  n1 -> n3;", "  n2 -> n3;"]


def test_a_graph_is_given_as_json(call: Call, drawn: str) -> None:
    """For programs."""
    graph = call("graph", drawn, "--format", "json").json

    assert graph["edges"] == [["a", "b"], ["a", "c"], ["b", "d"], ["c", "d"]]
    assert graph["nodes"][4] == {"id": "z", "type": "python", "list": "finally", "fans_out": False}


WORKFLOW = [{"name": "cu", "type": "shell", "run": "true", "stdout": "free"}]
PLANNED = recipe(
    shell("each", "true", "foreach: ['a\"b'], stdout: free"),
    shell("plan", f"echo '{json.dumps({'status': 'ok', 'outputs': {'p.tasks_v1': WORKFLOW}})}'"),
    "{name: work, type: workflow, tasks: '${{ ctx.p.tasks_v1 }}'}",
    shell("bad", "exit 1"),
)


def test_the_graph_of_a_run_has_what_was_planned_meanwhile(call: Call, workshop: Workshop) -> None:
    """With the states of its tasks, whose names hold nothing that Mermaid would obey."""
    root = workshop.run(PLANNED, inline=False).root

    for name in ("@last", root.name, root.name[:-2], str(root)):
        assert call("graph", name).stdout.splitlines() == [
            "flowchart TD",
            "  subgraph steps",
            '    n0[["each (foreach): completed"]]:::COMPLETED',
            '    n1["plan: completed"]:::COMPLETED',
            '    n2[/"work: completed"/]:::COMPLETED',
            '    n3["bad: failed"]:::FAILED',
            '    n4["each[a-b-8bbcb681]: completed"]:::COMPLETED',
            '    n5["cu: completed"]:::COMPLETED',
            "  end",
            "  n0 --> n1",
            "  n1 --> n2",
            "  n2 --> n3",
            "  n0 -.- n4",
            "  n2 -.- n5",
            "  classDef COMPLETED stroke:#2e7d32,stroke-width:2px",
            "  classDef FAILED stroke:#c62828,stroke-width:2px",
        ]


def test_the_graph_of_a_run_is_given_as_json_and_for_graphviz(call: Call, workshop: Workshop) -> None:
    """Each task names the one that became it."""
    workshop.run(PLANNED, inline=False)

    nodes, dot = call("graph", "@last", "--format", "json").json["nodes"], call("graph", "@last", "--format", "dot")

    assert [(node["id"], node["state"], node["parent"]) for node in nodes[3:]] == [
        ("bad", "FAILED", None),
        ("each[a-b-8bbcb681]", "COMPLETED", "each"),
        ("cu", "COMPLETED", "work"),
    ]
    assert '  n3 [label="bad: failed", color="#c62828"];' in dot.stdout.splitlines()
    assert "  n2 -> n5 [style=dotted, arrowhead=none];" in dot.stdout.splitlines()


def test_the_graph_of_what_is_planned_later_says_so(call: Call, workshop: Workshop) -> None:
    """On standard error; and a run takes no inputs any more."""
    said = call("graph", str(workshop.write("planned.yaml", PLANNED)))
    workshop.run(PLANNED, inline=False)

    assert (said.status, "matterstack graph RUN" in said.stderr, "note" in said.stdout) == (0, True, False)
    assert "--set is for recipes" in call("graph", "@last", "--set", "a=1").stderr
    assert "no run '20991231'" in call("graph", "20991231").stderr


@pytest.fixture(name="written")
def _written(workshop: Workshop) -> str:
    """Run a recipe whose second step replaces what the first one wrote; give the id of the run."""
    text = recipe(
        python("a", keys="args: {n.x_v1: 1, n.y_v1: 1}"),
        python("b", "FailFirst", "args: {times: 1}, retry: {max: 1}"),
        python("c", keys="args: {n.x_v1: 2}"),
    )
    return workshop.run(text, context={"first.x_v1": 0}).root.name


def test_every_value_has_somebody_who_wrote_it(call: Call, written: str) -> None:
    """Or the run began with it."""
    rows = call("ctx", "blame", written).rows

    assert [row[:4] for row in rows] == [
        ["key", "task", "attempt", "who"],
        ["first.x_v1", "", "", "open_run"],
        ["n.x_v1", "c", "1", "write"],
        ["n.y_v1", "a", "1", "write"],
    ]
    (origin,) = call("ctx", "blame", written, "n.x_v1", "--json").json
    assert (origin["task_id"], origin["attempt_index"]) == ("c", 1)
    assert "did you mean" in call("ctx", "blame", written, "n.z_v1").stderr


def test_the_context_of_an_earlier_moment_can_be_read(call: Call, written: str) -> None:
    """By the number of the event at which a value was written."""
    entries = call("ctx", "history", written, "n.x_v1", "--json").json
    seqs = [entry["seq"] for entry in entries]

    assert call("ctx", "at", written, str(seqs[0])).json == {"first.x_v1": 0, "n.x_v1": 1, "n.y_v1": 1}
    assert call("ctx", "at", written, str(seqs[1])).json["n.x_v1"] == 2
    assert call("ctx", "at", written, "0").json == {}


def test_two_contexts_can_be_compared(call: Call, written: str, workshop: Workshop) -> None:
    """Only what differs shows."""
    other = workshop.run(recipe(python("a", keys="args: {n.x_v1: 5, n.y_v1: 1, new.x_v1: 3}")), fresh=True).root.name

    assert call("ctx", "diff", written, other).rows == [
        ["key", "what", "before", "after"],
        ["first.x_v1", "went", "0", ""],
        ["n.x_v1", "changed", "2", "5"],
        ["new.x_v1", "came", "", "3"],
    ]
    assert call("ctx", "diff", written, other, "--json").json["n.x_v1"] == {"before": 2, "after": 5}
    assert json.loads(call("ctx", "diff", written, written, "--json").stdout) == {}


def test_logs_of_a_fan_out_are_those_of_its_items(call: Call, workshop: Workshop) -> None:
    """With their names."""
    workshop.run(recipe(shell("a", LOUD, "foreach: [x, y]"), shell("ab", LOUD)), inline=False)

    assert sorted(call("logs", "@last", "a").stdout.splitlines()) == ["a[x]: hello sh", "a[y]: hello sh"]
