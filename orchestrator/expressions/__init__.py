"""Read, check, evaluate and explain the expressions of a recipe, which see plain JSON values and nothing else."""

from __future__ import annotations

from orchestrator.expressions.evaluation import NAMES, Scope, evaluate, evaluate_condition
from orchestrator.expressions.explaining import explain
from orchestrator.expressions.functions import FUNCTIONS
from orchestrator.expressions.limits import (
    MAX_DIGITS,
    MAX_EXPONENT,
    MAX_LENGTH,
    MAX_LOOPS,
    MAX_NESTING,
    MAX_NODES,
    MAX_RANGE,
    MAX_SIZE,
    MAX_WORK,
)
from orchestrator.expressions.reading import check_syntax
from orchestrator.expressions.reads import Read, reads
from orchestrator.expressions.syntax import KnownNames
from orchestrator.expressions.templates import check_template, expressions_in, has_expression, resolve

__all__ = [
    "FUNCTIONS",
    "MAX_DIGITS",
    "MAX_EXPONENT",
    "MAX_LENGTH",
    "MAX_LOOPS",
    "MAX_NESTING",
    "MAX_NODES",
    "MAX_RANGE",
    "MAX_SIZE",
    "MAX_WORK",
    "NAMES",
    "KnownNames",
    "Read",
    "Scope",
    "check_syntax",
    "check_template",
    "evaluate",
    "evaluate_condition",
    "explain",
    "expressions_in",
    "has_expression",
    "reads",
    "resolve",
]
