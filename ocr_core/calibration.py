"""Confidence that means what it says: calibration by one temperature, and how far off confidences are.

Of characters with a confidence of 0.9, nine in ten should be right. One number per bundle, its temperature T, sees to
that: f(p) = p^(1/T) / (p^(1/T) + (1 - p)^(1/T)), the softmax at temperature T over "this character" and "any other"
(Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2). f rises with p: which of two characters is
the surer stays as it is. A model that is too sure of itself has T above 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

TEMPERATURES = (0.1, 10.0)
"""Lowest and highest that bundles may have."""

_EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

_LEAST = 2.0**-24
"""How far from 1 a confidence may be that is 1 in float32: nothing is taken to be surer than that, nor unlikelier."""

_HALVINGS = 50

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bin:
    """Those with a confidence from low to below high. confidence, right: means over them; 0 for none."""

    low: float
    high: float
    count: int
    confidence: float
    right: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often what has a confidence is right. bins: from 0 to 1, narrower towards 1, where most of it is."""

    bins: tuple[Bin, ...]

    @property
    def count(self) -> int:
        """In all bins."""
        return sum(each.count for each in self.bins)

    @property
    def error(self) -> float:
        """Expected calibration error: mean over all of what their bin's confidence is off by; 0 without any."""
        return sum(each.count * abs(each.confidence - each.right) for each in self.bins) / max(self.count, 1)


def calibrated(confidence: float, temperature: float) -> float:
    """What a confidence in [0, 1] is at a temperature; the same at 1."""
    if temperature == 1.0 or confidence <= 0.0:
        return confidence
    sure = min(max(confidence, _LEAST), 1 - _LEAST)
    return 1.0 / (1.0 + math.exp(math.log((1.0 - sure) / sure) / temperature))


def fit_temperature(confidences: Sequence[float], right: Sequence[bool]) -> float:
    """The temperature at which what was right and wrong is likeliest, within TEMPERATURES.

    The logarithm of the likelihood is concave in 1/T, its derivative is sum(z (right - sigmoid(z / T))) with log-odds
    z: halving finds its zero.
    """
    odds = _log_odds(np.asarray(confidences, np.float64))
    outcomes = np.asarray(right, np.float64)
    low, high = (math.log(temperature) for temperature in TEMPERATURES)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        too_sure = float(odds @ (outcomes - 1 / (1 + np.exp(-odds / math.exp(middle))))) < 0
        low, high = (middle, high) if too_sure else (low, middle)
    return math.exp((low + high) / 2)


def reliability(confidences: Sequence[float], right: Sequence[float]) -> Reliability:
    """By bins of confidence, how much was right. right: shares in [0, 1], or booleans."""
    sure, outcomes = np.asarray(confidences, np.float64), np.asarray(right, np.float64)
    where = np.searchsorted(_EDGES[1:-1], sure, side="right")
    return Reliability(
        tuple(_bin(low, high, sure[where == i], outcomes[where == i]) for i, (low, high) in enumerate(pairwise(_EDGES)))
    )


def _bin(low: float, high: float, confidences: Floats, right: Floats) -> Bin:
    count = len(confidences)
    return Bin(low, high, count, float(confidences.mean()) if count else 0.0, float(right.mean()) if count else 0.0)


def _log_odds(confidences: Floats) -> Floats:
    sure = confidences.clip(_LEAST, 1 - _LEAST)
    odds: Floats = np.log(sure / (1 - sure))
    return odds
