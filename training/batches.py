"""Labelled lines, and the batches of them that networks are trained on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ocr_core.bundle import InputFormat
from ocr_core.charset import Charset
from ocr_core.preprocess import batch_width, fitted_width, make_batch, whole_image
from ocr_core.spelling import Speller
from ocr_core.types import Image


@dataclass(frozen=True, slots=True)
class LabelledLine:
    """One line of text. image: RGB, uint8 [height, width, 3]; text: what it shows."""

    image: Image
    text: str


@dataclass(frozen=True, slots=True)
class LineBatch:
    """Lines padded to one width, with their labels.

    images: float32 [line, 3, height, width], channels and scaling as the network wants them; widths: int64 [line],
    columns before the padding; targets: int64 [line, longest], labels, then blanks; target_lengths: int64 [line], on
    the CPU, where CTC wants them: it would have to wait for a GPU.
    """

    images: Tensor
    widths: Tensor
    targets: Tensor
    target_lengths: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str) -> LineBatch:
        """The batch on another device, but for target_lengths."""
        images, widths, targets = (part.to(device, non_blocking=True) for part in self._parts()[:3])
        return LineBatch(images, widths, targets, self.target_lengths)

    def pin_memory(self) -> LineBatch:
        """The batch in memory from which a GPU copies while it works."""
        return LineBatch(*(part.pin_memory() for part in self._parts()))

    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.images, self.widths, self.targets, self.target_lengths


class Labeller(Speller):
    """Text -> labels of a charset."""

    def __init__(self, charset: Charset) -> None:
        super().__init__(charset)
        self.charset = charset

    def missing(self, text: str) -> set[str]:
        """Characters of a text that the charset lacks."""
        return set(text) - self._labels.keys()


def make_line_batch(lines: Sequence[LabelledLine], labeller: Labeller, wanted: InputFormat) -> LineBatch:
    """Resize, pad and scale lines just as the server does. Raises ValueError for characters outside the charset."""
    crops = [whole_image(line.image) for line in lines]
    pixels = torch.from_numpy(make_batch(crops, wanted)).permute(0, 3, 1, 2).float()
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (wanted.mean, wanted.std))
    labels = [_known_labels(line.text, labeller) for line in lines]
    targets = np.full((len(lines), max(map(len, labels))), labeller.charset.blank_index, np.int64)
    for row, line_labels in zip(targets, labels, strict=True):
        row[: len(line_labels)] = line_labels
    return LineBatch(
        images=((pixels / 255 - mean) / std).contiguous(),
        widths=torch.tensor([fitted_width(crop, wanted) for crop in crops]),
        targets=torch.from_numpy(targets),
        target_lengths=torch.tensor([len(line_labels) for line_labels in labels]),
    )


def _known_labels(text: str, labeller: Labeller) -> list[int]:
    labels = labeller.labels(text)
    if labels is None:
        raise ValueError(f"the charset lacks {sorted(labeller.missing(text))} of {text!r}")
    return labels


def bucketed(
    lines: Iterable[LabelledLine], labeller: Labeller, wanted: InputFormat, *, columns: int, max_width: int
) -> Iterator[LineBatch]:
    """Batches of lines of like width, each of about `columns` columns of pixels together with the padding.

    Lines wider than max_width, without text or with characters outside the charset are left out, and what is left in
    the buckets at the end comes as smaller batches.
    """
    buckets: defaultdict[int, list[LabelledLine]] = defaultdict(list)
    for line in lines:
        crop = whole_image(line.image)
        width = batch_width(crop, wanted)
        is_wide = max(width, fitted_width(crop, wanted)) > max_width
        if is_wide or not line.text or labeller.missing(line.text):
            continue
        bucket = buckets[width]
        bucket.append(line)
        if len(bucket) * width >= columns:
            yield make_line_batch(buckets.pop(width), labeller, wanted)
    for bucket in buckets.values():
        yield make_line_batch(bucket, labeller, wanted)
