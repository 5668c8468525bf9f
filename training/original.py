"""The PP-OCRv6 small recogniser as it is published, with attention where our networks have an LSTM.

Slim networks start from its weights and have it for their teacher: its columns are where theirs are, and it runs on the
device that trains.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.batches import LineBatch
from training.loss import Lesson
from training.network import Crnn
from training.slim import PP_OCR_V6_SMALL, Halves, constants_of, fill_convolutions

_RIDGE = 1e-3
"""How strongly weights are held at zero, as a share of the mean square of what they multiply."""

_HEADS = 8
_EPSILONS = (1e-5, 1e-6)
"""Of the norms in blocks, and of the last one."""


class Attention(nn.Module):
    """Self-attention over the columns and a feed-forward network: Vaswani et al., arXiv 1706.03762, norms in front."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, _EPSILONS[0])
        self.qkv = nn.Linear(channels, 3 * channels)
        self.projection = nn.Linear(channels, channels)
        self.feed_forward_norm = nn.LayerNorm(channels, _EPSILONS[0])
        self.feed_forward = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.SiLU(), nn.Linear(2 * channels, channels)
        )

    def forward(self, columns: Tensor) -> Tensor:
        """[line, time, channel] -> the same."""
        parts = self.qkv(self.norm(columns)).unflatten(2, (3, _HEADS, -1)).permute(2, 0, 3, 1, 4)
        heard = functional.scaled_dot_product_attention(*parts.unbind(0)).transpose(1, 2).flatten(2)
        columns = columns + self.projection(heard)
        result: Tensor = columns + self.feed_forward(self.feed_forward_norm(columns))
        return result


class Original(nn.Module):
    """The whole recogniser, for evaluation. Its characters are those of the bundle of its file."""

    def __init__(self) -> None:
        super().__init__()
        spec = PP_OCR_V6_SMALL
        network = spec.build()
        channels = spec.sequence.rank
        *backbone, halves = network.backbone.children()
        self.backbone = nn.Sequential(*backbone)
        self.halves = cast("Halves", halves)
        self.attention = nn.Sequential(Attention(channels), Attention(channels), nn.LayerNorm(channels, _EPSILONS[1]))
        self.classifier = network.classifier

    @torch.no_grad()
    def lesson(self, batch: LineBatch, timesteps: int) -> Lesson:  # noqa: ARG002 - networks made of it have as many
        """As a teacher."""
        columns = self.backbone(batch.images)
        return Lesson(self.classifier(self.features(columns)).float().softmax(2), columns)

    def features(self, columns: Tensor) -> Tensor:
        """Columns [line, channel, 1, time] -> what the classifier hears, [line, time, rank]."""
        plain, mixed = self.halves(columns).squeeze(2).transpose(1, 2).chunk(2, 2)
        features: Tensor = plain + self.attention(mixed)
        return features

    @torch.no_grad()
    def of_classes(self, kept: Tensor) -> Original:
        """The same recogniser, knowing only some of its classes, in this order. kept: int64 [class]."""
        last = self.classifier
        self.classifier = nn.Linear(last.in_features, len(kept))
        self.classifier.weight.copy_(last.weight[kept])
        self.classifier.bias.copy_(last.bias[kept])
        return self

    @torch.no_grad()
    def crnn(self, images: Sequence[Tensor]) -> Crnn:
        """The network that has an LSTM in place of the attention.

        images: float32 [line, 3, 48, width] each, some hundred lines in all. On them the LSTM, whose weights are
        random, is heard such that the classifier hears nearly the same as before.
        """
        sequence = PP_OCR_V6_SMALL.sequence.model_copy(update={"classes": self.classifier.out_features})
        network = PP_OCR_V6_SMALL.model_copy(update={"sequence": sequence}).build().eval()
        network.backbone.load_state_dict(nn.Sequential(*self.backbone, self.halves).state_dict())
        network.classifier.load_state_dict(self.classifier.state_dict())
        columns = [self.backbone(one) for one in images]
        heard = torch.cat([network.context(one).flatten(0, 1) for one in columns])
        wanted = torch.cat([self.features(one).flatten(0, 1) for one in columns])
        means, goals = heard.mean(0), wanted.mean(0)
        squares = (heard - means).T @ (heard - means)
        squares += _RIDGE * squares.diagonal().mean() * torch.eye(len(squares))
        matrix = torch.linalg.solve(squares, (heard - means).T @ (wanted - goals)).T
        network.bottleneck.weight.copy_(matrix)
        network.bottleneck.bias.copy_(goals - matrix @ means)
        return network


@torch.no_grad()
def read_original(path: Path) -> Original:
    """The recogniser of an ONNX file. Raises ValueError for another one."""
    # Machines that only train need not have it.
    import onnx

    original = Original().eval()
    kinds = {"Conv", "BatchNormalization", "MatMul", "Add", "Mul"}
    constants = constants_of(onnx.load(str(path)).graph, kinds)
    try:
        fill_convolutions(original.backbone, constants)
        fill_convolutions(original.halves, constants)
        for module in (*original.attention.modules(), original.classifier):
            if isinstance(module, nn.Linear):
                module.weight.copy_(next(constants).T)
                module.bias.copy_(next(constants))
            elif isinstance(module, nn.LayerNorm):
                module.weight.copy_(next(constants))
                module.bias.copy_(next(constants))
    except (StopIteration, RuntimeError) as error:
        raise ValueError(f"{path} is not the PP-OCRv6 small recogniser: {error}") from error
    return original
