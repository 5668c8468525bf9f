"""Slim networks with less to compute: a cheaper activation, fewer channels in between, columns halved early.

Layers are fitted by least squares, one after the other, to what the network emits there, as in training.refit. Channels
go whose loss the others can best make up for: Hassibi and Stork, "Second Order Derivatives for Network Pruning", 1993.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network import Crnn
from training.refit import joined, mean_of_pairs, refit_per_channel
from training.slim import Activation, Mixer, SlimSpec
from training.surgery import with_early_halving

_RIDGE = 1e-4
"""How strongly weights are held where they are, as a share of the mean square of what they multiply."""

_PLACES = 40_000
"""Pixels of features, drawn at random, to which a layer is fitted at most."""

_HARDSWISH_SCALE = 1.702
"""gelu(x) is about hardswish(1.702 x) / 1.702: Hendrycks and Gimpel, arXiv 1606.08415, section 2."""


@torch.no_grad()
def shrunk(
    network: Crnn,
    images: Sequence[Tensor],
    *,
    between: Sequence[int] | None = None,
    halve_at: int | None = None,
    activation: Activation = "gelu",
) -> Crnn:
    """A slim network that computes nearly the same from less.

    images: float32 [line, 3, height, width] each, some hundred lines in all; between: channels that each block keeps
    in between, None for all; halve_at: of with_early_halving; activation: of every block. Raises ValueError for a
    network of another family or with another activation already, or another number of blocks.
    """
    spec = network.spec
    if not isinstance(spec, SlimSpec) or any(block.activation != "gelu" for block in spec.blocks):
        raise ValueError("only slim networks with GELU can be shrunk")
    models = _mixers(network)
    stem = list(network.backbone.children())[: list(network.backbone.children()).index(models[0])]
    halved = network if halve_at is None else with_early_halving(network, halve_at)
    result = _draft(halved, between or [_between(model) for model in models], activation)
    theirs = ours = [nn.Sequential(*stem)(one) for one in images]
    for index, (part, model) in enumerate(zip(_mixers(result), models, strict=True)):
        is_halved = halve_at is not None and index >= halve_at
        # The first sees what its model does, and the kernel of the halving block is exact.
        is_exact = index in {0, halve_at}
        ours, theirs = _fit(part, model, ours, theirs, is_halved=is_halved, keeps_kernel=is_exact)
    return result


def _mixers(network: Crnn) -> list[Mixer]:
    return [part for part in network.backbone.children() if isinstance(part, Mixer)]


def _between(mixer: Mixer) -> int:
    return cast("nn.Conv2d", mixer.channels[0]).out_channels


def _draft(network: Crnn, between: Sequence[int], activation: Activation) -> Crnn:
    """The network in its new shape, with all weights but those across channels."""
    spec = cast("SlimSpec", network.spec)
    blocks = tuple(
        block.model_copy(update={"between": count, "activation": activation})
        for block, count in zip(spec.blocks, between, strict=True)
    )
    draft = spec.model_copy(update={"blocks": blocks}).build().eval()
    kept = {name: value for name, value in network.state_dict().items() if ".channels." not in name}
    draft.load_state_dict(kept, strict=False)
    return draft


def _fit(
    part: Mixer, model: Mixer, ours: list[Tensor], theirs: list[Tensor], *, is_halved: bool, keeps_kernel: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Fit a block to what its model emits. Returns what both emit."""
    pool = mean_of_pairs if is_halved else _unchanged
    if not keeps_kernel:
        wanted = [pool(model.columns[0](one)) for one in theirs]
        refit_per_channel(cast("nn.Conv2d", part.columns[0]), ours, wanted)
    heard = [part.columns(one) for one in ours]
    theirs = [model(one) for one in theirs]
    _fit_across(part, model, heard, [pool(one) for one in theirs])
    return [part.mixed(one) for one in heard], theirs


def _fit_across(part: Mixer, model: Mixer, heard: list[Tensor], wanted: list[Tensor]) -> None:
    """Choose channels in between and fit the matrix behind them, that `part` emits what is wanted of what it heard."""
    first, activation, last = cast("tuple[nn.Conv2d, nn.Module, nn.Conv2d]", tuple(part.channels))
    their_first, _, their_last = cast("tuple[nn.Conv2d, nn.Module, nn.Conv2d]", tuple(model.channels))
    scale = _HARDSWISH_SCALE if isinstance(activation, nn.Hardswish) else 1.0
    kernel, bias = scale * their_first.weight, scale * cast("Tensor", their_first.bias)
    inputs = joined([activation(functional.conv2d(one, kernel, bias)) for one in heard])
    outputs = joined(wanted) - joined(heard) if part.adds else joined(wanted)
    chosen = torch.randperm(inputs.shape[1])[:_PLACES]
    inputs, outputs = inputs[:, chosen], outputs[:, chosen]
    means, goals = inputs.mean(1, keepdim=True), outputs.mean(1, keepdim=True)
    before = their_last.weight.flatten(1) / scale
    kept, matrix = _fewer_inputs(inputs - means, outputs - goals, before, first.out_channels)
    first.weight.copy_(kernel[kept])
    cast("Tensor", first.bias).copy_(bias[kept])
    last.weight.copy_(matrix.view_as(last.weight))
    cast("Tensor", last.bias).copy_((goals - matrix @ means[kept])[:, 0])


def _fewer_inputs(inputs: Tensor, outputs: Tensor, before: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Which `count` rows of the inputs explain the outputs best, and the matrix that does.

    inputs: float32 [input, place], outputs: [output, place], both without means; before: [output, input], near which
    the matrix stays. Returns int64 [count] in order and float32 [output, count].
    """
    squares = (inputs @ inputs.T).double()
    ridge = _RIDGE * squares.diagonal().mean()
    inverse = torch.linalg.inv(squares + ridge * torch.eye(len(squares), dtype=squares.dtype))
    matrix = ((outputs @ inputs.T).double() + ridge * before.double()) @ inverse
    is_kept = torch.ones(len(inputs), dtype=torch.bool)
    for _ in range(len(inputs) - count):
        # What the error grows by, once the others are fitted anew.
        costs = matrix.square().sum(0) / inverse.diagonal().clamp(min=torch.finfo(squares.dtype).tiny)
        costs[~is_kept] = math.inf
        worst = int(costs.argmin())
        row = inverse[worst] / inverse[worst, worst]
        matrix = matrix - matrix[:, worst : worst + 1] * row
        inverse = inverse - inverse[:, worst : worst + 1] * row
        is_kept[worst] = False
    kept = is_kept.nonzero()[:, 0]
    return kept, matrix[:, kept].float()


def _unchanged(features: Tensor) -> Tensor:
    return features
