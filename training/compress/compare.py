"""Bundles side by side: size, time to the first result, time per line, and how well they read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median

import cv2
import numpy as np

from ocr_core.bundle import GRAPH, WEIGHTS, ModelBundle, read_bundle
from ocr_core.decode import Decoder
from ocr_core.engine import Batch, Engine
from ocr_core.evaluation import LABELS, LineScore, find_sets, read_lines
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.language_dir import LanguageDir
from ocr_core.prepare.crops import whole_line
from ocr_core.preprocess import make_batch, turn_if_vertical, whole_image
from ocr_core.recognizer import load_recognizer
from ocr_core.types import Mode, Recognition, RecognizeOptions
from training.compress.errors import CompressionFailed

LINE_WIDTH = 320
BATCH_SIZE = 8

_LOAD_ROUNDS = 3
_LINE = RecognizeOptions(mode=Mode.LINE)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one bundle costs and reads.

    size_mb: graph and weights, in 10^6 bytes. load_ms: from the files to the first result. line_ms: of a line 320 px
    wide alone; batch_line_ms: of each of eight such lines in a batch; both with best path, on one thread.
    """

    model: str
    size_mb: float
    load_ms: float
    line_ms: float
    batch_line_ms: float
    sets: tuple[LineScore, ...]

    @property
    def exact(self) -> float | None:
        """Mean over the sets of the share of lines read right, normalised; None without sets."""
        return mean(score.exact_norm for score in self.sets) if self.sets else None

    @property
    def cer(self) -> float | None:
        """Mean over the sets of the character error rate, normalised; None without sets."""
        return mean(score.cer_norm for score in self.sets) if self.sets else None


class LineReader:
    """Reads line images by one bundle on one thread, just as the pipeline does."""

    def __init__(self, folder: Path) -> None:
        self.bundle = read_bundle(folder)
        self._recognizer = load_recognizer(
            self.bundle, folder, LanguageDir(folder), workers=1, precision="f32", backend="compiled"
        )

    def recognize(self, image: bytes, options: RecognizeOptions) -> Recognition:
        """Read the image as one line. Raises InputError."""
        pixels = load_image(image, ImageLimits())
        crops, _ = whole_line(pixels, options.preprocess.preparation)
        (read,) = self._recognizer.read([turn_if_vertical(crop) for crop in crops], [options])
        height, width = pixels.shape[:2]
        return Recognition((read.line,), width, height, self.bundle.name, self.bundle.version, read.timings)


class _Network:
    """Infers and decodes, and no more: how often lines are read again depends on what was read, not on the network."""

    def __init__(self, bundle: ModelBundle, folder: Path) -> None:
        self._engine = Engine(bundle, folder, streams=1, threads=1, keep_softmax=False)
        self._engine.load()
        self._decoder = Decoder(bundle.charset)

    def read(self, batch: Batch) -> None:
        """batch: as the engine wants it."""
        with self._engine.infer(batch) as scores:
            self._decoder.best_path(scores, kind=self._engine.output)


def compare(folders: Sequence[Path], data: Path | None = None, rounds: int = 50) -> tuple[Figures, ...]:
    """Figures of bundles that take turns, so that what else the machine does hits all of them alike.

    data: a folder with labelled sets of lines in or below it. rounds: how often each reads the line. Times per line are
    those of the processor, which on an idle machine are what the clock shows. Raises CompressionFailed when data has no
    sets of lines.
    """
    sets = _line_sets(data) if data else []
    bundles = [read_bundle(folder) for folder in folders]
    networks = [_Network(bundle, folder) for bundle, folder in zip(bundles, folders, strict=True)]
    singles, batches = ([_sample_batch(bundle, size) for bundle in bundles] for size in (1, BATCH_SIZE))
    load_s = _interleaved(
        [partial(_first_result, *each) for each in zip(bundles, folders, singles, strict=True)],
        _LOAD_ROUNDS,
        time.perf_counter,
    )
    line_s = _interleaved([partial(_Network.read, *each) for each in zip(networks, singles, strict=True)], rounds)
    batch_s = _interleaved(
        [partial(_Network.read, *each) for each in zip(networks, batches, strict=True)], -(-rounds // BATCH_SIZE)
    )
    return tuple(
        Figures(
            model=f"{bundle.name}/{bundle.version}",
            size_mb=sum((folder / file).stat().st_size for file in (GRAPH, WEIGHTS)) / 1e6,
            load_ms=1e3 * load,
            line_ms=1e3 * line,
            batch_line_ms=1e3 * batch / BATCH_SIZE,
            sets=_scores(folder, sets),
        )
        for bundle, folder, load, line, batch in zip(bundles, folders, load_s, line_s, batch_s, strict=True)
    )


def _line_sets(data: Path) -> list[Path]:
    found = [folder for folder in find_sets(data) if (folder / LABELS).exists()]
    if not found:
        raise CompressionFailed(f"no {LABELS} in or below {data}")
    return found


def _scores(folder: Path, sets: Sequence[Path]) -> tuple[LineScore, ...]:
    if not sets:
        return ()
    reader = LineReader(folder)
    return tuple(read_lines(reader, labelled, _LINE).score for labelled in sets)


def _sample_batch(bundle: ModelBundle, size: int) -> Batch:
    """Lines LINE_WIDTH wide at the height of the model."""
    height = bundle.input.height
    image = np.full((height, LINE_WIDTH, 3), 255, np.uint8)
    cv2.putText(image, "Order 2048-17 paid", (4, height * 3 // 4), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (0, 0, 0), 2)
    return make_batch([whole_image(image)] * size, bundle.input)


def _first_result(bundle: ModelBundle, folder: Path, batch: Batch) -> None:
    _Network(bundle, folder).read(batch)


def _interleaved(
    calls: Sequence[Callable[[], None]], rounds: int, clock: Callable[[], float] = time.process_time
) -> list[float]:
    """Median seconds of each call. They take turns; a first round, which is slower, does not count."""
    samples: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds + 1):
        for call, taken in zip(calls, samples, strict=True):
            started = clock()
            call()
            taken.append(clock() - started)
    return [median(taken[1:]) for taken in samples]
