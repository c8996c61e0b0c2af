"""Two small computations on two operators, to see by which wiring they are carried out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from orchestrator import Campaign, Task, TaskResult, Workflow

LATTICE = Path("lattice.py")
TOLERANCE = 1e-3


class Validation(Campaign):
    """Sums the electrostatic energy of rock salt on ``hpc.default``, and checks it on ``local.default``.

    The state is the Madelung constant, or None before it is known.
    """

    initial_state: float | None = None

    def plan(self, state: float | None) -> Workflow | None:
        """Compute once."""
        if state is not None:
            return None
        return Workflow(
            [
                Task(
                    task_id="compute",
                    command="python3 lattice.py 8",
                    files={"lattice.py": LATTICE},
                    env={"MATTERSTACK_OPERATOR": "hpc.default"},
                ),
                Task(
                    task_id="check",
                    command="python3 lattice.py 9",
                    files={"lattice.py": LATTICE},
                    dependencies=["compute"],
                    operator_key="local.default",
                ),
            ]
        )

    def analyze(self, state: float | None, results: Mapping[str, TaskResult]) -> float | None:
        """Keep the constant where a larger crystal has the same."""
        smaller, larger = (_constant(results[name]) for name in ("compute", "check"))
        if abs(smaller - larger) > TOLERANCE:
            message = f"{smaller} and {larger} differ too much"
            raise ValueError(message)
        return round(larger, 4)


def _constant(result: TaskResult) -> float:
    return float(json.loads(result.files["result.json"].read_text(encoding="utf-8")))


def get_campaign() -> Campaign:
    """Give the campaign of this workspace."""
    return Validation()
