"""Run the code of steps: in this process, or in child processes that may crash without harm."""
