"""Sum the Madelung constant of rock salt over a cube of ions: ``python3 lattice.py HALF`` writes ``result.json``."""

from __future__ import annotations

import itertools
import json
import math
import sys
from pathlib import Path


def madelung(half: int) -> float:
    """Give the constant from the ions up to ``half`` from the middle; those at faces count in part (Evjen, 1932)."""
    total = 0.0
    for place in itertools.product(range(-half, half + 1), repeat=3):
        distance = math.hypot(*place)
        if distance:
            part = 0.5 ** sum(abs(one) == half for one in place)
            total -= part * (-1) ** (sum(place) % 2) / distance
    return total


if __name__ == "__main__":
    Path("result.json").write_text(json.dumps(madelung(int(sys.argv[1]))), encoding="utf-8")
