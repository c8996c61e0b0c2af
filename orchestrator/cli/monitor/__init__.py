"""A live view of runs on a terminal."""
