"""What happens to a painted line on its way to the crop: wear, light, lenses, sensors, scanners and compression.

Images are RGB, float32 [line, 3, rows, columns], 0 to 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from training.synth.atlas.dice import Dice, alter, constant

_BLOCK = 8
# Annex K of the JPEG standard (ITU-T T.81), for luma and chroma at quality 50.
_LUMA_STEPS = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_STEPS = (
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *(99,) * 32,
)
_TO_YCC = (0.299, 0.587, 0.114, -0.168736, -0.331264, 0.5, 0.5, -0.418688, -0.081312)
_TO_RGB = (1.0, 0.0, 1.402, 1.0, -0.344136, -0.714136, 1.0, 1.772, 0.0)


def wear_ink(ink: Tensor, dice: Dice) -> Tensor:
    """Thicker, thinner, broken and dotted strokes. ink: float32 [line, 1, rows, columns], 0 to 1."""
    count, _, rows, columns = ink.shape
    alter(ink, dice.some(count, 0.1), _thickened)
    weight = torch.exp(dice.uniform(count, -0.5, 0.5) * dice.happens(count, 0.7))[:, None]
    ink = ink.clamp_min(1e-4) ** weight
    broken, blotchy = dice.some(count, 0.06), dice.some(count, 0.06)
    if len(broken):
        holes = dice.field(len(broken), (rows, columns), (rows // 2, columns // 2))
        ink[broken] *= 1 - 0.9 * (holes > dice.uniform(len(broken), 0.6, 1.6)[:, None])
    if len(blotchy):
        fading = dice.field(len(blotchy), (rows, columns), (4, max(4, columns // 8)))
        ink[blotchy] *= (1 + 0.35 * (fading - 0.5)).clamp(0.25, 1)
    return ink


def _thickened(ink: Tensor) -> Tensor:
    return torch.maximum(ink, 0.75 * functional.max_pool2d(ink, 3, stride=1, padding=1))


def photograph(image: Tensor, dice: Dice) -> Tensor:
    """The image as it comes out of a camera or scanner: lit, stained, blurred, noisy, in few levels or compressed."""
    count = len(image)
    alter(image, dice.some(count, 0.3), lambda part: part * _light(part, dice))
    alter(image, dice.some(count, 0.1), lambda part: part * (1 - _cast_shadow(part, dice)))
    alter(image, dice.some(count, 0.03), lambda part: _stamped(part, dice))
    alter(image, dice.some(count, 0.08), lambda part: _specked(part, dice))
    alter(image, dice.some(count, 0.35), lambda part: _blurred(part, dice))
    alter(image, dice.some(count, 0.25), lambda part: _toned(part, dice))
    alter(image, dice.some(count, 0.33), lambda part: _noisy(part, dice))
    alter(image, dice.some(count, 0.25), lambda part: part.mean(dim=1, keepdim=True).expand_as(part))
    alter(image, dice.some(count, 0.08), lambda part: _scanned(part, dice))
    alter(image, dice.some(count, 0.45), lambda part: _compressed(part, dice))
    return image.clamp_(0, 1)


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The image at another size, averaging over areas when shrinking, as line crops are resized to be read."""
    if tuple(image.shape[2:]) == size:
        return image
    if size[0] < image.shape[2]:
        return functional.interpolate(image, size, mode="area")
    return functional.interpolate(image, size, mode="bilinear", align_corners=False)


def _light(image: Tensor, dice: Dice) -> Tensor:
    """Light that is stronger in some places, factors [line, 1, rows, columns]."""
    count, _, rows, columns = image.shape
    amount = dice.uniform(count, 0.02, 0.16)[:, None]
    return (1 + amount * dice.field(count, (rows, columns), (2, max(2, columns // rows)))).clamp_min(0.2)


def _cast_shadow(image: Tensor, dice: Dice) -> Tensor:
    """A shadow with a straight border, its depth [line, 1, rows, columns]."""
    count, _, rows, columns = image.shape
    angle = dice.uniform(count, 0, 2 * math.pi)
    x = torch.arange(columns, device=image.device)[None, None, :] - dice.uniform(count, 0, columns)
    y = torch.arange(rows, device=image.device)[None, :, None] - dice.uniform(count, 0, rows)
    softness = dice.uniform(count, 0.05, 1.0).square() * rows / 2
    far = (x * angle.cos() + y * angle.sin()) / softness
    return (torch.sigmoid(far) * dice.uniform(count, 0.15, 0.55))[:, None]


def _stamped(image: Tensor, dice: Dice) -> Tensor:
    """Part of a round seal in red or blue over the line."""
    count, _, rows, columns = image.shape
    radius = dice.uniform(count, 0.5, 2.0) * rows
    x = torch.arange(columns, device=image.device)[None, None, :] - dice.uniform(count, 0, columns)
    y = torch.arange(rows, device=image.device)[None, :, None] - dice.uniform(count, -0.5, 1.5) * rows
    ring = ((x.square() + y.square()).sqrt() - radius).abs()
    ink = (dice.uniform(count, 0.03, 0.1) * rows - ring + 0.5).clamp(0, 1) * dice.uniform(count, 0.25, 0.75)
    worn = (dice.field(count, (rows, columns), (rows // 2, columns // 2)) + 1.2).clamp(0, 1)
    is_red = dice.uniform(count, 0, 1)[:, None] < 0.75
    red, blue = (constant(colour, image.device).view(1, 3, 1, 1) for colour in ((0.85, 0.15, 0.15), (0.15, 0.2, 0.7)))
    # A seal darkens: what is black below it stays black.
    return image * (1 - (1 - torch.where(is_red, red, blue)) * ink[:, None] * worn)


def _specked(image: Tensor, dice: Dice) -> Tensor:
    """Dirt, dust and scratches of any size up to that of a stroke."""
    count, _, rows, columns = image.shape
    finest = dice.rng.uniform(0.25, 0.9)
    relief = dice.field(count, (rows, columns), (int(rows * finest), int(columns * finest)))
    specks = torch.sigmoid((relief - dice.uniform(count, 2.0, 3.0)[:, None]) * 12)
    return image + (dice.uniform(count, 0, 1).round()[:, None] - image) * specks


def _blurred(image: Tensor, dice: Dice) -> Tensor:
    """Out of focus or moved while the picture was taken: a Gaussian of two widths in any direction."""
    count, channels, rows, columns = image.shape
    reach = 2 if rows <= 24 else 3 if rows <= 44 else 4
    wide = dice.uniform(count, 0.25, 1.3) * (rows / 32)
    motion = torch.where(dice.uniform(count, 0, 1) < 0.3, dice.uniform(count, 0.15, 0.6), 1.0)
    angle = dice.uniform(count, 0, math.pi)
    steps = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    along = steps[None, None, :] * angle.cos() + steps[None, :, None] * angle.sin()
    across = steps[None, :, None] * angle.cos() - steps[None, None, :] * angle.sin()
    narrow = (wide * motion).clamp_min(0.2)
    kernel = torch.exp(-(along / wide.clamp_min(0.2)).square() / 2 - (across / narrow).square() / 2)
    kernel = (kernel / kernel.sum(dim=(1, 2), keepdim=True)).repeat_interleave(channels, dim=0)
    padded = functional.pad(image, (reach,) * 4, mode="replicate").flatten(0, 1)[None]
    # Sizes differ from call to call: cuDNN would try its algorithms anew each time.
    with torch.backends.cudnn.flags(enabled=False):
        blurred = functional.conv2d(padded, kernel[:, None], groups=count * channels)
    return blurred.view(count, channels, rows, columns)


def _toned(image: Tensor, dice: Dice) -> Tensor:
    """Over- and underexposed, flat or hard."""
    count = len(image)
    gamma = torch.exp(dice.uniform(count, -0.5, 0.5))[:, None]
    gain = dice.uniform(count, 0.6, 1.3)[:, None]
    offset = dice.uniform(count, 0.0, 1.0)[:, None] * (1 - gain)
    return (image.clamp(1e-4, 1) ** gamma * gain + offset).clamp(0, 1)


def _noisy(image: Tensor, dice: Dice) -> Tensor:
    """Sensor noise, grey or coloured, at most about as strong as the text."""
    count, _, rows, columns = image.shape
    spread = image.mean(dim=1, keepdim=True).std(dim=(2, 3), keepdim=True)
    amount = dice.uniform(count, 0.05, 0.3).square()[:, None] * (4 * spread).clamp_max(1)
    grey = dice.normal(count, 1, rows, columns)
    coloured = dice.happens(count, 0.4)[:, None]
    return image + amount * (grey + coloured * dice.normal(*image.shape))


def _scanned(image: Tensor, dice: Dice) -> Tensor:
    """Black and white, as old scans and faxes are: what is darker or lighter than its surroundings."""
    count, _, rows, columns = image.shape
    grey = image.mean(dim=1, keepdim=True)
    around = functional.adaptive_avg_pool2d(grey, (2, max(2, 2 * columns // rows)))
    around = functional.interpolate(around, (rows, columns), mode="bilinear", align_corners=False)
    level = (grey - around) / grey.std(dim=(2, 3), keepdim=True).clamp_min(0.02)
    level = level + dice.uniform(count, 0, 0.4)[:, None] * dice.normal(count, 1, rows, columns)
    sharpness = dice.uniform(count, 2, 10)[:, None]
    return torch.sigmoid((level + dice.uniform(count, 0.0, 0.7)[:, None]) * sharpness).expand_as(image)


def _compressed(image: Tensor, dice: Dice) -> Tensor:
    """JPEG: quantised frequencies of 8 x 8 blocks, chroma at half the size. Qualities 15 to 80, one for each line."""
    count, _, rows, columns = image.shape
    right, below = -columns % (2 * _BLOCK), -rows % (2 * _BLOCK)
    padded = functional.pad(image, (0, right, 0, below), mode="replicate")
    to_ycc, to_rgb = (constant(values, image.device).view(3, 3) for values in (_TO_YCC, _TO_RGB))
    planes = torch.einsum("ij,njyx->niyx", to_ycc, padded * 255)
    quality = dice.uniform(count, 15, 80)
    coarseness = torch.where(quality < 50, 50 / quality, 2 - quality / 50)[:, None, None, None]
    luma = _quantised(planes[:, :1] - 128, _LUMA_STEPS, coarseness) + 128
    chroma = _quantised(functional.avg_pool2d(planes[:, 1:], 2), _CHROMA_STEPS, coarseness)
    chroma = functional.interpolate(chroma, scale_factor=2.0, mode="bilinear", align_corners=False)
    rgb = torch.einsum("ij,njyx->niyx", to_rgb, torch.cat([luma, chroma], dim=1))
    return (rgb[..., :rows, :columns] / 255).clamp(0, 1)


def _quantised(planes: Tensor, steps: tuple[int, ...], coarseness: Tensor) -> Tensor:
    """planes: [line, plane, rows, columns], in whole blocks; coarseness: [line, 1, 1, 1, 1, 1]."""
    count, kinds, rows, columns = planes.shape
    blocks = planes.view(count, kinds, rows // _BLOCK, _BLOCK, columns // _BLOCK, _BLOCK).transpose(3, 4)
    cosines = _cosines(planes)
    step = (constant(steps, planes.device).view(_BLOCK, _BLOCK) * coarseness).clamp_min(1)
    frequencies = torch.round(cosines @ blocks @ cosines.T / step) * step
    return (cosines.T @ frequencies @ cosines).transpose(3, 4).reshape(count, kinds, rows, columns)


def _cosines(like: Tensor) -> Tensor:
    """Matrix of the discrete cosine transform, [frequency, place]."""
    place = torch.arange(_BLOCK, device=like.device, dtype=like.dtype)
    cosines = torch.cos((2 * place[None, :] + 1) * place[:, None] * (math.pi / (2 * _BLOCK))) / 2
    cosines[0] /= math.sqrt(2)
    return cosines
