"""Screen catalysts for hydrogen evolution, ask a person which are worth more, and refine those."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator import Campaign, GateTask, Task, TaskResult, Workflow

# Free energies of bound hydrogen in eV, rounded, as density functional theory gives them for close-packed surfaces.
BINDING_EV = {"Pt": -0.09, "Pd": -0.14, "Ni": -0.27, "Cu": 0.19, "Au": 0.45, "W": -0.43}
UNCERTAINTY_EV = 0.05
BEST = 3
GATE = "approve"

State = dict[str, Any]


class Catalysts(Campaign):
    """Screens, asks, refines; ``stage`` says which of these comes next.

    The state holds what was found so far too: ``screened`` and ``refined``, by metal, and ``chosen``, the metals that
    are, or are to be, refined.
    """

    initial_state: State = {"stage": "screen", "screened": {}, "chosen": [], "refined": {}}

    def plan(self, state: State) -> Workflow | None:
        """Give the tasks of the stage."""
        if state["stage"] == "ask":
            return Workflow([_gate(state)])
        metals = {"screen": list(BINDING_EV), "refine": state["chosen"]}.get(state["stage"], [])
        return Workflow([_task(state["stage"], metal) for metal in metals]) if metals else None

    def analyze(self, state: State, results: Mapping[str, TaskResult]) -> State:
        """Take over what came of the stage."""
        if state["stage"] == "ask":
            return _answered(state, results[GATE])
        found = {task_id.partition("_")[2]: _read(one) for task_id, one in results.items()}
        if state["stage"] == "refine":
            return {**state, "stage": "done", "refined": found}
        best = sorted(found, key=lambda metal: -found[metal]["exchange_ma_per_cm2"])[:BEST]
        return {**state, "stage": "ask", "screened": found, "chosen": best}


def _gate(state: State) -> GateTask:
    lines = [f"- {metal}: {state['screened'][metal]['exchange_ma_per_cm2']:.2g} mA/cm²" for metal in state["chosen"]]
    message = "\n".join(["Refine these? Name others as `metals` if you would rather.", "", *lines])
    return GateTask(task_id=GATE, message=message, allow_failure=True)


def _task(stage: str, metal: str) -> Task:
    settings = {"binding_ev": BINDING_EV[metal], "uncertainty_ev": UNCERTAINTY_EV}
    return Task(
        task_id=f"{stage}_{metal}",
        command=f"python3 kinetics.py {stage} settings.json",
        files={"kinetics.py": Path("kinetics.py"), "settings.json": json.dumps(settings)},
        env={"MATTERSTACK_OPERATOR": "hpc.default"},
        time_limit_minutes=5,
        download_patterns=["result.json"],
    )


def _answered(state: State, answer: TaskResult) -> State:
    """Refine what was approved; nothing where it was rejected."""
    said: dict[str, Any] = answer.data or {}
    if answer.status != "COMPLETED" or not said.get("approved"):
        return {**state, "stage": "done", "chosen": []}
    wanted: Any = said.get("metals", state["chosen"])
    chosen = [metal for metal in wanted if metal in BINDING_EV]
    return {**state, "stage": "refine", "chosen": chosen}


def _read(result: TaskResult) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.files["result.json"].read_text(encoding="utf-8"))
    return found


def get_campaign() -> Campaign:
    """Give the campaign of this workspace."""
    return Catalysts()
