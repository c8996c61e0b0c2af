"""Hold measured films against simulated ones, and fit what the simulation leaves out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params

_FINEST_NM = 0.1
_MOST_STEPS = 600


def grown_nm(simulated: Mapping[str, float], onset_nm: float) -> float:
    """Give the thickness by the law of Deal and Grove where an oxide of ``onset_nm`` is there at once."""
    ratio, onset = simulated["a_um"], onset_nm / 1000.0
    constant = simulated["b_um2_per_h"] * simulated["hours"] + onset**2 + ratio * onset
    return 1000.0 * (math.sqrt(ratio**2 / 4.0 + constant) - ratio / 2.0)


def fit_onset_nm(simulated: Mapping[str, Mapping[str, float]], measured: Mapping[str, float]) -> float:
    """Give the oxide in nm that must be there at once for the law to fit, by least squares of the relative errors."""

    def misfit(onset_nm: float) -> float:
        return sum((grown_nm(one, onset_nm) / measured[key] - 1.0) ** 2 for key, one in simulated.items())

    return min((step * _FINEST_NM for step in range(_MOST_STEPS)), key=misfit)


class ReconcileFilms(BaseScriptlet):
    """Write `film.deviation_v1`, by which part each film is thicker than simulated, and what follows from it.

    That is `film.flagged_v1`, the wafers where it is more than the tolerance, and `film.onset_nm_v1`, the oxide that
    grew at once. Params: ``tolerance``. It reads `film.simulated_v1` and `measure.result_v1`.
    """

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Compare, then fit."""
        simulated: Any = ctx.require("film.simulated_v1")
        results: Any = ctx.require("measure.result_v1")
        measured = {key: one["thickness_nm"] for key, one in results.items()}
        deviation = {key: round(measured[key] / one["thickness_nm"] - 1.0, 3) for key, one in simulated.items()}
        return {
            "film.deviation_v1": deviation,
            "film.flagged_v1": [key for key, part in deviation.items() if abs(part) > params["tolerance"]],
            "film.onset_nm_v1": round(fit_onset_nm(simulated, measured), 1),
        }


if __name__ == "__main__":
    ReconcileFilms.main()
