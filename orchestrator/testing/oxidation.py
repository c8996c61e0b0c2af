"""Compute what a furnace grows and a spectrometer sees: dry oxide on silicon, with a little noise."""

from __future__ import annotations

import cmath
import hashlib
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BOLTZMANN_EV_PER_K = 8.617333e-5
_KELVIN_AT_0_C = 273.15
_FIRST_UM = 0.025  # what grows at once in dry oxygen
_AIR, _OXIDE, _SILICON = 1.0, 1.46, 3.88  # refractive indices near 600 nm
_WAVELENGTHS_NM = range(400, 805, 5)
_NOISE = 0.005
_RANGES = {"temperature_c": (800.0, 1200.0), "minutes": (1.0, 600.0)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film as it was measured: its thickness in nm, and its reflectance as CSV."""

    thickness_nm: float
    spectrum: bytes


def complaint(parameters: Mapping[str, Any]) -> str:
    """Say what a furnace does not do of what it is asked; empty when it does all."""
    for name, (low, high) in _RANGES.items():
        value = parameters.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return f"{name} must be a number from {low:g} to {high:g}, not {value!r}"
    unknown = sorted(parameters.keys() - _RANGES.keys())
    return f"there is no setting {unknown[0]!r}" if unknown else ""


def measure(parameters: Mapping[str, Any], seed: object) -> Film:
    """Oxidise a wafer and look at it; the same parameters and seed give the same film."""
    text = json.dumps([dict(parameters), seed], sort_keys=True)
    noise = random.Random(hashlib.sha256(text.encode()).digest())  # noqa: S311  it makes noise, not secrets
    ideal = thickness_nm(float(parameters["temperature_c"]), float(parameters["minutes"]))
    thickness = round(ideal * noise.gauss(1.0, _NOISE), 2)
    lines = [
        f"{wavelength},{reflectance(thickness, wavelength) * noise.gauss(1.0, _NOISE):.5f}"
        for wavelength in _WAVELENGTHS_NM
    ]
    spectrum = "\n".join(["wavelength_nm,reflectance", *lines, ""])
    return Film(thickness_nm=thickness, spectrum=spectrum.encode())


def thickness_nm(temperature_c: float, minutes: float) -> float:
    """Give the thickness of dry oxide on (100) silicon by the law of Deal and Grove (J. Appl. Phys. 36, 3770, 1965)."""
    thermal_ev = _BOLTZMANN_EV_PER_K * (temperature_c + _KELVIN_AT_0_C)
    parabolic = 772.0 * math.exp(-1.23 / thermal_ev)  # µm²/h
    linear = 3.71e6 * math.exp(-2.00 / thermal_ev)  # µm/h
    ratio = parabolic / linear
    hours = minutes / 60.0 + (_FIRST_UM**2 + ratio * _FIRST_UM) / parabolic
    return 1000.0 * ratio / 2.0 * (math.sqrt(1.0 + 4.0 * parabolic * hours / ratio**2) - 1.0)


def reflectance(film_nm: float, wavelength_nm: float) -> float:
    """Give the part of the light that oxide on silicon reflects, at normal incidence and without absorption."""
    above = (_AIR - _OXIDE) / (_AIR + _OXIDE)
    below = (_OXIDE - _SILICON) / (_OXIDE + _SILICON)
    turn = cmath.exp(-4j * math.pi * _OXIDE * film_nm / wavelength_nm)
    return abs((above + below * turn) / (1.0 + above * below * turn)) ** 2
