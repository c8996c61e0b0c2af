"""Predict how thick dry oxide grows on silicon."""

from __future__ import annotations

import math

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params

BOLTZMANN_EV_PER_K = 8.617333e-5


def rates(temperature_c: float) -> tuple[float, float]:
    """Give the constants A in µm and B in µm²/h of dry oxide on (100) silicon (Deal and Grove, 1965)."""
    thermal_ev = BOLTZMANN_EV_PER_K * (temperature_c + 273.15)
    parabolic = 772.0 * math.exp(-1.23 / thermal_ev)
    linear = 3.71e6 * math.exp(-2.00 / thermal_ev)
    return parabolic / linear, parabolic


def thickness_nm(ratio: float, parabolic: float, hours: float) -> float:
    """Give what x² + A·x = B·t leads to, from bare silicon."""
    return 1000.0 * (math.sqrt(ratio**2 / 4.0 + parabolic * hours) - ratio / 2.0)


class SimulateOxide(BaseScriptlet):
    """Write `film.simulated_v1`: of each wafer ``hours``, ``thickness_nm``, and the constants that lead to it.

    These are ``a_um`` and ``b_um2_per_h``. Params: ``wafers``, objects with ``id``, ``temperature_c`` and ``minutes``.
    """

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Solve the law for each wafer."""
        return {"film.simulated_v1": {wafer["id"]: _simulated(wafer) for wafer in params["wafers"]}}


def _simulated(wafer: Params) -> Params:
    ratio, parabolic = rates(wafer["temperature_c"])
    hours = wafer["minutes"] / 60.0
    thickness = round(thickness_nm(ratio, parabolic, hours), 2)
    return {"hours": hours, "a_um": ratio, "b_um2_per_h": parabolic, "thickness_nm": thickness}


if __name__ == "__main__":
    SimulateOxide.main()
