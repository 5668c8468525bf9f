"""What goes into and comes out of recognize_document. All frozen. The contract, ocr.proto, has the fine print."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glyphwire.errors import OcrError
from glyphwire.types import Recognition

if TYPE_CHECKING:
    import os
    from typing import BinaryIO, TypeAlias

    from typing_extensions import Buffer

    # A path, the bytes of a file, or an open file, which is read to its end and closed.
    DocumentSource: TypeAlias = str | os.PathLike[str] | Buffer | BinaryIO


class TextLayer(enum.Enum):
    """What becomes of the text that a page of a PDF already has: taken where it is real, or not looked at."""

    AUTO = "auto"
    IGNORE = "ignore"


class PageSource(enum.Enum):
    """Where the lines of a page come from: the text that the PDF has, or its image."""

    TEXT_LAYER = "text_layer"
    OCR = "ocr"


@dataclass(frozen=True)
class DocumentOptions:
    """How to take a document apart. None leaves the choice to the server; ocr.proto gives ranges and defaults.

    pages: "1-3,7,-2", where numbers below 0 count from the end; empty for all. dpi: at which pages of a PDF are
    rendered. password: opens an encrypted PDF.
    """

    pages: str = ""
    dpi: int | None = None
    text_layer: TextLayer = TextLayer.AUTO
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class DocumentPage:
    """What became of one page of a document: what was read, or why it could not be.

    page_number: from 1. page_count: of the document. pages_done, pages_selected: how far it has got, this page
    included.
    dpi: of the pixels of the outcome; 0 when an image file does not say. source: None with an error.
    """

    page_number: int
    page_count: int
    pages_done: int
    pages_selected: int
    dpi: float
    source: PageSource | None
    outcome: Recognition | OcrError
