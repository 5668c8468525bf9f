"""Does memory stay flat when one process reads endless images of ever new sizes?

Reads seeded random images through the pipeline: about four lines (20..3000 x 16..120 pixels) to one page (200..2400
pixels per side), with either decoder, with and without characters. The largest come first; after them each doubling of
a side is as likely as any other, so that the time goes into many sizes and not into a few large ones. A process of its
own draws them: what that takes is not measured. The allocator is set as the server's. Resident memory is the median
over the last few recognitions before each mark, because single readings depend on the size of the last image. Needs
Linux's /proc.

Run: python -m bench.memory [--recognitions 2000] [--json]
Exit status 1: memory grew over --max-growth per cent in the second half, or its peak was over --max-peak-mb.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing.queues import Queue
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from bench.tables import markdown
from ocr_core.pipeline import Pipeline
from ocr_core.types import DecodeMethod, DecodeOptions, Image, Mode, RecognizeOptions
from server.allocator import drop_loaded_files, keep_large_blocks, share_arenas, trim_often
from server.app import build_pipeline
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

_ROOT = Path(__file__).resolve().parent.parent
_PAGE = _ROOT / "docs" / "sample" / "page.jpg"
_LINES = sorted((_ROOT / "tests" / "data").glob("line_*"))

_PAGE_SHARE = 0.2
_LINE_WIDTHS, _LINE_HEIGHTS, _PAGE_SIDES = (20, 3000), (16, 120), (200, 2400)
_AHEAD = 16
_READINGS = 50

Item = tuple[bytes, RecognizeOptions]


@dataclass(frozen=True, slots=True)
class MemoryReport:
    """Resident memory in MB (10^6 bytes); growth_percent: from half way to the end."""

    recognitions: int
    warm_mb: float
    half_mb: float
    end_mb: float
    growth_percent: float
    peak_mb: float
    recognitions_per_s: float


def main() -> int:
    """Returns 1 when a limit is exceeded."""
    flags = _flags()
    keep_large_blocks()
    share_arenas()
    trim_often()
    pipeline = build_pipeline(load_settings(flags))
    pipeline.start()
    drop_loaded_files()
    try:
        with drawn_elsewhere(flags.seed) as items:
            report = measure(pipeline, items, flags.warm_up, flags.recognitions)
    finally:
        pipeline.close()
    print(json.dumps(asdict(report)) if flags.json else _table(report))
    return int(report.growth_percent > flags.max_growth or report.peak_mb > flags.max_peak_mb)


def measure(pipeline: Pipeline, items: Iterator[Item], warm_up: int, recognitions: int) -> MemoryReport:
    """Read `warm_up` images, then `recognitions` more, and look at memory before, half way and at the end."""
    warm_mb = _read(pipeline, islice(items, warm_up))
    started = time.perf_counter()
    half_mb = _read(pipeline, islice(items, recognitions // 2))
    end_mb = _read(pipeline, islice(items, recognitions - recognitions // 2))
    return MemoryReport(
        recognitions=recognitions,
        warm_mb=warm_mb,
        half_mb=half_mb,
        end_mb=end_mb,
        growth_percent=100 * (end_mb / half_mb - 1),
        peak_mb=_memory_mb("VmHWM"),
        recognitions_per_s=recognitions / (time.perf_counter() - started),
    )


@contextmanager
def drawn_elsewhere(seed: int) -> Iterator[Iterator[Item]]:
    """random_items, of another process."""
    context = multiprocessing.get_context("spawn")
    items: Queue[Item] = context.Queue(_AHEAD)
    artist = context.Process(target=_draw, args=(seed, items), daemon=True)
    artist.start()
    try:
        yield iter(items.get, None)
    finally:
        artist.terminate()
        artist.join()


def _draw(seed: int, items: Queue[Item]) -> None:
    for item in random_items(seed):
        items.put(item)


def random_items(seed: int) -> Iterator[Item]:
    """Endless encoded images with options, the largest first; equal for equal seeds."""
    rng = np.random.default_rng(seed)
    page = _load(_PAGE)
    lines = [_load(path) for path in _LINES]
    for sides in ((_PAGE_SIDES[1], _PAGE_SIDES[1]), _PAGE_SIDES, _PAGE_SIDES[::-1]):
        yield _encoded(_random_page(rng, page, lines, *sides)), _random_options(rng, Mode.PAGE)
    for height in _LINE_HEIGHTS:
        yield _encoded(_random_line(rng, lines, _LINE_WIDTHS[1], height)), _random_options(rng, Mode.LINE)
    while True:
        if rng.random() < _PAGE_SHARE:
            image = _random_page(rng, page, lines, _random_side(rng, _PAGE_SIDES), _random_side(rng, _PAGE_SIDES))
            yield _encoded(image), _random_options(rng, Mode.PAGE)
        else:
            image = _random_line(rng, lines, _random_side(rng, _LINE_WIDTHS), _random_side(rng, _LINE_HEIGHTS))
            yield _encoded(image), _random_options(rng, Mode.LINE)


def _random_side(rng: np.random.Generator, limits: tuple[int, int]) -> int:
    """Pixels, their logarithm evenly spread."""
    return round(float(np.exp(rng.uniform(*np.log(limits)))))


def _encoded(image: Image) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def _random_line(rng: np.random.Generator, lines: list[Image], width: int, height: int) -> Image:
    """Test lines side by side, scaled to one height and cut to one width."""
    parts: list[Image] = []
    while sum(part.shape[1] for part in parts) < width:
        line = lines[rng.integers(len(lines))]
        parts.append(_scaled(line, max(1, round(line.shape[1] * height / line.shape[0])), height))
    return np.hstack(parts)[:, :width]


def _random_page(rng: np.random.Generator, page: Image, lines: list[Image], width: int, height: int) -> Image:
    """A random part of the sample page, scaled, with test lines of random scales pasted over it."""
    share = rng.uniform(0.3, 1.0, size=2)
    part_height, part_width = (max(1, int(side)) for side in share * page.shape[:2])
    top = rng.integers(page.shape[0] - part_height + 1)
    left = rng.integers(page.shape[1] - part_width + 1)
    canvas = _scaled(page[top : top + part_height, left : left + part_width], width, height)
    for _ in range(rng.integers(9)):
        line = lines[rng.integers(len(lines))]
        scale = rng.uniform(0.4, 1.5)
        patch = _scaled(line, max(1, int(scale * line.shape[1])), max(1, int(scale * line.shape[0])))
        y, x = rng.integers(height), rng.integers(width)
        place = canvas[y : y + patch.shape[0], x : x + patch.shape[1]]
        place[:] = patch[: place.shape[0], : place.shape[1]]
    return canvas


def _random_options(rng: np.random.Generator, mode: Mode) -> RecognizeOptions:
    decode = DecodeOptions()
    if rng.random() < 0.5:
        decode = DecodeOptions(decoder=DecodeMethod.PREFIX_BEAM, beam_width=int(rng.integers(1, 33)))
    return RecognizeOptions(mode=mode, decode=decode, include_characters=bool(rng.random() < 0.5))


def _read(pipeline: Pipeline, items: Iterator[Item]) -> float:
    """Read all items. Returns resident memory in MB, the median after each of the last ones."""
    resident = []
    for image, options in items:
        pipeline.recognize(image, options)
        resident.append(_memory_mb("VmRSS"))
        del resident[:-_READINGS]
    return median(resident)


def _memory_mb(field: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    rows = dict(row.split(":", 1) for row in status.splitlines())
    return int(rows[field].removesuffix("kB")) * 1024 / 1e6


def _load(path: Path) -> Image:
    image = cv2.imread(str(path))
    if image is None:
        raise FileNotFoundError(path)
    return np.asarray(image, np.uint8)


def _scaled(image: Image, width: int, height: int) -> Image:
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _table(report: MemoryReport) -> str:
    header = ("recognitions", "warm, MB", "half way, MB", "end, MB", "growth, %", "peak, MB", "per second")
    return markdown(header, [[report.recognitions, *(f"{value:.1f}" for value in list(asdict(report).values())[1:])]])


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.memory", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--recognitions", type=int, default=2000, metavar="N", help="[2000]")
    parser.add_argument("--warm-up", type=int, default=100, metavar="N", help="recognitions before those [100]")
    parser.add_argument("--seed", type=int, default=1, help="[1]")
    parser.add_argument("--max-growth", type=float, default=5.0, metavar="PERCENT", help="[5]")
    parser.add_argument("--max-peak-mb", type=float, default=500.0, metavar="MB", help="[500]")
    parser.add_argument("--json", action="store_true")
    add_flags(parser, LOCAL_SETTINGS)
    flags = parser.parse_args()
    if flags.recognitions < 2 or flags.warm_up < 1:
        parser.error("at least 2 recognitions and 1 to warm up")
    return flags


if __name__ == "__main__":
    sys.exit(main())
