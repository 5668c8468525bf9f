"""Colours: what lies behind the text, what colour the text has, and what is drawn around it.

Images are RGB, float32 [line, 3, rows, columns], 0 to 1; ink is float32 [line, 1, rows, columns].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from training.synth.atlas.dice import Dice, alter, constant

_LUMA = (0.299, 0.587, 0.114)


def paint(ink: Tensor, dice: Dice) -> Tensor:
    """Text on its background."""
    count = len(ink)
    paper, text = _colours(count, dice)
    image = _paper(paper, text, ink, dice)
    captions = dice.some(count, 0.13)
    if len(captions):
        image[captions] = _scene(ink[captions], dice, depth=1.0)
        text[captions] = _tinted(dice.uniform(len(captions), 0.75, 1.0), 0.4, dice)
    text = _shaded(text, ink, dice)
    _add_shadows(image, ink, dice)
    _add_edges(image, ink, text, torch.cat([captions, dice.some(count, 0.03)]), dice)
    opacity = torch.where(dice.happens(count, 0.25) > 0, dice.uniform(count, 0.6, 1.0), 1.0)
    return (image + (text - image) * (ink * opacity[:, None])).clamp_(0, 1)


def _colours(count: int, dice: Dice) -> tuple[Tensor, Tensor]:
    """Colours of paper and text, [line, 3, 1, 1] each, apart by a contrast that is sometimes low."""
    light = torch.where(dice.happens(count, 0.25) > 0, dice.uniform(count, 0.45, 0.85), dice.uniform(count, 0.78, 1.0))
    dark = dice.uniform(count, 0.0, 1.0).pow(1.7) * 0.45
    middle = (light + dark) / 2
    weaker = torch.where(dice.happens(count, 0.12) > 0, dice.uniform(count, 0.3, 0.6), 1.0)
    light, dark = middle + (light - middle) * weaker, middle + (dark - middle) * weaker
    inverted = dice.happens(count, 0.28)
    paper, text = light + (dark - light) * inverted, dark + (light - dark) * inverted
    return _tinted(paper, 0.4, dice), _tinted(text, 0.4, dice)


def _tinted(luma: Tensor, chance: float, dice: Dice) -> Tensor:
    """Grey values [line, 1, 1] turned to colours of about the same luma, some of them strong; [line, 3, 1, 1]."""
    count = len(luma)
    colour = dice.normal(count, 3, 1, 1)
    weights = constant(_LUMA, dice.device).view(1, 3, 1, 1)
    colour = colour - (colour * weights).sum(dim=1, keepdim=True)
    amount = torch.where(
        dice.happens(count, chance) > 0, dice.uniform(count, 0.0, 0.5).square(), dice.uniform(count, 0.0, 0.02)
    )
    return (luma[:, None] + colour * amount[:, None]).clamp(0, 1)


def _paper(paper: Tensor, text: Tensor, ink: Tensor, dice: Dice) -> Tensor:
    """Paper, cloth, screens and photographs; the less contrast the text has, the flatter."""
    count, _, rows, columns = ink.shape
    contrast = (paper - text).abs().mean(dim=1, keepdim=True)
    relief = dice.happens(count, 0.3) * dice.uniform(count, 0.0, 0.1)
    grain = dice.happens(count, 0.25) * dice.uniform(count, 0.0, 0.08)
    texture = relief[:, None] * dice.field(count, (rows, columns), (3, max(3, columns // 12)))
    texture += grain[:, None] * dice.field(count, (rows, columns), (rows // 2, columns // 2))
    image = paper + texture * contrast
    scenic, woven, cut = dice.some(count, 0.12), dice.some(count, 0.08), dice.some(count, 0.1)
    if len(scenic):
        depth = 0.3 * contrast[scenic]
        image[scenic] += (_scene(ink[scenic], dice, depth=1.0) - 0.5) * depth
    if len(woven):
        image[woven] += _weave(ink[woven], dice) * contrast[woven]
    alter(image, cut, lambda part: _past_the_edge(part, dice))
    return image


def _scene(ink: Tensor, dice: Dice, depth: float) -> Tensor:
    """A photograph out of focus: coloured patches, some with sharp borders."""
    count, _, rows, columns = ink.shape
    size, cells = (rows, columns), (3, max(3, columns // rows * 2))
    light = dice.uniform(count, 0.1, 0.85)[:, None]
    colours = dice.field(3 * count, size, cells).view(count, 3, rows, columns)
    patches = torch.sigmoid(dice.field(count, size, cells) * dice.uniform(count, 1, 30)[:, None]) - 0.5
    tone = dice.normal(count, 1, 1, 1) * 0.25 + dice.normal(count, 3, 1, 1) * 0.08
    tint = dice.normal(count, 3, 1, 1) * 0.06
    return (light + tint + depth * (0.03 * colours + patches * tone + 0.1 * colours[:, :1])).clamp_(0, 1)


def _weave(ink: Tensor, dice: Dice) -> Tensor:
    """Waves across the crop: cloth, ruled paper, screens; [line, 1, rows, columns]."""
    count, _, rows, columns = ink.shape
    angle, period = dice.uniform(count, 0, math.pi), dice.uniform(count, 2.5, 20)
    x = torch.arange(columns, device=ink.device)[None, None, :]
    y = torch.arange(rows, device=ink.device)[None, :, None]
    phase = (x * angle.cos() + y * angle.sin()) * (2 * math.pi / period)
    return (torch.sin(phase) * dice.uniform(count, 0.02, 0.12))[:, None]


def _past_the_edge(image: Tensor, dice: Dice) -> Tensor:
    """What the text stands on ends near a side of the crop, and something of another colour begins."""
    count, _, rows, columns = image.shape
    x = (torch.arange(columns, device=image.device) / columns)[None, None, :]
    y = (torch.arange(rows, device=image.device) / rows)[None, :, None]
    side = dice.uniform(count, 0, 4).floor()
    far = torch.where(side < 2, (y - (side == 1).float()).abs(), (x - (side == 3).float()).abs() * (columns / rows))
    slope = dice.uniform(count, -0.1, 0.1) * torch.where(side < 2, x, y)
    beyond = torch.sigmoid((dice.uniform(count, 0.02, 0.16) - far - slope) * rows * 2)[:, None]
    other = _tinted(dice.uniform(count, 0.0, 1.0), 0.4, dice)
    return image + (other - image) * beyond


def _shaded(text: Tensor, ink: Tensor, dice: Dice) -> Tensor:
    """Text whose colour changes over the line, of uneven ink or by design."""
    count, _, rows, columns = ink.shape
    amount = dice.happens(count, 0.2) * dice.uniform(count, 0.0, 0.2)
    return text + amount[:, None] * dice.field(count, (rows, columns), (3, max(3, columns // rows)))


def _add_shadows(image: Tensor, ink: Tensor, dice: Dice) -> None:
    """Some text casts a shadow or stands out of its ground."""
    which = dice.some(len(ink), 0.06)
    if not len(which):
        return
    reach = max(1, ink.shape[2] // 24)
    right, down = (int(value) for value in dice.rng.integers(-reach, reach + 1, size=2))
    shadow = torch.roll(ink[which], (down, right), dims=(2, 3))
    tone = torch.where(dice.uniform(len(which), 0, 1) < 0.8, 0.0, 1.0)[:, None]
    image[which] += (tone - image[which]) * shadow * dice.uniform(len(which), 0.3, 0.8)[:, None]


def _add_edges(image: Tensor, ink: Tensor, text: Tensor, which: Tensor, dice: Dice) -> None:
    """Outlines, as of captions: dark around light text and light around dark text."""
    if not len(which):
        return
    reach = 1 + 2 * max(1, round(ink.shape[2] / 32))
    wide = functional.max_pool2d(ink[which], reach, stride=1, padding=reach // 2)
    is_light = text[which].mean(dim=(1, 2, 3), keepdim=True) > 0.5
    depth = dice.uniform(len(which), 0.0, 0.25)[:, None]
    edge = torch.where(is_light, depth, 1 - depth)
    image[which] += (edge - image[which]) * wide * dice.uniform(len(which), 0.6, 1.0)[:, None]
