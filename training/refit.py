"""Least squares instead of training: layers that were changed are fitted, one after the other, to what they replace.

After He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural Networks", arXiv 1707.06168, section 3.1.
Some hundred lines without labels are enough, and gradients go on from there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.network import Crnn

_RIDGE = 1e-3
"""How strongly weights are held where they are, as a share of the mean square of what they multiply."""

_SAMPLES = 20_000
"""Places, drawn at random, at which a depthwise kernel is fitted."""

Pool = Callable[[Tensor, nn.BatchNorm2d], Tensor]


@torch.no_grad()
def with_refitted_blocks(network: Crnn, original: Crnn, images: Sequence[Tensor], position: int) -> Crnn:
    """Fit the blocks from `position` on of a network whose columns with_early_halving has halved there.

    original: the network before; images: float32 [line, 3, height, width] each. What every block shall emit is the mean
    of what the original one emits at both columns, the last one their larger: they are pooled so in the original.
    """
    refitted = copy.deepcopy(network).eval()
    parts = list(zip(refitted.backbone.children(), original.backbone.children(), strict=True))[:-1]
    ours, theirs = list(images), list(images)
    for block, (part, model) in enumerate(parts, -1):  # the stem is in front
        if block >= position:
            pool = _larger if block == len(parts) - 2 else _mean
            _refit_block(part, model, ours, theirs, pool, keeps_kernel=block == position)
        ours, theirs = [part(one) for one in ours], [model(one) for one in theirs]
    return refitted


def _refit_block(
    part: nn.Module, model: nn.Module, ours: list[Tensor], theirs: list[Tensor], pool: Pool, *, keeps_kernel: bool
) -> None:
    """part, model: per channel, maybe excitation, across channels, each with norm and activation."""
    first, *middle, last = cast("list[nn.Sequential]", list(part.children()))
    their_first, *their_middle, their_last = cast("list[nn.Sequential]", list(model.children()))
    if not keeps_kernel:
        wanted = [mean_of_pairs(their_first[0](one)) for one in theirs]
        refit_per_channel(cast("nn.Conv2d", first[0]), ours, wanted)
    their_path = nn.Sequential(their_first, *their_middle, their_last[0])
    wanted = [pool(their_path(one), cast("nn.BatchNorm2d", their_last[1])) for one in theirs]
    inputs = [nn.Sequential(first, *middle)(one) for one in ours]
    _refit_across(cast("nn.Conv2d", last[0]), cast("nn.BatchNorm2d", last[1]), inputs, wanted)


def refit_per_channel(convolution: nn.Conv2d, inputs: Sequence[Tensor], wanted: Sequence[Tensor]) -> None:
    """Fit each channel's kernel, and its bias if it has one. inputs, wanted: [line, channel, row, column] each."""
    channels, _, rows, columns = convolution.weight.shape
    kernel = convolution.weight.view(channels, -1)
    if convolution.bias is not None:
        kernel = torch.cat((kernel, convolution.bias[:, None]), 1)
    taps = kernel.shape[1]
    squares, products = torch.zeros(channels, taps, taps), torch.zeros(channels, taps)
    for one, goal in zip(inputs, wanted, strict=True):
        patches = functional.unfold(
            one,
            (rows, columns),
            padding=((rows - 1) // 2, (columns - 1) // 2),
            stride=cast("tuple[int, int]", convolution.stride),
        )
        patches = patches.view(len(one), channels, rows * columns, -1).permute(1, 2, 0, 3).flatten(2)
        chosen = torch.randperm(patches.shape[2])[: _SAMPLES // len(inputs)]
        patches, goals = patches[..., chosen], goal.transpose(0, 1).flatten(1)[:, chosen]
        # A bias multiplies ones.
        patches = functional.pad(patches, (0, 0, 0, taps - rows * columns), value=1.0)
        squares += patches @ patches.transpose(1, 2)
        products += (patches @ goals[..., None])[..., 0]
    ridge = _RIDGE * squares.diagonal(dim1=1, dim2=2).mean(1) + 1e-9
    squares += ridge[:, None, None] * torch.eye(taps)
    solved = torch.linalg.solve(squares, products + ridge[:, None] * kernel)
    convolution.weight.copy_(solved[:, : rows * columns].view_as(convolution.weight))
    if convolution.bias is not None:
        convolution.bias.copy_(solved[:, -1])


def _refit_across(convolution: nn.Conv2d, norm: nn.BatchNorm2d, inputs: list[Tensor], wanted: list[Tensor]) -> None:
    """Fit the matrix of a 1x1 convolution, and the mean that its norm subtracts."""
    matrix = convolution.weight.flatten(1)
    x, y = joined(inputs), joined(wanted)
    x_mean, y_mean = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    x, y = x - x_mean, y - y_mean
    squares = x @ x.T
    ridge = _RIDGE * squares.diagonal().mean()
    squares += ridge * torch.eye(len(x))
    solved = torch.linalg.solve(squares, (y @ x.T + ridge * matrix).T).T
    convolution.weight.copy_(solved.view_as(convolution.weight))
    cast("Tensor", norm.running_mean).sub_((y_mean - solved @ x_mean)[:, 0])


def joined(features: Sequence[Tensor]) -> Tensor:
    """[line, channel, row, column] each -> [channel, place], all places behind one another."""
    return torch.cat([one.transpose(0, 1).flatten(1) for one in features], 1)


def mean_of_pairs(features: Tensor) -> Tensor:
    """[line, channel, row, column] -> the same with each pair of columns replaced by its mean."""
    return functional.avg_pool2d(features, (1, 2))


def _mean(features: Tensor, norm: nn.BatchNorm2d) -> Tensor:  # noqa: ARG001 - pools share one signature
    return mean_of_pairs(features)


def _larger(features: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """Pairs of columns -> that which is larger behind the norm."""
    signs = norm.weight.sign().view(-1, 1, 1)
    return signs * functional.max_pool2d(signs * features, (1, 2))
