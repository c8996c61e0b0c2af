"""Deposit a hard coating that is not there, and measure how well it does: ``python3 coating.py settings.json``.

It stands for a simulation or a rig, and needs nothing but Python. The grains of a nitride grow with the temperature,
which costs hardness (Hall and Petch); colder films are porous; and the strain between film and steel, which grows with
the temperature and with the thickness, tears them off.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

GAS_J_PER_MOL_K = 8.314462
HIGHEST = {"temperature_c": 650.0, "thickness_um": 6.0}
LOWEST = {"temperature_c": 150.0, "thickness_um": 0.5}


def merit_gpa(temperature_c: float, thickness_um: float) -> float:
    """Give the hardness in GPa that is left when the strain has taken its part."""
    kelvin = temperature_c + 273.15
    grain_nm = 12.0 * math.exp(-28_000.0 / GAS_J_PER_MOL_K * (1.0 / kelvin - 1.0 / 573.15)) * thickness_um**0.2
    dense = 1.0 / (1.0 + math.exp(-(temperature_c - 230.0) / 45.0))
    hardness = dense * (14.0 + 50.0 / math.sqrt(grain_nm)) * (1.0 - math.exp(-thickness_um / 0.8))
    stress_gpa = 0.5 + 450.0 / (1.0 - 0.25) * 3.2e-6 * (temperature_c - 25.0)
    energy_j_per_m2 = 1000.0 * stress_gpa**2 * thickness_um / 450.0
    return hardness - 0.35 * energy_j_per_m2


def main(path: str) -> None:
    """Measure with the settings of a file, and write ``result.json``."""
    settings = json.loads(Path(path).read_text(encoding="utf-8"))
    Path("result.json").write_text(json.dumps({"merit_gpa": round(merit_gpa(**settings), 4)}), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
