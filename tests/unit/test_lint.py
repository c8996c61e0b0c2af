"""Advice is given on recipes that can be run, at the place that it is about."""

from __future__ import annotations

import pytest

from orchestrator.lint import advise
from tests.unit.workshop import Workshop, python, recipe, shell

SCHEMA = "schema: matterstack/recipe/v1\n"
FREE = "stdout: free"
DECLARED = """\
from orchestrator import BaseScriptlet


class Declared(BaseScriptlet):
    outputs_schema = {"a.b_v1": {"type": "object"}}

    def work(self, ctx, params):
        return {"a.b_v1": {}}
"""


def told(workshop: Workshop, text: str) -> list[tuple[str, int, str]]:
    """Give the code, line and text of the advice on a recipe."""
    path = workshop.write("r.yaml", text)
    return [(one.code, one.place.line if one.place else 0, one.message) for one in advise(str(path))]


def codes(workshop: Workshop, text: str) -> list[str]:
    """Give the codes of the advice on a recipe."""
    return [code for code, _, _ in told(workshop, text)]


def test_a_recipe_without_faults_needs_no_advice(workshop: Workshop) -> None:
    """Nothing is said for the sake of saying something."""
    assert told(workshop, recipe(shell("a", "date", FREE), head=SCHEMA)) == []


def test_a_recipe_without_schema_is_told_to_upgrade(workshop: Workshop) -> None:
    """It is the first thing said."""
    message = "the recipe does not say in which version of the language it is written"
    assert told(workshop, recipe(shell("a", "date", FREE))) == [("MS701", 1, message)]


@pytest.mark.parametrize(
    ("expression", "advice"),
    [
        ("ctx.a.b_v1 == {}", []),
        ("ctx.a.b_v1.deep == 1", []),
        ("has(ctx, 'a.c_v1')", []),
        ("ctx._runner.step_metrics_v1 == []", []),
        ("ctx.a.c_v1 == 1", ["no step writes 'a.c_v1'"]),
        ("ctx['a.b_v2'] == 1", ["no step writes 'a.b_v2'"]),
    ],
)
def test_a_key_that_nobody_writes_is_found(workshop: Workshop, expression: str, advice: list[str]) -> None:
    """Where all steps declare what they write."""
    workshop.write("declared.py", DECLARED)
    first = "{name: a, type: python, module: ./declared.py}"
    text = recipe(first, shell("b", "date", f'{FREE}, when: "{expression}"'), head=SCHEMA)

    assert [message for _, _, message in told(workshop, text)] == advice


@pytest.mark.parametrize(
    "other", [shell("x", "echo '{}'"), python("x")], ids=["a command says what it writes", "so does a class"]
)
def test_a_step_that_may_write_anything_keeps_that_advice_back(workshop: Workshop, other: str) -> None:
    """A guess would be wrong too often."""
    assert told(workshop, recipe(other, shell("b", "date", f'{FREE}, when: "ctx.a.c_v1"'), head=SCHEMA)) == []


def test_what_saves_and_conditions_name_is_written(workshop: Workshop) -> None:
    """So is what a used recipe gives."""
    workshop.write("used.yaml", recipe(shell("u", "date", FREE), head=f"{SCHEMA}outputs: {{n: '1'}}\n"))
    text = recipe(
        shell("a", "date", f'{FREE}, save: {{s.x_v1: "1"}}, success: {{ctx_has_keys: [s.x_v1]}}'),
        "{name: sub, type: recipe, uses: used.yaml}",
        shell("b", "date", f'{FREE}, when: "ctx.s.x_v1 == 1 and ctx.sub.n == 1"'),
        head=SCHEMA,
    )

    assert told(workshop, text) == []


@pytest.mark.parametrize(
    ("key", "todo"),
    [("n", "write a.n_v1"), ("s.n", "write s.n_v1"), ("n_v1", "write a.n_v1"), ("S.N_v1", "write s.n_v1")],
)
def test_keys_have_an_area_and_a_version(workshop: Workshop, key: str, todo: str) -> None:
    """The advice is a name that has both."""
    path = workshop.write("r.yaml", recipe(shell("a", "date", f'{FREE}, save: {{{key}: "1"}}'), head=SCHEMA))

    assert [(one.code, one.help) for one in advise(str(path))] == [("MS703", todo)]


def test_what_is_never_read_is_found(workshop: Workshop) -> None:
    """Inputs, constants and secrets, wherever an expression could read them."""
    head = (
        f"{SCHEMA}inputs: {{used: {{type: string, default: x}}, idle: {{type: string, default: x}}}}\n"
        "vars: {v: 1, w: '${{ inputs.used }}'}\nsecrets: {t: {env: T}}\n"
    )

    assert told(workshop, recipe(shell("a", "date", f'{FREE}, when: "vars.w == 1"'), head=head)) == [
        ("MS704", 2, "nothing reads inputs.idle"),
        ("MS704", 3, "nothing reads vars.v"),
        ("MS704", 4, "nothing reads secrets.t"),
    ]


@pytest.mark.parametrize(
    ("value", "todo"),
    [("no", 'write "no"'), ("On", 'write "On"'), ("012", "write 12"), ("1:30", 'write "1:30"'), ("-07", "write -7")],
)
def test_values_that_others_read_otherwise_are_found(workshop: Workshop, value: str, todo: str) -> None:
    """YAML 1.1 has more words for booleans, and numbers to the base 8 and 60."""
    path = workshop.write("r.yaml", recipe(shell("a", "date", f"{FREE}, args: {{x: {value}}}"), head=SCHEMA))

    assert [(one.code, one.help) for one in advise(str(path))] == [("MS705", todo)]


@pytest.mark.parametrize("value", ['"no"', "'012'", "note", "10", "0", "true", "n"])
def test_values_that_all_read_alike_are_left(workshop: Workshop, value: str) -> None:
    """Quotes make a text of any word."""
    assert codes(workshop, recipe(shell("a", "date", f"{FREE}, args: {{x: {value}}}"), head=SCHEMA)) == []


@pytest.mark.parametrize(
    ("keys", "advice"),
    [
        ("cache: true", ["MS706"]),
        ('cache: {files: ["${{ inputs.src }}"]}', []),
        ("cache: {files: [t.csv]}", []),
        ("cache: false", []),
    ],
)
def test_a_file_that_a_kept_result_leaves_out_is_found(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, keys: str, advice: list[str]
) -> None:
    """It would be taken over although the file has changed."""
    workshop.write("t.csv", "1\n")
    monkeypatch.chdir(workshop.folder)
    head = f"{SCHEMA}inputs: {{src: {{type: path, default: t.csv}}}}\n"
    step = shell("a", "date", f'{FREE}, args: {{src: "${{{{ inputs.src }}}}", n: 3, other: none.csv}}, {keys}')

    assert codes(workshop, recipe(step, head=head)) == advice


@pytest.mark.parametrize(
    ("keys", "head", "advice"),
    [
        ("parallel: true", "", ["MS707"]),
        ("depends_on: []", "", ["MS707"]),
        ("depends_on: [a]", "", []),
        ("parallel: true", "on_conflict: last_write_wins\n", []),
        ('parallel: true, when: "1 == 2"', "", []),
    ],
)
def test_two_writers_side_by_side_are_found(workshop: Workshop, keys: str, head: str, advice: list[str]) -> None:
    """Unless one waits for the other, or the recipe says who wins."""
    save = 'save: {s.x_v1: "1"}, stdout: free'
    parallel = keys if keys.startswith("parallel: true") else "parallel: false"
    text = recipe(shell("a", "date", f"{save}, {parallel}"), shell("b", "date", f"{save}, {keys}"), head=SCHEMA + head)

    assert codes(workshop, text) == advice


def test_a_secret_in_the_open_is_found(workshop: Workshop) -> None:
    """By its name; one that is handed over is none."""
    head = f"{SCHEMA}secrets: {{t: {{env: T}}}}\n"
    step = shell(
        "a", "date", f'{FREE}, env: {{API_TOKEN: hunter2, LAB_TOKEN: "${{{{ secrets.t }}}}"}}, args: {{password: x}}'
    )

    assert [message for _, _, message in told(workshop, recipe(step, head=head))] == [
        "env.API_TOKEN looks like a secret, and is written here",
        "args.password looks like a secret, and is written here",
    ]
