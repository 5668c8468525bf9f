"""The stages composed: image -> line crops -> probabilities -> text. Usable without any server."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ocr_core.bundle import Kind, Registry
from ocr_core.decode import Decoder
from ocr_core.decoder_shelf import DecoderShelf
from ocr_core.detect import LineDetector
from ocr_core.engine import Engine, Precision
from ocr_core.errors import ModelNotFound
from ocr_core.frame_change import FrameSketch, sketch
from ocr_core.hypotheses import Hypothesis
from ocr_core.image import ImageLimits, load_image
from ocr_core.kernels import Backend
from ocr_core.language_dir import LanguageDir
from ocr_core.postprocess import make_line
from ocr_core.preprocess import (
    MAX_WIDTH,
    batch_width,
    crop_line,
    fitted_width,
    make_batch,
    turn_if_vertical,
    turned,
    whole_image,
)
from ocr_core.types import (
    DecodeMethod,
    Line,
    LineCrop,
    Mode,
    ModelInfo,
    PreparedImage,
    Probs,
    RawImage,
    ReadLine,
    Recognition,
    RecognizeOptions,
    Timings,
)

DEFAULT_MODEL = "ppocrv2-zh-en"
DETECTOR = "ppocrv3-lines"
ORIENTATION = "ppocr-upside-down"

DOUBTFUL_CONFIDENCE = 0.85
"""Lines read with less are shown to the upside-down classifier; clean lines never pay for it."""

UPSIDE_DOWN_THRESHOLD = 0.9

_DETECTOR_CANVASES = (736,)
"""Sides in pixels. A canvas of 960 would read some pages 10 ms sooner and take 45 MB more."""


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """How to build a pipeline. workers: engine threads; max_batch_size: lines per engine call.

    language_dir: see LanguageDir; need not exist.
    Lines are best read one by one: batches of short lines gain a tenth, of long ones lose one, and take memory.
    """

    models_dir: Path
    language_dir: Path = Path("language")
    default_model: str = DEFAULT_MODEL
    decoder_backend: Backend = "compiled"
    workers: int = 1
    max_batch_size: int = 1
    precision: Precision = "f32"
    limits: ImageLimits = field(default_factory=ImageLimits)


@dataclass(frozen=True, slots=True)
class _Recognizer:
    """A recogniser's engine, and the decoders of its charset."""

    engine: Engine
    decoders: DecoderShelf
    info: ModelInfo


class Pipeline:
    """Implements Stages with OpenVINO engines. Construct, start(), use from any thread, close()."""

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config
        self._recognizers: dict[str, _Recognizer] = {}
        self._pool = ThreadPoolExecutor(config.workers, thread_name_prefix="pipeline")

    def start(self) -> None:
        """Load and warm up every model. Raises SetupError, or ModelNotFound when a configured model is missing."""
        registry = Registry(self._config.models_dir)
        workers = self._config.workers
        language = LanguageDir(self._config.language_dir)
        default = registry.find(self._config.default_model, Kind.RECOGNIZER)
        for bundle in registry.of_kind(Kind.RECOGNIZER):
            engine = Engine(
                bundle,
                registry.folder(bundle),
                streams=workers,
                threads=workers,
                precision=self._config.precision,
            )
            engine.load()
            decoders = DecoderShelf(Decoder(bundle.charset, backend=self._config.decoder_backend), language)
            recognizer = _Recognizer(engine, decoders, bundle.info(is_default=bundle == default))
            # Sorted by version: the last of a name is its newest and answers to the bare name.
            self._recognizers[bundle.name] = self._recognizers[f"{bundle.name}/{bundle.version}"] = recognizer
        self._default = self._recognizers[f"{default.name}/{default.version}"]
        self._detector = LineDetector(
            [self._load_single(registry, DETECTOR, Kind.DETECTOR, (side, side)) for side in _DETECTOR_CANVASES]
        )
        self._orientation = self._load_single(registry, ORIENTATION, Kind.ORIENTATION)
        self._warm_up()

    def close(self) -> None:
        """Stop the pipeline's threads."""
        self._pool.shutdown()

    def recognize(self, image: bytes | RawImage, options: RecognizeOptions | None = None) -> Recognition:
        """The whole path for one image, its lines spread over the pipeline's threads. Raises InputError."""
        options = options or RecognizeOptions()
        started = time.perf_counter()
        prepared = self.prepare(image, options)
        batches = self._batches(prepared.crops, options)
        read = self._pool.map(
            lambda batch: self.read_lines([prepared.crops[i] for i in batch], [options] * len(batch)), batches
        )
        lines: dict[int, ReadLine] = {}
        for batch, results in zip(batches, read, strict=True):
            lines.update(zip(batch, results, strict=True))
        recognition = self.assemble(prepared, [lines[i] for i in range(len(lines))], options)
        total_ms = _since(started)
        return replace(recognition, timings=replace(recognition.timings, total_ms=total_ms))

    def sketch(self, image: bytes | RawImage, options: RecognizeOptions) -> FrameSketch:
        """Load the image to compare it with others, whether it will be read or not. Raises InputError."""
        turn = options.preprocess.apply_exif_orientation
        return sketch(load_image(image, self._config.limits, apply_exif_orientation=turn))

    def prepare(self, image: bytes | RawImage, options: RecognizeOptions) -> PreparedImage:
        """Load the image and find its lines. Raises InputError, for what is wrong with any option as well."""
        self._recognizer(options).decoders.find(options.decode.language)
        chosen = options.preprocess
        started = time.perf_counter()
        pixels = load_image(image, self._config.limits, apply_exif_orientation=chosen.apply_exif_orientation)
        loaded = time.perf_counter()
        polygons = self._detector.find(pixels, chosen.detector_max_side) if options.mode is Mode.PAGE else ()
        found = time.perf_counter()
        crops = (
            [crop_line(pixels, polygon) for polygon in polygons] if options.mode is Mode.PAGE else [whole_image(pixels)]
        )
        if chosen.rotate_vertical:
            crops = [turn_if_vertical(crop) for crop in crops]
        timings = Timings(
            load_image_ms=1e3 * (loaded - started), find_lines_ms=1e3 * (found - loaded), preprocess_ms=_since(found)
        )
        return PreparedImage(pixels.shape[1], pixels.shape[0], tuple(crops), timings)

    def batch_key(self, crop: LineCrop, options: RecognizeOptions) -> Hashable:
        """Crops with equal keys may share a batch: same model, same padded width."""
        info = self._recognizer(options).info
        return info.name, info.version, self.crop_width(crop, options)

    def crop_width(self, crop: LineCrop, options: RecognizeOptions) -> int:
        """Width in pixels of the batch in which the crop is read."""
        return batch_width(crop, self._recognizer(options).engine.bundle.input)

    def read_lines(self, crops: Sequence[LineCrop], options: Sequence[RecognizeOptions]) -> list[ReadLine]:
        """Read crops of one batch key, each with its own options. Returns one ReadLine per crop, in order."""
        recognizer = self._recognizer(options[0])
        first = self._read_upright(recognizer, crops, options)
        doubtful = [
            i
            for i, (read, chosen) in enumerate(zip(first, options, strict=True))
            if _wants_classifier(read.line, chosen)
        ]
        if not doubtful:
            return first
        started = time.perf_counter()
        flipped = [i for i, down in zip(doubtful, self._upside_down([crops[i] for i in doubtful]), strict=True) if down]
        spent = Timings(preprocess_ms=_since(started) / len(crops))
        result = [replace(read, timings=read.timings + spent) for read in first]
        if flipped:
            again = self._read_upright(
                recognizer, [turned(crops[i], 2) for i in flipped], [options[i] for i in flipped]
            )
            for i, read in zip(flipped, again, strict=True):
                better = max(read, result[i], key=lambda candidate: candidate.line.confidence)
                result[i] = ReadLine(better.line, result[i].timings + read.timings)
        return result

    def assemble(self, prepared: PreparedImage, lines: Sequence[ReadLine], options: RecognizeOptions) -> Recognition:
        """Put the lines of one image together: filter by confidence, add up timings."""
        info = self._recognizer(options).info
        kept = [read.line for read in lines if _is_kept(read.line, options)]
        timings = sum((read.timings for read in lines), prepared.timings)
        return Recognition(tuple(kept), prepared.width, prepared.height, info.name, info.version, timings)

    def models(self) -> tuple[ModelInfo, ...]:
        """Recognisers that requests can name, sorted by name."""
        versions = {(found.info.name, found.info.version): found.info for found in self._recognizers.values()}
        return tuple(versions[key] for key in sorted(versions))

    def _load_single(
        self, registry: Registry, model: str, kind: Kind, image_size: tuple[int, int] | None = None
    ) -> Engine:
        """An engine whose one request uses all threads: one page at a time, so that its memory is needed once."""
        bundle = registry.find(model, kind)
        engine = Engine(
            bundle,
            registry.folder(bundle),
            streams=1,
            threads=self._config.workers,
            precision=self._config.precision,
            image_size=image_size,
        )
        engine.load()
        return engine

    def _warm_up(self) -> None:
        """Run every engine once, on all its requests: the first run of each is several times slower.

        The recognisers see their widest batch first: buffers that only ever shrink leave no holes in memory.
        """
        for side in _DETECTOR_CANVASES:
            self._detector.find(np.full((side, side, 3), 255, np.uint8), side)
        self._upside_down([whole_image(np.full((48, 192, 3), 255, np.uint8))])
        for info in self.models():
            options = RecognizeOptions(model=f"{info.name}/{info.version}", mode=Mode.LINE)
            for width in (MAX_WIDTH, 320):
                crop = whole_image(np.full((32, width, 3), 255, np.uint8))
                together = threading.Barrier(self._config.workers)

                def read(
                    chosen: RecognizeOptions, crop: LineCrop = crop, barrier: threading.Barrier = together
                ) -> None:
                    barrier.wait()
                    self.read_lines([crop], [chosen])

                list(self._pool.map(read, [options] * self._config.workers))

    def _recognizer(self, options: RecognizeOptions) -> _Recognizer:
        if not options.model:
            return self._default
        try:
            return self._recognizers[options.model]
        except KeyError:
            raise ModelNotFound(f"no model {options.model!r} is loaded", "options.model") from None

    def _batches(self, crops: Sequence[LineCrop], options: RecognizeOptions) -> list[list[int]]:
        """Indices of crops that share a width, in groups of at most max_batch_size."""
        by_width: dict[int, list[int]] = defaultdict(list)
        for index, crop in enumerate(crops):
            by_width[self.crop_width(crop, options)].append(index)
        size = self._config.max_batch_size
        return [group[i : i + size] for group in by_width.values() for i in range(0, len(group), size)]

    def _read_upright(
        self, recognizer: _Recognizer, crops: Sequence[LineCrop], options: Sequence[RecognizeOptions]
    ) -> list[ReadLine]:
        wanted = recognizer.engine.bundle.input
        started = time.perf_counter()
        batch = make_batch(crops, wanted)
        prepared = time.perf_counter()
        with recognizer.engine.infer(batch) as probs:
            inferred = time.perf_counter()
            hypotheses = [
                _decode(recognizer.decoders.find(chosen.decode.language), row, chosen)
                for row, chosen in zip(probs, options, strict=True)
            ]
            timesteps = probs.shape[1]
        decoded = time.perf_counter()
        lines = [
            make_line(
                found,
                crop.polygon,
                timestep_share=batch.shape[2] / (timesteps * fitted_width(crop, wanted)),
                include_characters=chosen.include_characters,
            )
            for found, crop, chosen in zip(hypotheses, crops, options, strict=True)
        ]
        share = 1e3 / len(crops)
        timings = Timings(
            preprocess_ms=share * (prepared - started),
            infer_ms=share * (inferred - prepared),
            decode_ms=share * (decoded - inferred),
            postprocess_ms=share * (time.perf_counter() - decoded),
        )
        return [ReadLine(line, timings) for line in lines]

    def _upside_down(self, crops: Sequence[LineCrop]) -> list[bool]:
        """Whether each crop is upside down, by the 0/180 degree classifier."""
        return [self._is_upside_down(crop) for crop in crops]

    def _is_upside_down(self, crop: LineCrop) -> bool:
        with self._orientation.infer(make_batch([crop], self._orientation.bundle.input)) as probs:
            return bool(probs[0, 1] > UPSIDE_DOWN_THRESHOLD)


def _decode(decoder: Decoder, probs: Probs, options: RecognizeOptions) -> tuple[Hypothesis, ...]:
    """Hypotheses of one line, best first. probs: [time, class]."""
    chosen = options.decode
    if chosen.decoder is DecodeMethod.BEST_PATH:
        return decoder.best_path(probs)[0]
    return decoder.beam(
        probs,
        width=chosen.beam_width,
        top_n=chosen.prune_top_k,
        min_prob=chosen.prune_min_prob,
        cum_prob=chosen.prune_cum_prob,
        n_best=1 + chosen.alternatives,
        alternatives=chosen.character_alternatives if options.include_characters else 0,
    )[0]


def _wants_classifier(line: Line, options: RecognizeOptions) -> bool:
    wanted = options.preprocess.classify_orientation
    if wanted is None:
        wanted = options.mode is Mode.PAGE
    return wanted and line.confidence < DOUBTFUL_CONFIDENCE


def _is_kept(line: Line, options: RecognizeOptions) -> bool:
    """An empty line says nothing on a page; of a line image it is the answer."""
    if not line.text and options.mode is Mode.PAGE:
        return False
    return line.confidence >= options.min_confidence


def _since(started: float) -> float:
    return 1e3 * (time.perf_counter() - started)
