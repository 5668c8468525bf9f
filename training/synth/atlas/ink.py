"""Ink of a batch of lines: glyph columns gathered into strips, and the strips bent into the crops."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from training.synth.atlas.dice import Dice, to_device
from training.synth.atlas.glyphs import BASELINE, CELL, COLUMN_BYTES, LEFT
from training.synth.atlas.layout import Geometry, Layout

_LEVELS = 4
"""Strips are also made at 1/2, 1/4 and 1/8 of the atlas's size."""


@dataclass(frozen=True, slots=True)
class PlacedLines:
    """Layout of some lines on a device, float32 except glyphs; see Layout and Geometry.

    glyphs: int64 [line, longest]; pens: [line, longest + 1]; rises: [line, longest]; the other tensors [line, 1, 1].
    longest_px: of the longest line, atlas pixels; usual_scale: the median scale; both without asking the device.
    """

    glyphs: Tensor
    pens: Tensor
    rises: Tensor
    scale: Tensor
    stretch: Tensor
    left: Tensor
    content: Tensor
    middle: Tensor
    tilt: Tensor
    bow: Tensor
    slant: Tensor
    narrowing: Tensor
    wobble: Tensor
    longest_px: float
    usual_scale: float

    @classmethod
    def of(cls, layout: Layout, device: torch.device) -> PlacedLines:
        """The layout on a device, in one copy for all numbers of a line."""
        names = [field.name for field in fields(Geometry)]
        rows = np.concatenate(
            [np.stack([getattr(layout.geometry, name) for name in names], axis=1), layout.pens, layout.rises], axis=1
        )
        moved = to_device(rows.astype(np.float32), device)
        geometry = {name: moved[:, column, None, None] for column, name in enumerate(names)}
        after = len(names) + layout.pens.shape[1]
        pens, rises = moved[:, len(names) : after], moved[:, after:]
        return cls(
            glyphs=to_device(layout.glyphs, device),
            pens=pens.contiguous(),
            rises=rises.contiguous(),
            longest_px=float(layout.pens[:, -1].max()),
            usual_scale=float(np.median(layout.geometry.scale)),
            **geometry,
        )

    def __len__(self) -> int:
        return len(self.glyphs)

    def part(self, which: Tensor) -> PlacedLines:
        """Some of the lines, by their numbers."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values |= {name: value[which] for name, value in values.items() if isinstance(value, Tensor)}
        return PlacedLines(**values)


class InkPress:
    """Draws the ink of lines from the bits of an atlas."""

    def __init__(self, bits: npt.NDArray[np.uint8], device: torch.device) -> None:
        self._columns = torch.from_numpy(bits.reshape(-1, COLUMN_BYTES)).to(device)
        pixels = torch.from_numpy(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)).float()
        self._unpacked = [pixels.view(256, 8 >> level, 1 << level).mean(dim=2).to(device) for level in range(_LEVELS)]

    def strips(self, lines: PlacedLines, level: int) -> Tensor:
        """Straight lines at 1 / 2**level of the atlas's size, lying on their sides.

        Returns float32 [line, 1, columns, CELL / 2**level], 0 paper, 1 ink; the pen starts at column LEFT / 2**level.
        """
        step = 1 << level
        pens = lines.pens.round()
        width = math.ceil(lines.longest_px / step) * step + CELL
        columns = torch.arange(-LEFT, width - LEFT, device=pens.device, dtype=torch.float32)
        slots = torch.searchsorted(pens, columns.expand(len(lines), -1).contiguous(), right=True) - 1
        last = lines.glyphs.shape[1] - 1
        packed = torch.zeros((len(lines), width, COLUMN_BYTES), dtype=torch.uint8, device=pens.device)
        for neighbour in (-1, 0, 1):
            packed |= self._glyph_columns(lines, pens, columns, (slots + neighbour).clamp(0, last))
        ink = self._unpacked[level][packed.int()].flatten(2)
        return ink.view(len(lines), -1, step, CELL >> level).mean(dim=2)[:, None]

    def _glyph_columns(self, lines: PlacedLines, pens: Tensor, columns: Tensor, slots: Tensor) -> Tensor:
        inside = (columns - pens.gather(1, slots)).long() + LEFT
        known = (inside >= 0) & (inside < CELL)
        return self._columns[torch.where(known, lines.glyphs.gather(1, slots) * CELL + inside, 0)]


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the pixels of crops lie on their strips, in atlas pixels: along from the line's start, rows of the cell.

    float32 [line, rows, columns] each.
    """

    along: Tensor
    row: Tensor

    def part(self, which: Tensor) -> Grid:
        """Of some of the crops, by their numbers."""
        return Grid(self.along[which], self.row[which])


def bend(lines: PlacedLines, dice: Dice, *, height: int, size: tuple[int, int], width: int) -> Grid:
    """The grid of crops of `height` by `width` px that are drawn with `size` pixels."""
    rows, columns = size
    device = lines.pens.device
    x = ((torch.arange(columns, device=device) + 0.5) * (width / columns))[None, None, :]
    y = ((torch.arange(rows, device=device) + 0.5) * (height / rows) - height / 2)[None, :, None]
    place = (x - lines.content / 2) / lines.content
    drift = height * (lines.tilt * place + lines.bow * (4 * place.square() - 0.5))
    steepness = height * (lines.tilt + lines.bow * 8 * place) / lines.content
    vertical = (y - drift) / (1 + lines.narrowing * place)
    # Perspective moves what is inside the line, not its ends.
    shift = lines.narrowing * (place.square() - 0.25) * (lines.content / 2)
    along = (x + shift - lines.left + (lines.slant + steepness) * vertical) / (lines.scale * lines.stretch)
    row = vertical / lines.scale + lines.middle
    slots = torch.searchsorted(lines.pens, along[:, rows // 2].contiguous(), right=True) - 1
    rise = lines.rises.gather(1, slots.clamp(0, lines.rises.shape[1] - 1))
    return _wobbled(Grid(along, row - rise[:, None]), lines, dice, height)


def _wobbled(grid: Grid, lines: PlacedLines, dice: Dice, height: int) -> Grid:
    count, rows, columns = grid.row.shape
    amount = lines.wobble * height / lines.scale
    cells = (3, max(3, columns // 24))
    shifts = dice.field(2 * count, (rows, columns), cells).view(2, count, rows, columns)
    return Grid(grid.along + amount * shifts[0], grid.row + amount * shifts[1])


def level_for(lines: PlacedLines, pixels_per_px: float) -> int:
    """The smallest strips that still have at least as many pixels as crops with so many pixels to the px."""
    return min(max(math.floor(-math.log2(lines.usual_scale * pixels_per_px)), 0), _LEVELS - 1)


def take(strips: Tensor, grid: Grid, level: int, *, rows_down: Tensor | float = 0.0) -> Tensor:
    """Ink of strips at a grid, moved down by so many atlas rows; float32 [line, 1, rows, columns]."""
    length, thickness = strips.shape[2] << level, strips.shape[3] << level
    flow = torch.stack([(grid.row - rows_down) * (2 / thickness) - 1, (grid.along + LEFT) * (2 / length) - 1], dim=3)
    return functional.grid_sample(strips, flow, mode="bilinear", padding_mode="zeros", align_corners=False)


def rules(grid: Grid, lines: PlacedLines, dice: Dice) -> Tensor:
    """Ink of underlines, strokes through the text and the sides of table cells; float32 [line, 1, rows, columns]."""
    count = len(lines)
    underline = BASELINE + dice.uniform(count, 6, 16)
    through = dice.happens(count, 0.12)
    row = torch.where(through > 0, dice.uniform(count, 20, 50), underline)
    thickness = dice.uniform(count, 0.7, 3.5)
    pitch, dashed = dice.uniform(count, 8, 40), dice.happens(count, 0.25)
    gaps = dashed * (torch.remainder(grid.along, pitch) > 0.6 * pitch)
    ink = _soft((grid.row - row).abs(), thickness, lines) * (1 - gaps)
    sides = lines.pens[:, -1:, None] * (dice.uniform(count, 0, 1) > 0.5) + dice.uniform(count, -14, 14)
    bars = _soft((grid.along - sides).abs(), thickness, lines) * dice.happens(count, 0.3)
    return torch.maximum(ink, bars)[:, None]


def _soft(distance: Tensor, thickness: Tensor, lines: PlacedLines) -> Tensor:
    """1 within the thickness, falling to 0 over about a pixel."""
    return ((thickness - distance) * lines.scale + 0.5).clamp(0, 1)
