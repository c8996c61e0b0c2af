"""Drive one run to its end: ask the board what is due, record the intent, run it, record what came of it.

`Driver` holds the loop; what it works with is one job each: `Run` holds the tasks, `Starting` begins them, `Attempts`
opens and closes their attempts, `Groups` and `Rounds` make further tasks of them, `Routed` follows what operators have,
`Budget` counts what they cost, and `Limits` and `Stops` bring the run to an early end.
"""

from __future__ import annotations

from orchestrator.driver.ending import Ending
from orchestrator.driver.loop import Driver
from orchestrator.driver.run import Means, Run

__all__ = ["Driver", "Ending", "Means", "Run"]
