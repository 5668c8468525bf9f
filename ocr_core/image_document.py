"""Image files as documents: the pages of a TIFF, one page of any other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from PIL import Image as PillowImage

from ocr_core.document import FailedPage, Page
from ocr_core.errors import DocumentTooLarge, DocumentUnreadable, ImageUndecodable, InputError
from ocr_core.image import load_frame, open_image, pillow_errors
from ocr_core.image_limits import ImageLimits
from ocr_core.types import PixelFormat, RawImage

_PAGED = "TIFF"
_MAX_FRAMES = 10_000
"""Frames that are counted: each has a header of its own somewhere in the file."""


class ImageDocument:
    """Implements Document. Frames of a TIFF are decoded here, other files are left to whoever reads them."""

    def __init__(self, file: BinaryIO, limits: ImageLimits) -> None:
        self._file = file
        self._limits = limits
        self._is_stopped = False

    def prepare(self) -> None:
        """As Document: there is nothing."""

    def open(self) -> int:
        """As Document."""
        self._file.seek(0)
        try:
            with pillow_errors(self._limits):
                self._opened = open_image(self._file)
                self._is_paged = self._opened.format == _PAGED
                return _count_frames(self._opened) if self._is_paged else 1
        except ImageUndecodable as error:
            raise DocumentUnreadable(f"the document is no PDF, and {error.message}", "document") from error

    def pages(self, numbers: Sequence[int]) -> Iterator[Page | FailedPage]:
        """As Document."""
        if self._is_paged:
            yield from self._frames(numbers)
        elif numbers:
            self._file.seek(0)
            yield Page(1, _dpi(self._opened), self._file.read())

    def stop(self) -> None:
        """As Document; a frame that is being decoded is finished."""
        self._is_stopped = True

    def close(self) -> None:
        """As Document."""
        self._file.close()

    def _frames(self, numbers: Sequence[int]) -> Iterator[Page | FailedPage]:
        for number in numbers:
            if self._is_stopped:
                return
            try:
                yield self._frame(number)
            except InputError as error:
                yield FailedPage(number, error)

    def _frame(self, number: int) -> Page:
        started = time.perf_counter()
        with pillow_errors(self._limits):
            self._opened.seek(number - 1)
            image = load_frame(self._opened, self._limits, apply_exif_orientation=True)
        height, width = image.shape[:2]
        raw = RawImage(image.data.cast("B"), width, height, PixelFormat.RGB24)
        return Page(number, _dpi(self._opened), raw, 1e3 * (time.perf_counter() - started))


def _count_frames(opened: PillowImage.Image) -> int:
    """Raises DocumentTooLarge."""
    count = 0
    try:
        while count <= _MAX_FRAMES:
            opened.seek(count)
            count += 1
    except EOFError:
        return count
    raise DocumentTooLarge(f"the TIFF has more than {_MAX_FRAMES} pages", "document")


def _dpi(opened: PillowImage.Image) -> float:
    """Of the frame at which a file is; 0 when it does not say, or says nothing sensible."""
    across, down = opened.info.get("dpi", (0, 0))
    return float(across) if across == down and 1 <= across < 10_000 else 0.0
