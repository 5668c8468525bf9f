"""All chance of one line: the same seed and index give the same line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random

import cv2
import numpy as np

from training.synth.pixels import Field, to_field


@dataclass(frozen=True, slots=True)
class Rolls:
    """Dice for choices, noise for arrays. odds: probability of each thing that can happen to the line."""

    dice: Random
    noise: np.random.Generator
    odds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, seed: int, index: int) -> Rolls:
        """Rolls that depend on seed and index alone."""
        dice = Random(f"{seed}/{index}")  # noqa: S311, no secret
        return cls(dice, np.random.Generator(np.random.SFC64(dice.getrandbits(64))))

    def with_odds(self, odds: Mapping[str, float], severity: float) -> Rolls:
        """The same dice with the odds of a scene, each multiplied by severity."""
        return replace(self, odds={name: probability * severity for name, probability in odds.items()})

    def does(self, name: str) -> bool:
        """Whether a named thing happens, by its odds; without odds it never does."""
        return self.dice.random() < self.odds.get(name, 0.0)

    def happens(self, probability: float) -> bool:
        """True as often as the probability says."""
        return self.dice.random() < probability

    def between(self, low: float, high: float) -> float:
        """Evenly spread between two numbers."""
        return self.dice.uniform(low, high)

    def normal(self, *shape: int) -> Field:
        """Gaussian noise of standard deviation 1, float32."""
        return self.noise.standard_normal(shape, np.float32)

    def field(self, height: int, width: int, cell: float, channels: int = 1) -> Field:
        """Smooth noise of deviation about 1, bumps cell pixels wide. Returns float32 [height, width(, channels)]."""
        rows, columns = max(2, round(height / cell) + 1), max(2, round(width / cell) + 1)
        small = self.normal(rows, columns, channels)
        return to_field(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
