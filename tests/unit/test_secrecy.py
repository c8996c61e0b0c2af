"""A secret reaches the step that asks for it, and nothing that is written down."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from orchestrator.errors import InfrastructureError, InvalidFileError, UsageError
from orchestrator.recipe.model import Secret
from orchestrator.secrecy import MASK, Masker, read_secrets
from tests.unit.workshop import Notes, PowerCut, Ran, Workshop, python, recipe, shell

TOKEN = 'tok/en+with "quotes" & blanks\\é'  # noqa: S105  of nothing
HEAD = "secrets: { lab: { env: LAB_TOKEN } }\n"
ENV = "env: {TOKEN: '${{ secrets.lab }}'}"
OK = 'echo \'{"status": "ok", "outputs": []}\''
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----"


@pytest.fixture(name="token", autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> str:
    """Put the secret where the recipes look for it."""
    monkeypatch.setenv("LAB_TOKEN", TOKEN)
    return TOKEN


def everything_in(root: Path) -> bytes:
    """Give the bytes of all files of a run, and of the cache beside it."""
    files = [path for path in root.parents[2].rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in files)


ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "upper case": str.upper,
    "JSON": json.dumps,
    "JSON, unescaped": lambda text: json.dumps(text, ensure_ascii=False),
    "URL": lambda text: quote(text, safe=""),
    "URL, slashes kept": quote,
    "form": quote_plus,
    "hexadecimal": lambda text: text.encode().hex(),
    "HEXADECIMAL": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, one byte further": lambda text: base64.b64encode(b"x" + text.encode()).decode(),
    "base64, two bytes further": lambda text: base64.b64encode(b"xy" + text.encode() + b"z").decode(),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "inside a line": lambda text: f"GET /?key={text}&x=1",
    "as a repr": lambda text: f"{{'Authorization': '{text}'}}",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_secret_is_found_in_every_encoding(token: str, encoding: str) -> None:
    """And masked."""
    masker = Masker([token])
    text = f"before {ENCODINGS[encoding](token)} after"

    masked = masker.mask(text)

    assert masker.finds(text)
    assert MASK in masked
    assert not masker.finds(masked)
    assert masked.startswith("before ")
    assert masked.endswith(" after")


def test_each_line_of_a_key_is_a_secret() -> None:
    """A log shows one line of it as easily as all."""
    masker = Masker([PEM])

    assert masker.mask("see MIIEvQIBADANBgkqhkiG9w0B!") == f"see {MASK}!"


def test_each_text_of_a_secret_that_is_json_is_one() -> None:
    """As the credentials that cloud services hand out."""
    masker = Masker(['{"user": "somebody-1", "keys": ["s3cr3t-value"], "n": 5}'])

    assert masker.mask("with s3cr3t-value") == f"with {MASK}"


def test_other_text_stays_as_it_is(token: str) -> None:
    """Without secrets nothing is even looked at."""
    assert Masker([]).mask("anything") == "anything"
    assert Masker([token]).mask("anything") == "anything"


@pytest.mark.parametrize("value", ["", "abc", "       x"])
def test_a_short_secret_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """It would be found everywhere."""
    monkeypatch.setenv("LAB_TOKEN", value)

    with pytest.raises(UsageError, match="secret 'lab' has ") as caught:
        read_secrets({"lab": Secret(env="LAB_TOKEN")})

    assert caught.value.code == "MS211"


def test_a_secret_is_read_from_a_file(tmp_path: Path) -> None:
    """Without the line break at its end."""
    (tmp_path / "key").write_text(f"{PEM}\n")

    assert read_secrets({"key": Secret(file=str(tmp_path / "key"))}) == {"key": PEM}


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        (Secret(env="NO_SUCH_NAME"), "secret 'lab': $NO_SUCH_NAME is not set"),
        (Secret(file="/no/such/file"), "secret 'lab': cannot read /no/such/file: no such file or directory"),
    ],
)
def test_a_secret_that_is_not_there_stops_the_run(secret: Secret, message: str) -> None:
    """Before anything has begun."""
    with pytest.raises(UsageError) as caught:
        read_secrets({"lab": secret})

    assert caught.value.message == message


def test_a_step_gets_the_secret_that_it_asks_for(workshop: Workshop, token: str) -> None:
    """Others do not see it, not even the variable that it comes from."""
    count = 'echo "{\\"status\\": \\"ok\\", \\"outputs\\": {\\"%s.n_v1\\": ${#%s}}}"'
    steps = (
        shell("a", count % ("a", "TOKEN"), ENV),
        shell("b", count % ("b", "TOKEN")),
        shell("c", count % ("c", "LAB_TOKEN")),
    )

    ran = workshop.run(recipe(*steps, head=HEAD), inline=False)

    assert ran.outcome.context.to_dict() == {"a.n_v1": len(token.encode()), "b.n_v1": 0, "c.n_v1": 0}


def test_a_used_recipe_has_secrets_of_its_own(workshop: Workshop, token: str) -> None:
    """It sees those alone that it declares, and in the whole run none of them is written down."""
    count = 'echo "{\\"status\\": \\"ok\\", \\"outputs\\": {\\"%s.n_v1\\": ${#TOKEN}}}"; echo "$TOKEN" >&2'
    used = recipe(shell("a", count % "a", ENV), head=HEAD)
    workshop.write("used.yaml", f"{used}outputs: {{n: ctx.a.n_v1}}\n")
    uses = "{name: sub, type: recipe, uses: ./used.yaml}"

    ran = workshop.run(recipe(uses, shell("b", f"echo $LAB_TOKEN >&2; {OK}")), inline=False)
    workshop.write("other.yaml", recipe(shell("a", OK, ENV)))
    (problem,) = workshop.problems(recipe(uses.replace("used", "other"), head=HEAD))

    assert ran.outcome.context.to_dict() == {"sub.n": len(token.encode())}
    assert not Masker([token]).finds(everything_in(ran.root).decode("latin-1"))
    assert "lab" in problem.message


def leaking(workshop: Workshop, command: str, keys: str = "") -> tuple[Ran, Notes]:
    """Run a step that tries to write its secret somewhere."""
    notes = Notes()
    step = shell("a", command, f"{ENV}{keys and f', {keys}'}")
    return workshop.run(recipe(step, head=HEAD), inline=False, reporter=notes), notes


@pytest.mark.parametrize(
    "command",
    [
        f'echo "$TOKEN" >&2; {OK}',
        f'echo "$TOKEN" | base64 -w0 >&2; {OK}',
        f'echo "$TOKEN" | od -An -tx1 | tr -d " \\n" >&2; {OK}',
        'echo "$TOKEN"; exit 1',
        'printf \'{"status": "error", "reason": "bad %s"}\' "$(echo "$TOKEN" | base64 -w0)"; exit 1',
        'echo "$TOKEN" >&2; exit 3',
        'echo "no envelope: $TOKEN"',
    ],
)
def test_nothing_of_a_secret_is_kept(workshop: Workshop, token: str, command: str) -> None:
    """Whatever a step does with it, no file of the run holds it in any form."""
    ran, notes = leaking(workshop, command)

    masker = Masker([token])
    assert not masker.finds(everything_in(ran.root).decode("latin-1"))
    assert not any(masker.finds(f"{ending.stderr}{ending.problem}{ending.reason}") for ending in notes.endings)
    assert not masker.finds(json.dumps(ran.outcome.to_json()))


def test_a_secret_does_not_enter_the_context(workshop: Workshop, token: str) -> None:
    """The step fails, and says at which key."""
    command = 'printf \'{"status": "ok", "outputs": {"a.key_v1": "%s", "a.n_v1": 1}}\' "$(echo "$TOKEN" | base64 -w0)"'
    ran, _ = leaking(workshop, command)

    assert ran.reasons == ["the value of 'a.key_v1' holds a secret"]
    assert not Masker([token]).finds(everything_in(ran.root).decode("latin-1"))


def test_a_kept_result_depends_on_the_secret_and_does_not_hold_it(
    workshop: Workshop, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another secret is another key."""
    command = f"echo x >> calls.txt; {OK}"
    ran, _ = leaking(workshop, command, "cache: true")
    assert not Masker([token]).finds(everything_in(ran.root).decode("latin-1"))
    for value in (token, "another token"):
        monkeypatch.setenv("LAB_TOKEN", value)
        workshop.run(recipe(shell("a", command, f"{ENV}, cache: true"), head=HEAD), inline=False, fresh=True)

    assert (workshop.folder / "calls.txt").read_text() == "x\nx\n"


@pytest.mark.parametrize(
    "keys", ["args: {t: '${{ secrets.lab }}'}", "when: secrets.lab == 'x'", "save: {a.x_v1: secrets.lab}"]
)
def test_a_secret_goes_by_the_environment_alone(workshop: Workshop, keys: str) -> None:
    """Arguments of programs are there for everybody to see."""
    with pytest.raises(InvalidFileError, match="a secret reaches a step by its 'env', and nothing else"):
        workshop.plan(recipe(python("a", keys=keys), head=HEAD))


FILES = "secrets:\n  lab: {env: LAB_TOKEN, as: file}\n  key: {file: key.pem, as: file}\n"
KEYS = "env: {TOKEN: '${{ secrets.lab }}', KEY: '${{ secrets.key }}'}"
LOOK = 'stat -c "%a" "$KEY" > mode.txt; cat "$TOKEN" > token.txt; cat "$KEY" > key.txt; echo "$KEY" > path.txt'


@pytest.fixture(name="runtime")
def _runtime(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let files of secrets lie in a folder of their own, and one of the secrets come from a file."""
    workshop.write("key.pem", f"{PEM}\n")
    folder = workshop.folder / "runtime"
    folder.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def left_in(runtime: Path) -> list[str]:
    """Give the files that lie in the folder of files of secrets."""
    return [path.name for path in runtime.rglob("*") if path.is_file()]


def test_a_secret_is_handed_on_as_a_file(workshop: Workshop, token: str, runtime: Path) -> None:
    """As it stands where it comes from, for this user alone, and gone at the end."""
    ran = workshop.run(recipe(shell("a", f"{LOOK}; {OK}", KEYS), head=FILES), inline=False)

    files = {name: (workshop.folder / name).read_text() for name in ("mode.txt", "token.txt", "key.txt", "path.txt")}
    assert (files["mode.txt"], files["token.txt"], files["key.txt"]) == ("600\n", token, f"{PEM}\n")
    assert files["path.txt"].startswith(f"{runtime}/matterstack-{os.getuid()}/")
    assert (ran.states, left_in(runtime)) == (["COMPLETED"], [])
    assert (runtime / f"matterstack-{os.getuid()}").stat().st_mode & 0o777 == 0o700


def test_what_a_killed_runner_left_is_removed(workshop: Workshop, runtime: Path) -> None:
    """By the next run, whatever it runs."""
    with pytest.raises(SystemExit):
        workshop.run(recipe(shell("a", OK, KEYS), head=FILES), inline=False, reporter=PowerCut())
    parent = runtime / f"matterstack-{os.getuid()}"
    left = parent / ".ms-tmp-0123456789ab"
    left.mkdir()
    (left / "0-lab").write_text("correct horse")

    workshop.run(recipe(shell("b", OK)), inline=False)

    assert left_in(runtime) == []


def test_a_folder_that_others_can_enter_is_refused(workshop: Workshop, runtime: Path) -> None:
    """Somebody may have made it to read what is put there."""
    (runtime / f"matterstack-{os.getuid()}").mkdir(mode=0o755)

    with pytest.raises(InfrastructureError, match="is not a directory of this user alone"):
        workshop.run(recipe(shell("a", OK, KEYS), head=FILES), inline=False)


def test_a_kept_result_depends_on_what_is_in_the_file(
    workshop: Workshop, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not on the name that the file had in one run."""
    text = recipe(shell("a", f"echo x >> calls.txt; {OK}", f"{KEYS}, cache: true"), head=FILES)
    for value in (TOKEN, TOKEN, "another token"):
        monkeypatch.setenv("LAB_TOKEN", value)
        workshop.run(text, inline=False, fresh=True)

    assert (workshop.folder / "calls.txt").read_text() == "x\nx\n"


def test_a_secret_that_was_torn_by_a_cut_is_not_kept(workshop: Workshop, token: str) -> None:
    """Of a long output only the end is kept, which may begin within a secret."""
    command = 'printf "%s" "$TOKEN" >&2; head -c 262130 /dev/zero | tr "\\0" x >&2; ' + OK
    ran, _ = leaking(workshop, command)

    kept = ran.attempts("a")[0].stderr
    assert kept.startswith("[… ")
    assert token[-8:] not in kept


@pytest.mark.parametrize("width", [20, 60, 76])
@pytest.mark.parametrize(
    "encode",
    [str, lambda text: base64.b64encode(text.encode()).decode(), lambda text: text.encode().hex()],
    ids=["plain", "base64", "hexadecimal"],
)
def test_a_secret_over_several_lines_is_found(encode: Callable[[str], str], width: int) -> None:
    """Programs that encode break their lines, and JSON escapes the ends of them."""
    secret = "".join(f"{number:04x}" for number in range(0, 65_536, 1_637))
    text = encode(secret)
    lines = "\n".join(text[start : start + width] for start in range(0, len(text), width))

    masker = Masker([secret])
    assert re.fullmatch(r"<\*\*\*.{0,3}>", masker.mask(f"<{lines}>"))
    assert re.fullmatch(r'"\*\*\*.{0,3}"', masker.mask(json.dumps(lines)))


def test_constants_do_not_see_the_variable_of_a_secret(workshop: Workshop) -> None:
    """They may stand in arguments, which everybody may read."""
    head = f"vars: {{z: '${{{{ env.LAB_TOKEN }}}}'}}\n{HEAD}"

    assert [
        problem.code for problem in workshop.problems(recipe(shell("a", OK, "args: {x: '${{ vars.z }}'}"), head=head))
    ] == ["MS306"]
