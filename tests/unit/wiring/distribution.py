"""Make a small distribution that brings a backend, as it lies in a virtual environment once it is installed."""

from __future__ import annotations

from pathlib import Path

MODULE = '''\
"""Carry out steps as a robot would."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from orchestrator.operators.assignments import Sighting, one_by_one
from orchestrator.operators.staging import stage
from orchestrator.states import AttemptState
from orchestrator.workers.calls import Done

Path(__file__).with_name("imported").touch()


class RobotBackend(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    type: Literal["robot"]
    arm: str


class Robot:
    looks_every_sec = 0.01

    def __init__(self, arm):
        self._arm = arm
        self._held = []

    def fileno(self):
        return None

    def submit(self, assignments):
        return one_by_one(assignments, self.begin)

    def begin(self, assignment):
        stage(assignment)
        self._held.append(assignment.attempt_id)
        return Sighting(attempt_id=assignment.attempt_id, state=AttemptState.RUNNING, external_id=self._arm)

    def adopt(self, assignments):
        self._held += [assignment.attempt_id for assignment in assignments]
        return iter(())

    def look(self):
        while self._held:
            line = '{"status": "ok", "outputs": {"robot.arm_v1": "%s"}}' % self._arm
            done = Done(attempt_id=self._held.pop(), exit_code=0, stdout=line)
            yield Sighting(attempt_id=done.attempt_id, state=AttemptState.COLLECTING, done=done)

    def cancel(self, attempts):
        pass

    def close(self):
        pass


class RobotPlugin:
    kinds = ("hpc",)
    backend = RobotBackend

    @staticmethod
    def make(operator_key, backend, environment):
        return Robot(backend.arm)
'''


def install(folder: Path, *, name: str = "Lab.Robots", version: str = "1.2", module: str = MODULE) -> Path:
    """Install it into a folder, which is to be on the path; give the file that is there once it was imported."""
    package = folder / "lab_robots"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(module)
    record = folder / f"{name.lower().replace('.', '_')}-{version}.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (record / "entry_points.txt").write_text("[matterstack.operators]\nrobot = lab_robots:RobotPlugin\n")
    return package / "imported"
