"""Pages of documents as pictures for people, made by what makes the images that are read."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import BinaryIO

import cv2
import numpy as np

from gateway.problems import refused, unreadable
from ocr_core.document import DocumentLimits, DocumentOptions, FailedPage, TextLayer
from ocr_core.document_file import document_of
from ocr_core.errors import InputError
from ocr_core.image import load_image
from ocr_core.types import Image

_DPI = 150
_LONGEST_SIDE = 2400
_QUALITY = 85
_AT_ONCE = 2


class Pictures:
    """Makes few pictures at a time. limits: of the documents, which bound processor time and memory as well."""

    def __init__(self, limits: DocumentLimits) -> None:
        self._limits = limits
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def page(self, file: BinaryIO, number: int, password: str) -> bytes:
        """One page as a JPEG. file: is closed. number: from 1. Raises ProblemError."""
        options = DocumentOptions(dpi=_DPI, text_layer=TextLayer.IGNORE, password=password)
        async with self._room:
            try:
                return await asyncio.to_thread(_picture, file, number, options, self._limits)
            except InputError as error:
                raise unreadable(error) from None


def _picture(file: BinaryIO, number: int, options: DocumentOptions, limits: DocumentLimits) -> bytes:
    """In a thread: it blocks while a process renders."""
    with file, closing(document_of(file, options, limits)) as document:
        if number > document.open():
            raise refused(404, "PAGE_NOT_FOUND", f"the document has no page {number}")
        (page,) = document.pages([number])
        if isinstance(page, FailedPage):
            raise page.error
        # Its text layer was not asked for, so there is an image.
        return _jpeg(load_image(page.image or b"", limits.image))


def _jpeg(image: Image) -> bytes:
    """image: RGB, uint8 [height, width, 3]."""
    scale = min(1.0, _LONGEST_SIDE / max(image.shape))
    if scale < 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    _, encoded = cv2.imencode(".jpg", image[:, :, ::-1], (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))
    return encoded.tobytes()
