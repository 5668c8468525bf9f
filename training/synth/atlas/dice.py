"""Random numbers of one batch: a few choices from NumPy, all that is in pixels from the device's own generator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Dice:
    """Random numbers for a batch. strength: 0 to 1, scales the chance of everything unusual."""

    rng: np.random.Generator
    generator: torch.Generator
    strength: float

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.generator.device

    def uniform(self, count: int, low: float, high: float) -> Tensor:
        """float32 [count, 1, 1]."""
        return torch.empty((count, 1, 1), device=self.device).uniform_(low, high, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, float32 of that shape."""
        return torch.randn(shape, generator=self.generator, device=self.device)

    def happens(self, count: int, chance: float) -> Tensor:
        """1 with that chance, else 0; float32 [count, 1, 1]."""
        return torch.empty((count, 1, 1), device=self.device).bernoulli_(
            chance * self.strength, generator=self.generator
        )

    def some(self, count: int, share: float) -> Tensor:
        """Which of `count` lines something happens to; int64, about that share of them.

        What costs much is done to these alone. Their number is known without asking the device, which takes long.
        """
        exact = count * share * self.strength
        chosen = int(exact) + (self.rng.random() < exact % 1)
        return to_device(self.rng.permutation(count)[:chosen], self.device)

    def field(self, count: int, size: tuple[int, int], cells: tuple[int, int]) -> Tensor:
        """Smooth random relief of unit variance at its cells' centres, float32 [count, 1, height, width]."""
        coarse = self.normal(count, 1, *(min(cell, pixels) for cell, pixels in zip(cells, size, strict=True)))
        return functional.interpolate(coarse, size, mode="bilinear", align_corners=False)


def alter(images: Tensor, which: Tensor, change: Callable[[Tensor], Tensor]) -> None:
    """Replace some of the images, in place, by what they are changed to."""
    if len(which):
        images[which] = change(images[which])


def to_device(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """An array as a tensor on a device, without waiting for what the device does."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return (
        tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" and array.size else tensor.to(device)
    )


@cache
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Numbers on a device, float32 [value], copied there once: each copy would make the device wait."""
    return torch.tensor(values, dtype=torch.float32, device=device)
