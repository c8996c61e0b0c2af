"""Work out from its formula what an electrode material can hold."""

from __future__ import annotations

import re

from orchestrator import BaseScriptlet, Context
from orchestrator.scriptlet import Outputs, Params

FARADAY_MAH_PER_MOL = 96485.332 / 3.6
# Grams per mole.
MASSES = {
    "Li": 6.94,
    "O": 15.999,
    "F": 18.998,
    "Al": 26.982,
    "Si": 28.085,
    "P": 30.974,
    "S": 32.06,
    "Ti": 47.867,
    "V": 50.942,
    "Mn": 54.938,
    "Fe": 55.845,
    "Co": 58.933,
    "Ni": 58.693,
}
_PART = re.compile(r"([A-Z][a-z]?)([0-9.]*)")


def molar_mass(formula: str) -> float:
    """Give the mass of a formula without brackets in grams per mole; raise `ValueError` for what is no element."""
    total = 0.0
    for element, count in _PART.findall(formula):
        if element not in MASSES:
            message = f"{formula}: {element!r} is no element of the table"
            raise ValueError(message)
        total += MASSES[element] * float(count or 1)
    return total


class ScreenCandidate(BaseScriptlet):
    """Write `battery.candidate_v1` with ``mah_per_g``, ``wh_per_kg`` and ``voltage_v`` of the material alone.

    Params: ``candidate``, an object of `battery.candidates_v1`; ``window_v``, the voltage that the electrolyte
    withstands. A candidate above it fails, as does one with a formula that cannot be read.
    """

    def work(self, ctx: Context, params: Params) -> Outputs:
        """Apply Faraday's law."""
        candidate = params["candidate"]
        voltage, window = candidate["voltage_v"], params["window_v"]
        if voltage > window:
            message = f"{candidate['name']}: {voltage:g} V is above the {window:g} V that the electrolyte withstands"
            raise ValueError(message)
        capacity = candidate["electrons"] * FARADAY_MAH_PER_MOL / molar_mass(candidate["formula"])
        found = {"mah_per_g": round(capacity, 1), "wh_per_kg": round(capacity * voltage, 1), "voltage_v": voltage}
        return {"battery.candidate_v1": found}


if __name__ == "__main__":
    ScreenCandidate.main()
