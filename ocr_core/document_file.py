"""A file -> a document, whatever the file is."""

from __future__ import annotations

from typing import BinaryIO

from ocr_core.document import Document, DocumentLimits, DocumentOptions
from ocr_core.errors import DocumentUnreadable
from ocr_core.pdf_document import PdfDocument

MARK_WITHIN = 1024
"""Bytes of a file that say what it is: readers of PDF take files with something before the header."""

_PDF = b"%PDF-"
_TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def document_of(file: BinaryIO, options: DocumentOptions, limits: DocumentLimits) -> Document:
    """The document in a file, of which the first MARK_WITHIN bytes have to be there. Its methods raise InputError."""
    if is_pdf(file):
        return PdfDocument(file, options, limits)
    # Here and not above: who takes PDFs alone, and has others read them, does without Pillow, OpenCV and NumPy.
    from ocr_core.image_document import ImageDocument

    return ImageDocument(file, limits.image)


def check_size(size: int, limits: DocumentLimits) -> None:
    """size: of the whole file. Raises DocumentUnreadable for an empty one, and DocumentTooLarge."""
    if size == 0:
        raise DocumentUnreadable("the document has no bytes", "document")
    limits.check_bytes(size)


def is_pdf(file: BinaryIO) -> bool:
    """Whether the file says that it is a PDF."""
    file.seek(0)
    return _PDF in file.read(MARK_WITHIN)


def is_paged(start: bytes) -> bool:
    """Whether a file that begins so may have several pages to read."""
    return _PDF in start[:MARK_WITHIN] or start.startswith(_TIFFS)
