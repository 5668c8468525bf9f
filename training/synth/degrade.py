"""What light, lens, sensor and files do to a line crop, in this order. Each effect happens by the odds of its scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from ocr_core.types import Image
from training.synth.pixels import Array, Field, to_field, to_image
from training.synth.rolls import Rolls

_LEAST_SPREAD = 9.0  # contrast that is left to faded text
_MIN_BILEVEL = 20  # height below which black and white leaves nothing to read


def degrade(image: Image, rolls: Rolls) -> Image:
    """Apply the effects that happen. image: RGB, uint8 [height, width, 3]; the result may be smaller or larger."""
    for name, effect in EFFECTS.items():
        if rolls.does(name):
            image = to_image(effect(image, rolls))
    return image


def _scaled(image: Image, factors: Field) -> Array:
    """Brightness times factors [height or 1, width or 1]."""
    height, width = image.shape[:2]
    full = np.ascontiguousarray(np.broadcast_to(factors, (height, width)), np.float32)
    return cv2.multiply(image, cv2.merge([full, full, full]), dtype=cv2.CV_8U)


def _ramp(image: Image, rolls: Rolls, softness: float) -> Field:
    """0 on one side of a random straight edge, 1 on the other; softness in crop heights."""
    height, width = image.shape[:2]
    slope = rolls.between(-2, 2)
    columns = np.arange(width, dtype=np.float32)[None] - rolls.between(0, width)
    rows = np.arange(height, dtype=np.float32)[:, None] - height / 2
    side = rolls.dice.choice((-1, 1))
    return to_field(np.clip(side * (columns + slope * rows) / (softness * height) + 0.5, 0, 1))


def _spread(image: Image) -> float:
    """Standard deviation of brightness: contrast of text, weighed by how much ink there is."""
    return float(cv2.meanStdDev(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[1][0, 0])


def _bearable(image: Image) -> float:
    """Strongest noise that leaves the text legible."""
    return min(14.0, 2.0 + 0.4 * _spread(image))


def _uneven(image: Image, rolls: Rolls) -> Array:
    """Light that falls off along and across the line."""
    height, width = image.shape[:2]
    along = np.linspace(rolls.between(0.6, 1.1), rolls.between(0.6, 1.1), width, dtype=np.float32)[None]
    across = np.linspace(rolls.between(0.85, 1.1), rolls.between(0.85, 1.1), height, dtype=np.float32)[:, None]
    factors = along * across
    if rolls.happens(0.3):
        factors = factors + 0.08 * rolls.field(height, width, 1.5 * height)
    return _scaled(image, factors)


def _shadow(image: Image, rolls: Rolls) -> Array:
    """The edge of the shadow of a hand, a phone or a fold."""
    return _scaled(image, 1 - rolls.between(0.15, 0.55) * _ramp(image, rolls, rolls.between(0.05, 1.5)))


def _glare(image: Image, rolls: Rolls) -> Array:
    """A light reflected: part of the line is washed out, never all of it away."""
    height, width = image.shape[:2]
    columns = (np.arange(width, dtype=np.float32)[None] - rolls.between(0, width)) / (height * rolls.between(0.5, 2))
    rows = (np.arange(height, dtype=np.float32)[:, None] - rolls.between(0, height)) / (
        height * rolls.between(0.4, 1.2)
    )
    spot = rolls.between(0.25, 0.6) * np.exp(-(columns**2) - rows**2)
    return to_field(image + spot[..., None] * (255.0 - image))


def _texture(image: Image, rolls: Rolls) -> Array:
    """Grain of paper, cloth and walls."""
    height, width = image.shape[:2]
    most = _bearable(image)
    grain = rolls.between(0.1, 0.6) * most * rolls.field(height, width, rolls.between(1, 4))
    if rolls.happens(0.3):
        grain = grain + rolls.between(0.1, 0.4) * most * rolls.field(height, width, rolls.between(4, 14))
    return image + grain[..., None]


def _low_contrast(image: Image, rolls: Rolls) -> Array:
    """Fog, under- and overexposure, faded print."""
    contrast = min(1.0, max(rolls.between(0.2, 0.65), _LEAST_SPREAD / max(_spread(image), 1.0)))
    level = rolls.between(0, 255 * (1 - contrast))
    return cv2.convertScaleAbs(image, alpha=contrast, beta=level)


def _low_resolution(image: Image, rolls: Rolls) -> Array:
    """Text of few pixels, sometimes enlarged again by whoever kept it."""
    height, width = image.shape[:2]
    target = round(rolls.between(12, 26))
    if target >= height:
        return image
    small_width = max(4, round(width * target / height))
    method = cv2.INTER_AREA if rolls.happens(0.7) else cv2.INTER_LINEAR
    small = cv2.resize(image, (small_width, target), interpolation=method)
    if rolls.happens(0.4):
        return small
    return cv2.resize(small, (width, height), interpolation=rolls.dice.choice((cv2.INTER_LINEAR, cv2.INTER_CUBIC)))


def _blur(image: Image, rolls: Rolls) -> Array:
    """Out of focus, in proportion to the letters."""
    strength = rolls.between(0.008, 0.05) * image.shape[0]
    return cv2.GaussianBlur(image, (0, 0), max(0.3, strength))


def _motion(image: Image, rolls: Rolls) -> Array:
    """A moving hand or object: a straight smear."""
    length = max(2, round(rolls.between(0.05, 0.16) * image.shape[0]))
    kernel = np.zeros((length, length), np.float32)
    angle = rolls.between(0, np.pi)
    middle = (length - 1) / 2
    reach = to_field([np.cos(angle), np.sin(angle)]) * middle
    start, end = (tuple(round(float(value)) for value in middle + side * reach) for side in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def _sharpen(image: Image, rolls: Rolls) -> Array:
    """The halo that phones and scanners draw around letters."""
    soft = cv2.GaussianBlur(image, (0, 0), rolls.between(0.8, 2))
    gain = rolls.between(0.5, 1.8)
    return cv2.addWeighted(image, 1 + gain, soft, -gain, 0)


def _noise(image: Image, rolls: Rolls) -> Array:
    """Sensor noise: grey or coloured, fine or clotted by a phone's smoothing."""
    height, width = image.shape[:2]
    strength = rolls.between(0.1, 1) * _bearable(image)
    grain = rolls.normal(height, width, rolls.dice.choice((1, 3)))
    if rolls.happens(0.35):
        grain = to_field(2 * cv2.GaussianBlur(grain, (0, 0), 0.8)).reshape(height, width, -1)
    if rolls.happens(0.06):  # dead and hot pixels, dust
        grain = grain + 12 * (rolls.noise.random((height, width, 1), np.float32) > 0.985)
    return image + strength * grain


def _grey(image: Image, rolls: Rolls) -> Array:  # noqa: ARG001, effects share one signature
    """A copy or scan without colour."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)


def _bilevel(image: Image, rolls: Rolls) -> Array:
    """A scan in black and white, with ragged edges and specks, maybe softened when it was shown again."""
    height, width = image.shape[:2]
    if height < _MIN_BILEVEL:
        return image
    light = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    # Scanners level the light first, or a shadow would swallow the text.
    level = light - cv2.blur(light, (2 * height, 2 * height))
    level = 128 + 50 * level / max(float(level.std()), 1.0) + rolls.between(0, 12) * rolls.field(height, width, 1.5)
    even = to_image(level)
    threshold = cv2.threshold(even, 0, 255, cv2.THRESH_OTSU)[0] + rolls.between(-18, 18)
    two = to_image(255 * (even > threshold))
    if rolls.happens(0.4):
        two = np.where(rolls.noise.random((height, width)) > 0.997, 255 - two, two)
    if rolls.happens(0.6):
        two = to_image(cv2.GaussianBlur(two, (0, 0), rolls.between(0.4, 0.8)))
    return cv2.cvtColor(two, cv2.COLOR_GRAY2RGB)


def _jpeg(image: Image, rolls: Rolls) -> Array:
    """Blocks and ringing of a file saved small."""
    quality = rolls.dice.choice((rolls.dice.randint(15, 40), rolls.dice.randint(40, 90)))
    encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality))[1]
    return cv2.cvtColor(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)


def _upscale(image: Image, rolls: Rolls) -> Array:
    """Shown larger than it is: soft edges or steps."""
    factor = rolls.between(1.2, 2.2)
    if image.shape[0] * factor > 72:
        return image
    method = rolls.dice.choice((cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC))
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=method)


EFFECTS: Mapping[str, Callable[[Image, Rolls], Array]] = {
    "uneven": _uneven,
    "shadow": _shadow,
    "glare": _glare,
    "texture": _texture,
    "low_contrast": _low_contrast,
    "low_resolution": _low_resolution,
    "blur": _blur,
    "motion": _motion,
    "sharpen": _sharpen,
    "noise": _noise,
    "grey": _grey,
    "bilevel": _bilevel,
    "jpeg": _jpeg,
    "upscale": _upscale,
}
