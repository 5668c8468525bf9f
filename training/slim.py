"""The convolutions of the PP-OCRv6 tiny recogniser, with a bidirectional LSTM behind them, as a network of ours.

Where its weights come from that recogniser, the LSTM is silent at first: the network computes what the recogniser does.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.day_one import Excite
from training.network import Crnn, CrnnSpec, FrozenSpec, Pair, Sequence

if TYPE_CHECKING:
    import onnx


Activation = Literal["gelu", "hardswish"]

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {"gelu": nn.GELU, "hardswish": nn.Hardswish}


class SlimBlock(FrozenSpec):
    """A convolution per channel and two across them.

    excite: channels are weighed by their means behind the first; between: channels that the second emits, None for
    twice as many as it hears; activation: behind the second.
    """

    channels: int
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    excite: bool = False
    between: int | None = None
    activation: Activation = "gelu"


class SlimSpec(CrnnSpec):
    """A network of the family of the PP-OCRv6 recognisers.

    stem: channels at a half and at a quarter of the resolution; forked: the stem is that of the small recogniser, not
    of the tiny one; reach: columns that are mixed behind the pooling; narrow: channels of each half of what the LSTM
    hears, None for one half of as many as the last block emits.
    """

    family: Literal["slim"] = "slim"
    stem: Pair
    forked: bool = False
    blocks: tuple[SlimBlock, ...]
    pool: Pair
    reach: int = 5
    narrow: int | None = None

    def build(self) -> Crnn:
        """The network, with random weights."""
        first, channels = self.stem
        parts = _forked_stem(first, channels) if self.forked else _plain_stem(first, channels)
        for block in self.blocks:
            parts.append(Mixer(channels, block))
            channels = block.channels
        parts.append(nn.AvgPool2d(self.pool))
        neck: list[nn.Module] = _neck(channels, self.reach)
        if self.narrow is not None:
            neck = [Halves(channels, self.narrow, self.reach)]
            channels = 2 * self.narrow
        return Crnn(self, nn.Sequential(*parts, *neck), channels, len(neck))


PP_OCR_V6_TINY = SlimSpec(
    stem=(24, 48),
    blocks=(
        SlimBlock(channels=48, excite=True),
        SlimBlock(channels=48),
        SlimBlock(channels=96, stride=(2, 1)),
        SlimBlock(channels=96, excite=True),
        SlimBlock(channels=96),
        SlimBlock(channels=160, stride=(2, 1)),
        SlimBlock(channels=160, excite=True),
        SlimBlock(channels=160),
        SlimBlock(channels=160),
    ),
    pool=(3, 2),
    sequence=Sequence(classes=6906, hidden=64, layers=1, rank=80, shortcut=True),
)

PP_OCR_V6_SMALL = SlimSpec(
    stem=(48, 96),
    forked=True,
    blocks=(
        SlimBlock(channels=96, excite=True),
        SlimBlock(channels=96),
        SlimBlock(channels=96),
        SlimBlock(channels=192, stride=(2, 1)),
        SlimBlock(channels=192, excite=True),
        SlimBlock(channels=192),
        SlimBlock(channels=192, excite=True),
        SlimBlock(channels=192),
        SlimBlock(channels=192, excite=True),
        SlimBlock(channels=192),
        SlimBlock(channels=384, stride=(2, 1)),
        SlimBlock(channels=384, excite=True),
        SlimBlock(channels=384),
    ),
    pool=(3, 2),
    reach=7,
    narrow=120,
    sequence=Sequence(classes=18710, hidden=96, layers=1, rank=120, shortcut=True),
)


class Mixer(nn.Module):
    """A SlimBlock. What the convolution per channel emits is added to the result where shapes allow."""

    def __init__(self, inputs: int, block: SlimBlock) -> None:
        super().__init__()
        padding = ((block.kernel[0] - 1) // 2, (block.kernel[1] - 1) // 2)
        depthwise = nn.Conv2d(inputs, inputs, block.kernel, block.stride, padding, groups=inputs)
        self.columns = nn.Sequential(depthwise, *([Excite(inputs)] if block.excite else []))
        between = block.between or 2 * inputs
        self.channels = nn.Sequential(
            nn.Conv2d(inputs, between, 1), _ACTIVATIONS[block.activation](), nn.Conv2d(between, block.channels, 1)
        )
        self.adds = inputs == block.channels and block.stride == (1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[line, channel, row, column] -> the same with other channels, rows and columns divided by the stride."""
        return self.mixed(self.columns(features))

    def mixed(self, features: Tensor) -> Tensor:
        """What follows the convolution per channel and the excitement."""
        across: Tensor = self.channels(features)
        return features + across if self.adds else across


class Fork(nn.Module):
    """Columns and rows halved; then the larger of neighbours, beside what two small convolutions make of them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.halve = nn.Conv2d(3, channels, 3, 2, 1)
        self.narrow = nn.Conv2d(channels, channels // 2, 2)
        self.widen = nn.Conv2d(channels // 2, channels, 2)

    def forward(self, images: Tensor) -> Tensor:
        """[line, 3, row, column] -> [line, 2 * channels, row / 2, column / 2]."""
        features = functional.relu(self.halve(images))
        # One row and one column more, below and on the right, so that neither is lost.
        detail = functional.relu(self.narrow(functional.pad(features, (0, 1, 0, 1))))
        detail = functional.relu(self.widen(functional.pad(detail, (0, 1, 0, 1))))
        larger = functional.max_pool2d(functional.pad(features, (0, 1, 0, 1)), 2, 1)
        return torch.cat((larger, detail), 1)


class Halves(nn.Module):
    """Columns in fewer channels, twice: as they are, and mixed with their neighbours."""

    def __init__(self, inputs: int, channels: int, reach: int) -> None:
        super().__init__()
        self.plain = _normed(nn.Conv2d(inputs, channels, 1, bias=False), nn.SiLU())
        self.mixed = _normed(nn.Conv2d(inputs, channels, 1, bias=False), nn.SiLU())
        along = nn.Conv2d(channels, channels, (1, reach), padding=(0, reach // 2), groups=channels, bias=False)
        self.along = _normed(along, nn.SiLU())

    def forward(self, features: Tensor) -> Tensor:
        """[line, input, 1, column] -> [line, 2 * channels, 1, column]."""
        mixed = self.mixed(features)
        return torch.cat((self.plain(features), mixed + self.along(mixed)), 1)


def _plain_stem(first: int, channels: int) -> list[nn.Module]:
    return [
        _normed(nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.GELU()),
        _normed(nn.Conv2d(first, channels, 3, 2, 1, bias=False)),
    ]


def _forked_stem(first: int, channels: int) -> list[nn.Module]:
    halve, widen = nn.Conv2d(2 * first, first, 3, 2, 1), nn.Conv2d(first, channels, 1)
    return [Fork(first), nn.Sequential(halve, nn.ReLU(), widen, nn.ReLU())]


def _normed(convolution: nn.Conv2d, *after: nn.Module) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), *after)


def _neck(channels: int, reach: int) -> list[nn.Module]:
    along = nn.Conv2d(channels, channels, (1, reach), padding=(0, reach // 2), groups=channels, bias=False)
    return [_normed(along, nn.Hardswish()), _normed(nn.Conv2d(channels, channels, 1, bias=False), nn.Hardswish())]


@torch.no_grad()
def read_slim(path: Path) -> Crnn:
    """The network of the ONNX file of the PP-OCRv6 tiny recogniser, for evaluation. Raises ValueError for another."""
    # Machines that only train need not have it.
    import onnx

    network = PP_OCR_V6_TINY.build().eval()
    constants = constants_of(onnx.load(str(path)).graph, {"Conv", "BatchNormalization", "MatMul", "Add"})
    try:
        fill_convolutions(network.backbone, constants)
        columns = network.bottleneck.in_features - network.lstm.input_size
        network.bottleneck.weight.zero_()[:, columns:] = next(constants).T
        network.bottleneck.bias.copy_(next(constants))
        network.classifier.weight.copy_(next(constants).T)
        network.classifier.bias.copy_(next(constants))
    except (StopIteration, RuntimeError) as error:
        raise ValueError(f"{path} is not the PP-OCRv6 tiny recogniser: {error}") from error
    return network


@torch.no_grad()
def fill_convolutions(network: nn.Module, constants: Iterator[Tensor]) -> None:
    """Take kernels, biases and statistics of all convolutions and batch norms, in their order."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.copy_(next(constants).view_as(module.weight))
            if module.bias is not None:
                module.bias.copy_(next(constants).flatten())
        elif isinstance(module, nn.BatchNorm2d):
            for value in (module.weight, module.bias, module.running_mean, module.running_var):
                cast("Tensor", value).copy_(next(constants))


def constants_of(graph: onnx.GraphProto, kinds: Container[str]) -> Iterator[Tensor]:
    """What nodes of these kinds know, in the order in which they use it."""
    from onnx import numpy_helper

    arrays = {array.name: array for array in graph.initializer}
    for node in graph.node:
        if node.op_type in kinds:
            # Single numbers belong to activations, norms and attention.
            used = (numpy_helper.to_array(arrays[name]) for name in node.input if name in arrays)
            yield from (torch.from_numpy(array.copy()) for array in used if array.size > 1)
