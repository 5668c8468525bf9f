"""A scanned PDF of any length, the same on every machine with the same fonts, and where its lines are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pypdfium2 as pdfium
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

DPI = 200
WIDTH, HEIGHT = 1654, 2339

_CHINESE = Path("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc")
_SIMPLIFIED = 2
"""Which font of the collection."""

_SYLLABLES = ("ba", "re", "ti", "no", "lu", "sa", "ke", "mi", "dor", "fen", "gal", "hun", "jas", "pel", "ram", "sol")
_HANZI = "天地人山水火木金土日月年时分春夏秋冬东南西北上下左右大小多少高长新旧好学生工作公司合同单位名称日期地址电话"
_NOISE = 5.0
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class PrintedLine:
    """A line as it is printed. box: left, top, right, bottom in pixels of the page."""

    text: str
    box: tuple[float, float, float, float]


Truth = list[list[PrintedLine]]
"""The lines of each page."""


def scanned_document(pages: int, lines: int, seed: int) -> tuple[bytes, Truth]:
    """The file, and what is on its pages. Every third line is Chinese where the font is there."""
    rng = np.random.default_rng(seed)
    pdf = pdfium.PdfDocument.new()
    truth = []
    for _ in range(pages):
        image, printed = _page(rng, lines)
        truth.append(printed)
        page = pdf.new_page(WIDTH * 72 / DPI, HEIGHT * 72 / DPI)
        item = pdfium.PdfImage.new(pdf)
        item.load_jpeg(io.BytesIO(image), inline=True)
        item.set_matrix(pdfium.PdfMatrix().scale(*page.get_size()))
        page.insert_obj(item)
        page.gen_content()
        page.close()
    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue(), truth


def _page(rng: np.random.Generator, lines: int) -> tuple[bytes, list[PrintedLine]]:
    """A page as JPEG: printed, with the noise of a scanner."""
    page = PillowImage.new("L", (WIDTH, HEIGHT), 250)
    draw = ImageDraw.Draw(page)
    printed = []
    step = (HEIGHT - 300) / lines
    for number, (text, font) in enumerate(texts(rng, lines)):
        place = (150, 150 + number * step)
        draw.text(place, text, fill=25, font=font)
        printed.append(PrintedLine(text, draw.textbbox(place, text, font=font)))
    noisy = np.clip(np.asarray(page) + rng.normal(0, _NOISE, (HEIGHT, WIDTH)), 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", noisy, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY))[1].tobytes(), printed


def texts(rng: np.random.Generator, count: int) -> Iterator[tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]]:
    """Lines of words that mean nothing, and the font of each."""
    roman = ImageFont.load_default(38)
    chinese = ImageFont.truetype(str(_CHINESE), 40, index=_SIMPLIFIED) if _CHINESE.exists() else None
    for number in range(count):
        if chinese and number % 3 == 2:
            yield "".join(rng.choice(list(_HANZI), int(rng.integers(8, 28)))), chinese
        else:
            words = (
                "".join(rng.choice(list(_SYLLABLES), int(rng.integers(2, 4)))) for _ in range(int(rng.integers(3, 8)))
            )
            yield f"{' '.join(words).capitalize()} {rng.integers(100, 99999)}", roman
