"""What images may be, for who has to know it without reading any."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is accepted. max_bytes: of the file or raw pixels; max_pixels: width * height; sides in pixels."""

    max_bytes: int = 32 * 2**20
    max_pixels: int = 50_000_000
    max_side: int = 16_384
    min_side: int = 4
