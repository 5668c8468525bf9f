"""Our CRNN: convolutions that fuse to plain ones, a bidirectional LSTM over the columns, a head of low rank."""

from __future__ import annotations

import copy
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

Pair = tuple[int, int]
"""Rows, columns."""


class FrozenSpec(BaseModel):
    """A description of a network, from which it is built anew."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Sequence(FrozenSpec):
    """What follows the convolutions.

    classes: characters and blank; hidden: LSTM units each way; layers: of the LSTM; rank: of the head; shortcut: the
    head sees what enters the LSTM besides what leaves it.
    """

    classes: int = Field(ge=2)
    hidden: int = Field(ge=1)
    layers: int = Field(ge=1)
    rank: int = Field(ge=1)
    shortcut: bool = False


class Stage(FrozenSpec):
    """Convolutions of one resolution. The first of them has the stride."""

    channels: int = Field(ge=1)
    blocks: int = Field(ge=1)
    stride: Pair


class CrnnSpec(FrozenSpec):
    """A network of any family."""

    sequence: Sequence

    def build(self) -> Crnn:
        """The network, with random weights."""
        raise NotImplementedError


class NetworkSpec(CrnnSpec):
    """A network of our own family."""

    family: Literal["rep"] = "rep"
    stages: tuple[Stage, ...] = Field(min_length=1)

    def build(self) -> Crnn:
        """The network, with random weights."""
        blocks: list[nn.Module] = []
        channels = 3
        for stage in self.stages:
            for position in range(stage.blocks):
                stride = stage.stride if position == 0 else (1, 1)
                blocks += [RepConv(channels, stage.channels, stride), nn.ReLU(inplace=True)]
                channels = stage.channels
        return Crnn(self, nn.Sequential(*blocks), channels)


class Crnn(nn.Module):
    """Lines -> logits.

    images: float32 [line, 3, height, width]. Returns logits, float32 [line, time, class].
    """

    def __init__(self, spec: CrnnSpec, backbone: nn.Sequential, channels: int, neck: int = 0) -> None:
        """channels: that the backbone emits; neck: of its parts, how many come behind its last pooling."""
        super().__init__()
        sequence = spec.sequence
        self.spec = spec
        self.backbone = backbone
        self.pooled_parts = len(backbone) - neck
        self.lstm = nn.LSTM(channels, sequence.hidden, sequence.layers, batch_first=True, bidirectional=True)
        self.bottleneck = nn.Linear(2 * sequence.hidden + (channels if sequence.shortcut else 0), sequence.rank)
        self.classifier = nn.Linear(sequence.rank, sequence.classes)

    def forward(self, images: Tensor) -> Tensor:
        """As the class says."""
        logits: Tensor = self.classifier(self.features(self.pooled(images)))
        return logits

    def pooled(self, images: Tensor) -> Tensor:
        """What the convolutions make of each column, [line, channel, row, time]."""
        columns: Tensor = self.backbone[: self.pooled_parts](images)
        return columns

    def context(self, pooled: Tensor) -> Tensor:
        """What the bottleneck hears of each timestep, [line, time, channel]."""
        columns = self.backbone[self.pooled_parts :](pooled).mean(2).transpose(1, 2)
        context: Tensor = self.lstm(columns)[0]
        return torch.cat((context, columns), 2) if self.spec.sequence.shortcut else context

    def features(self, pooled: Tensor) -> Tensor:
        """What the classifier sees of each timestep, [line, time, rank]."""
        features: Tensor = self.bottleneck(self.context(pooled))
        return features

    def log_probs(self, pooled: Tensor) -> Tensor:
        """Log-softmax of the logits, float32 [line, time, class], lying in memory with time first.

        CTC wants it so; to reorder what the classifier emits would take longer than the LSTM.
        """
        logits = self.classifier(self.features(pooled).transpose(0, 1).contiguous())
        log_probs: Tensor = logits.float().log_softmax(2).transpose(0, 1)
        return log_probs


class RepConv(nn.Module):
    """Sum of a 3x3 and a 1x1 convolution and, where shapes allow, the identity, each with its own batch norm.

    The three train better than one and are one convolution once their statistics are fixed: Ding et al., "RepVGG",
    arXiv 2101.03697.
    """

    def __init__(self, inputs: int, outputs: int, stride: Pair) -> None:
        super().__init__()
        self.wide = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.wide_norm = nn.BatchNorm2d(outputs)
        self.point = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
        self.point_norm = nn.BatchNorm2d(outputs)
        self.identity_norm = nn.BatchNorm2d(outputs) if inputs == outputs and stride == (1, 1) else None

    def forward(self, features: Tensor) -> Tensor:
        """[line, channel, row, column] -> the same with other channels, rows and columns divided by the stride."""
        total: Tensor = self.wide_norm(self.wide(features)) + self.point_norm(self.point(features))
        return total if self.identity_norm is None else total + self.identity_norm(features)

    @torch.no_grad()
    def fused(self) -> nn.Conv2d:
        """The one convolution that computes the same in evaluation."""
        kernel, bias = folded(self.wide.weight, self.wide_norm)
        point_kernel, point_bias = folded(functional.pad(self.point.weight, (1, 1, 1, 1)), self.point_norm)
        kernel, bias = kernel + point_kernel, bias + point_bias
        if self.identity_norm is not None:
            unit = torch.zeros_like(self.wide.weight)
            nn.init.dirac_(unit)
            identity_kernel, identity_bias = folded(unit, self.identity_norm)
            kernel, bias = kernel + identity_kernel, bias + identity_bias
        return convolution_with(self.wide, kernel, bias)


def folded(kernel: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Kernel and bias of the convolution that equals one without bias and the batch norm after it."""
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without statistics cannot be folded")
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return kernel * scale.view(-1, 1, 1, 1), norm.bias - norm.running_mean * scale


def convolution_with(like: nn.Conv2d, kernel: Tensor, bias: Tensor) -> nn.Conv2d:
    """A convolution of the stride, padding and groups of another, with this kernel and bias."""
    channels = (like.in_channels, like.out_channels)
    size = (kernel.shape[2], kernel.shape[3])
    made = nn.Conv2d(*channels, size, like.stride, like.padding, groups=like.groups, device=kernel.device)  # type: ignore[arg-type]
    made.weight = nn.Parameter(kernel.detach().clone())
    made.bias = nn.Parameter(bias.detach().clone())
    return made


def fuse(network: Crnn) -> Crnn:
    """A copy for evaluation, in which batch norms and parallel branches are parts of plain convolutions."""
    copied = copy.deepcopy(network).eval()
    for parent in list(copied.modules()):
        _fuse_children(parent)
    return copied


@torch.no_grad()
def _fuse_children(parent: nn.Module) -> None:
    before: nn.Conv2d | None = None
    for name, child in list(parent.named_children()):
        if isinstance(child, RepConv):
            setattr(parent, name, child.fused())
        elif isinstance(child, nn.BatchNorm2d) and before is not None and isinstance(parent, nn.Sequential):
            kernel, bias = folded(before.weight, child)
            before.weight.copy_(kernel)
            before.bias = nn.Parameter(bias)
            setattr(parent, name, nn.Identity())
        before = child if isinstance(child, nn.Conv2d) else None
