"""Renders the pages in tests/data/layout: tables, columns, vertical text, an arc; with their texts in layout.json.

Run: python docs/sample/make_layouts.py, with the fonts of make_samples.py installed. The texts are invented and seeded.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from make_samples import INK, ROMAN, SANS, SERIF, TEST_DATA
from PIL import Image, ImageDraw, ImageFont

PAPER = (250, 249, 245)
RULE = (70, 70, 76)
FOLDER = TEST_DATA / "layout"

Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Merged:
    """A cell over several rows and columns."""

    row: int
    column: int
    row_span: int
    column_span: int

    def units(self) -> list[tuple[int, int]]:
        """Rows and columns that it covers, its own first."""
        rows, columns = range(self.row, self.row + self.row_span), range(self.column, self.column + self.column_span)
        return list(itertools.product(rows, columns))


def main() -> None:
    """Write every page and the texts."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    rng = random.Random(20)  # noqa: S311 - invented texts
    stock = stock_rows(20, 6, rng)
    spanned = stock_rows(6, 4, rng)
    merged = (Merged(0, 0, 1, 2), Merged(1, 3, 3, 1), Merged(4, 1, 2, 2))
    for each in merged:
        for row, column in each.units()[1:]:
            spanned[row][column] = ""
    widths = (150, 190, 130, 110, 130, 170)
    save(ruled_table(stock, widths, 34), "table_ruled.png")
    save(ruled_table(stock, widths, 34, rules=False), "table_unruled.png")
    save(ruled_table(spanned, widths[:4], 40, merged=merged), "table_spans.png")
    save(columns_page(), "columns.png")
    save(vertical_page(), "vertical.png")
    save(arc(ARC), "arc.png")
    truth = {
        "table": stock,
        "spans": spanned,
        "merged": [[each.row, each.column, each.row_span, each.column_span] for each in merged],
        "columns": [TITLE, *LEFT, *RIGHT],
        "vertical": list(COLUMNS),
        "arc": ARC,
    }
    (FOLDER / "layout.json").write_text(json.dumps(truth, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


WORDS = ("East", "West", "River", "Bridge", "Market", "Harbour", "Garden", "Mill", "Forest", "Meadow", "Castle")
GOODS = ("信封", "纸箱", "胶带", "卡片", "墨水", "毛笔", "图钉", "书签", "相册", "台灯")
TITLE = "The Quarterly Bulletin"
LEFT = (
    "The first ferry leaves at seven and",
    "carries the post to the islands. In",
    "winter it waits for the train, which",
    "is often late when there is snow on",
    "the pass. Passengers warm their",
    "hands at the stove in the hall and",
    "talk about the price of fish, or the",
    "new lamps along the harbour wall.",
)
RIGHT = (
    "By noon the market is empty. What",
    "was not sold goes to the kitchen of",
    "the old school, where soup is made",
    "for whoever comes. Nobody asks for",
    "names. The bowls are blue and the",
    "bread is cut thick, and those who",
    "can leave a coin in the tin beside",
    "the door before they go home.",
)
COLUMNS = ("春眠不觉晓处处闻啼鸟", "夜来风雨声花落知多少", "床前明月光疑是地上霜", "举头望明月低头思故乡")
ARC = "HARBOUR LIGHTS FESTIVAL"


def stock_rows(rows: int, columns: int, rng: random.Random) -> Rows:
    """A table of numbers, places, goods, counts, amounts and dates."""
    return [
        [
            f"A{100 + row * 7}",
            rng.choice(WORDS),
            rng.choice(GOODS),
            str(rng.randint(2, 980)),
            f"{rng.randint(100, 9999) / 100:.2f}",
            f"2024-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
        ][:columns]
        for row in range(rows)
    ]


def ruled_table(
    rows: Rows, widths: Sequence[int], pitch: int, *, rules: bool = True, merged: Sequence[Merged] = ()
) -> Image.Image:
    """A table on a page, with its lines drawn or without."""
    margin = 40
    size = sum(widths) + 2 * margin, pitch * len(rows) + 2 * margin
    page = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(page)
    font = ImageFont.truetype(SANS[0], 20, SANS[1])
    covered = {unit for each in merged for unit in each.units()}
    lefts = [margin + sum(widths[:column]) for column in range(len(widths) + 1)]
    units = itertools.product(range(len(rows)), range(len(widths)))
    for cell in (*merged, *(Merged(*unit, 1, 1) for unit in units if unit not in covered)):
        left, right = lefts[cell.column], lefts[cell.column + cell.column_span]
        top, bottom = margin + cell.row * pitch, margin + (cell.row + cell.row_span) * pitch
        if rules:
            draw.rectangle((left, top, right, bottom), outline=RULE, width=1)
        draw.text((left + 14, (top + bottom) / 2), rows[cell.row][cell.column], INK, font, anchor="lm")
    return page


def columns_page() -> Image.Image:
    """A title over two columns whose rows stand beside each other."""
    page = Image.new("RGB", (900, 430), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((450, 50), TITLE, INK, ImageFont.truetype(ROMAN[0], 40), anchor="mm")
    font = ImageFont.truetype(ROMAN[0], 24)
    for left, lines in ((50, LEFT), (480, RIGHT)):
        for number, line in enumerate(lines):
            draw.text((left, 110 + 36 * number), line, INK, font, anchor="lt")
    return page


def vertical_page() -> Image.Image:
    """Columns of upright characters, the first one on the right."""
    page = Image.new("RGB", (420, 520), PAPER)
    draw = ImageDraw.Draw(page)
    font = ImageFont.truetype(SERIF[0], 38, SERIF[1])
    for number, column in enumerate(COLUMNS):
        for place, character in enumerate(column):
            draw.text((350 - 90 * number, 50 + 46 * place), character, INK, font, anchor="mm")
    return page


def arc(text: str) -> Image.Image:
    """Text along an arc, its middle on top."""
    page = Image.new("RGB", (640, 360), PAPER)
    font = ImageFont.truetype(SANS[0], 34, SANS[1])
    radius, centre = 270, (320, 330)
    lengths = np.cumsum([0.0, *(font.getlength(character) + 3 for character in text)])
    for character, start, end in zip(text, lengths[:-1], lengths[1:], strict=True):
        angle = ((start + end) / 2 - lengths[-1] / 2) / radius
        glyph = Image.new("L", (80, 80), 0)
        ImageDraw.Draw(glyph).text((40, 40), character, 255, font, anchor="mm")
        glyph = glyph.rotate(-math.degrees(angle), resample=Image.Resampling.BICUBIC)
        place = round(centre[0] + radius * math.sin(angle)) - 40, round(centre[1] - radius * math.cos(angle)) - 40
        page.paste(Image.new("RGB", glyph.size, INK), place, glyph)
    return page


def save(page: Image.Image, name: str) -> None:
    """As a small palette."""
    page.quantize(16, dither=Image.Dither.NONE).save(FOLDER / name, optimize=True)


if __name__ == "__main__":
    main()
