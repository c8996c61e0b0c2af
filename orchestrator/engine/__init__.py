"""Decide what is due in a run: a pure fold of what has happened, without files, processes or clocks.

The board knows the tasks' order and states. `Board.due` says what to start and what to give up; the runner does it,
commits it, and tells the board. Every step costs the same however long the run is.
"""

from __future__ import annotations

from orchestrator.engine.board import Board
from orchestrator.engine.due import Due

__all__ = ["Board", "Due"]
