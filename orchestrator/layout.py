"""Name the files that the program itself keeps in the directory of an attempt, whoever carries that out."""

from __future__ import annotations

OWN = ".ms"
MANIFEST = "manifest.json"
SNAPSHOT = "config_snapshot"
STDOUT, STDERR, EXIT_CODE = "stdout.log", "stderr.log", "exit_code"

# Of a question to people.
INSTRUCTIONS, SCHEMA = "instructions.md", "schema.json"
RESPONSE, RESPONSES = "response.json", "responses"
NOTIFIED = "notified.json"
# Responses whose data do not fit the schema, out of the way of better ones.
REFUSED = "refused"
# The answers that were taken from a folder that people share, with what came of the question.
ANSWERED = "answered"

# Of a measurement.
REQUEST, STARTED = "experiment_request.json", "experiment_started.json"
RESULT, ABORT = "experiment_result.json", "experiment_abort.json"

OF_ALL = frozenset({OWN, MANIFEST, SNAPSHOT, STDOUT, STDERR, EXIT_CODE})
OF_QUESTIONS = frozenset({INSTRUCTIONS, SCHEMA, RESPONSE, RESPONSES, NOTIFIED, REFUSED, ANSWERED})
OF_MEASUREMENTS = frozenset({REQUEST, STARTED, RESULT, ABORT})
# No file that a recipe gives to a step may have one of these names.
RESERVED = OF_ALL | OF_QUESTIONS | OF_MEASUREMENTS
