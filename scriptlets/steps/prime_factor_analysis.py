"""Factor whole numbers: work that keeps a processor busy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar, Dict, List

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from orchestrator import BaseScriptlet, Context, track_resources
from orchestrator.scriptlet import Outputs, Params, Schema

MAX_NUMBER = 10**14


class PrimeFactorAnalysis(BaseScriptlet):
    """Write ``primes.factors_v1``, the prime factors of each number in rising order, under its decimal digits.

    Params: ``numbers``, a list of whole numbers from 2 to 10^14. It runs in a process of its own.
    """

    parallelizable = True
    requires_process = True
    params_schema: ClassVar[Schema] = {
        "type": "object",
        "required": ["numbers"],
        "additionalProperties": False,
        "properties": {
            "numbers": {
                "type": "array",
                "items": {"type": "integer", "minimum": 2, "maximum": 100000000000000},
                "minItems": 1,
                "description": "whole numbers from 2 to 10^14",
            }
        },
    }
    outputs_schema: ClassVar[Schema] = {
        "primes.factors_v1": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "integer"}}}
    }

    def validate(self, ctx: Context, params: Params) -> None:
        """Refuse anything but a list of such numbers."""
        numbers = params.get("numbers")
        if not isinstance(numbers, list) or not numbers:
            raise ValueError("missing numbers: a list of whole numbers")
        for number in numbers:
            if type(number) is not int or not 2 <= number <= MAX_NUMBER:  # noqa: PLR2004  the first number with factors
                raise ValueError(f"{number!r} is not a whole number from 2 to 10^14")

    @track_resources
    def work(self, ctx: Context, params: Params) -> Outputs:
        """Factor one number after the other."""
        factors: Dict[str, List[int]] = {str(number): prime_factors(number) for number in params["numbers"]}
        return {"primes.factors_v1": factors}


def prime_factors(number: int) -> List[int]:
    """Give the prime factors of a number, by trial division."""
    factors: List[int] = []
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1 if divisor == 2 else 2  # noqa: PLR2004  the one even prime
    return [*factors, number] if number > 1 else factors


if __name__ == "__main__":
    PrimeFactorAnalysis.main()
