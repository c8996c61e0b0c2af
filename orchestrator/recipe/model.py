"""The recipe language as data: every key that a recipe may hold, what it means and what it is when left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.jsonsafe import JsonValue
from orchestrator.keys import camel_case
from orchestrator.recipe.words import (
    Command,
    ContextKey,
    Factor,
    Identifier,
    InnerPath,
    Items,
    Listed,
    Many,
    Mark,
    Maybe,
    Module,
    OperatorKey,
    Scalar,
    Seconds,
    StepName,
    Switchable,
    Text,
    Variable,
    Workspace,
    WrittenKey,
    fault,
    shown,
)

SCHEMA_ID = "matterstack/recipe/v1"
STEP_LISTS = ("steps", "on_failure", "finally")

_INPUT_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "path": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


class _Part(BaseModel):
    """A mapping of a recipe: unknown keys and values of another type are errors, and nothing changes afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)


class Metadata(_Part):
    """What the recipe is about, for people and reports; other keys are kept as they are."""

    model_config = ConfigDict(extra="allow")

    test_id: str = Field("", description="Names the recipe in reports and as a test, such as CAT-010.")
    tester: str = Field("", description="Who answers for it.")
    description: str = Field("", description="What it shows, in a sentence.")
    tags: Listed[str] = Field((), description="Words to find it by.")


class Input(_Part):
    """A value that whoever runs the recipe may give; without a default it must be given."""

    type: Literal["string", "number", "integer", "boolean", "path", "array", "object"] = Field(
        description="What kind of value it is; a path is text that names a file."
    )
    default: Any = Field(None, description="The value when none is given.")
    description: str = Field("", description="What it means, with its unit.")
    minimum: Maybe[float] = Field(None, description="The smallest number allowed.")
    maximum: Maybe[float] = Field(None, description="The largest number allowed.")
    choices: Listed[Any] = Field((), description="The only values allowed.")

    @property
    def required(self) -> bool:
        """Tell whether a value must be given."""
        return "default" not in self.model_fields_set

    def complaint(self, value: JsonValue) -> str:
        """Say what is wrong with a value for this input; nothing when it fits."""
        is_kind = isinstance(value, _INPUT_KINDS[self.type]) and isinstance(value, bool) == (self.type == "boolean")
        if not is_kind:
            return f"expected {self.type}, got {shown(value)}"
        if self.choices and value not in self.choices:
            return f"expected one of {', '.join(map(shown, self.choices))}, got {shown(value)}"
        below = self.minimum is not None and isinstance(value, int | float) and value < self.minimum
        above = self.maximum is not None and isinstance(value, int | float) and value > self.maximum
        if below or above:
            bound = f"at least {self.minimum:g}" if below else f"at most {self.maximum:g}"
            return f"expected {bound}, got {shown(value)}"
        return ""

    @model_validator(mode="after")
    def _bounds_mean_something(self) -> Self:
        bounds = [name for name in ("minimum", "maximum") if getattr(self, name) is not None]
        if bounds and self.type not in {"number", "integer"}:
            raise fault("MS106", f"an input of type {self.type!r} has no {bounds[0]}", "leave it out", bounds[0])
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise fault("MS106", "no value is at least 'minimum' and at most 'maximum'", "exchange them", "maximum")
        return self

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        if not self.required and (complaint := self.complaint(self.default)):
            raise fault("MS209", f"the default does not fit: {complaint}", "", "default")
        return self


class Secret(_Part):
    """Where a secret is read when a step needs it; its value is never written anywhere."""

    env: Maybe[Text] = Field(None, description="The environment variable that holds it.")
    file: Maybe[Text] = Field(None, description="The file that holds it.")
    keyring: Maybe[Text] = Field(None, description="The entry of the system's keyring that holds it.")
    as_: Literal["value", "file"] = Field("value", alias="as", description="What a step gets: it, or a file's path.")

    @model_validator(mode="after")
    def _has_one_home(self) -> Self:
        if len(self.model_fields_set - {"as_"}) != 1:
            raise fault(
                "MS106", "a secret has exactly one of 'env', 'file' and 'keyring'", "name one place to read it from"
            )
        return self


class Resources(_Part):
    """What a step needs of a machine."""

    cores: int = Field(1, ge=1, description="Processor cores.")
    memory_gb: Maybe[Annotated[float, Field(gt=0)]] = Field(
        None, description="Memory in gigabytes, for the whole step."
    )
    gpus: int = Field(0, ge=0, description="Graphics processors.")
    time_limit: Maybe[Seconds] = Field(None, description="How long the machine is asked for.")


class Grow(_Part):
    """By what factor each resource grows with every retry, such as 2x."""

    cores: Maybe[Factor] = Field(None, description="Factor for the cores.")
    memory_gb: Maybe[Factor] = Field(None, description="Factor for the memory.")
    gpus: Maybe[Factor] = Field(None, description="Factor for the graphics processors.")
    time_limit: Maybe[Factor] = Field(None, description="Factor for the time limit.")


class Retry(_Part):
    """Whether a failed step is attempted again; every attempt is kept."""

    max: int = Field(0, ge=0, le=1_000, description="How many attempts may follow the first.")
    delay_sec: float = Field(0.0, ge=0, le=86_400, description="Seconds to wait before the first retry.")
    backoff: Literal["fixed", "linear", "exponential"] = Field(
        "fixed", description="How the wait grows: not at all, by the delay each time, or doubling."
    )
    on: Listed[Literal["error", "timeout", "oom"]] = Field(
        ("error", "timeout", "oom"),
        description="Which failures are retried: a failed step, one too slow, out of memory.",
    )
    grow: Grow = Field(default_factory=Grow, description="Resources that grow with every retry.")


class Success(_Part):
    """What must hold, beyond the step's own answer, for the step to have succeeded."""

    ctx_has_keys: Listed[ContextKey] = Field((), description="Context keys that must exist afterwards.")
    expect: Listed[Text] = Field((), description="Bare expressions that must be true.")
    json_schema: dict[ContextKey, dict[str, Any]] = Field(
        default_factory=dict, description="JSON Schemas that the values of context keys must fit."
    )
    files_exist: Listed[Text] = Field((), description="Files that must exist afterwards.")
    exit_code: int = Field(0, ge=0, le=255, description="The exit code that counts as success.")


class Cache(_Part):
    """What a cached result depends on, beyond the step's code and arguments."""

    files: Listed[Text] = Field((), description="Files whose content counts.")
    ctx: Listed[ContextKey] = Field((), description="Context keys whose value counts.")
    env: Listed[Variable] = Field((), description="Environment variables whose value counts.")


class Fetch(_Part):
    """Which files are brought back from where a routed step ran; patterns such as *.log may be used."""

    required: Listed[InnerPath] = Field((), description="Files without which the step fails.")
    optional: Listed[InnerPath] = Field((), description="Files brought back when they exist.")
    exclude: Listed[InnerPath] = Field((), description="Files left where they are.")


class OnWalltime(_Part):
    """What happens when a job comes near the end of its time: a signal, and its continuation in the same directory."""

    signal: Literal["USR1", "USR2", "TERM", "INT", "HUP"] = Field("USR1", description="The signal sent.")
    before: Seconds = Field(120.0, description="How long before the end it is sent.")
    restart: int = Field(0, ge=0, le=1_000, description="How many times the job may be continued.")


class Deadline(_Part):
    """Until when a person has to answer, and what silence means."""

    after: Seconds = Field(description="How long the question stays open.")
    then: Literal["fail", "approve", "reject"] = Field("fail", description="What silence means.")


class _Step(_Part):
    """What every kind of step may say."""

    idx: Maybe[int] = Field(None, description="A number that rises with the list; optional.")
    name: StepName = Field(description="Names the step in the recipe, in reports and as a folder.")
    description: str = Field("", description="What the step does, for people.")
    tags: Listed[Text] = Field((), description="Words to select steps by.")
    when: Maybe[Text] = Field(None, description="A bare expression; the step is skipped when it is false.")
    depends_on: Maybe[Listed[StepName]] = Field(
        None, description="The steps that must end first, instead of the one before this in the list."
    )
    parallel: bool = Field(default=False, description="Whether it may run beside its neighbours that say the same.")
    foreach: Maybe[Items] = Field(
        None, description="Makes one task for each item of a list or of one ${{ expression }}."
    )
    matrix: dict[Identifier, Items] = Field(
        default_factory=dict, description="Makes one task for each combination of the values of its axes."
    )
    allow_failure: bool = Field(default=False, description="Whether the run goes on, and succeeds, when it fails.")
    allow_dependency_failure: bool = Field(
        default=False, description="Whether it runs also where a step that it waits for has failed."
    )

    @model_validator(mode="after")
    def _fans_out_one_way(self) -> Self:
        if self.matrix and self.foreach is not None:
            raise fault("MS106", "a step has 'foreach' or 'matrix', not both", "keep one of them", "matrix")
        return self


class _Attempted(_Step):
    """What every kind of step that is attempted itself may say."""

    operator_key: Maybe[OperatorKey] = Field(
        None, description="Where it runs, such as hpc.default; the site's operators.yaml says what that means."
    )
    save: dict[WrittenKey, Text] = Field(
        default_factory=dict,
        description="Context keys to write: a bare expression, or file.json:path for a value in a result file.",
    )
    success: Success = Field(default_factory=Success, description="What must hold for the step to have succeeded.")
    locks: Listed[Text] = Field((), description="Things that only one step at a time may use, such as an instrument.")


class _Timed(_Attempted):
    """What every kind of step that machines carry out may say."""

    timeout: Maybe[Seconds] = Field(None, description="How long one attempt may take.")
    retry: Maybe[Retry] = Field(None, description="Whether a failed attempt is repeated.")


class _Code(_Timed):
    """What steps that run code may say."""

    args: dict[str, Any] = Field(
        default_factory=dict, description="Arguments, given as JSON in --params and $MATTERSTACK_PARAMS."
    )
    env: dict[Variable, Scalar] = Field(
        default_factory=dict, description="Environment variables; numbers and booleans become their JSON text."
    )
    needs: Listed[ContextKey] = Field((), description="Context keys that travel with a step that runs elsewhere.")
    files: dict[InnerPath, Any] = Field(
        default_factory=dict,
        description="Files put beside the step: name to source path, to a JSON value, or to {content: text}.",
    )
    resources: Maybe[Resources] = Field(None, description="Cores, memory and time that it needs.")
    fetch: Fetch = Field(default_factory=Fetch, description="Which files are brought back.")
    on_walltime: Maybe[OnWalltime] = Field(None, description="What happens near the end of a job's time.")
    cache: Switchable[Cache] = Field(
        None, description="Reuses a former result of the same step; true, or what it depends on."
    )
    cache_key: str = Field("", description="Text that counts as part of what a cached result depends on.")


class PythonStep(_Code):
    """Runs a scriptlet: a Python class."""

    type: Literal["python"] = Field(description="The kind of step.")
    module: Module = Field(description="A dotted name, or a path to a .py file relative to the recipe.")
    function: Maybe[Identifier] = Field(None, description="The class; else the module's last part in CamelCase.")
    isolation: Maybe[Literal["worker", "inline"]] = Field(None, description="A process of its own, or the runner's.")

    @property
    def class_name(self) -> str:
        """Give the name of the class to run."""
        last = self.module.removesuffix(".py").replace("/", ".").rpartition(".")[2]
        return self.function or camel_case(last)


class ShellStep(_Code):
    """Runs a command or a script that answers with one JSON line."""

    type: Literal["shell"] = Field(description="The kind of step.")
    run: Maybe[Command] = Field(None, description="The program and its arguments as a list, or text for the shell.")
    script: Maybe[InnerPath] = Field(None, description="A script, relative to the recipe, then to the project.")
    stdout: Literal["json", "free"] = Field("json", description="One JSON line, or free text kept as an artifact.")

    @model_validator(mode="after")
    def _has_one_command(self) -> Self:
        if self.run is None and self.script is None:
            todo = "add 'run: [program, argument]' or 'script: path'"
            raise fault("MS107", f"step {self.name!r} has neither 'run' nor 'script'", todo)
        if self.run is not None and self.script is not None:
            raise fault("MS106", f"step {self.name!r} has both 'run' and 'script'", "keep one of them", "script")
        return self


class HumanStep(_Attempted):
    """Asks a person and waits for the answer."""

    type: Literal["human"] = Field(description="The kind of step.")
    instructions: Text = Field(description="What the person is asked, in Markdown.")
    response_schema: dict[str, Any] = Field(
        default_factory=dict, description="The JSON Schema that the answer must fit."
    )
    approvals: int = Field(1, ge=1, le=100, description="How many people must approve.")
    deadline: Maybe[Deadline] = Field(None, description="Until when an answer must come.")
    files: dict[InnerPath, Any] = Field(default_factory=dict, description="Files shown with the question.")


class ExperimentStep(_Timed):
    """Asks an instrument to measure and waits for the result."""

    type: Literal["experiment"] = Field(description="The kind of step.")
    config: dict[str, Any] = Field(default_factory=dict, description="What the instrument is told.")
    result_schema: dict[str, Any] = Field(default_factory=dict, description="The JSON Schema that the result must fit.")
    files: dict[InnerPath, Any] = Field(default_factory=dict, description="Files given to the instrument.")


class RecipeStep(_Step):
    """Runs another recipe, in a context of its own."""

    type: Literal["recipe"] = Field(description="The kind of step.")
    uses: InnerPath = Field(description="The recipe file, relative to this one.")
    args: dict[str, Any] = Field(default_factory=dict, description="The inputs of that recipe.")
    timeout: Maybe[Seconds] = Field(None, description="How long its steps may take, beside that recipe's own limit.")


class WorkflowStep(_Step):
    """Runs tasks that an earlier step has planned."""

    type: Literal["workflow"] = Field(description="The kind of step.")
    tasks: Items = Field(description="The tasks: a list of steps, or one ${{ expression }} that gives it.")
    timeout: Maybe[Seconds] = Field(None, description="How long all tasks together may take.")


Step = Annotated[
    PythonStep | ShellStep | HumanStep | ExperimentStep | RecipeStep | WorkflowStep,
    Field(discriminator="type"),
]


class Defaults(_Part):
    """What steps have that do not say otherwise."""

    timeout: Maybe[Seconds] = Field(None, description="How long one attempt may take.")
    retry: Maybe[Retry] = Field(None, description="Whether a failed attempt is repeated.")
    env: dict[Variable, Scalar] = Field(
        default_factory=dict, description="Environment variables; those of a step are added."
    )
    resources: Maybe[Resources] = Field(None, description="Cores, memory and time that it needs.")
    isolation: Maybe[Literal["worker", "inline"]] = Field(None, description="A process of its own, or the runner's.")


class Repeat(_Part):
    """Runs the steps again and again: a closed loop."""

    until: Text = Field(description="A bare expression; the loop ends when it is true.")
    max: int = Field(ge=1, le=1_000_000, description="How many times the steps run at most.")


class Budget(_Part):
    """What the whole run may use."""

    core_hours: Annotated[float, Field(gt=0)] = Field(description="Cores times hours, added up over all steps.")


class Case(_Part):
    """One test made from the recipe; its other keys are inputs."""

    model_config = ConfigDict(extra="allow")

    id: StepName = Field(description="Names the case in the test's id.")

    @property
    def inputs(self) -> dict[str, JsonValue]:
        """Give the inputs of this case."""
        return dict(self.model_extra or {})


class PytestOptions(_Part):
    """How pytest runs the recipe."""

    fixtures: Listed[Identifier] = Field((), description="Fixtures to ask for; expressions see them as fixtures.name.")
    markers: Listed[Mark] = Field((), description="Marks of the tests: a name, or {name: arguments}.")
    cases: Listed[Case] = Field((), description="Makes one test for each case.")
    report: Literal["recipe", "steps"] = Field("recipe", description="One test for the recipe, or one for each step.")


class Recipe(_Part):
    """A campaign: the steps to run, in order, and everything they need."""

    schema_id: Maybe[Literal["matterstack/recipe/v1"]] = Field(
        None, alias="schema", description="The language of this file; without it, steps are sorted by idx."
    )
    workspace: Maybe[Workspace] = Field(None, description="The workspace to run in; else the file's name.")
    description: str = Field("", description="What the recipe does, for people and evidence.")
    license: str = Field("", description="The licence of its results, as an SPDX name.")
    tags: Listed[Text] = Field((), description="Words to find it by.")
    test_meta: Metadata = Field(default_factory=Metadata, description="What it is about; unknown keys are free here.")
    inputs: dict[Identifier, Input] = Field(default_factory=dict, description="Values that may be given to a run.")
    secrets: dict[Identifier, Secret] = Field(default_factory=dict, description="Secrets that steps may use.")
    vars: dict[Identifier, Any] = Field(default_factory=dict, description="Values used in several places.")
    defaults: Defaults = Field(default_factory=Defaults, description="Values for steps that do not say otherwise.")
    timeout: Maybe[Seconds] = Field(None, description="How long the whole run may take.")
    max_parallel: Maybe[Annotated[int, Field(ge=1, le=10_000)]] = Field(
        None, description="How many steps may run at once."
    )
    isolation: Maybe[Literal["worker", "inline"]] = Field(None, description="A process of its own, or the runner's.")
    on_conflict: Literal["fail", "last_write_wins"] = Field(
        "fail", description="What happens when two steps at once write one context key."
    )
    budget: Maybe[Budget] = Field(None, description="What all steps together may use.")
    steps: Many[Step] = Field(
        json_schema_extra={"minItems": 1}, description="The steps, in the order in which they run."
    )
    on_failure: Many[Step] = Field((), description="Steps that run when one of the steps has failed.")
    finally_: Many[Step] = Field((), alias="finally", description="Steps that run last, whatever happened.")
    outputs: dict[Identifier, Text] = Field(
        default_factory=dict, description="Results of the recipe, as bare expressions."
    )
    repeat: Maybe[Repeat] = Field(None, description="Runs the steps again until a condition holds.")
    pytest: PytestOptions = Field(default_factory=PytestOptions, description="How pytest runs it.")

    @property
    def is_seed(self) -> bool:
        """Tell whether the file names no schema, so that its steps are sorted by ``idx``."""
        return self.schema_id is None

    def every_step(self) -> Iterator[Step]:
        """Give all steps: those of ``steps``, ``on_failure`` and ``finally``, in this order."""
        yield from self.steps
        yield from self.on_failure
        yield from self.finally_
