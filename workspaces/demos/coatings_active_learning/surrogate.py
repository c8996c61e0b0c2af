"""Guess a smooth function of two settings from a few measurements: a Gaussian process in the standard library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]

_JITTER = 1e-6


@dataclass(frozen=True)
class Surrogate:
    """What is known after some measurements at points of the unit square; `predict` says what to expect elsewhere.

    ``scale`` is the distance over which the function changes.
    """

    points: tuple[Point, ...]
    factor: tuple[tuple[float, ...], ...]
    weights: tuple[float, ...]
    mean: float
    spread: float
    scale: float

    def predict(self, point: Point) -> tuple[float, float]:
        """Give the value that is expected at a point, and its standard deviation."""
        near = [_likeness(point, known, self.scale) for known in self.points]
        expected = sum(one * weight for one, weight in zip(near, self.weights, strict=True))
        solved = _forward(self.factor, near)
        variance = max(1.0 - sum(one * one for one in solved), 1e-12)
        return self.mean + self.spread * expected, self.spread * math.sqrt(variance)

    def expected_improvement(self, point: Point, best: float) -> float:
        """Give by how much a measurement at a point is expected to exceed the best one so far."""
        expected, deviation = self.predict(point)
        ratio = (expected - best) / deviation
        density = math.exp(-ratio * ratio / 2.0) / math.sqrt(2.0 * math.pi)
        return deviation * (ratio * (1.0 + math.erf(ratio / math.sqrt(2.0))) / 2.0 + density)


def fit(points: Sequence[Point], values: Sequence[float], scale: float = 0.45) -> Surrogate:
    """Learn from measurements, of which there are at least two that differ."""
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    likeness = [[_likeness(one, other, scale) + _JITTER * (one == other) for other in points] for one in points]
    factor = _cholesky(likeness)
    weights = _backward(factor, _forward(factor, [(value - mean) / spread for value in values]))
    rows = tuple(tuple(row) for row in factor)
    return Surrogate(tuple(points), rows, tuple(weights), mean, spread, scale)


def _likeness(one: Point, other: Point, scale: float) -> float:
    return math.exp(-((one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2) / (2.0 * scale**2))


def _cholesky(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Give the lower triangle whose product with its transpose is a positive definite matrix."""
    factor: list[list[float]] = []
    for number, row in enumerate(matrix):
        found: list[float] = []
        for column in range(number):
            done = sum(one * other for one, other in zip(found, factor[column], strict=False))
            found.append((row[column] - done) / factor[column][column])
        found.append(math.sqrt(row[number] - sum(one * one for one in found)))
        factor.append(found)
    return factor


def _forward(factor: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    solved: list[float] = []
    for row, value in zip(factor, right, strict=True):
        solved.append((value - sum(one * other for one, other in zip(row, solved, strict=False))) / row[-1])
    return solved


def _backward(factor: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    solved = list(right)
    for number in reversed(range(len(factor))):
        solved[number] /= factor[number][number]
        for above in range(number):
            solved[above] -= factor[number][above] * solved[number]
    return solved
