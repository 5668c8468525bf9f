"""Teachers: recognisers that are there already, whose probabilities a network learns besides the labels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ocr_core.bundle import InputFormat, Kind, Registry
from ocr_core.charset import Charset
from ocr_core.engine import Engine
from training.batches import Labeller, LineBatch
from training.loss import Lesson

_PROBE_WIDTH = 320


class Teacher:
    """A recogniser bundle as the teacher of a network with another input format and another charset.

    Its lines are stretched so that it emits as many timesteps as the network. What it says of characters that the
    network does not know is left out.
    """

    def __init__(self, engine: Engine, learner: InputFormat, charset: Charset) -> None:
        self._engine = engine
        self._learner = learner
        self._classes = charset.class_count
        self._seen, self._mapped = _class_map(engine.bundle.charset, charset)
        probe = torch.zeros(1, 3, engine.bundle.input.height, _PROBE_WIDTH)
        self._columns = _PROBE_WIDTH / self._infer(probe).shape[1]

    def lesson(self, batch: LineBatch, timesteps: int) -> Lesson:
        """Its probabilities, in the network's classes."""
        wanted = self._engine.bundle.input
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self._learner.mean, self._learner.std))
        pixels = (batch.images.cpu() * std + mean) * 255
        if wanted.channels != self._learner.channels:
            pixels = pixels.flip(1)
        size = (wanted.height, round(timesteps * self._columns))
        if size != tuple(pixels.shape[2:]):
            pixels = functional.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True)
        theirs = self._infer(pixels)
        ours = torch.zeros(*theirs.shape[:2], self._classes).index_add_(2, self._mapped, theirs[:, :, self._seen])
        return Lesson(ours.to(batch.images.device))

    def _infer(self, pixels: Tensor) -> Tensor:
        """pixels: float32 [line, 3, height, width], 0 to 255. Returns probabilities in the teacher's own classes."""
        images = pixels.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
        with self._engine.infer(images) as scores:
            copied = torch.from_numpy(scores.copy())
        return copied.softmax(2) if self._engine.bundle.output == "logits" else copied


def load_teacher(models_dir: Path, name: str, learner: InputFormat, charset: Charset, *, threads: int) -> Teacher:
    """The recogniser of a name or "name/version". Raises ModelNotFound or BundleInvalid."""
    registry = Registry(models_dir)
    bundle = registry.find(name, Kind.RECOGNIZER)
    # Rounding to bfloat16, where the processor has it, is far below what a teacher gets wrong, and twice as fast.
    engine = Engine(bundle, registry.folder(bundle), streams=1, threads=threads, precision="auto")
    engine.load()
    return Teacher(engine, learner, charset)


def _class_map(theirs: Charset, ours: Charset) -> tuple[Tensor, Tensor]:
    """Classes of a teacher that a network has too, and what they are there; the blank is one of them."""
    labeller = Labeller(ours)
    pairs = [(theirs.blank_index, ours.blank_index)]
    for position, character in enumerate(theirs.characters):
        labels = labeller.labels(character)
        if labels is not None and len(labels) == 1:
            pairs.append((position + (position >= theirs.blank_index), labels[0]))
    seen, mapped = zip(*pairs, strict=True)
    return torch.tensor(seen), torch.tensor(mapped)
