"""How long a step of a training run would take on a GPU, from what it is made of, counted on any device.

Floating-point operations, bytes that are read and written and the number of kernels are counted of composing a batch,
and of training on small ones of two sizes, from which they are drawn out to the recipe's. Composing and training each
take as long as the slowest of three: operations at --tflops, bytes at --gb-s, or starting kernels at --launch-us.

Run: python -m training.estimate RECIPE FOLDER [--data-root FOLDER] [--minutes 25]

FOLDER: of a run of that recipe, whose checkpoint and teacher are used; nothing in it is changed.
"""

from __future__ import annotations

import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from math import prod
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from ocr_core.evaluation import LineScore
from training.batches import LineBatch
from training.checkpoint import CHECKPOINT, Checkpoint, load_checkpoint
from training.command import run_command
from training.recipe import MODELS, TrainingRecipe, find_recipe
from training.run import batch_source, teacher_of
from training.sources import BatchSource
from training.synth.atlas.cost import CostMeter
from training.train import Trainer

_DEVICE = torch.device("cpu")
_SIZES = (4096, 8192)
"""Columns of the batches that are trained on."""
_COUNTED = 4
"""Batches of each size. Steps before and behind them do not count, as a run saves then."""


def _lstm_flops(lines: Sequence[int], *kernels: Sequence[int], **_: object) -> int:
    """Of one direction: each of its two kernels is multiplied at every timestep. lines: [time, line, channel]."""
    return 2 * lines[0] * lines[1] * sum(prod(kernel) for kernel in kernels[:2])


def _lstm_backward_flops(lines: Sequence[int], *kernels: Sequence[int], **_: object) -> int:
    return 2 * _lstm_flops(lines, *kernels)


_OF_LSTM = {
    torch.ops.aten.mkldnn_rnn_layer: _lstm_flops,
    torch.ops.aten.mkldnn_rnn_layer_backward: _lstm_backward_flops,
}
"""PyTorch counts convolutions, products of matrices and attention by itself."""


@dataclass(frozen=True)
class Gpu:
    """What a GPU does each second of work like this, and how long it takes to start a kernel."""

    flops: float
    bytes: float
    launch_s: float


@dataclass
class Cost:
    """What work on some columns of pixels takes."""

    columns: float = 0.0
    lines: float = 0.0
    flops: float = 0.0
    bytes: float = 0.0
    kernels: float = 0.0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Adds what is done meanwhile."""
        with CostMeter() as meter, FlopCounterMode(display=False, custom_mapping=_OF_LSTM) as counter:
            yield
        self.flops += counter.get_total_flops()
        self.bytes += meter.bytes
        self.kernels += meter.kernels

    def add(self, batch: LineBatch) -> None:
        """Counts a batch as one that this work was on."""
        self.columns += batch.images.shape[0] * batch.images.shape[3]
        self.lines += len(batch)

    def each(self, count: int) -> Cost:
        """The mean of so many."""
        return Cost(**{name: value / count for name, value in asdict(self).items()})

    def seconds_on(self, gpu: Gpu) -> float:
        """As long as the slowest of the three."""
        return max(self.flops / gpu.flops, self.bytes / gpu.bytes, self.kernels * gpu.launch_s)


def drawn_out(small: Cost, large: Cost, columns: float) -> Cost:
    """The cost of a batch of so many columns, from those of batches of two sizes. There are as many kernels."""
    share = (columns - small.columns) / (large.columns - small.columns)
    figures = {name: value + share * (getattr(large, name) - value) for name, value in asdict(small).items()}
    return Cost(**figures | {"kernels": large.kernels})


def composing_cost(recipe: TrainingRecipe, checkpoint: Checkpoint) -> Cost:
    """The mean cost of making a batch of the recipe's size."""
    cost, batches = Cost(), batch_source(recipe, checkpoint, _DEVICE).batches(0)
    for _ in range(_COUNTED):
        with cost.counted():
            batch = next(batches)
        cost.add(batch)
    return cost.each(_COUNTED)


def training_cost(recipe: TrainingRecipe, folder: Path, columns: int) -> Cost:
    """The mean cost of training on a batch of so many columns."""
    checkpoint = load_checkpoint(folder / CHECKPOINT)
    data = recipe.data.model_copy(update={"columns": columns})
    plan = recipe.optimiser.model_copy(update={"steps": checkpoint.progress.step + _COUNTED + 2, "minutes": 1e6})
    small = recipe.model_copy(update={"data": data, "optimiser": plan})
    source = _Counted(batch_source(small, checkpoint, _DEVICE))
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            checkpoint,
            small,
            Path(scratch),
            source=source,
            teacher=teacher_of(small, checkpoint, folder, MODELS, _DEVICE),
            examine=lambda _: LineScore("", 0, 0, 0.0, 0.0, 0.0, 0.0),
            device=_DEVICE,
        )
        trainer.train()
    return source.cost.each(_COUNTED)


class _Counted:
    """Batches, of which the cost of what is done with some of them is counted."""

    def __init__(self, source: BatchSource) -> None:
        self._source = source
        self.cost = Cost()

    def batches(self, first_line: int) -> Iterator[LineBatch]:
        """As BatchSource."""
        batches = self._source.batches(first_line)
        yield next(batches)
        for batch in islice(batches, _COUNTED):
            self.cost.add(batch)
            with self.cost.counted():
                yield batch
        yield from batches


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what was counted and what follows; returns 0."""
    parser = ArgumentParser("python -m training.estimate", description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data-root", type=Path, help="folder of the atlas [the recipe's]")
    parser.add_argument("--minutes", type=float, default=25, help="of training [%(default)s]")
    parser.add_argument("--tflops", type=float, default=200, help="a fifth of an H200's in bfloat16 [%(default)s]")
    parser.add_argument("--gb-s", type=float, default=2400, help="half of an H200's [%(default)s]")
    parser.add_argument("--launch-us", type=float, default=10, help="of PyTorch, for each kernel [%(default)s]")
    flags = parser.parse_args(arguments)
    recipe = find_recipe(flags.recipe)
    if flags.data_root:
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": flags.data_root})})
    gpu = Gpu(1e12 * flags.tflops, 1e9 * flags.gb_s, 1e-6 * flags.launch_us)
    made = composing_cost(recipe, load_checkpoint(flags.folder / CHECKPOINT))
    small, large = (training_cost(recipe, flags.folder, columns) for columns in _SIZES)
    trained = drawn_out(small, large, made.columns)
    for name, cost in (("composing", made), ("training", trained)):
        counts = f"{cost.flops / 1e9:.0f} GFLOP, {cost.bytes / 1e9:.1f} GB, {cost.kernels:.0f} kernels"
        print(f"{name} a batch: {counts}, {1e3 * cost.seconds_on(gpu):.0f} ms")
    seconds, lines = made.seconds_on(gpu) + trained.seconds_on(gpu), made.lines
    steps = 60 * flags.minutes / seconds
    print(f"a step {1e3 * seconds:.0f} ms, {lines / seconds:.0f} lines/s; in {flags.minutes:g} minutes ", end="")
    print(f"{steps:.0f} steps, {steps * lines / 1e6:.1f} million lines")
    return 0


if __name__ == "__main__":
    run_command(main)
