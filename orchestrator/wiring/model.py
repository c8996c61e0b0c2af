"""operators.yaml as data: what may be wired to an operator key, and how."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from orchestrator.recipe.words import Listed, Maybe, Seconds, Text, fault

# Sites ask that nobody looks at their queue more often than this; tests with a cluster of their own say less.
POLL_FLOOR_VARIABLE = "MATTERSTACK_POLL_FLOOR"
POLL_FLOOR_SEC = 30.0

_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")
_WEBHOOK = re.compile(r"https?://[^\s/?#]\S*")
_DIRECTIVE = re.compile(r"--([a-z][a-z-]*)(=[ -~]+)?")
# What the operator says of each job itself; another value would make it lose or double jobs.
_OWN_DIRECTIVES = frozenset(
    {
        *("account", "constraint", "cpus-per-task", "gpus", "gres", "mem", "ntasks", "partition", "qos", "time"),
        *("array", "chdir", "comment", "error", "export", "job-name", "open-mode", "output", "wrap"),
        *("begin", "dependency", "hold", "no-requeue", "requeue", "signal"),
        *("input", "parsable", "test-only", "wait"),
        *("clusters", "help", "usage", "version"),
    }
)
_Positive = Annotated[int, Field(ge=1, le=1_000_000)]


def _made_of(
    pattern: str, what: str, todo: str = "remove blanks, quotes and other special characters"
) -> AfterValidator:
    """Refuse a text in which anything stands that a program may take for more than a name."""
    allowed = re.compile(pattern)

    def check(text: str) -> str:
        if not allowed.fullmatch(text):
            raise fault("MS106", f"expected {what}, got {text!r}", todo)
        return text

    return AfterValidator(check)


_Host = Annotated[Text, _made_of(r"[A-Za-z0-9\[][A-Za-z0-9._:%\]-]*", "the name or address of a host")]
_User = Annotated[Text, _made_of(r"[A-Za-z0-9_][A-Za-z0-9._-]*[$]?", "the name of a user")]
_Name = Annotated[Text, _made_of(r"[A-Za-z0-9_][A-Za-z0-9_.,:+@-]*", "a name, or several with commas")]
_Features = Annotated[Text, _made_of(r"[A-Za-z0-9_(\[!][A-Za-z0-9_.,:&|*!()\[\]-]*", "features of nodes")]
_Generic = Annotated[Text, _made_of(r"[A-Za-z0-9_][A-Za-z0-9_.,:()/+-]*", "generic resources such as gpu:1")]
_Folder = Annotated[
    Text,
    _made_of(
        r"[/~$][^\x00-\x1f\x7f'\"`\\]*",
        "an absolute folder on the cluster",
        "begin it with /, ~ or a variable of the login such as $SCRATCH, and leave out quotes and backslashes",
    ),
]
_Shared = Annotated[Text, _made_of(r"/[^\x00-\x1f\x7f]*", "the absolute path of a folder", "begin it with /")]
_Program = Annotated[Text, _made_of(r"[A-Za-z0-9_./~][A-Za-z0-9_./+~-]*", "a program such as python3")]


class _Part(BaseModel):
    """A mapping of operators.yaml: unknown keys and values of another type are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def poll_floor_sec() -> float:
    """Give how seldom, at least, sites are asked for their queue, in seconds."""
    return float(os.environ.get(POLL_FLOOR_VARIABLE, POLL_FLOOR_SEC))


class Ssh(_Part):
    """How a cluster is reached; what is left out comes from the user's SSH configuration."""

    host: _Host = Field(description="The name of the login node, or of a Host entry.")
    user: Maybe[_User] = Field(None, description="Who logs in.")
    port: Maybe[Annotated[int, Field(ge=1, le=65_535)]] = Field(None, description="The port, 22 when left out.")
    key_path: Maybe[Text] = Field(None, description="The private key's file.")
    config_path: Maybe[Text] = Field(None, description="An SSH configuration other than the user's own.")


class Slurm(_Part):
    """What every job of the operator asks Slurm for."""

    partition: Maybe[_Name] = Field(None, description="The partition.")
    account: Maybe[_Name] = Field(None, description="The account that is charged.")
    qos: Maybe[_Name] = Field(None, description="The quality of service.")
    constraint: Maybe[_Features] = Field(None, description="Features that nodes must have.")
    gres: Maybe[_Generic] = Field(None, description="Generic resources, such as gpu:1.")
    setup: Maybe[Text] = Field(None, description="Shell text that runs before the step, such as 'module load python'.")
    extra: Listed[Text] = Field((), description="Further directives, without '#SBATCH ', such as --exclusive.")

    @field_validator("extra")
    @classmethod
    def _are_directives(cls, extra: tuple[str, ...]) -> tuple[str, ...]:
        for text in extra:
            found = _DIRECTIVE.fullmatch(text)
            if found is None:
                raise fault(
                    "MS106", f"expected a long option of sbatch, got {text!r}", "as in: --exclusive, --nice=100"
                )
            # Slurm takes the begin of an option for the whole.
            if any(name.startswith(found[1]) for name in _OWN_DIRECTIVES):
                hint = "say it by a field of 'slurm', or by the step's 'resources'; the rest is the operator's own"
                raise fault("MS106", f"--{found[1]} is not for 'extra'", hint)
        return extra


class Keep(_Part):
    """What stays on the cluster of attempts whose results were fetched."""

    files: Literal["failed", "all", "none"] = Field(
        "failed", description="Whose directories stay: those of failed attempts, all or none."
    )
    days: int = Field(30, ge=1, le=10_000, description="For how many days those of failed attempts stay.")


class LocalBackend(_Part):
    """Runs steps on this machine."""

    type: Literal["local"] = Field(description="The kind of backend.")
    dry_run: bool = Field(default=False, description="Go through every state without running the step.")


class SlurmBackend(_Part):
    """Runs steps as jobs of a Slurm cluster."""

    type: Literal["slurm"] = Field(description="The kind of backend.")
    workspace_root: _Folder = Field(description="The folder on the cluster in which attempts get theirs.")
    ssh: Maybe[Ssh] = Field(
        None, description="How the cluster is reached; left out where this machine is its login node."
    )
    slurm: Slurm = Field(default_factory=Slurm, description="What jobs ask for.")
    poll_every: Seconds = Field(60.0, description="How often Slurm is asked for the queue, at most; 30s or more.")
    grace: Seconds = Field(
        120.0, description="How long after an unanswered submission a job that is nowhere is submitted again."
    )
    lost_after: Seconds = Field(86_400.0, description="How long a job may be nowhere until its attempt is lost.")
    python: _Program = Field("python3", description="The Python 3.8 or later that runs scriptlets on the cluster.")
    keep: Keep = Field(default_factory=Keep, description="What stays on the cluster.")
    dry_run: bool = Field(default=False, description="Go through every state without submitting a job.")

    @field_validator("poll_every")
    @classmethod
    def _is_polite(cls, poll_every: float) -> float:
        floor = poll_floor_sec()
        if poll_every < floor:
            raise fault("MS106", f"expected {floor:g}s or more, got {poll_every:g}s", "sites ask for a minute")
        return poll_every


class DaskBackend(_Part):
    """Runs steps as tasks of a Dask scheduler."""

    type: Literal["dask"] = Field(description="The kind of backend.")
    scheduler: Text = Field(description="The scheduler's address.")
    dry_run: bool = Field(default=False, description="Go through every state without submitting a task.")


class ProfileBackend(_Part):
    """Stands for one of the file's ``profiles``."""

    type: Literal["profile"] = Field(description="The kind of backend.")
    name: Text = Field(description="The profile's name.")


class HpcYamlBackend(_Part):
    """Stands for the cluster that an older hpc.yaml describes."""

    type: Literal["hpc_yaml"] = Field(description="The kind of backend.")
    path: Text = Field(description="The file, relative to this one.")


class FilesBackend(_Part):
    """Talks to an instrument, or to who runs it, by files in the attempt's directory."""

    type: Literal["files"] = Field(description="The kind of backend.")


class CommandBackend(_Part):
    """Talks to an instrument by a driver program."""

    type: Literal["command"] = Field(description="The kind of backend.")
    command: Annotated[tuple[Text, ...], Field(min_length=1)] = Field(
        strict=False, description="The driver and its arguments; 'start', 'poll' or 'abort' is added."
    )
    timeout: Seconds = Field(60.0, description="How long one call of the driver may take.")


class HttpBackend(_Part):
    """Talks to an instrument by JSON over HTTP."""

    type: Literal["http"] = Field(description="The kind of backend.")
    url: Text = Field(description="The address to which requests are sent, without a user, a query or a fragment.")
    timeout: Seconds = Field(60.0, description="How long one request may take.")

    @field_validator("url")
    @classmethod
    def _is_plain(cls, url: str) -> str:
        if not _ADDRESS.fullmatch(url):
            # What stands there may be a password, so it is not shown.
            message = "expected an address that begins with http:// or https://, without a user, a query or a fragment"
            raise fault("MS106", message, "write it as in http://furnace.lab:8080")
        return url


class Notify(_Part):
    """How people are told that something waits for them: one of the two."""

    webhook: Maybe[Text] = Field(None, description="An address that gets a JSON document.")
    command: Annotated[tuple[Text, ...], Field(min_length=1, max_length=100)] = Field(
        (), strict=False, description="A program that gets the same document on standard input."
    )

    @field_validator("webhook")
    @classmethod
    def _is_address(cls, webhook: str | None) -> str | None:
        if webhook is not None and not _WEBHOOK.fullmatch(webhook):
            raise fault("MS106", "expected an address that begins with http:// or https://", "write it in full")
        return webhook

    @model_validator(mode="after")
    def _has_one_way(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise fault("MS106", "expected one of 'webhook' and 'command'", "name one way to tell people")
        return self


class LocalOperator(_Part):
    """Runs steps on this machine."""

    kind: Literal["local"] = Field(description="What kind of operator it is; the same as in its key.")
    max_concurrent: _Positive | None = Field(None, description="How many attempts it has at once; null is no limit.")
    backend: Any = Field(default_factory=lambda: {"type": "local"}, description="What runs the steps.")


class HpcOperator(_Part):
    """Runs steps on a cluster."""

    kind: Literal["hpc"] = Field(description="What kind of operator it is; the same as in its key.")
    max_concurrent: _Positive | None = Field(None, description="How many attempts it has at once; null is no limit.")
    backend: Any = Field(description="What runs the steps.")


class HumanOperator(_Part):
    """Asks people."""

    kind: Literal["human"] = Field(description="What kind of operator it is; the same as in its key.")
    max_concurrent: _Positive | None = Field(None, description="How many questions are open at once; null is no limit.")
    notify: Listed[Notify] = Field((), description="How people are told.")
    approvers: Annotated[Listed[Text], Field(min_length=1)] = Field(
        (), description="Who may answer; anybody where it is left out."
    )
    separation_of_duty: bool = Field(default=False, description="Whether who started the run may not approve.")
    shared_folder: Maybe[_Shared] = Field(
        None, description="A folder that all who may answer can read and write; questions are posted there too."
    )


class ExperimentOperator(_Part):
    """Asks instruments."""

    kind: Literal["experiment"] = Field(description="What kind of operator it is; the same as in its key.")
    max_concurrent: _Positive | None = Field(
        None, description="How many measurements it has at once; null is no limit."
    )
    backend: Any = Field(default_factory=lambda: {"type": "files"}, description="How the instrument is reached.")


class WiringDefaults(_Part):
    """What all operators share."""

    max_concurrent_global: Maybe[_Positive] = Field(None, description="How many attempts there are at once in all.")


Operator = LocalOperator | HpcOperator | HumanOperator | ExperimentOperator
Backend = (
    LocalBackend
    | SlurmBackend
    | DaskBackend
    | ProfileBackend
    | HpcYamlBackend
    | FilesBackend
    | CommandBackend
    | HttpBackend
)

OPERATORS: dict[str, type[Operator]] = {
    "local": LocalOperator,
    "hpc": HpcOperator,
    "human": HumanOperator,
    "experiment": ExperimentOperator,
}
# The backends of each kind of operator, by the names that files give them.
BACKENDS: dict[str, dict[str, type[Backend]]] = {
    "local": {"local": LocalBackend},
    "hpc": {
        "local": LocalBackend,
        "slurm": SlurmBackend,
        "dask": DaskBackend,
        "profile": ProfileBackend,
        "hpc_yaml": HpcYamlBackend,
    },
    "human": {},
    "experiment": {"files": FilesBackend, "command": CommandBackend, "http": HttpBackend},
}
PROFILES: dict[str, type[Backend]] = {"local": LocalBackend, "slurm": SlurmBackend, "dask": DaskBackend}
# What may be wired and is not carried out yet; of an hpc.yaml, where a run has kept nothing but its name.
IDLE = (DaskBackend, HpcYamlBackend)
