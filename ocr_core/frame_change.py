"""Whether a frame looks like another: cheap enough to ask of every frame, fine enough for one small character.

Measured on text of 10 to 16 pixels, black on white, with pairs such as 1/l, ./, and 土/士: means of 2 x 2 pixels of two
frames that differ in one character differ by 19 levels or more somewhere. Sensor noise of 3 levels makes 7, JPEG of
quality 75 makes 11. Means of 4 x 4 keep the noise to 4 but the characters to 2, as their strokes are a pixel wide.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.types import Image

FrameSketch = npt.NDArray[np.uint8]
"""A grey image of half a frame's size, uint8 [height // 2, width // 2]: all that is kept of the frame."""


def sketch(image: Image) -> FrameSketch:
    """Means of 2 x 2 pixels of the image's luminance, each side at least 2. An odd last row or column is left out."""
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    grey = cv2.cvtColor(image[:height, :width], cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)


def has_changed(old: FrameSketch, new: FrameSketch, threshold: float) -> bool:
    """Whether some pixel of the sketches differs by more than so many grey levels, or their sizes differ."""
    return old.shape != new.shape or cv2.norm(old, new, cv2.NORM_INF) > threshold
