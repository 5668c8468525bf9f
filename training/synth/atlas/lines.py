"""Batches of composed lines, each reproducible by itself from a seed and its number."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ocr_core.bundle import InputFormat
from ocr_core.charset import Charset
from training.batches import Labeller, LineBatch
from training.synth.atlas.camera import photograph, resized, wear_ink
from training.synth.atlas.colour import paint
from training.synth.atlas.dice import Dice, alter, constant, to_device
from training.synth.atlas.glyphs import HAND, GlyphAtlas
from training.synth.atlas.ink import InkPress, PlacedLines, bend, level_for, rules, take
from training.synth.atlas.layout import FontChances, Layout, Typesetter
from training.synth.atlas.stream import TextStream, load_lines

_SOURCE_SIZES = (0.45, 0.6, 0.75, 0.9, 1.0, 1.0, 1.2, 1.4, 1.7, 2.0)
"""Heights of pictures of lines before they are resized, in heights of the finished crops."""
_LEAST_TOGETHER, _MOST_GROUPS = 48, 3
"""Lines of a batch are drawn in groups of one source size; the fewer groups the faster."""


@dataclass(frozen=True, slots=True)
class AtlasSettings:
    """What lines are like.

    atlas, text: files of `python -m training.synth.atlas build`; wanted: the network's input; shapes: widths of
    batches in heights, with the share of batches; styles: how often each style of font; strength: of all disturbances,
    0 (clean) to 1, of which a batch gets a quarter to all.
    """

    atlas: Path
    text: Path
    wanted: InputFormat
    shapes: Mapping[float, float] = field(
        default_factory=lambda: {2: 0.07, 3: 0.12, 4: 0.15, 6: 0.18, 8: 0.17, 10: 0.15, 15: 0.1, 20: 0.05, 28: 0.03}
    )
    styles: Mapping[str, float] = field(
        default_factory=lambda: {"print": 0.62, "hand": 0.12, "display": 0.14, "mono": 0.07, "dots": 0.05}
    )
    strength: float = 1.0


class AtlasLines:
    """Endless labelled lines on a device, without any image library.

    On one kind of device a seed and an index always give the same batch, on different kinds the same texts.
    Raises OSError when files are missing, ValueError when no line of text fits the charset.
    """

    def __init__(self, charset: Charset, settings: AtlasSettings, seed: int, device: torch.device | str) -> None:
        atlas = GlyphAtlas.load(settings.atlas)
        self._settings = settings
        self._seed = seed
        self._device = torch.device(device)
        self._blank = charset.blank_index
        labels = Labeller(charset)
        self._labels = np.array([(labels.labels(character) or [-1])[0] for character in atlas.characters])
        drawable = (self._labels >= 0) & (atlas.glyph_of > 0).any(axis=0)
        stream = TextStream.of(load_lines(settings.text), atlas.characters, drawable)
        self._typesetter = Typesetter(atlas, stream, _chances(atlas, settings), height=settings.wanted.height)
        self._press = InkPress(atlas.bits, self._device)
        heights, shares = zip(*settings.shapes.items(), strict=True)
        self._widths = [round(share * settings.wanted.height / 8) * 8 for share in heights]
        self._width_chances = np.array(shares) / sum(shares)

    def with_seed(self, seed: int) -> AtlasLines:
        """Other lines of the same kind, from the same atlas in memory."""
        other = copy.copy(self)
        other._seed = seed
        return other

    def width(self, index: int) -> int:
        """Pixels to which the lines of batch number `index` are padded, for who wants fewer lines in wider batches."""
        return int(np.random.default_rng((self._seed, index, 0)).choice(self._widths, p=self._width_chances))

    def batch(self, index: int, size: int) -> LineBatch:
        """Batch number `index`, of `size` lines padded to one width."""
        width = self.width(index)
        rng = np.random.default_rng((self._seed, index, 1))
        generator = torch.Generator(self._device).manual_seed(int(rng.integers(2**62)))
        dice = Dice(rng, generator, self._settings.strength * rng.uniform(0.25, 1.0))
        layout = self._typesetter.lay_out(rng, size, width, dice.strength)
        together = max(_LEAST_TOGETHER, math.ceil(size / _MOST_GROUPS))
        groups = (slice(first, first + together) for first in range(0, size, together))
        images = torch.cat([self._crops(layout.part(group), dice, width) for group in groups])
        widths = to_device(np.ceil(layout.geometry.content).astype(np.int64), self._device)
        return LineBatch(
            images=self._scaled(images, widths),
            widths=widths,
            targets=to_device(self._targets(layout), self._device),
            target_lengths=torch.from_numpy(layout.lengths),
        )

    def _targets(self, layout: Layout) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        return np.where(layout.characters >= 0, self._labels[np.maximum(layout.characters, 0)], self._blank)

    def _crops(self, layout: Layout, dice: Dice, width: int) -> Tensor:
        """Finished crops, RGB, float32 [line, 3, height, width], 0 to 1, the text's background up to the right side."""
        height = self._settings.wanted.height
        lines = PlacedLines.of(layout, self._device)
        finer = float(dice.rng.choice(_SOURCE_SIZES)) ** dice.strength
        size = (round(height * finer), round(width * finer))
        ink = wear_ink(self._ink(lines, dice, size, width), dice)
        return resized(photograph(paint(ink, dice), dice), (height, width)).clamp_(0, 1)

    def _ink(self, lines: PlacedLines, dice: Dice, size: tuple[int, int], width: int) -> Tensor:
        """Ink of the lines and of what is ruled or written beside them, float32 [line, 1, rows, columns]."""
        height = self._settings.wanted.height
        level = level_for(lines, size[0] / height)
        strips = self._press.strips(lines, level)
        grid = bend(lines, dice, height=height, size=size, width=width)
        ink = take(strips, grid, level)
        ruled = dice.some(len(lines), 0.08)
        alter(ink, ruled, lambda part: torch.maximum(part, rules(grid.part(ruled), lines.part(ruled), dice)))
        beside = dice.some(len(lines), 0.15)
        crop_rows = (height / lines.scale)[beside]
        down = crop_rows * dice.uniform(len(beside), 0.8, 1.05) * dice.uniform(len(beside), -1, 1).sign()
        others = strips.roll(1, dims=0)[beside]
        alter(ink, beside, lambda part: torch.maximum(part, take(others, grid.part(beside), level, rows_down=down)))
        return ink

    def _scaled(self, images: Tensor, widths: Tensor) -> Tensor:
        """Crops in whole grey levels, padded and scaled as the network wants them."""
        wanted = self._settings.wanted
        in_order = images if wanted.channels == "RGB" else images.flip(1)
        levels = (in_order * 255).round()
        columns = torch.arange(images.shape[3], device=self._device)
        padding = constant(tuple(map(float, wanted.padding)), self._device).view(1, 3, 1, 1)
        levels = torch.where(columns < widths[:, None, None, None], levels, padding)
        mean, std = (constant(values, self._device).view(1, 3, 1, 1) for values in (wanted.mean, wanted.std))
        return levels.mul_(1 / (255 * std)).sub_(mean / std)


def _chances(atlas: GlyphAtlas, settings: AtlasSettings) -> FontChances:
    """Chances of the fonts: by style, then by the fonts' own weights."""
    styles = np.array(atlas.styles)
    weights = np.zeros(len(styles))
    for style, share in settings.styles.items():
        for chinese, part in ((True, 0.75), (False, 0.25)):
            group = (styles == style) & (atlas.chinese == chinese)
            if group.any():
                weights[group] = atlas.weights[group] / atlas.weights[group].sum() * share * part
    if not weights.any():
        raise ValueError(f"no font of {settings.atlas} is of the styles {', '.join(settings.styles)}")
    latin = np.where(atlas.chinese, 0, weights)
    latin = latin if latin.any() else weights
    return FontChances(weights / weights.sum(), latin / latin.sum(), styles == HAND)
