"""Hydrogen evolution on a metal: ``python3 kinetics.py screen|refine SETTINGS`` writes ``result.json``.

``screen`` gives the exchange current from the free energy with which hydrogen is bound (Nørskov and others,
J. Electrochem. Soc. 152, J23, 2005); ``refine`` gives the current over a range of potentials.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

THERMAL_EV = 8.617333e-5 * 298.15
RATE_PER_S = 200.0  # of one site, as in that paper
CHARGE_MC = 1.602177e-16
SITES_PER_CM2 = 1.5e15


def exchange_current(binding_ev: float) -> float:
    """Give the exchange current in mA/cm², which is largest where hydrogen is bound neither well nor badly."""
    filled = 1.0 / (1.0 + math.exp(-binding_ev / THERMAL_EV))
    rate = filled * math.exp(-binding_ev / THERMAL_EV) if binding_ev > 0 else filled
    return RATE_PER_S * rate * CHARGE_MC * SITES_PER_CM2


def overpotential_mv(binding_ev: float, current: float) -> float:
    """Give the overpotential in mV at which a current in mA/cm² flows, by Butler and Volmer with equal barriers."""
    return 2000.0 * THERMAL_EV * math.asinh(current / (2.0 * exchange_current(binding_ev)))


def screen(settings: dict[str, Any]) -> dict[str, Any]:
    """Give what tells metals apart at first sight."""
    return {"exchange_ma_per_cm2": exchange_current(settings["binding_ev"])}


def refine(settings: dict[str, Any]) -> dict[str, Any]:
    """Give the polarisation curve, and the overpotential at 10 mA/cm², for the binding energy and its uncertainty."""
    binding, doubt = settings["binding_ev"], settings["uncertainty_ev"]
    currents = [10.0 ** (power / 4.0) for power in range(-8, 9)]
    return {
        "curve": [[round(one, 4), round(overpotential_mv(binding, one), 1)] for one in currents],
        "overpotential_mv": [
            round(overpotential_mv(energy, 10.0), 1) for energy in (binding - doubt, binding, binding + doubt)
        ],
    }


def main(verb: str, path: str) -> None:
    """Compute with the settings of a file."""
    settings = json.loads(Path(path).read_text(encoding="utf-8"))
    found = {"screen": screen, "refine": refine}[verb](settings)
    Path("result.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
