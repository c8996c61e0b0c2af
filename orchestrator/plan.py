"""Plan a run: turn a recipe, the given inputs and a selection into the tasks to run, or into all that is wrong.

Nothing is written, imported or started here.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.caching import CacheRule
from orchestrator.campaign_source import entry_of, read_recipe
from orchestrator.catalog import Project, ScriptletFile, find_module, find_recipe, find_script, read_project
from orchestrator.checks import SuccessRules
from orchestrator.declared import is_open, unfit
from orchestrator.errors import (
    ExpressionError,
    InvalidFileError,
    NothingSelectedError,
    Place,
    Problem,
    ScriptletError,
    UsageError,
)
from orchestrator.expressions import Scope, resolve
from orchestrator.fanning import Fan
from orchestrator.inputs import settle_inputs
from orchestrator.jsonsafe import JsonValue
from orchestrator.keys import did_you_mean
from orchestrator.nodes import Node, Phase, RetryRule
from orchestrator.paths import project_root
from orchestrator.recipe.load import LoadedRecipe, load_recipe
from orchestrator.recipe.model import (
    SCHEMA_ID,
    ExperimentStep,
    HumanStep,
    PythonStep,
    Recipe,
    RecipeStep,
    Retry,
    ShellStep,
    Step,
    Success,
    WorkflowStep,
)
from orchestrator.recipe.order import dependencies, in_order
from orchestrator.sources import MAX_BYTES, Source, read_source
from orchestrator.states import TaskState
from orchestrator.support import operator_key_of, unsupported
from orchestrator.workers.calls import CommandCall, ExperimentCall, HumanCall, PythonCall
from orchestrator.workers.commands import command_for

_ITEM = re.compile(r"\bitem\b")

STDIN_NAME = "<stdin>"
WORKFLOW_NAME = "<workflow>"
# What every step holds that did not say it may run beside others; no lock of a recipe has this name.
LANE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which steps to run; all empty means every step. ``resume_from`` and ``until`` hold one name or none."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    resume_from: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    def to_json(self) -> dict[str, list[str]]:
        """Give the selection as it is recorded with a run."""
        return {name: list(getattr(self, name)) for name in ("only", "skip", "tags", "resume_from", "until")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """What a step that an operator carries out takes with it, asks for, and brings back.

    ``grow`` says by what factor each of its resources grows with every retry; times are in seconds, memory in GB.
    """

    operator_key: str
    files: Mapping[str, JsonValue] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    resources: Mapping[str, float] = field(default_factory=dict)
    grow: Mapping[str, float] = field(default_factory=dict)
    fetch: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedTask:
    """One task, ready to run once its arguments are evaluated.

    Where it has ``tasks_from``, what it gives then says which tasks it becomes.
    ``needs_process`` keeps it out of the runner's own; ``isolation`` is ``inline``, ``worker`` or, where the recipe
    does not say, empty.
    """

    position: int
    task_id: str
    step: str
    kind: str
    target: PythonCall | CommandCall | HumanCall | ExperimentCall
    away: Away | None = None
    file: ScriptletFile | None = None
    definition_sha256: str
    node: Node
    fan: Fan | None = None
    sub: SubRecipe | None = None
    tasks_from: JsonValue = None
    rules: SuccessRules = field(default_factory=SuccessRules)
    save: dict[str, str] = field(default_factory=dict)
    locks: tuple[str, ...] = ()
    cache: CacheRule | None = None
    args: dict[str, JsonValue] = field(default_factory=dict)
    env: dict[str, JsonValue] = field(default_factory=dict)
    when: str = ""
    timeout_sec: float | None = None
    needs_process: bool = False
    isolation: str = ""
    free_stdout: bool = False
    left_out: str = ""

    @property
    def is_expanded(self) -> bool:
        """Tell whether it becomes the steps of another recipe, or the tasks of a workflow, instead of being run."""
        return self.sub is not None or self.tasks_from is not None

    @property
    def runs(self) -> str:
        """Give what the task runs, for people."""
        if isinstance(self.target, PythonCall):
            return f"{self.target.path.name}:{self.target.class_name}"
        if isinstance(self.target, CommandCall):
            return " ".join(self.target.argv)
        return self.away.operator_key if self.away else ""

    @property
    def code(self) -> dict[str, JsonValue]:
        """Give what the task runs, as far as a cached result depends on it."""
        target = self.target
        what: JsonValue = self.runs
        if isinstance(target, PythonCall | CommandCall):
            what = target.class_name if isinstance(target, PythonCall) else list(target.argv)
        if self.file and isinstance(target, CommandCall):
            what = self.file.path.name
        return {"type": self.kind, "runs": what, "source_sha256": self.file.sha256 if self.file else ""}

    @property
    def when_sees_item(self) -> bool:
        """Tell whether the condition is one of each item, not of the step as a whole."""
        return _ITEM.search(self.when) is not None

    def to_json(self) -> dict[str, JsonValue]:
        """Give the task as it is recorded with a new run."""
        state = {"status": TaskState.SKIPPED.value, "status_reason": self.left_out} if self.left_out else {}
        return {
            "task_id": self.task_id,
            "step": self.step,
            "phase": int(self.node.phase),
            "definition_sha256": self.definition_sha256,
            **state,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SubRecipe:
    """A recipe that a step uses, planned but for its inputs, which are known when the step begins."""

    loaded: LoadedRecipe
    project: Project
    tasks: tuple[PlannedTask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The files and the used recipes behind the steps of a recipe, by step."""

    files: Mapping[str, ScriptletFile | None]
    subs: Mapping[str, SubRecipe]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRecipe:
    """A recipe in which nothing is wrong that can be known before it has inputs, and what its steps run."""

    loaded: LoadedRecipe
    project: Project
    found: Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a run needs to know before it begins."""

    loaded: LoadedRecipe
    project: Project
    selection: Selection
    inputs: dict[str, JsonValue]
    vars: dict[str, JsonValue]
    tasks: tuple[PlannedTask, ...]

    @property
    def recipes(self) -> dict[str, Recipe]:
        """Give the recipe that is run and those that it uses, by the names of their files."""
        found = {self.source.name: self.recipe}
        subs = [task.sub for task in self.tasks if task.sub]
        while subs:
            sub = subs.pop()
            found[sub.loaded.source.name] = sub.loaded.recipe
            subs += [task.sub for task in sub.tasks if task.sub]
        return found

    @property
    def step_ids(self) -> list[str]:
        """Give the steps that are attempted, those of used recipes as ``report/fit``."""
        return [*_step_ids(self.tasks)]

    @property
    def is_routed(self) -> bool:
        """Tell whether operators carry out some of its steps, or may have to carry out tasks that are planned later."""
        return bool(self.operator_keys) or _plans_later(self.tasks)

    @property
    def operator_keys(self) -> dict[str, Place]:
        """Give the operators that steps are routed to, each with the place of the first step that is."""
        return dict(_operator_keys(self.loaded, self.tasks))

    @property
    def max_parallel(self) -> int:
        """Give how many steps may run at once where nobody says otherwise: one for each processor."""
        return self.recipe.max_parallel or usable_processors()

    @property
    def source(self) -> Source:
        """Give the recipe's text, name and digest."""
        return self.loaded.source

    @property
    def recipe(self) -> Recipe:
        """Give the recipe's model."""
        return self.loaded.recipe

    @property
    def test_id(self) -> str:
        """Give the recipe's test id, or nothing."""
        return self.recipe.test_meta.test_id


def _step_ids(tasks: Iterable[PlannedTask]) -> Iterator[str]:
    for task in tasks:
        if task.sub:
            yield from (f"{task.step}/{inner}" for inner in _step_ids(task.sub.tasks))
        else:
            yield task.step


def _plans_later(tasks: Iterable[PlannedTask]) -> bool:
    return any(task.tasks_from is not None or (task.sub and _plans_later(task.sub.tasks)) for task in tasks)


def plan_workflow(tasks: Sequence[Mapping[str, JsonValue]], project: Project) -> SubRecipe:
    """Plan tasks that a step has planned; raise `InvalidFileError` with all that is wrong with them.

    Texts in them are taken as they are: what a step gives is never looked through for expressions.
    """
    steps = [plainly(dict(task)) for task in tasks]
    text = json.dumps({"schema": SCHEMA_ID, "steps": steps}, ensure_ascii=False, indent=1)
    loaded = load_recipe(Source.from_text(WORKFLOW_NAME, text), lambda part: _look(part, project)[1])
    return SubRecipe(loaded=loaded, project=project, tasks=tuple(_tasks(loaded, _check_files(loaded, project), {})))


def plainly(value: JsonValue) -> JsonValue:
    """Write a value so that it stays what it is where expressions are evaluated."""
    if isinstance(value, dict):
        return {key: plainly(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plainly(part) for part in value]
    return value.replace("${{", "${{ '${' + '{' }}") if isinstance(value, str) else value


def plan_recipe(recipe: str, given: Mapping[str, JsonValue], selection: Selection | None = None) -> Plan:
    """Plan the recipe at a path, or on standard input for ``-``; errors as in `make_plan`."""
    return plan_source(*_read(recipe), given, selection)


def check_recipe(recipe: str) -> CheckedRecipe:
    """Read a recipe and find all that a plan would find wrong with it, also where it needs inputs that are not given.

    Raises `InvalidFileError` with every problem.
    """
    loaded, project = _loaded(*_read(recipe))
    found = _check_files(loaded, project)
    if not any(entry.required for entry in loaded.recipe.inputs.values()):
        settle_vars(loaded, settle_inputs(loaded.recipe.inputs, {}, project))
    return CheckedRecipe(loaded=loaded, project=project, found=found)


def plan_source(
    source: Source, folder: Path, given: Mapping[str, JsonValue], selection: Selection | None = None
) -> Plan:
    """Plan a recipe whose relative paths start from ``folder``; errors as in `make_plan`."""
    return make_plan(*_loaded(source, folder), given, selection)


def make_plan(
    loaded: LoadedRecipe, project: Project, given: Mapping[str, JsonValue], selection: Selection | None = None
) -> Plan:
    """Plan the run of a recipe.

    Raises `InvalidFileError` with every problem of the recipe that only a plan can see, or with the constants that
    have no value, `UsageError` for inputs and step names that do not exist, and `NothingSelectedError` when no step
    is left.
    """
    selection = selection or Selection()
    found = _check_files(loaded, project)
    with _told_of(loaded.source):
        inputs = settle_inputs(loaded.recipe.inputs, given, project)
        left_out = _left_out(loaded.recipe.steps, selection)
    tasks = tuple(_tasks(loaded, found, left_out))
    return Plan(
        loaded=loaded,
        project=project,
        selection=selection,
        inputs=inputs,
        vars=settle_vars(loaded, inputs),
        tasks=tasks,
    )


def _loaded(source: Source, folder: Path) -> tuple[LoadedRecipe, Project]:
    """Load a recipe with its project; what is wrong with its files is told beside all else that is wrong."""
    project = read_project(folder, project_root(folder))
    return load_recipe(source, lambda loaded: _look(loaded, project)[1]), project


def _read(recipe: str) -> tuple[Source, Path]:
    """Give the source of a recipe, and the folder from which its relative paths start."""
    if recipe == "-":
        return Source.from_bytes(STDIN_NAME, sys.stdin.buffer.read(MAX_BYTES + 1)), Path.cwd()
    path = entry_of(Path(recipe))
    return read_recipe(path), path.absolute().parent


def _check_files(loaded: LoadedRecipe, project: Project) -> Found:
    """Give what the steps of a recipe run, or raise with all that keeps the recipe from being run."""
    found, problems = _look(loaded, project)
    if problems:
        raise InvalidFileError(sorted(problems, key=_order))
    return found


def _look(loaded: LoadedRecipe, project: Project, using: tuple[Path, ...] = ()) -> tuple[Found, list[Problem]]:
    """Find what steps run, and all that is wrong with it; ``using`` are the recipes that led here."""
    problems = [*unsupported(loaded)]
    files = _find_files(loaded, project, problems)
    problems += unfit(loaded, files)
    subs: dict[str, SubRecipe] = {}
    chain = (*using, (project.recipe_folder / Path(loaded.source.name).name).resolve())
    for step in loaded.recipe.every_step():
        if isinstance(step, RecipeStep):
            try:
                subs[step.name] = _sub_recipe(loaded, step, project, chain)
            except ScriptletError as error:
                place = loaded.place(step.name, "uses")
                problems.append(Problem(error.code, error.message, place, error.hint))
            except InvalidFileError as error:
                problems += error.problems
    return Found(files=files, subs=subs), problems


def _sub_recipe(loaded: LoadedRecipe, step: RecipeStep, project: Project, chain: tuple[Path, ...]) -> SubRecipe:
    path = find_recipe(project, step.uses)
    if path.resolve() in chain:
        names = " -> ".join(one.name for one in (*chain, path))
        raise ScriptletError(f"recipes use one another in a circle: {names}", hint="leave one out", code="MS204")
    used = read_project(path.parent, project.root)
    part = load_recipe(Source.from_bytes(str(path), path.read_bytes()), lambda recipe: _look(recipe, used, chain)[1])
    found, problems = _look(part, used, chain)
    problems += _unfit_args(loaded, step, part)
    if problems:
        raise InvalidFileError(problems)
    return SubRecipe(loaded=part, project=used, tasks=tuple(_tasks(part, found, {})))


def _unfit_args(loaded: LoadedRecipe, step: RecipeStep, used: LoadedRecipe) -> Iterator[Problem]:
    """Compare the arguments of a step with the inputs of the recipe that it uses."""
    inputs = used.recipe.inputs
    for name in step.args:
        if name not in inputs:
            place = loaded.place(step.name, "args", name, of_key=True)
            yield Problem("MS209", f"{step.uses} has no input {name!r}", place, did_you_mean(name, inputs))
        elif not is_open(step.args[name]) and (complaint := inputs[name].complaint(step.args[name])):
            place = loaded.place(step.name, "args", name)
            yield Problem("MS209", f"input {name!r} of {step.uses}: {complaint}", place, inputs[name].description)
    for name, entry in inputs.items():
        if entry.required and name not in step.args:
            place = loaded.place(step.name, "uses")
            yield Problem("MS209", f"{step.uses} needs the input {name!r}", place, f"add it to 'args': {name}")


def recipes_of(source: Source, folder: Path) -> Iterator[Recipe]:
    """Give a recipe and those that it uses, whatever else is wrong with them; raises `InvalidFileError`."""
    waiting, seen = [(source, read_project(folder, project_root(folder)))], {source.name}
    while waiting:
        one, project = waiting.pop()
        recipe = load_recipe(one).recipe
        yield recipe
        for step in recipe.every_step():
            if isinstance(step, RecipeStep) and str(path := find_recipe(project, step.uses)) not in seen:
                seen.add(str(path))
                waiting.append((read_source(path), read_project(path.parent, project.root)))


def settle_vars(loaded: LoadedRecipe, inputs: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Evaluate the expressions in ``vars``, which see the inputs and the environment, or raise with all that fail.

    A variable that a secret comes from is no part of the environment: a constant may stand in arguments.
    """
    withheld = {secret.env for secret in loaded.recipe.secrets.values()}
    env: dict[str, JsonValue] = {name: value for name, value in os.environ.items() if name not in withheld}
    scope = Scope(names={"inputs": inputs, "env": env})
    settled: dict[str, JsonValue] = {}
    problems: list[Problem] = []
    for name, value in loaded.recipe.vars.items():
        try:
            settled[name] = resolve(value, scope)
        except ExpressionError as error:
            place = loaded.source.place(("vars", name))
            problems.append(Problem(error.code, f"{name}: {error.message}", place, error.hint))
    if problems:
        raise InvalidFileError(problems)
    return settled


def _find_files(loaded: LoadedRecipe, project: Project, problems: list[Problem]) -> dict[str, ScriptletFile | None]:
    """Find the file of every step; note what is not there or not allowed."""
    files: dict[str, ScriptletFile | None] = {}
    find = functools.cache(functools.partial(_find_file, project))
    for step in loaded.recipe.every_step():
        try:
            files[step.name] = find(*_names_file(step))
        except ScriptletError as error:
            files[step.name] = None
            key = error.key if isinstance(step, PythonStep) else "script"
            problems.append(Problem(error.code, error.message, loaded.place(step.name, key), error.hint))
    return files


def _names_file(step: Step) -> tuple[str, str, str]:
    """Give the module, class and script that a step names; the same for all steps that run the same code."""
    if isinstance(step, PythonStep):
        return step.module, step.class_name, ""
    return "", "", (step.script or "") if isinstance(step, ShellStep) else ""


def _find_file(project: Project, module: str, class_name: str, script: str) -> ScriptletFile | None:
    if module:
        return find_module(project, module, class_name)
    return find_script(project, script) if script else None


def _tasks(loaded: LoadedRecipe, found: Found, left_out: Mapping[str, str]) -> Iterator[PlannedTask]:
    """Give the tasks of all three lists, each list in an order in which its steps could run."""
    recipe = loaded.recipe
    lists = {Phase.STEPS: recipe.steps, Phase.ON_FAILURE: recipe.on_failure, Phase.FINALLY: recipe.finally_}
    positions: dict[str, int] = {}
    for phase, steps in lists.items():
        waits = dependencies(steps)
        for step in in_order(steps, waits):
            file = found.files[step.name]
            position = positions[step.name] = len(positions)
            node = _node(loaded, step, file, phase, tuple(positions[name] for name in waits[step.name]))
            reason = left_out.get(step.name, "")
            if isinstance(step, RecipeStep):
                yield _using(position, step, found.subs[step.name], node, reason)
            elif isinstance(step, WorkflowStep):
                yield _planned_later(position, step, node, reason)
            elif isinstance(step, HumanStep | ExperimentStep):
                yield _asking(position, step, node, reason)
            else:
                yield _task(loaded, position, step, file, node, reason)


def _using(position: int, step: RecipeStep, sub: SubRecipe, node: Node, left_out: str) -> PlannedTask:
    if sub.loaded.recipe.repeat and _fan(step) is None:
        node = dataclasses.replace(node, has_rounds=True)
    parts = [sub.loaded.source.sha256, *(task.definition_sha256 for task in sub.tasks)]
    settled = {
        "after": list(node.waits_for),
        "uses_sha256": hashlib.sha256("".join(parts).encode()).hexdigest(),
    }
    return PlannedTask(
        position=position,
        task_id=step.name,
        step=step.name,
        kind=step.type,
        target=CommandCall(argv=(step.uses,)),
        definition_sha256=_digest(step, settled),
        node=node,
        fan=_fan(step),
        sub=sub,
        args=step.args,
        when=step.when or "",
        timeout_sec=step.timeout,
        left_out=left_out,
    )


def _planned_later(position: int, step: WorkflowStep, node: Node, left_out: str) -> PlannedTask:
    return PlannedTask(
        position=position,
        task_id=step.name,
        step=step.name,
        kind=step.type,
        target=CommandCall(argv=(step.type,)),
        definition_sha256=_digest(step, {"after": list(node.waits_for)}),
        node=node,
        fan=_fan(step),
        tasks_from=step.tasks,
        when=step.when or "",
        timeout_sec=step.timeout,
        left_out=left_out,
    )


def _asking(position: int, step: HumanStep | ExperimentStep, node: Node, left_out: str) -> PlannedTask:
    """Plan a step that people or instruments carry out."""
    return PlannedTask(
        position=position,
        task_id=step.name,
        step=step.name,
        kind=step.type,
        target=_question(step) if isinstance(step, HumanStep) else ExperimentCall(result_schema=step.result_schema),
        away=Away(operator_key=node.operator_key, files=step.files),
        definition_sha256=_digest(step, {"after": list(node.waits_for)}),
        node=node,
        fan=_fan(step),
        rules=_rules(step.success),
        save=step.save,
        locks=step.locks,
        args={"instructions": step.instructions} if isinstance(step, HumanStep) else step.config,
        when=step.when or "",
        timeout_sec=None if isinstance(step, HumanStep) else step.timeout,
        needs_process=True,
        left_out=left_out,
    )


def _question(step: HumanStep) -> HumanCall:
    return HumanCall(
        approvals=step.approvals,
        response_schema=step.response_schema,
        deadline_sec=step.deadline.after if step.deadline else None,
        then=step.deadline.then if step.deadline else "fail",
    )


def _fan(step: Step) -> Fan | None:
    if step.foreach is None and not step.matrix:
        return None
    return Fan(foreach=step.foreach, matrix=step.matrix or None)


def _node(
    loaded: LoadedRecipe,
    step: Step,
    file: ScriptletFile | None,
    phase: Phase,
    after: tuple[int, ...],
) -> Node:
    own = None if isinstance(step, RecipeStep | WorkflowStep) else step
    is_group = own is None or _fan(step) is not None
    operator_key = "" if own is None else operator_key_of(own)
    is_shared = step.parallel or is_group or bool(operator_key) or (file is not None and file.parallelizable)
    retry = None if own is None or isinstance(own, HumanStep) else own.retry or loaded.recipe.defaults.retry
    needs_success = (phase is Phase.STEPS or step.depends_on is not None) and not step.allow_dependency_failure
    return Node(
        task_id=step.name,
        after=after if needs_success else (),
        after_end=() if needs_success else after,
        allow_failure=step.allow_failure,
        retry=_retry_rule(retry),
        locks=() if own is None or is_group else (*(() if is_shared else (LANE,)), *own.locks),
        phase=phase,
        is_group=is_group,
        operator_key=operator_key,
    )


def _task(
    loaded: LoadedRecipe,
    position: int,
    step: PythonStep | ShellStep,
    file: ScriptletFile | None,
    node: Node,
    left_out: str,
) -> PlannedTask:
    defaults = loaded.recipe.defaults
    env: dict[str, JsonValue] = {**defaults.env, **step.env}
    timeout_sec = step.timeout or defaults.timeout
    return PlannedTask(
        position=position,
        task_id=step.name,
        step=step.name,
        kind=step.type,
        target=_target(step, file),
        away=_away(loaded.recipe, step, file, node),
        file=file,
        definition_sha256=_definition(step, file, env, timeout_sec, node),
        node=node,
        fan=_fan(step),
        rules=_rules(step.success),
        save=step.save,
        locks=step.locks,
        cache=_cache_rule(step) if node.phase is Phase.STEPS else None,
        args=step.args,
        env=env,
        when=step.when or "",
        timeout_sec=timeout_sec,
        needs_process=bool(timeout_sec or loaded.recipe.timeout) or file is None or file.requires_process,
        isolation=_isolation(loaded.recipe, step),
        free_stdout=isinstance(step, ShellStep) and step.stdout == "free",
        left_out=left_out,
    )


def _away(recipe: Recipe, step: PythonStep | ShellStep, file: ScriptletFile | None, node: Node) -> Away | None:
    if not node.operator_key:
        return None
    resources = step.resources or recipe.defaults.resources
    retry = step.retry or recipe.defaults.retry
    return Away(
        operator_key=node.operator_key,
        files=step.files,
        needs=tuple(dict.fromkeys((*step.needs, *(file.needs if file else ())))),
        resources=resources.model_dump(exclude_none=True) if resources else {},
        grow=retry.grow.model_dump(exclude_none=True) if retry else {},
        fetch={name: patterns for name, patterns in step.fetch.model_dump().items() if patterns},
    )


def _target(step: PythonStep | ShellStep, file: ScriptletFile | None) -> PythonCall | CommandCall:
    if isinstance(step, PythonStep) and file is not None:
        module = step.module
        if module.endswith(".py"):
            module = f"matterstack_step_{hashlib.sha256(str(file.path).encode()).hexdigest()[:12]}"
        return PythonCall(path=file.path, module=module, class_name=file.class_name, sha256=file.sha256)
    if file is not None:
        return CommandCall(argv=command_for(file.path), takes_params=True)
    run = step.run if isinstance(step, ShellStep) else None
    return CommandCall(argv=("sh", "-c", run) if isinstance(run, str) else tuple(run or ()))


def _rules(success: Success) -> SuccessRules:
    return SuccessRules(
        ctx_has_keys=success.ctx_has_keys,
        expect=success.expect,
        json_schema=success.json_schema,
        files_exist=success.files_exist,
        exit_code=success.exit_code,
    )


def _retry_rule(retry: Retry | None) -> RetryRule:
    if retry is None:
        return RetryRule()
    return RetryRule(max=retry.max, delay_sec=retry.delay_sec, backoff=retry.backoff, on=frozenset(retry.on))


def _isolation(recipe: Recipe, step: PythonStep | ShellStep) -> str:
    """Give where a recipe wants a step to run; nothing where that is for the one who runs it to say."""
    own = step.isolation if isinstance(step, PythonStep) else None
    return own or recipe.defaults.isolation or recipe.isolation or ""


def _cache_rule(step: PythonStep | ShellStep) -> CacheRule | None:
    if step.cache is None:
        return None
    return CacheRule(files=step.cache.files, ctx=step.cache.ctx, env=step.cache.env, key=step.cache_key)


def _definition(
    step: PythonStep | ShellStep,
    file: ScriptletFile | None,
    env: Mapping[str, JsonValue],
    timeout_sec: float | None,
    node: Node,
) -> str:
    """Hash what a task does, so that a change of its step, its defaults or its scriptlet's file shows."""
    settled = {
        "env": dict(env),
        "timeout": timeout_sec,
        "after": list(node.waits_for),
        "retry": node.retry.to_json(),
    }
    return _digest(step, {**settled, "file_sha256": file.sha256 if file else ""})


def _digest(step: Step, settled: Mapping[str, Any]) -> str:
    """Hash what a step says and what was settled about it, without what changes nothing in its results."""
    said_otherwise = {"idx", "description", "tags", "depends_on", "retry", "parallel", "locks"}
    document = step.model_dump(mode="json", exclude_unset=True, warnings=False, exclude=said_otherwise)
    return hashlib.sha256(
        json.dumps({**document, **settled}, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


@contextmanager
def _told_of(source: Source) -> Iterator[None]:
    """Say of which recipe it is that something was asked for which it has not."""
    try:
        yield
    except UsageError as error:
        raise type(error)(f"{source.name}: {error.message}", hint=error.hint, code=error.code) from error


def _left_out(steps: Sequence[Step], selection: Selection) -> dict[str, str]:
    """Give, by step, why the selection leaves it out."""
    names = [step.name for step in steps]
    for option in (selection.only, selection.skip, selection.resume_from, selection.until):
        for name in option:
            if name not in names:
                raise UsageError(f"the recipe has no step {name!r}", hint=did_you_mean(name, names), code="MS203")
    left_out = {name: "not in --only" for name in names if selection.only and name not in selection.only}
    left_out.update(_without_tags(steps, selection.tags))
    left_out.update(dict.fromkeys(selection.skip, "left out by --skip"))
    for start in selection.resume_from:
        left_out.update(dict.fromkeys(names[: names.index(start)], f"before --resume-from {start}"))
    for end in selection.until:
        left_out.update(dict.fromkeys(names[names.index(end) + 1 :], f"after --until {end}"))
    if len(left_out) == len(names):
        raise NothingSelectedError("the selection leaves no step to run", hint=f"the steps are: {', '.join(names)}")
    return left_out


def _without_tags(steps: Sequence[Step], tags: Sequence[str]) -> dict[str, str]:
    known = sorted({tag for step in steps for tag in step.tags})
    for tag in tags:
        if tag not in known:
            hint = did_you_mean(tag, known) or "no step of the recipe has tags"
            raise UsageError(f"no step has the tag {tag!r}", hint=hint, code="MS203")
    wanted = set(tags)
    return {step.name: f"without --tags {','.join(tags)}" for step in steps if tags and not wanted & set(step.tags)}


def _operator_keys(loaded: LoadedRecipe, tasks: Iterable[PlannedTask]) -> Iterator[tuple[str, Place]]:
    """Give the operator key of each step that has one; the first of one key comes last, and so counts."""
    for task in reversed([*tasks]):
        if task.away:
            yield task.away.operator_key, loaded.place(task.step, "operator_key")
        elif task.sub:
            yield from _operator_keys(task.sub.loaded, task.sub.tasks)


def usable_processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _order(problem: Problem) -> tuple[int, int]:
    return (problem.place.line, problem.place.column) if problem.place else (0, 0)
