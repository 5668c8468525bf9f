"""The PP-OCRv2 CRNN as a network that can be trained further. Its weights come from its ONNX file."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from training.network import Crnn, CrnnSpec, FrozenSpec, Pair, Sequence


class Block(FrozenSpec):
    """A convolution per channel and one across them. excite: channels are weighed by their means in between."""

    channels: int
    kernel: Pair
    stride: Pair = (1, 1)
    excite: bool = False


class DayOneSpec(CrnnSpec):
    """A network of the family of the PP-OCRv2 recogniser: MobileNetV1 enhanced, max pooling, LSTM, low-rank head."""

    family: Literal["day_one"] = "day_one"
    stem: int
    blocks: tuple[Block, ...]
    pool: Pair

    def build(self) -> Crnn:
        """The network, with random weights."""
        parts: list[nn.Module] = [_normed(nn.Conv2d(3, self.stem, 3, 2, 1, bias=False))]
        channels = self.stem
        for block in self.blocks:
            parts.append(_separable(channels, block))
            channels = block.channels
        return Crnn(self, nn.Sequential(*parts, nn.MaxPool2d(self.pool)), channels)


# Where the file starts to count its layers, in the order in which it computes them.
_FIRST_CONVOLUTION, _FIRST_NORM, _FIRST_CELL = 31, 27, 4

_SMALL, _LARGE = (3, 3), (5, 5)
_HALVE_ROWS = (2, 1)

PP_OCR_V2 = DayOneSpec(
    stem=16,
    blocks=(
        Block(channels=32, kernel=_SMALL),
        Block(channels=64, kernel=_SMALL),
        Block(channels=64, kernel=_SMALL),
        Block(channels=128, kernel=_SMALL, stride=_HALVE_ROWS),
        Block(channels=128, kernel=_SMALL),
        Block(channels=256, kernel=_SMALL, stride=_HALVE_ROWS),
        *(Block(channels=256, kernel=_LARGE) for _ in range(5)),
        Block(channels=512, kernel=_LARGE, stride=_HALVE_ROWS, excite=True),
        Block(channels=512, kernel=_LARGE, excite=True),
    ),
    pool=(2, 2),
    sequence=Sequence(classes=6625, hidden=64, layers=2, rank=96),
)


class Excite(nn.Module):
    """Weighs channels by what their means say: Hu et al., "Squeeze-and-Excitation Networks", arXiv 1709.01507."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """[line, channel, row, column], weighed."""
        means = features.mean((2, 3), keepdim=True)
        weights: Tensor = nn.functional.hardsigmoid(self.expand(torch.relu(self.reduce(means))))
        return features * weights


def _normed(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.Hardswish())


def _separable(inputs: int, block: Block) -> nn.Sequential:
    padding = ((block.kernel[0] - 1) // 2, (block.kernel[1] - 1) // 2)
    per_channel = nn.Conv2d(inputs, inputs, block.kernel, block.stride, padding, groups=inputs, bias=False)
    across = nn.Conv2d(inputs, block.channels, 1, bias=False)
    middle = [Excite(inputs)] if block.excite else []
    return nn.Sequential(_normed(per_channel), *middle, _normed(across))


def read_day_one(path: Path) -> Crnn:
    """The network of the ONNX file of the PP-OCRv2 recogniser, for evaluation. Raises KeyError for another network."""
    constants = _constants(path)
    state: dict[str, Tensor] = {}
    convolutions, norms = itertools.count(_FIRST_CONVOLUTION), itertools.count(_FIRST_NORM)
    network = PP_OCR_V2.build().eval()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            layer, parts = f"conv2d_{next(convolutions)}", {"weight": "w_0"}
            if module.bias is not None:
                parts["bias"] = "b_0"
        elif isinstance(module, nn.BatchNorm2d):
            layer = f"batch_norm_{next(norms)}"
            parts = {"weight": "w_0", "bias": "b_0", "running_mean": "w_1", "running_var": "w_2"}
        else:
            continue
        state |= {f"{name}.{ours}": constants[f"{layer}.{theirs}"] for ours, theirs in parts.items()}
    for cell, suffix in enumerate(("l0", "l0_reverse", "l1", "l1_reverse"), _FIRST_CELL):
        for ours, theirs in (("weight_ih", "w_0"), ("weight_hh", "w_1"), ("bias_ih", "b_0"), ("bias_hh", "b_1")):
            state[f"lstm.{ours}_{suffix}"] = constants[f"lstm_cell_{cell}.{theirs}"]
    for name, layer in (("bottleneck", "student_ctc_head_1"), ("classifier", "student_ctc_head_2")):
        state[f"{name}.weight"] = constants[f"{layer}_w_attr"].T
        state[f"{name}.bias"] = constants[f"{layer}_b_attr"]
    missing, unexpected = network.load_state_dict(state, strict=False)
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise KeyError(f"{path} lacks {missing}")
    return network


def _constants(path: Path) -> dict[str, Tensor]:
    # Machines that only train need not have it.
    import onnx
    from onnx import numpy_helper

    nodes = onnx.load(str(path)).graph.node
    constants = (node for node in nodes if node.op_type == "Constant")
    return {node.output[0]: torch.from_numpy(numpy_helper.to_array(node.attribute[0].t).copy()) for node in constants}
