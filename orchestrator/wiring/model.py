"""operators.yaml as data: what may be wired to an operator key, and how."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from orchestrator.recipe.words import Listed, Maybe, Seconds, Text, fault

_ADDRESS = re.compile(r"https?://[^\s/?#@]+(/[^\s?#@]*)?")
_Positive = Annotated[int, Field(ge=1, le=1_000_000)]


class _Part(BaseModel):
    """A mapping of operators.yaml: unknown keys and values of another type are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Ssh(_Part):
    """How a cluster is reached; what is left out comes from the user's SSH configuration."""

    host: Text = Field(description="The name of the login node, or of a Host entry.")
    user: Maybe[Text] = Field(None, description="Who logs in.")
    port: Maybe[Annotated[int, Field(ge=1, le=65_535)]] = Field(None, description="The port, 22 when left out.")
    key_path: Maybe[Text] = Field(None, description="The private key's file.")
    config_path: Maybe[Text] = Field(None, description="An SSH configuration other than the user's own.")


class Slurm(_Part):
    """What every job of the operator asks Slurm for."""

    partition: Maybe[Text] = Field(None, description="The partition.")
    account: Maybe[Text] = Field(None, description="The account that is charged.")
    qos: Maybe[Text] = Field(None, description="The quality of service.")
    constraint: Maybe[Text] = Field(None, description="Features that nodes must have.")
    gres: Maybe[Text] = Field(None, description="Generic resources, such as gpu:1.")
    setup: Maybe[Text] = Field(None, description="Shell text that runs before the step, such as 'module load python'.")
    extra: Listed[Text] = Field((), description="Further directives, without '#SBATCH '.")


class LocalBackend(_Part):
    """Runs steps on this machine."""

    type: Literal["local"] = Field(description="The kind of backend.")
    dry_run: bool = Field(default=False, description="Go through every state without running the step.")


class SlurmBackend(_Part):
    """Runs steps as jobs of a Slurm cluster."""

    type: Literal["slurm"] = Field(description="The kind of backend.")
    workspace_root: Text = Field(description="The folder on the cluster in which attempts get theirs.")
    ssh: Maybe[Ssh] = Field(
        None, description="How the cluster is reached; left out where this machine is its login node."
    )
    slurm: Slurm = Field(default_factory=Slurm, description="What jobs ask for.")
    dry_run: bool = Field(default=False, description="Go through every state without submitting a job.")


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
    command: Annotated[tuple[Text, ...], Field(max_length=100)] = Field(
        (), strict=False, description="A program that gets the same document on standard input."
    )

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
    approvers: Listed[Text] = Field((), description="Who may answer; anybody where it is left out.")
    separation_of_duty: bool = Field(default=False, description="Whether who started the run may not approve.")


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
# What may be wired and is not carried out yet.
IDLE = (SlurmBackend, DaskBackend, HpcYamlBackend)
