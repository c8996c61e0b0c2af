"""operators.yaml is read strictly, and all that is wrong with it is told at its place."""

from __future__ import annotations

import json

import pytest

from orchestrator.errors import InvalidFileError
from orchestrator.sources import Source
from orchestrator.wiring.model import CommandBackend, FilesBackend, HumanOperator, LocalBackend, SlurmBackend
from orchestrator.wiring.reading import Wiring, built_in, read_wiring

FULL = """\
defaults: { max_concurrent_global: 50 }
profiles:
  alpha: { type: slurm, workspace_root: /scratch/me, ssh: { host: alpha }, slurm: { partition: batch } }
operators:
  local.default: { kind: local }
  hpc.default: { kind: hpc, max_concurrent: 200, backend: { type: profile, name: alpha } }
  hpc.dev: { kind: hpc, max_concurrent: null, backend: { type: local, dry_run: true } }
  human.default: { kind: human, notify: [ { command: [mail, lab] } ], approvers: [ada] }
  experiment.hand: { kind: experiment }
  experiment.furnace: { kind: experiment, backend: { type: command, command: [driver, --port, "1"] } }
"""


def read(text: str) -> Wiring:
    """Read a wiring."""
    return read_wiring(Source.from_text("operators.yaml", text))


def wrong(text: str) -> list[str]:
    """Give what is wrong with a wiring, each with its line and column."""
    with pytest.raises(InvalidFileError) as caught:
        read(text)
    places = [(problem.place, problem.message) for problem in caught.value.problems]
    return [f"{place.line}:{place.column} {message}" for place, message in places if place]


def test_a_wiring_says_what_each_key_means() -> None:
    """Profiles stand for the backends that they name."""
    wiring = read(FULL)
    backends = {key: type(wired.backend) for key, wired in wiring.operators.items()}

    assert backends == {
        "local.default": LocalBackend,
        "hpc.default": SlurmBackend,
        "hpc.dev": LocalBackend,
        "human.default": type(None),
        "experiment.hand": FilesBackend,
        "experiment.furnace": CommandBackend,
    }
    assert isinstance(wiring.operators["human.default"].operator, HumanOperator)
    assert wiring.place("hpc.dev").line == 7


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("HPC.a", "write 'hpc.a'"),
        ("loca.a", "did you mean 'local.a'?"),
        ("robot.a", "as in: local.default, hpc.default, human.default, experiment.default"),
    ],
)
def test_a_kind_that_is_misspelt_is_put_right(key: str, hint: str) -> None:
    """With the rest of the key as it is."""
    with pytest.raises(InvalidFileError) as caught:
        read(f"operators:\n  {key}: {{ kind: local }}\n")

    assert [problem.help for problem in caught.value.problems] == [hint]


def test_a_limit_is_its_own_or_that_of_all_or_none() -> None:
    """Left out it is that of all, and null is no limit."""
    limits = {key: wired.max_concurrent for key, wired in read(FULL).operators.items()}

    assert (limits["hpc.default"], limits["hpc.dev"], limits["local.default"]) == (200, None, 50)


def test_without_a_file_there_are_this_machine_people_and_instruments() -> None:
    """Nobody need wire what every site has."""
    assert list(built_in().operators) == ["local.default", "human.default", "experiment.default"]


LOCAL = "operators:\n  local.default: { kind: local }\n"
PROFILED = "operators:\n  hpc.a: { kind: hpc, backend: { type: profile, name: a } }\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[]", "1:1 expected a mapping with the key 'operators', got a list"),
        ("{}", "1:1 there are no operators"),
        ("operators: {}", "1:12 there are no operators"),
        ("operators: [a]", "1:12 there are no operators"),
        (f"{LOCAL}operator: {{}}\n", "3:1 unknown key 'operator'"),
        (f"{LOCAL}defaults: {{ max_concurrent: 5 }}\n", "3:13 unknown key 'max_concurrent'"),
        (f"{LOCAL}defaults: {{ max_concurrent_global: 0 }}\n", "3:36 expected at least 1, got 0"),
        (f"{LOCAL}defaults: []\n", "3:11 expected a mapping, got a list"),
        (f"{LOCAL}profiles: [a]\n", "3:11 expected a mapping, got a list"),
        (f"{LOCAL}profiles: []\n", "3:11 expected a mapping, got a list"),
        (f"{LOCAL}profiles: ''\n", "3:11 expected a mapping, got ''"),
        (f"{LOCAL}profiles: {{ a: {{ type: local, dry: true }} }}\n", "3:31 unknown key 'dry'"),
        (f"{LOCAL}profiles: {{ a: {{ type: files }} }}\n", "3:24 a profile has no backend 'files'"),
        ("operatrs:\n  local.a: { kind: local }\n", "1:1 unknown key 'operatrs'"),
        (f"profils: {{ a: {{ type: local }} }}\n{PROFILED}", "1:1 unknown key 'profils'"),
        ("operators:\n  local.a: { knid: local }\n", "2:14 unknown key 'knid'"),
        ("operators:\n  hpc.a: { kind: hpc, backnd: { type: local } }\n", "2:23 unknown key 'backnd'"),
        ("operators:\n  hpc.a: { kind: hpc, backend: { typ: local } }\n", "2:34 unknown key 'typ'"),
        (
            "operators:\n  hpc.a: { kind: hpc, backend: { type: slurm, worksapce_root: /s } }\n",
            "2:47 unknown key 'worksapce_root'",
        ),
        ("operators:\n  hpc: { kind: hpc }\n", "2:3 expected kind.name, got 'hpc'"),
        ("operators:\n  HPC.a: { kind: hpc }\n", "2:3 the kind 'HPC' of 'HPC.a' is not known"),
        ("operators:\n  local.a: { kind: hpc }\n", "2:20 the key 'local.a' has the kind 'local', not 'hpc'"),
        ("operators:\n  local.a: { backend: { type: local } }\n", "2:12 the key 'kind' is missing"),
        ("operators:\n  local.a: 5\n", "2:12 expected a mapping, got 5"),
        ("operators:\n  local.a: { kind: local, max_concurrent: -1 }\n", "2:43 expected at least 1, got -1"),
        ("operators:\n  local.a: { kind: local, max_concurent: 1 }\n", "2:27 unknown key 'max_concurent'"),
        ("operators:\n  hpc.a: { kind: hpc }\n", "2:10 the key 'backend' is missing"),
        ("operators:\n  hpc.a: { kind: hpc, backend: slurm }\n", "2:32 expected a mapping, got 'slurm'"),
        ("operators:\n  hpc.a: { kind: hpc, backend: {} }\n", "2:32 the key 'type' is missing"),
        (
            "operators:\n  hpc.a: { kind: hpc, backend: { type: slrum } }\n",
            "2:40 hpc operators have no backend 'slrum'",
        ),
        ("operators:\n  hpc.a: { kind: hpc, backend: { type: slurm } }\n", "2:32 the key 'workspace_root' is missing"),
        ("operators:\n  hpc.a: { kind: hpc, backend: { type: profile, name: b } }\n", "2:55 there is no profile 'b'"),
        (
            "operators:\n  local.a: { kind: local, backend: { type: slurm } }\n",
            "2:44 local operators have no backend 'slurm'",
        ),
        ("operators:\n  human.a: { kind: human, backend: { type: local } }\n", "2:27 people have no backend"),
        (
            "operators:\n  human.a: { kind: human, notify: [ { webhook: http://x, command: [y] } ] }\n",
            "2:37 expected one of 'webhook' and 'command'",
        ),
        (
            "operators:\n  human.a: { kind: human, notify: [ { webhook: ftp://x } ] }\n",
            "2:48 expected an address that begins with http:// or https://",
        ),
        (
            "operators:\n  human.a: { kind: human, notify: [ { command: [] } ] }\n",
            "2:48 expected at least one item, got a list",
        ),
        ("operators:\n  human.a: { kind: human, approvers: [] }\n", "2:38 expected at least one item, got a list"),
        (
            "operators:\n  experiment.a: { kind: experiment, backend: { type: local } }\n",
            "2:54 experiment operators have no backend 'local'",
        ),
        (
            "operators:\n  experiment.a: { kind: experiment, backend: { type: command, command: [] } }\n",
            "2:72 expected at least one item, got a list",
        ),
        (
            "operators:\n  experiment.a: { kind: experiment, backend: { type: http, url: ftp://a } }\n",
            "2:65 expected an address that begins with http:// or https://, without a user, a query or a fragment",
        ),
        (
            "operators:\n  experiment.a: { kind: experiment, backend: { type: http, url: http://me:pw@a } }\n",
            "2:65 expected an address that begins with http:// or https://, without a user, a query or a fragment",
        ),
        (
            "operators:\n  experiment.a: { kind: experiment, backend: { type: files, timeout: 5 } }\n",
            "2:61 unknown key 'timeout'",
        ),
        (f"{LOCAL}  local.default: {{ kind: local }}\n", "3:3 duplicate key 'local.default' (first at line 2)"),
    ],
)
def test_each_fault_has_its_place(text: str, fault: str) -> None:
    """One fault, one message."""
    assert wrong(text) == [fault]


def test_all_faults_are_told_at_once() -> None:
    """In the order of the file."""
    text = "operators:\n  hpc: {}\n  local.a: 5\n  human.b: { kind: human, approver: [x] }\n"

    assert [fault.split(" ")[0] for fault in wrong(text)] == ["2:3", "3:12", "4:27"]


def test_a_likely_key_is_named() -> None:
    """One that is only in the wrong case, or misspelt."""
    with pytest.raises(InvalidFileError) as caught:
        read("operators:\n  HPC.dev: { kind: hpc }\n  local.a: { kind: local, backend: { type: lokal } }\n")

    assert [problem.help for problem in caught.value.problems] == ["write 'hpc.dev'", "did you mean 'local'?"]


def test_E3_a_secret_is_refused_and_not_shown() -> None:  # noqa: N802  a row of the fault matrix
    """Nobody writes one there, and who did finds it in no message."""
    ssh = "ssh: { host: h, password: hunter2 }"
    text = f"operators:\n  hpc.a: {{ kind: hpc, backend: {{ type: slurm, workspace_root: /s, {ssh} }} }}\n"
    with pytest.raises(InvalidFileError) as caught:
        read(text)

    shown = caught.value.explained()
    assert "unknown key 'password'" in shown
    assert "use an SSH agent or a key file" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    "entry",
    [
        "experiment.a: { kind: experiment, backend: { type: http, url: http://me:hunter2@a } }",
        "human.a: { kind: human, notify: [ { webhook: htp://hooks/hunter2 } ] }",
    ],
)
def test_E3_no_message_shows_an_address_that_may_hold_a_secret(entry: str) -> None:  # noqa: N802  see above
    """Neither its words nor the line below them."""
    with pytest.raises(InvalidFileError) as caught:
        read(f"operators:\n  {entry}\n")

    assert "hunter2" not in caught.value.explained()


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ("ssh: { host: -oProxyCommand=touch }", "expected the name or address of a host, got '-oProxyCommand=touch'"),
        ("ssh: { host: a b }", "expected the name or address of a host, got 'a b'"),
        ("ssh: { host: a, user: root@b }", "expected the name of a user, got 'root@b'"),
        ("ssh: { host: a, port: '22 -o x' }", "expected a whole number, got '22 -o x'"),
        ("slurm: { partition: 'a b' }", "expected a name, or several with commas, got 'a b'"),
        (
            'slurm: { account: "a\\n#SBATCH --wrap=id" }',
            "expected a name, or several with commas, got 'a\\n#SBATCH --wrap=id'",
        ),
        ("slurm: { qos: --wrap=id }", "expected a name, or several with commas, got '--wrap=id'"),
        ("slurm: { gres: 'gpu:1;id' }", "expected generic resources such as gpu:1, got 'gpu:1;id'"),
        ("slurm: { constraint: '$(id)' }", "expected features of nodes, got '$(id)'"),
        ("slurm: { extra: ['-p other'] }", "expected a long option of sbatch, got '-p other'"),
        ('slurm: { extra: ["--nice=1\\n--wrap=id"] }', "expected a long option of sbatch, got '--nice=1\\n--wrap=id'"),
        ("slurm: { extra: [--wrap=id] }", "--wrap is not for 'extra'"),
        ("slurm: { extra: [--requeue] }", "--requeue is not for 'extra'"),
        ("slurm: { extra: [--job-n=other] }", "--job-n is not for 'extra'"),
        ("slurm: { extra: [--wra=id] }", "--wra is not for 'extra'"),
        ("slurm: { extra: [--clusters=other] }", "--clusters is not for 'extra'"),
        ("slurm: { extra: [--version] }", "--version is not for 'extra'"),
        ("poll_every: 5s", "expected 30s or more, got 5s"),
        ("python: python3 -i", "expected a program such as python3, got 'python3 -i'"),
    ],
)
def test_D3_D5_nothing_reaches_a_shell_or_slurm_that_is_more_than_a_name(field: str, fault: str) -> None:  # noqa: N802
    """Each where it stands; a script that holds such a text would do something else."""
    text = (
        f"operators:\n  hpc.a:\n    kind: hpc\n    backend:\n      type: slurm\n      workspace_root: /s\n      {field}"
    )

    assert [told.partition(" ")[2] for told in wrong(text)] == [fault]


@pytest.mark.parametrize("root", ["relative", "/a\nb", "/it's", "/a`id`"])
def test_the_folder_on_a_cluster_is_absolute_and_plain(root: str) -> None:
    """It is a part of every command there."""
    text = f"operators:\n  hpc.a: {{ kind: hpc, backend: {{ type: slurm, workspace_root: {json.dumps(root)} }} }}\n"

    assert wrong(text) == [f"2:63 expected an absolute folder on the cluster, got {root!r}"]


def test_a_shared_folder_that_is_relative_is_told_how_to_begin() -> None:
    """Nothing is wrong with its letters."""
    with pytest.raises(InvalidFileError) as caught:
        read("operators:\n  human.a: { kind: human, shared_folder: shared }\n")

    assert [problem.help for problem in caught.value.problems] == ["begin it with /"]
