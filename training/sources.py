"""Where batches come from: lines drawn by processes, drawn on the GPU, or labelled by people."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ocr_core.bundle import InputFormat
from ocr_core.charset import Charset
from training.batches import LabelledLine, Labeller, LineBatch, bucketed
from training.recipe import Data
from training.synth.atlas.lines import AtlasLines, AtlasSettings
from training.synth.samples import BUILT, SynthLines, SynthSettings


class BatchSource(Protocol):
    """An endless supply of batches."""

    def batches(self, first_line: int) -> Iterator[LineBatch]:
        """Batches of lines from number first_line on, so that a resumed run sees new ones."""


Draw = Callable[[int], LabelledLine]
"""The line of a number, always the same one."""


@dataclass(frozen=True, slots=True)
class DrawnLines:
    """Batches of lines that are drawn one by one, by as many processes as `data` says."""

    draw: Draw
    labeller: Labeller
    wanted: InputFormat
    data: Data

    def batches(self, first_line: int) -> Iterator[LineBatch]:
        """As BatchSource."""
        dataset = _Dataset(self, first_line)
        workers = self.data.workers
        return iter(DataLoader(dataset, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None))


class _Dataset(IterableDataset[LineBatch]):
    """Worker w of n draws every nth line, starting with number w."""

    def __init__(self, source: DrawnLines, first_line: int) -> None:
        self._source = source
        self._first_line = first_line

    def __iter__(self) -> Iterator[LineBatch]:
        cv2.setNumThreads(1)
        worker = get_worker_info()
        start, step = (worker.id, worker.num_workers) if worker else (0, 1)
        source = self._source
        lines = map(source.draw, itertools.count(self._first_line + start, step))
        return bucketed(
            lines, source.labeller, source.wanted, columns=source.data.columns, max_width=source.data.max_width
        )


@dataclass(frozen=True, slots=True)
class AtlasBatches:
    """Batches that are put together on the device that trains, each of `columns` columns."""

    lines: AtlasLines
    columns: int

    def batches(self, first_line: int) -> Iterator[LineBatch]:
        """As BatchSource. There are more lines than batches, so their count is a number not used before."""
        for index in itertools.count(first_line):
            yield self.lines.batch(index, max(1, self.columns // self.lines.width(index)))

    def some(self, seed: int, count: int) -> list[LineBatch]:
        """At least so many lines of another seed, in small batches, for more widths."""
        small, taken = replace(self, lines=self.lines.with_seed(seed), columns=self.columns // 8), 0
        batches = []
        for batch in small.batches(0):
            batches.append(batch)
            taken += len(batch)
            if taken >= count:
                break
        return batches


def atlas_batches(charset: Charset, wanted: InputFormat, data: Data, device: torch.device) -> AtlasBatches:
    """The lines that are composed on the device. Raises OSError without what training.synth.atlas builds."""
    folder = (data.root or BUILT) / "atlas"
    settings = AtlasSettings(folder / "atlas.npz", folder / "lines.xz", wanted)
    narrow = {shape: share for shape, share in settings.shapes.items() if shape * wanted.height <= data.max_width}
    settings = replace(settings, shapes=narrow)
    return AtlasBatches(AtlasLines(charset, settings, data.seed, device), data.columns)


def synth_lines(charset: Charset, data: Data, seed: int) -> SynthLines:
    """The lines that are drawn on the CPU, with everything that happens to lines at its usual odds."""
    return SynthLines(charset, SynthSettings(root=data.root, shares=data.shares, severity=data.severity), seed)
