"""Turn the steps of a recipe into tasks."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping

from orchestrator.caching import CacheRule
from orchestrator.catalog import ScriptletFile
from orchestrator.checks import SuccessRules
from orchestrator.fanning import Fan
from orchestrator.jsonsafe import JsonValue
from orchestrator.nodes import Node, Phase, RetryRule
from orchestrator.plan.definitions import definition, digest
from orchestrator.plan.model import LANE, Away, Found, PlannedTask, SubRecipe
from orchestrator.recipe.load import LoadedRecipe
from orchestrator.recipe.model import (
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
from orchestrator.support import operator_key_of
from orchestrator.workers.calls import CommandCall, ExperimentCall, HumanCall, PythonCall
from orchestrator.workers.commands import command_for


def tasks_of(loaded: LoadedRecipe, found: Found, left_out: Mapping[str, str]) -> Iterator[PlannedTask]:
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
        definition_sha256=digest(step, settled),
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
        definition_sha256=digest(step, {"after": list(node.waits_for)}),
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
        definition_sha256=digest(step, {"after": list(node.waits_for)}),
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
        definition_sha256=definition(step, file, env, timeout_sec, node),
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
        on_walltime=step.on_walltime.model_dump() if step.on_walltime else {},
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
