"""Tell people and other programs what came of a run: pure functions from what was recorded to text."""
