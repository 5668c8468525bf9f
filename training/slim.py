"""The convolutions of the PP-OCRv6 tiny recogniser, with a bidirectional LSTM behind them, as a network of ours.

Where its weights come from that recogniser, the LSTM is silent at first: the network computes what the recogniser does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from training.day_one import Excite
from training.network import Crnn, CrnnSpec, FrozenSpec, Pair, Sequence

if TYPE_CHECKING:
    import onnx


class SlimBlock(FrozenSpec):
    """A convolution per channel and two across them, over twice as many channels in between.

    excite: channels are weighed by their means behind the first.
    """

    channels: int
    kernel: Pair = (3, 3)
    stride: Pair = (1, 1)
    excite: bool = False


class SlimSpec(CrnnSpec):
    """A network of the family of the PP-OCRv6 tiny recogniser. reach: columns that are mixed behind the pooling."""

    family: Literal["slim"] = "slim"
    stem: Pair
    blocks: tuple[SlimBlock, ...]
    pool: Pair
    reach: int = 5

    def build(self) -> Crnn:
        """The network, with random weights."""
        first, channels = self.stem
        parts: list[nn.Module] = [_normed(nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.GELU())]
        parts.append(_normed(nn.Conv2d(first, channels, 3, 2, 1, bias=False)))
        for block in self.blocks:
            parts.append(Mixer(channels, block))
            channels = block.channels
        parts += [nn.AvgPool2d(self.pool), *_neck(channels, self.reach)]
        return Crnn(self, nn.Sequential(*parts), channels)


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


class Mixer(nn.Module):
    """A SlimBlock. What the convolution per channel emits is added to the result where shapes allow."""

    def __init__(self, inputs: int, block: SlimBlock) -> None:
        super().__init__()
        padding = ((block.kernel[0] - 1) // 2, (block.kernel[1] - 1) // 2)
        depthwise = nn.Conv2d(inputs, inputs, block.kernel, block.stride, padding, groups=inputs)
        self.columns = nn.Sequential(depthwise, *([Excite(inputs)] if block.excite else []))
        self.channels = nn.Sequential(
            nn.Conv2d(inputs, 2 * inputs, 1), nn.GELU(), nn.Conv2d(2 * inputs, block.channels, 1)
        )
        self.adds = inputs == block.channels and block.stride == (1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[line, channel, row, column] -> the same with other channels, rows and columns divided by the stride."""
        features = self.columns(features)
        mixed: Tensor = self.channels(features)
        return features + mixed if self.adds else mixed


def _normed(convolution: nn.Conv2d, *after: nn.Module) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), *after)


def _neck(channels: int, reach: int) -> tuple[nn.Module, ...]:
    along = nn.Conv2d(channels, channels, (1, reach), padding=(0, reach // 2), groups=channels, bias=False)
    return _normed(along, nn.Hardswish()), _normed(nn.Conv2d(channels, channels, 1, bias=False), nn.Hardswish())


@torch.no_grad()
def read_slim(path: Path) -> Crnn:
    """The network of the ONNX file of the PP-OCRv6 tiny recogniser, for evaluation. Raises ValueError for another."""
    # Machines that only train need not have it.
    import onnx

    network = PP_OCR_V6_TINY.build().eval()
    constants = _constants(onnx.load(str(path)).graph)
    try:
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.copy_(next(constants).view_as(module.weight))
                if module.bias is not None:
                    module.bias.copy_(next(constants).flatten())
            elif isinstance(module, nn.BatchNorm2d):
                for value in (module.weight, module.bias, module.running_mean, module.running_var):
                    cast("Tensor", value).copy_(next(constants))
        columns = network.bottleneck.in_features - network.lstm.input_size
        network.bottleneck.weight.zero_()[:, columns:] = next(constants).T
        network.bottleneck.bias.copy_(next(constants))
        network.classifier.weight.copy_(next(constants).T)
        network.classifier.bias.copy_(next(constants))
    except (StopIteration, RuntimeError) as error:
        raise ValueError(f"{path} is not the PP-OCRv6 tiny recogniser: {error}") from error
    return network


def _constants(graph: onnx.GraphProto) -> Iterator[Tensor]:
    """Kernels, matrices, biases and statistics, in the order in which they are used."""
    from onnx import numpy_helper

    arrays = {array.name: array for array in graph.initializer}
    for node in graph.node:
        if node.op_type in {"Conv", "BatchNormalization", "MatMul", "Add"}:
            # What has no dimensions belongs to activations.
            used = (numpy_helper.to_array(arrays[name]) for name in node.input if name in arrays)
            yield from (torch.from_numpy(array.copy()) for array in used if array.ndim)
