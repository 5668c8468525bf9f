"""Checkpoints: a network, what it reads, and where its training stands, in a file under 16 MiB.

Weights are kept in 16 bits, so a resumed run goes on from weights rounded once. What the optimiser knows lies in a
file of its own beside it and may be missing: then its averages start anew behind a short warm-up.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from ocr_core.bundle import InputFormat
from ocr_core.charset import Charset
from ocr_core.errors import SetupError
from training.day_one import DayOneSpec
from training.network import Crnn, NetworkSpec
from training.slim import SlimSpec

CHECKPOINT = "checkpoint.pt"

Spec = Annotated[NetworkSpec | DayOneSpec | SlimSpec, Field(discriminator="family")]
State = Mapping[str, Tensor]


class CheckpointInvalid(SetupError):
    """A file is no checkpoint."""


class Progress(BaseModel):
    """Where training stands. step: updates so far; lines: labelled lines seen; seconds: time spent."""

    model_config = ConfigDict(frozen=True)

    step: int = 0
    lines: int = 0
    seconds: float = 0.0


class Checkpoint(BaseModel):
    """A network in training. weights: as they are; averaged: their moving average, which is what gets exported."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    spec: Spec
    characters: tuple[str, ...]
    blank_index: int
    input: InputFormat
    progress: Progress = Progress()
    source: str
    """Where the weights came from before training."""
    weights: dict[str, Tensor]
    averaged: dict[str, Tensor]

    @property
    def charset(self) -> Charset:
        """Characters and blank."""
        return Charset(self.characters, self.blank_index)

    def network(self) -> Crnn:
        """The network with the averaged weights, for evaluation."""
        network = self.spec.build()
        network.load_state_dict(widened(self.averaged))
        return network.eval()


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    """Write a checkpoint, whole or not at all."""
    content = checkpoint.model_dump(mode="json", exclude={"weights", "averaged"})
    averaged = halved(checkpoint.averaged)
    # What is the same is written once.
    is_same = all(checkpoint.weights[name] is tensor for name, tensor in checkpoint.averaged.items())
    weights = averaged if is_same else halved(checkpoint.weights)
    content |= {"weights": weights, "averaged": averaged}
    draft = path.with_suffix(".part")
    torch.save(content, draft)
    draft.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Nothing in the file is run. Raises CheckpointInvalid, or OSError when it cannot be read."""
    try:
        return Checkpoint.model_validate(torch.load(path, map_location="cpu", weights_only=True))
    except (EOFError, RuntimeError, UnpicklingError, ValidationError) as error:
        raise CheckpointInvalid(f"{path} is no checkpoint, or is damaged") from error


def halved(state: State) -> dict[str, Tensor]:
    """Copies of a state's tensors on the CPU, kernels and matrices in float16; vectors are small and stay exact."""
    return {
        name: tensor.detach().cpu().to(torch.float16 if tensor.ndim > 1 else tensor.dtype, copy=True)
        for name, tensor in state.items()
    }


def widened(state: State) -> dict[str, Tensor]:
    """The tensors of a state, those of real numbers in float32."""
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
