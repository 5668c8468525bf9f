"""The text that a page of a PDF already has: whether it is real, and its lines. Runs where PDFium does.

A scan may carry no text, or a page number; a font without a map to Unicode gives rubbish; hidden text may lie beside
the page. Such pages are better read than believed.
"""

from __future__ import annotations

import ctypes
import math
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypedDict

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

MIN_CHARACTERS = 16
MIN_CHARACTERS_ON_IMAGES = 200
"""On a page that is largely images, less is a stamp or a page number on a scan."""

IMAGES_FROM = 0.3
"""Share of a page's area from which it is largely images."""

MIN_SHARE = 0.9
"""Of the characters, that must be Unicode that means something, and lie inside the page."""

_MAX_CHARACTERS = 100_000
_COLUMN_GAP = 1.5
"""In heights of a character: words that are further apart are lines of their own, as cells of a table are."""

_NO_TEXT = {"Cc", "Cn", "Co", "Cs"}
_REPLACEMENT = 0xFFFD
_SURROGATES = range(0xD800, 0xE000)
_LINE_ENDS = {0x0A, 0x0D}
_GRID = 1_000_000


class TextLine(TypedDict):
    """A line as it travels between processes. polygon: x, y of four vertices as ocr_core.types.Polygon has them.

    ends: start and end of each character of the text along the polygon's first edge. All in pixels.
    """

    text: str
    polygon: list[tuple[float, float]]
    ends: list[tuple[float, float]]


@dataclass(slots=True)
class _Character:
    """text: empty for a line break. box: left, top, right, bottom in pixels. angle: of the baseline, on the image."""

    text: str
    box: tuple[float, float, float, float]
    angle: float
    is_sane: bool


@dataclass(frozen=True, slots=True)
class _ToPixels:
    """From page space to the pixels of the page as it is shown, turned and cropped."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        return self.a * x + self.c * y + self.e, self.b * x + self.d * y + self.f

    def angle(self, angle: float) -> float:
        """Of a direction on the image, y down, in radians."""
        x, y = math.cos(angle), math.sin(angle)
        return math.atan2(self.b * x + self.d * y, self.a * x + self.c * y)


def real_lines(page: pdfium.PdfPage, width: int, height: int) -> list[TextLine] | None:
    """The lines of the text layer, in its own order; None when it is not real. width, height: of the page in pixels."""
    text_page = page.get_textpage()
    try:
        if text_page.count_chars() > _MAX_CHARACTERS:
            return None
        characters = list(_characters(text_page, _to_pixels(page, width, height)))
    finally:
        text_page.close()
    if not _is_real(characters, width, height, _image_share(page)):
        return None
    return [line for part in _lines(characters) if (line := _text_line(part))]


def _is_real(characters: Iterable[_Character], width: int, height: int, image_share: float) -> bool:
    visible = [each for each in characters if each.text.strip()]
    good = sum(each.is_sane and _is_inside(each, width, height) for each in visible)
    needed = MIN_CHARACTERS_ON_IMAGES if image_share >= IMAGES_FROM else MIN_CHARACTERS
    return good >= needed and good >= MIN_SHARE * len(visible)


def _is_inside(character: _Character, width: int, height: int) -> bool:
    left, top, right, bottom = character.box
    return 0 <= (left + right) / 2 <= width and 0 <= (top + bottom) / 2 <= height


def _image_share(page: pdfium.PdfPage) -> float:
    """Share of the page's area that images take, those one level down in forms included."""
    area = 0.0
    for item in page.get_objects(max_depth=1):
        if item.type == pdfium_c.FPDF_PAGEOBJ_IMAGE or _has_image(item):
            left, bottom, right, top = item.get_bounds()
            area += (right - left) * (top - bottom)
    width, height = page.get_size()
    return float(area / (width * height))


def _has_image(item: pdfium.PdfObject) -> bool:
    if item.type != pdfium_c.FPDF_PAGEOBJ_FORM:
        return False
    inner = (pdfium_c.FPDFFormObj_GetObject(item, i) for i in range(pdfium_c.FPDFFormObj_CountObjects(item)))
    return any(pdfium_c.FPDFPageObj_GetType(each) == pdfium_c.FPDF_PAGEOBJ_IMAGE for each in inner)


def _to_pixels(page: pdfium.PdfPage, width: int, height: int) -> _ToPixels:
    def shown(x: float, y: float) -> tuple[float, float]:
        # PDFium gives whole numbers, so it is asked for a large page.
        across, down = ctypes.c_int(), ctypes.c_int()
        pdfium_c.FPDF_PageToDevice(page, 0, 0, _GRID, _GRID, 0, x, y, across, down)
        return across.value * width / _GRID, down.value * height / _GRID

    far = max(page.get_size())
    (e, f), (right_x, right_y), (up_x, up_y) = shown(0, 0), shown(far, 0), shown(0, far)
    return _ToPixels((right_x - e) / far, (right_y - f) / far, (up_x - e) / far, (up_y - f) / far, e, f)


def _characters(text_page: pdfium.PdfTextPage, to_pixels: _ToPixels) -> Iterator[_Character]:
    rect = pdfium_c.FS_RECTF()
    for i in range(text_page.count_chars()):
        code = pdfium_c.FPDFText_GetUnicode(text_page, i)
        if code in _LINE_ENDS:
            yield _Character("", (0, 0, 0, 0), 0, True)
            continue
        if pdfium_c.FPDFText_IsHyphen(text_page, i) == 1:
            code = ord("-")
        pdfium_c.FPDFText_GetLooseCharBox(text_page, i, rect)
        corners = to_pixels.place(rect.left, rect.top), to_pixels.place(rect.right, rect.bottom)
        (x0, x1), (y0, y1) = (sorted(values) for values in zip(*corners, strict=True))
        is_sane = _means_something(code) and pdfium_c.FPDFText_HasUnicodeMapError(text_page, i) != 1
        angle = to_pixels.angle(pdfium_c.FPDFText_GetCharAngle(text_page, i))
        # Half of a pair, which some fonts' maps give, is no character.
        text = chr(_REPLACEMENT if code in _SURROGATES else code)
        yield _Character(text, (x0, y0, x1, y1), angle, is_sane)


def _means_something(code: int) -> bool:
    return code != _REPLACEMENT and unicodedata.category(chr(code)) not in _NO_TEXT


def _lines(characters: Iterable[_Character]) -> Iterator[list[_Character]]:
    """Characters between line breaks and wide gaps."""
    line: list[_Character] = []
    for character in characters:
        if not character.text or (line and _is_far(line, character)):
            yield line
            line = []
        if character.text:
            line.append(character)
    yield line


def _is_far(line: list[_Character], character: _Character) -> bool:
    """Whether a visible character is too far from the last visible one."""
    last = next((each for each in reversed(line) if each.text.strip()), None)
    if last is None or not character.text.strip():
        return False
    (left, top, right, bottom), (x0, y0, x1, y1) = last.box, character.box
    gap = max(x0 - right, left - x1, y0 - bottom, top - y1)
    return gap > _COLUMN_GAP * min(max(right - left, bottom - top), max(x1 - x0, y1 - y0))


def _text_line(part: list[_Character]) -> TextLine | None:
    """None for white space alone. The spaces at the ends, whose places mean nothing, are left out."""
    while part and not part[0].text.strip():
        part = part[1:]
    while part and not part[-1].text.strip():
        part = part[:-1]
    if not part:
        return None
    along, across = _axes(part)
    spans = [_span(each, along) for each in part]
    heights = [_span(each, across) for each in part if each.text.strip()]
    start, end = min(low for low, _ in spans), max(high for _, high in spans)
    top, bottom = min(low for low, _ in heights), max(high for _, high in heights)
    corners = [(start, top), (end, top), (end, bottom), (start, bottom)]
    return TextLine(
        text="".join(each.text for each in part),
        polygon=[(s * along[0] + t * across[0], s * along[1] + t * across[1]) for s, t in corners],
        ends=[(low - start, high - start) for low, high in spans],
    )


def _axes(part: list[_Character]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Unit vectors in reading direction, and from the tops of the characters to their feet."""
    angle = part[0].angle
    (left, top, right, bottom), (x0, y0, x1, y1) = part[0].box, part[-1].box
    steps = (x0 + x1 - left - right) / 2, (y0 + y1 - top - bottom) / 2
    # Upright characters of vertical writing stand below each other.
    if abs(math.sin(angle)) < 0.5 and abs(steps[1]) > 2 * abs(steps[0]) and steps[1] > bottom - top:
        angle = math.pi / 2
    x, y = round(math.cos(angle), 6), round(math.sin(angle), 6)
    return (x, y), (-y, x)


def _span(character: _Character, axis: tuple[float, float]) -> tuple[float, float]:
    """From where to where a character reaches along an axis."""
    left, top, right, bottom = character.box
    ends = [x * axis[0] + y * axis[1] for x in (left, right) for y in (top, bottom)]
    return min(ends), max(ends)
