"""Changes the shape of a trained network and keeps as much as possible of what it computes.

Each function returns a new network and leaves the one that it is given as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional

from training.day_one import Block, DayOneSpec
from training.network import Crnn, CrnnSpec, Pair, Sequence
from training.slim import SlimBlock, SlimSpec

_RARE = -12.0
"""Nats by which new characters start below the usual ones, so that they disturb no reading before they are learnt."""


@torch.no_grad()
def with_rank(network: Crnn, rank: int) -> Crnn:
    """A head of another rank: the best approximation of its matrix, Eckart and Young 1936."""
    first, last = network.bottleneck, network.classifier
    left, values, right = torch.linalg.svd(last.weight @ first.weight, full_matrices=False)
    roots = values[:rank].sqrt()
    state = dict(network.state_dict())
    state["bottleneck.weight"] = roots[:, None] * right[:rank]
    state["bottleneck.bias"] = torch.zeros(rank)
    state["classifier.weight"] = left[:, :rank] * roots
    state["classifier.bias"] = last.weight @ first.bias + last.bias
    return _rebuilt(network.spec, state, rank=rank)


@torch.no_grad()
def with_characters(network: Crnn, count: int) -> Crnn:
    """A head that knows `count` more characters, behind those that it knows. They start out as never seen."""
    last = network.classifier
    spread = last.weight.std()
    state = dict(network.state_dict())
    generator = torch.Generator().manual_seed(count)
    new_rows = spread * torch.randn(count, last.in_features, generator=generator)
    state["classifier.weight"] = torch.cat([last.weight, new_rows])
    state["classifier.bias"] = torch.cat([last.bias, last.bias.median().add(_RARE).expand(count)])
    return _rebuilt(network.spec, state, classes=last.out_features + count)


def _rebuilt(spec: CrnnSpec, state: dict[str, Tensor], **changes: int) -> Crnn:
    sequence = Sequence.model_validate(spec.sequence.model_dump() | changes)
    return filled(spec.model_copy(update={"sequence": sequence}), state)


def filled(spec: CrnnSpec, state: dict[str, Tensor]) -> Crnn:
    """The network of a spec with these weights, for evaluation."""
    network = spec.build()
    network.load_state_dict(state)
    return network.eval()


@torch.no_grad()
def with_early_halving(network: Crnn, position: int) -> Crnn:
    """Halve the columns in the block at `position` and not in the pooling at the end: what lies between costs half.

    The block averages each pair of columns into one. Kernels behind it are made such that they compute what they did
    wherever features change evenly from column to column. Raises ValueError for networks of another family.
    """
    spec = network.spec
    if not isinstance(spec, DayOneSpec | SlimSpec) or spec.pool[1] != 2:
        raise ValueError("only the columns of a warm-started network, pooled by 2, can be halved earlier")
    # Behind the stem; per block, the convolution per channel.
    name = "backbone.{}.0.0.weight" if isinstance(spec, DayOneSpec) else "backbone.{}.columns.0.weight"
    first = 1 if isinstance(spec, DayOneSpec) else 2
    state = dict(network.state_dict())
    blocks: list[Block | SlimBlock] = []
    old_blocks: Iterable[Block | SlimBlock] = spec.blocks
    for index, block in enumerate(old_blocks):
        changes: dict[str, Pair] = {}
        if index >= position:
            weights = name.format(first + index)
            kernel = _averaging(state[weights]) if index == position else _coarse(state[weights])
            state[weights] = kernel
            changes["kernel"] = (kernel.shape[2], kernel.shape[3])
        if index == position:
            changes["stride"] = (block.stride[0], 2)
        blocks.append(block.model_copy(update=changes))
    return filled(spec.model_copy(update={"blocks": tuple(blocks), "pool": (spec.pool[0], 1)}), state)


def _averaging(kernel: Tensor) -> Tensor:
    """A kernel [out, in, row, column], one column wider, that gives the mean of what it gives here and one further."""
    wider = functional.pad(kernel, (0, 1))
    return (wider + wider.roll(1, dims=3)) / 2


def _coarse(kernel: Tensor) -> Tensor:
    """A kernel [out, in, row, column] for every other column, as if those between were the means of their neighbours.

    Tap t of the fine kernel lies at t / 2 between coarse taps; both of them get its weight by their nearness.
    """
    reach = kernel.shape[3] // 2
    coarse_reach = (reach + 1) // 2
    coarse = kernel.new_zeros((*kernel.shape[:3], 2 * coarse_reach + 1))
    for tap in range(-reach, reach + 1):
        low, odd = divmod(tap, 2)
        weights = {low: 0.5, low + 1: 0.5} if odd else {low: 1.0}
        for place, weight in weights.items():
            coarse[..., coarse_reach + place] += weight * kernel[..., reach + tap]
    return coarse
