"""How long a page takes: 1024 x 768 pixels, printed, a PNG, one at a time, by the lines that are on it.

Pages are seeded; every third line is Chinese where the font is there. Three of each number of lines are read in turn.
Figures: medians; finding lines is part of the page.

Run: python -m bench.printed_page [--rounds N] [--json]
"""

from __future__ import annotations

import io
import json
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bench.scanned_document import texts
from bench.tables import markdown
from ocr_core.pipeline import Pipeline
from server.app import build_pipeline
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

_WIDTH, _HEIGHT, _MARGIN = 1024, 768, 30
_SIZES = {8: 36, 12: 30, 16: 24}
"""Size of the letters in pixels, by the number of lines."""
_PAGES = 3


@dataclass(frozen=True, slots=True)
class Result:
    """Times in milliseconds. found: lines of all pages, of all that were printed."""

    lines: int
    size: int
    found: str
    p50_ms: float
    find_lines_ms: float


def printed_page(lines: int, size: int, seed: int) -> bytes:
    """A PNG of so many lines."""
    rng = np.random.default_rng((lines, seed))
    page = Image.new("RGB", (_WIDTH, _HEIGHT), (250, 250, 250))
    draw = ImageDraw.Draw(page)
    for number, (text, font) in enumerate(texts(rng, lines)):
        sized = font.font_variant(size=size) if isinstance(font, ImageFont.FreeTypeFont) else font
        fitting = next(part for part in _shorter(text) if draw.textlength(part, font=sized) <= _WIDTH - 2 * _MARGIN)
        place = (_MARGIN, _MARGIN + number * (_HEIGHT - 2 * _MARGIN) / lines)
        draw.text(place, fitting, fill=20, font=sized)
    encoded = io.BytesIO()
    page.save(encoded, "PNG")
    return encoded.getvalue()


def _shorter(text: str) -> Iterator[str]:
    return (text[:end] for end in range(len(text), 0, -1))


def _measure(pipeline: Pipeline, lines: int, rounds: int) -> Result:
    pages = [printed_page(lines, _SIZES[lines], seed) for seed in range(_PAGES)]
    found = sum(len(pipeline.recognize(page).lines) for page in pages)  # the first time is slower
    times_ms, find_ms = [], []
    for page in pages * rounds:
        started = time.perf_counter()
        recognition = pipeline.recognize(page)
        times_ms.append(1e3 * (time.perf_counter() - started))
        find_ms.append(recognition.timings.find_lines_ms)
    return Result(lines, _SIZES[lines], f"{found} of {lines * _PAGES}", median(times_ms), median(find_ms))


def main() -> int:
    """Returns 0: the figures are for people to judge."""
    flags = _flags()
    pipeline = build_pipeline(load_settings(flags))
    pipeline.start()
    results = [_measure(pipeline, lines, flags.rounds) for lines in _SIZES]
    pipeline.close()
    print(json.dumps([asdict(result) for result in results]) if flags.json else _table(results))
    return 0


def _table(results: list[Result]) -> str:
    rows = [
        (result.lines, result.size, result.found, f"{result.p50_ms:.0f}", f"{result.find_lines_ms:.0f}")
        for result in results
    ]
    return markdown(("lines", "pixels high", "found", "p50, ms", "to find lines, ms"), rows)


def _flags() -> Namespace:
    parser = ArgumentParser(
        "python -m bench.printed_page", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="times that each page is read [7]")
    parser.add_argument("--json", action="store_true")
    add_flags(parser, LOCAL_SETTINGS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
