"""Two kinds of pixel arrays: images, uint8, and fields, float32, while light and ink are added up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ocr_core.types import Image

Field = NDArray[np.float32]
Array = NDArray[Any]


def to_field(values: ArrayLike) -> Field:
    """Values as float32."""
    return np.asarray(values, np.float32)


def to_image(values: ArrayLike) -> Image:
    """Values as uint8; what is below 0 or above 255 becomes that."""
    array = np.asarray(values)
    return array if array.dtype == np.uint8 else np.clip(array, 0, 255).astype(np.uint8)
