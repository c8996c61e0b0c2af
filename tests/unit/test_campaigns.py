"""Whatever a recipe holds and wherever its runner dies, the run comes to the same end as one that nobody disturbed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator.progress import Happening, Reporter, TaskEnded, TaskStarted
from orchestrator.runner import RunRequest, rerun_task, retry_run, run
from orchestrator.session import DriveOptions, Outcome
from orchestrator.states import ENDED_RUNS, ENDED_TASKS, RunState
from orchestrator.steering import cancel_run, revive_run
from orchestrator.store.audit import history_fault
from orchestrator.store.contexts import read_context
from orchestrator.store.database import close_opened, reading
from orchestrator.store.queries import read_run, read_tasks

SMALL_STEPS = Path(__file__).with_name("small_steps.py")


class DiedError(BaseException):
    """The runner is gone."""


@dataclass
class Dying:
    """A reporter with which the runner dies after so many starts and ends of attempts."""

    left: int
    started: list[str] = field(default_factory=list)

    def tell(self, happening: Happening) -> None:
        """Count down."""
        if isinstance(happening, TaskStarted | TaskEnded):
            self.started += [happening.task_id] if isinstance(happening, TaskStarted) else []
            self.left -= 1
            if self.left < 0:
                raise DiedError


@st.composite
def recipes(draw: st.DrawFn) -> str:
    """Write a recipe of a few steps: in a row or side by side, fanned out, skipped, failing, in rounds."""
    lines = []
    count = draw(st.integers(1, 5))
    for number in range(count):
        keys = [f"args: {{v.s{number}_v1: {number}}}"]
        keys += draw(
            st.sampled_from([[], ["parallel: true"], ["foreach: [a, b]"], ['when: "1 > 2"'], ["depends_on: []"]])
        )
        function = draw(st.sampled_from(["Write", "Write", "Write", "Fail"]))
        keys += ["allow_failure: true"] if function == "Fail" and draw(st.booleans()) else []
        lines.append(
            f"- {{name: s{number}, type: python, module: ./steps.py, function: {function}, {', '.join(keys)}}}"
        )
    head = draw(st.sampled_from(["", 'repeat: {until: "ctx._loop.index_v1 == 2", max: 3}\n']))
    last = draw(st.sampled_from(["", "finally: [{name: z, type: python, module: ./steps.py, function: Write}]\n"]))
    return f"{head}on_conflict: last_write_wins\nsteps:\n" + "\n".join(lines) + f"\n{last}"


class Campaign(RuleBasedStateMachine):
    """One recipe, run undisturbed in one folder, and in another with a runner that dies again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.run_root: Path | None = None
        self.reruns = 0

    def teardown(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.root)

    @initialize(text=recipes())
    def begin(self, text: str) -> None:
        """Run the recipe undisturbed, to know what it comes to."""
        for name in ("calm", "rough"):
            folder = self.root / name
            folder.mkdir()
            (folder / "matterstack.toml").touch()
            shutil.copy(SMALL_STEPS, folder / "steps.py")
            (folder / "r.yaml").write_text(text, encoding="utf-8")
        self.expected = self.drive("calm", 10_000)
        self.states = self.all_states(self.expected.run_root)

    @rule(after=st.integers(0, 12))
    def run_and_die(self, after: int) -> None:
        """Give the same command, and let its runner die somewhere; a run that has ended is left alone."""
        if self.has_ended():
            return
        with suppress(DiedError):
            self.run_root = self.drive("rough", after).run_root
        found = list((self.root / "rough" / "runs").glob("*/runs/*/state.sqlite"))
        assert len(found) <= 1
        self.run_root = found[0].parent if found else None

    @rule()
    def run_to_the_end(self) -> None:
        """Go on undisturbed: the end is the one that is expected."""
        if not self.has_ended():
            self.run_root = self.drive("rough", 10_000).run_root
        self.check_end()

    @rule(data=st.data())
    def rerun(self, data: st.DataObject) -> None:
        """Run one task again after the end: everything is as it was."""
        if not self.has_ended() or self.run_root is None or self.reruns > 2:
            return
        self.reruns += 1
        with reading(self.run_root) as database:
            names = [row.task_id for row in read_tasks(database) if row.attempt_count]
        if names:
            options = DriveOptions(inline=True, handle_signals=False)
            recursive = data.draw(st.booleans())
            with self.inside("rough"):
                rerun_task(self.run_root, data.draw(st.sampled_from(names)), options, recursive=recursive)
            self.check_values()

    @rule(dies_after=st.none() | st.integers(0, 4))
    def cancel_and_revive(self, dies_after: int | None) -> None:
        """Cancel a run that has not ended, if need be twice as who does it dies too, and open it once more."""
        if self.run_root is None or self.status() in ENDED_RUNS:
            return
        if dies_after is not None:
            with suppress(DiedError):
                self.cancel(Dying(dies_after))
        if self.status() not in ENDED_RUNS:
            assert self.cancel(Dying(10_000)) in ENDED_RUNS
        if self.status() is RunState.CANCELLED:
            assert set(self.all_states(self.run_root).values()) <= ENDED_TASKS
            revive_run(self.run_root)

    @rule()
    def retry(self) -> None:
        """Run what failed again after the end: it fails again, and everything is as it was."""
        if self.has_ended() and self.run_root and self.expected.status is RunState.FAILED:
            with self.inside("rough"):
                retry_run(self.run_root, DriveOptions(inline=True, handle_signals=False))
            self.check_end()

    @invariant()
    def records_hold(self) -> None:
        """At every moment the chain and the rows of the state file are whole."""
        if self.run_root is not None:
            with reading(self.run_root) as database:
                assert history_fault(database) == ""

    def status(self) -> RunState:
        """Give the state of the disturbed run."""
        assert self.run_root is not None
        with reading(self.run_root) as database:
            return read_run(database).status

    def cancel(self, reporter: Reporter) -> RunState:
        """Cancel the disturbed run, and tell what it came to."""
        assert self.run_root is not None
        with self.inside("rough"):
            options = DriveOptions(inline=True, handle_signals=False, reporter=reporter)
            return cancel_run(self.run_root, options=options)

    def drive(self, name: str, after: int) -> Outcome:
        """Run the recipe in a folder with a runner that dies."""
        options = DriveOptions(inline=True, handle_signals=False, reporter=Dying(after))
        with self.inside(name):
            return run(RunRequest(recipe="r.yaml", workspaces_dir=self.root / name / "runs", options=options))

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Work in a folder; what a runner that died left open is closed, as the system would."""
        here = Path.cwd()
        import os  # noqa: PLC0415  only here

        os.chdir(self.root / name)
        try:
            yield
        finally:
            os.chdir(here)
            for path in (self.root / name / "runs").glob("*/runs/*"):
                close_opened(path)

    def has_ended(self) -> bool:
        """Tell whether the disturbed run came to its end and said so."""
        if self.run_root is None:
            return False
        with reading(self.run_root) as database:
            row = database.one("SELECT heartbeat_at FROM leases WHERE name = 'runner'")
            return read_run(database).status in ENDED_RUNS and row == ("",)

    def all_states(self, run_root: Path) -> dict[str, str]:
        """Give the states of all tasks."""
        with reading(run_root) as database:
            return {row.task_id: row.status.value for row in read_tasks(database)}

    def check_values(self) -> None:
        """The values are those of the undisturbed run."""
        assert self.run_root is not None
        with reading(self.run_root) as database, reading(self.expected.run_root) as other:
            assert {c.key: c.text for c in read_context(database)} == {c.key: c.text for c in read_context(other)}

    def check_end(self) -> None:
        """States and values are those of the undisturbed run."""
        assert self.run_root is not None
        with reading(self.run_root) as database:
            assert read_run(database).status is self.expected.status
        assert self.all_states(self.run_root) == self.states
        self.check_values()


TestCampaign = Campaign.TestCase
TestCampaign.settings = settings(max_examples=25, stateful_step_count=8, suppress_health_check=list(HealthCheck))
