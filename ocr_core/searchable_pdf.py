"""A PDF whose pages look as they did and can be searched: the text that was read lies over them, invisible.

Every word is a piece of text in a font that shows nothing (glyphless_font.py), stretched over its place. Pages of a PDF
stay as they are below; an image becomes a page, as JPEG.
"""

from __future__ import annotations

import ctypes
import io
import itertools
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import cv2
import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ocr_core.document import FailedPage
from ocr_core.document_file import is_pdf
from ocr_core.errors import DocumentUnreadable
from ocr_core.glyphless_font import ADVANCES, DESCENT, NARROW, WIDE, glyphless_font
from ocr_core.image import load_image, open_image
from ocr_core.image_document import ImageDocument
from ocr_core.image_limits import ImageLimits
from ocr_core.page_output import Place, TextPage, Word, is_wide, words

_POINTS_PER_INCH = 72
_USUAL_DPI = 200
_QUALITY = 90
_EXIF_ORIENTATION = 0x0112
_JPEG_MODES = {"L", "RGB"}
_GRID = 1_000_000
_CMAP_BLOCK = 100
"""Most lines of one block, by the specification of CMaps."""


class SearchablePdf:
    """A PDF that grows page by page. Used by one thread of a process that makes no other use of PDFium meanwhile."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._pdf = pdfium.PdfDocument.new()
        self._source: tuple[BinaryIO, pdfium.PdfDocument] | None = None

    def add(self, file: BinaryIO, number: int, text: TextPage | None, *, dpi: float = 0, password: str = "") -> None:
        """A page of a file, an image or a PDF, with the text that was read there; None leaves it as it is.

        number: from 1. dpi: of an image, 0 when nobody knows. Raises InputError for a file that cannot be read.
        """
        if is_pdf(file):
            self._pdf.import_pages(self._opened(file, password), [number - 1])
            page = self._pdf[len(self._pdf) - 1]
        else:
            page = self._image_page(file, number, dpi or _USUAL_DPI)
        if text:
            self._add_text(page, text)
            page.gen_content()
        page.close()

    def save(self, out: BinaryIO) -> None:
        """Write the file. Raises OSError."""
        output = _Output(out)
        self._pdf.save(output)
        if output.error:
            raise output.error

    def _opened(self, file: BinaryIO, password: str) -> pdfium.PdfDocument:
        if self._source is None or self._source[0] is not file:
            try:
                self._source = file, pdfium.PdfDocument(file, password or None)
            except pdfium.PdfiumError as error:
                raise DocumentUnreadable(f"the PDF cannot be opened: {error}", "document") from error
        return self._source[1]

    def _image_page(self, file: BinaryIO, number: int, dpi: float) -> pdfium.PdfPage:
        jpeg, width, height = self._jpeg(file, number)
        size = width * _POINTS_PER_INCH / dpi, height * _POINTS_PER_INCH / dpi
        page = self._pdf.new_page(*size)
        image = pdfium.PdfImage.new(self._pdf)
        image.load_jpeg(io.BytesIO(jpeg), inline=True)
        image.set_matrix(pdfium.PdfMatrix().scale(*size))
        page.insert_obj(image)
        page.gen_content()
        return page

    def _jpeg(self, file: BinaryIO, number: int) -> tuple[bytes, int, int]:
        """The page's image as JPEG, with width and height: the file itself where it is one that needs no turning."""
        file.seek(0)
        document = ImageDocument(io.BytesIO(file.read()), self._limits)
        document.open()
        loaded = next(iter(document.pages([number])))
        if isinstance(loaded, FailedPage):
            raise loaded.error
        assert loaded.image is not None  # noqa: S101 - images have no text layer
        image = load_image(loaded.image, self._limits)
        height, width = image.shape[:2]
        if isinstance(loaded.image, bytes) and _is_plain_jpeg(loaded.image):
            return loaded.image, width, height
        encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        return encoded.tobytes(), width, height

    def _add_text(self, page: pdfium.PdfPage, text: TextPage) -> None:
        found = [word for line in text.lines for word in words(line)]
        codes = {character: code for code, character in enumerate(_characters(found), 1)}
        if not codes:
            return
        font = _load_font(self._pdf, list(codes))
        origin, right, down = _page_axes(page, text)
        for word in found:
            corners = [
                (origin[0] + x * right[0] + y * down[0], origin[1] + x * right[1] + y * down[1])
                for x, y in word.corners
            ]
            piece = pdfium_c.FPDFPageObj_CreateTextObj(self._pdf, font, 1.0)
            # A space at its end tells readers that the next word is another one.
            content = [codes[character] for character in f"{word.text} "]
            pdfium_c.FPDFText_SetCharcodes(piece, (ctypes.c_uint32 * len(content))(*content), len(content))
            pdfium_c.FPDFTextObj_SetTextRenderMode(piece, pdfium_c.FPDF_TEXTRENDERMODE_INVISIBLE)
            pdfium_c.FPDFPageObj_SetMatrix(piece, _matrix(corners, word.text))
            pdfium_c.FPDFPage_InsertObject(page, piece)
        pdfium_c.FPDFFont_Close(font)


class _Output:
    """Keeps what goes wrong with writing: PDFium, which calls it, cannot pass it on."""

    def __init__(self, out: BinaryIO) -> None:
        self.error: OSError | None = None
        self._out = out

    def write(self, content: ctypes.Array[ctypes.c_ubyte]) -> None:
        if self.error is None:
            try:
                self._out.write(content)
            except OSError as error:
                self.error = error


def _characters(found: Iterable[Word]) -> list[str]:
    """All that is needed, each once, with the space that follows words."""
    return list(dict.fromkeys(itertools.chain.from_iterable(f"{word.text} " for word in found)))


def _glyph(character: str) -> int:
    return WIDE if is_wide(character) else NARROW


def _matrix(corners: Sequence[Place], text: str) -> pdfium_c.FS_MATRIX:
    """Puts text of size 1 over a place. corners: in page space, clockwise from where reading starts."""
    top_left, _, right, left = corners
    width = sum(ADVANCES[_glyph(character)] for character in text)
    up = top_left[0] - left[0], top_left[1] - left[1]
    return pdfium_c.FS_MATRIX(
        (right[0] - left[0]) / width,
        (right[1] - left[1]) / width,
        *up,
        left[0] + DESCENT * up[0],
        left[1] + DESCENT * up[1],
    )


def _page_axes(page: pdfium.PdfPage, text: TextPage) -> tuple[Place, Place, Place]:
    """In page space: the top left corner of the page as it is shown, and what a pixel to the right and down are."""

    def shown(x: int, y: int) -> Place:
        across, up = ctypes.c_double(), ctypes.c_double()
        pdfium_c.FPDF_DeviceToPage(page, 0, 0, _GRID, _GRID, 0, x, y, across, up)
        return across.value, up.value

    origin, right, down = shown(0, 0), shown(_GRID, 0), shown(0, _GRID)
    return (
        origin,
        ((right[0] - origin[0]) / text.image_width, (right[1] - origin[1]) / text.image_width),
        ((down[0] - origin[0]) / text.image_height, (down[1] - origin[1]) / text.image_height),
    )


def _load_font(pdf: pdfium.PdfDocument, characters: Sequence[str]) -> pdfium_c.FPDF_FONT:
    """The font with these characters at the codes from 1 on."""
    file = glyphless_font()
    glyphs = b"".join(_glyph(character).to_bytes(2, "big") for character in ["\0", *characters])
    return pdfium_c.FPDFText_LoadCidType2Font(
        pdf,
        (ctypes.c_uint8 * len(file)).from_buffer_copy(file),
        len(file),
        _to_unicode(characters).encode(),
        (ctypes.c_uint8 * len(glyphs)).from_buffer_copy(glyphs),
        len(glyphs),
    )


def _to_unicode(characters: Sequence[str]) -> str:
    """The CMap that says what the codes from 1 on mean."""
    rows = [f"<{code:04X}> <{each.encode('utf-16-be').hex().upper()}>" for code, each in enumerate(characters, 1)]
    blocks = [rows[start : start + _CMAP_BLOCK] for start in range(0, len(rows), _CMAP_BLOCK)]
    return "\n".join(
        [
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
            "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def",
            "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
            "1 begincodespacerange <0000> <FFFF> endcodespacerange",
            *("\n".join([f"{len(block)} beginbfchar", *block, "endbfchar"]) for block in blocks),
            "endcmap CMapName currentdict /CMap defineresource pop end end",
        ]
    )


def _is_plain_jpeg(content: bytes) -> bool:
    with open_image(io.BytesIO(content)) as opened:
        return (
            opened.format == "JPEG" and opened.mode in _JPEG_MODES and opened.getexif().get(_EXIF_ORIENTATION, 1) == 1
        )
