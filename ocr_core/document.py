"""Documents: files of pages. A page comes out as an image to read, or as the lines of its own text layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Protocol

from ocr_core.errors import DocumentTooLarge, InputError, OptionInvalid
from ocr_core.image_limits import ImageLimits
from ocr_core.types import Line, RawImage

MIN_DPI, MAX_DPI = 50, 600


class TextLayer(Enum):
    """What becomes of the text that a page of a PDF already has. AUTO: it is taken where it is real."""

    AUTO = "auto"
    IGNORE = "ignore"


class PageSource(Enum):
    """Where the lines of a page come from."""

    TEXT_LAYER = "text_layer"
    OCR = "ocr"


@dataclass(frozen=True, slots=True)
class DocumentOptions:
    """How to take a document apart. Raises OptionInvalid when dpi is out of its range.

    pages: see page_ranges. dpi: at which pages of a PDF are rendered. password: of an encrypted PDF.
    """

    pages: str = ""
    dpi: int = 200
    text_layer: TextLayer = TextLayer.AUTO
    password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not MIN_DPI <= self.dpi <= MAX_DPI:
            raise OptionInvalid(f"dpi is {self.dpi}, must be from {MIN_DPI} to {MAX_DPI}", "config.dpi")


@dataclass(frozen=True, slots=True)
class DocumentLimits:
    """What is accepted. image: of each page. max_bytes: of the file. max_pages: that are asked for.

    max_page_cpu_s, max_memory_bytes: what a process that renders a page of a PDF may take.
    """

    image: ImageLimits = field(default_factory=ImageLimits)
    max_bytes: int = 256 * 2**20
    max_pages: int = 1000
    max_page_cpu_s: float = 20.0
    max_memory_bytes: int = 768 * 2**20

    def check_bytes(self, size: int) -> None:
        """size: of the file, or of what has come of it. Raises DocumentTooLarge."""
        if size > self.max_bytes:
            raise DocumentTooLarge(
                f"the document has more bytes than are accepted, which are {self.max_bytes}", "document"
            )

    def check_pages(self, count: int) -> None:
        """count: of the pages that are asked for. Raises DocumentTooLarge."""
        if count > self.max_pages:
            raise DocumentTooLarge(
                f"{count} pages are asked for, at most {self.max_pages} are accepted at once", "config.pages"
            )


@dataclass(frozen=True, slots=True)
class Page:
    """One page, before it is read. number: from 1. dpi: of its pixels, 0 when nobody knows.

    image: to be read; None when `lines` are all there is to it. Then width and height are those of the page, in pixels.
    lines: of the text layer. load_ms: what it took to get there.
    """

    number: int
    dpi: float
    image: bytes | RawImage | None
    load_ms: float = 0.0
    width: int = 0
    height: int = 0
    lines: tuple[Line, ...] = ()

    @property
    def source(self) -> PageSource:
        """Where its lines come from."""
        return PageSource.TEXT_LAYER if self.image is None else PageSource.OCR

    def without_pixels(self) -> Page:
        """The same once the image is with who reads it."""
        return self if self.image is None else replace(self, image=b"")


@dataclass(frozen=True, slots=True)
class FailedPage:
    """A page that could not be loaded, and why. Later pages may be fine."""

    number: int
    error: InputError


class Document(Protocol):
    """A document. Its methods block and are called by one thread at a time, but for stop()."""

    def prepare(self) -> None:
        """Begin, while the file is still coming, what can be done without it. May be left out."""

    def open(self) -> int:
        """Returns the number of its pages. Raises DocumentUnreadable, DocumentEncrypted or DocumentTooLarge."""

    def pages(self, numbers: Sequence[int]) -> Iterator[Page | FailedPage]:
        """Load the pages of these numbers, each once, in this order, each when it is asked for."""

    def stop(self) -> None:
        """From any thread, at any time: what is being done is given up at once."""

    def close(self) -> None:
        """Give back what it holds. The file is no longer needed."""
