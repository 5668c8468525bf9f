"""What streams gain: how long comparing frames takes, how many errors voting removes, and what following lines costs.

    python -m bench.streams

Votes are those over the line images of tests/data that need no turning, as a shaky camera sees them; CER leaves white
space and case aside, as `glyphwire eval` does.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

import cv2
import numpy as np

from bench.shaky_frames import shaky_frames
from bench.tables import markdown
from ocr_core.evaluation import score_texts
from ocr_core.frame_change import FrameSketch, has_changed, sketch
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.line_tracks import LineTracks
from ocr_core.pipeline import Pipeline
from ocr_core.types import (
    Image,
    Line,
    Mode,
    PixelFormat,
    Point,
    Polygon,
    RawImage,
    RecognizeOptions,
    UnchangedOptions,
    VotingOptions,
)
from server.app import build_pipeline
from server.settings import add_flags, load_settings

DATA = Path(__file__).parents[1] / "tests" / "data"
TURNED = {"line_vertical.jpg", "line_sideways.jpg", "line_upside_down.jpg"}
FRAME_SIZES = {"720p": (720, 1280), "1080p": (1080, 1920), "2160p": (2160, 3840)}
FRAME_COUNTS = (1, 3, 5, 9, 15)
PAGE_LINES = 50
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz "))


def main() -> None:
    """Measure and print three tables."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="shaky films of each line [3]")
    add_flags(parser, ("models_dir", "default_model", "workers"))
    flags = parser.parse_args()
    print(markdown(["frame", "RGB pixels, ms", "BGR pixels, ms", "JPEG file, ms"], _comparisons()))
    print()
    pipeline = build_pipeline(load_settings(flags))
    pipeline.start()
    print(markdown(["frames voting", "CER", "exact match"], _votes(pipeline, flags.seeds)))
    pipeline.close()
    print()
    print(markdown(["lines followed, 30 characters each", "ms per frame"], _following()))


def _comparisons() -> Iterator[list[str]]:
    for name, (height, width) in FRAME_SIZES.items():
        small = load_image((DATA / "page_small.jpg").read_bytes(), ImageLimits())
        page = np.asarray(cv2.resize(small, (width, height)), np.uint8)
        raw = RawImage(page.tobytes(), width, height, PixelFormat.BGR24)
        jpeg = cv2.imencode(".jpg", page)[1].tobytes()
        last = sketch(page)
        loads: list[Callable[[], Image]] = [
            page.view,
            partial(load_image, raw, ImageLimits()),
            partial(load_image, jpeg, ImageLimits()),
        ]
        yield [name, *(f"{_ms(partial(_compare, last, load)):.2f}" for load in loads)]


def _compare(last: FrameSketch, load: Callable[[], Image]) -> bool:
    return has_changed(last, sketch(load()), UnchangedOptions().threshold)


def _ms(call: Callable[[], object], rounds: int = 30) -> float:
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        taken.append(1e3 * (time.perf_counter() - started))
    return median(taken)


def _votes(pipeline: Pipeline, seeds: int) -> Iterator[list[str]]:
    rows = [row.split("\t") for row in (DATA / "labels.tsv").read_text(encoding="utf-8").split("\n") if row]
    lines = [(DATA / name, truth) for name, truth in rows if name not in TURNED]
    films = [(truth, _read_film(pipeline, path, seed)) for path, truth in lines for seed in range(seeds)]
    truths = [truth for truth, film in films for _ in film]
    singles = ["".join(line.text for line in read) for _, film in films for read in film]
    yield ["none, mean of all frames", *_scores(truths, singles)]
    for count in FRAME_COUNTS:
        yield [str(count), *_scores([truth for truth, _ in films], [_voted(film[:count]) for _, film in films])]


def _read_film(pipeline: Pipeline, path: Path, seed: int) -> list[tuple[Line, ...]]:
    image = load_image(path.read_bytes(), ImageLimits())
    options = RecognizeOptions(mode=Mode.LINE, include_characters=True)
    frames = shaky_frames(image, max(FRAME_COUNTS), seed)
    return [
        pipeline.recognize(RawImage(frame.tobytes(), frame.shape[1], frame.shape[0], PixelFormat.RGB24), options).lines
        for frame in frames
    ]


def _voted(film: list[tuple[Line, ...]]) -> str:
    """The text of the line that was seen most often; hopeless readings are lines of their own."""
    tracks = LineTracks(VotingOptions(max_missed_frames=100))
    for lines in film:
        tracks.add(lines)
    return max(tracks.lines, key=lambda line: line.frames_seen).text if tracks.lines else ""


def _scores(truths: list[str], texts: list[str]) -> list[str]:
    score = score_texts("voting", truths, texts)
    return [f"{score.cer_norm:.3f}", f"{score.exact_norm:.2f}"]


def _following() -> Iterator[list[str]]:
    for name, errors in {"all read alike": 0.0, "one character in ten misread": 0.1}.items():
        random = np.random.default_rng(0)
        truths = random.choice(LETTERS, (PAGE_LINES, 30))
        tracks = LineTracks(VotingOptions())
        taken = []
        for _ in range(20):
            wrong = random.random(truths.shape) < errors
            read = np.where(wrong, random.choice(LETTERS, truths.shape), truths)
            lines = [_line("".join(row), 30.0 * number) for number, row in enumerate(read)]
            started = time.perf_counter()
            tracks.add(lines)
            taken.append(1e3 * (time.perf_counter() - started))
        yield [f"{PAGE_LINES}, {name}", f"{median(taken):.1f}"]


def _line(text: str, y: float) -> Line:
    return Line(text, 0.9, Polygon((Point(0, y), Point(600, y), Point(600, y + 20), Point(0, y + 20))))


if __name__ == "__main__":
    main()
