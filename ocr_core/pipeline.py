"""The stages composed: image -> line crops -> probabilities -> text. Usable without any server."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np

from ocr_core.bundle import Kind, Registry
from ocr_core.detect import LineDetector
from ocr_core.engine import Engine, Precision, core
from ocr_core.frame_change import FrameSketch, sketch
from ocr_core.image import load_image
from ocr_core.language_dir import LanguageDir
from ocr_core.layout.joining import is_wide
from ocr_core.layout.page import build_structure, find_layout
from ocr_core.layout.stacked import side_by_side
from ocr_core.model_agreement import ModelAgreement
from ocr_core.model_shelf import LoadedModel, ModelShelf
from ocr_core.pipeline_config import PipelineConfig
from ocr_core.prepare.crops import cut_lines, whole_line
from ocr_core.prepare.measures import Measures
from ocr_core.prepare.plan import prepare_page
from ocr_core.prepare.steps import Step, Switch
from ocr_core.prepare.upright import find_upright
from ocr_core.preprocess import make_batch, stretched, turn_if_vertical, turned, whole_image
from ocr_core.recognizer import Recognizer, load_recognizer
from ocr_core.rules.options import RuleOptions
from ocr_core.rules.rule_shelf import RuleShelf
from ocr_core.rules.rules import Rules, ruled
from ocr_core.types import (
    Line,
    LineCrop,
    Mode,
    ModelInfo,
    PreparedImage,
    RawImage,
    ReadLine,
    Recognition,
    RecognizeOptions,
    Timings,
)

DETECTOR = "ppocrv3-lines"
ORIENTATION = "ppocr-upside-down"

DOUBTFUL_CONFIDENCE = 0.85
"""Lines read with less, before calibration, may be upside down; clean lines never pay for it."""

HARDLY_READ = 0.6
"""Lines of narrow letters read with less are read once more, wider. Of what is surer the judge knows better: with 0.85
receipts had 3 % more errors, and scenes one in two hundred less."""

STRETCH = 1.3
"""By how much."""

SURE_CONFIDENCE = 0.97
"""Vertical lines read sideways with less are read with their characters side by side as well."""

UPSIDE_DOWN_THRESHOLD = 0.9

_DETECTOR_CANVAS = (512, 736)
"""Height and width in pixels. Pages in landscape fit onto it, others are seen in two windows; a square one of 736 took
9 MB more, and half as long again for every photograph."""


class Pipeline:
    """Implements Stages with OpenVINO engines. Construct, start(), use from any thread, close()."""

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config
        self._pool = ThreadPoolExecutor(config.workers, thread_name_prefix="pipeline")
        language = LanguageDir(config.language_dir)
        self._rule_shelf = RuleShelf(language)
        make = partial(
            load_recognizer,
            language=language,
            workers=config.workers,
            precision=config.precision,
            backend=config.decoder_backend,
        )
        self.shelf = ModelShelf(config.models_dir, config.default_model, make, ModelAgreement(config.agreement))

    def start(self) -> None:
        """Load and warm up every model. Raises SetupError, or ModelNotFound when a configured model is missing."""
        core()
        # Compiling holds no lock of the interpreter's: two threads are done in little more than half the time.
        finders = self._pool.submit(self._start_finders)
        self.shelf.start()
        finders.result()

    def _start_finders(self) -> None:
        """What finds lines and turns them."""
        registry = Registry(self._config.models_dir)
        # Lines are found as well in bfloat16, in three fifths of the time.
        self._detector = LineDetector(
            self._load_single(registry, DETECTOR, Kind.DETECTOR, self._config.precision, _DETECTOR_CANVAS)
        )
        self._orientation = self._load_single(registry, ORIENTATION, Kind.ORIENTATION, "f32")
        # The first run of each is several times slower.
        self._detector.find(np.full((*_DETECTOR_CANVAS, 3), 255, np.uint8))
        self._upside_down(whole_image(np.full((48, 192, 3), 255, np.uint8)))

    def close(self) -> None:
        """Stop the pipeline's threads."""
        self._pool.shutdown()
        self.shelf.close()

    def recognize(self, image: bytes | RawImage, options: RecognizeOptions | None = None) -> Recognition:
        """The whole path for one image, its lines spread over the pipeline's threads. Raises InputError."""
        options = options or RecognizeOptions()
        started = time.perf_counter()
        prepared = self.prepare(image, options)
        crops = prepared.crops
        # The longest first: at the end no thread waits long for another.
        order = sorted(range(len(crops)), key=lambda i: crops[i].image.shape[0] / crops[i].image.shape[1])
        read = self._pool.map(lambda i: self.read_lines([crops[i]], [options])[0], order)
        lines = dict(zip(order, read, strict=True))
        recognition = self.assemble(prepared, [lines[i] for i in range(len(lines))], options)
        total_ms = _since(started)
        return replace(recognition, timings=replace(recognition.timings, total_ms=total_ms))

    def sketch(self, image: bytes | RawImage, options: RecognizeOptions) -> FrameSketch:
        """Load the image to compare it with others, whether it will be read or not. Raises InputError."""
        turn = options.preprocess.apply_exif_orientation
        return sketch(load_image(image, self._config.limits, apply_exif_orientation=turn))

    def prepare(self, image: bytes | RawImage, options: RecognizeOptions) -> PreparedImage:
        """Load the image and find its lines. Raises InputError, for what is wrong with any option as well.

        From here on the image keeps its recogniser, whatever becomes of the one that the options name.
        """
        lease = self.shelf.lease(options.model)
        lease.model.recognizer.decoders.find(options.decode.language)
        rules = self.rules(options.rules)
        chosen = options.preprocess
        started = time.perf_counter()
        pixels = load_image(image, self._config.limits, apply_exif_orientation=chosen.apply_exif_orientation)
        loaded = time.perf_counter()
        layout = None
        if options.mode is Mode.PAGE:
            page = prepare_page(Measures(pixels), chosen.preparation)
            measures = Measures(page.image)
            page, polygons = find_upright(
                page,
                measures,
                chosen.preparation,
                partial(self._detector.find, max_side=chosen.detector_max_side),
                self._upside_down,
                lease.model.recognizer.sureness,
            )
            if options.include_structure:
                polygons, layout = find_layout(page.image, polygons, place=page.in_source)
            found = time.perf_counter()
            crops, applied = cut_lines(page, polygons, measures, chosen.preparation)
        else:
            found = loaded
            crops, applied = whole_line(pixels, chosen.preparation)
        if chosen.rotate_vertical:
            crops = [turn_if_vertical(crop) for crop in crops]
        timings = Timings(
            load_image_ms=1e3 * (loaded - started), find_lines_ms=1e3 * (found - loaded), preprocess_ms=_since(found)
        )
        leased = tuple(replace(crop, lease=lease) for crop in crops)
        return PreparedImage(pixels.shape[1], pixels.shape[0], leased, timings, lease, layout, applied, rules)

    def batch_key(self, crop: LineCrop, options: RecognizeOptions) -> Hashable:
        """Crops with equal keys may share a batch: same model in memory, same padded width, as many windows."""
        model = self._model(crop, options)
        return model.bundle.name, model.bundle.version, model.serial, *model.recognizer.batch_key(crop)

    def read_lines(self, crops: Sequence[LineCrop], options: Sequence[RecognizeOptions]) -> list[ReadLine]:
        """Read crops of one batch key, each with its own options. Returns one ReadLine per crop, in order."""
        recognizer = self._model(crops[0], options[0]).recognizer
        first = recognizer.read(crops, options)
        return [
            self._read_again(recognizer, crop, chosen, read) if _is_doubtful(read, crop) else read
            for crop, chosen, read in zip(crops, options, first, strict=True)
        ]

    def _read_again(
        self, recognizer: Recognizer, crop: LineCrop, options: RecognizeOptions, first: ReadLine
    ) -> ReadLine:
        """The first reading, or that of another view of the line that is surer."""
        started = time.perf_counter()
        views = []
        if first.sureness < HARDLY_READ and _has_narrow_letters(first.line.text) and not crop.is_vertical:
            views.append(stretched(crop, STRETCH))
        if crop.is_vertical:
            views.append(replace(crop, image=side_by_side(turned(crop, 3).image)))
        if _wants_classifier(first, options) and self._upside_down(crop) > UPSIDE_DOWN_THRESHOLD:
            views.append(turned(crop, 2))
        timings = first.timings + Timings(preprocess_ms=_since(started))
        if not views:
            return replace(first, timings=timings)
        again = [recognizer.see([view], [options], below=1.0)[0] for view in views]
        view, surest = max(zip(views, again, strict=True), key=lambda other: other[1].read.sureness)
        timings = sum((seen.read.timings for seen in again if seen is not surest), timings)
        is_surer = surest.read.sureness > first.sureness
        other = recognizer.better(view, options, surest) if is_surer else surest.read
        return replace(other if is_surer else first, timings=timings + other.timings)

    def assemble(self, prepared: PreparedImage, lines: Sequence[ReadLine], options: RecognizeOptions) -> Recognition:
        """Put the lines of one image together: filter by confidence, apply rules, add up timings."""
        model = self._model(prepared, options).bundle
        is_kept = [_is_kept(read.line, options) for read in lines]
        kept = [read.line for read, keep in zip(lines, is_kept, strict=True) if keep]
        found = ruled(prepared.rules, kept, include_characters=options.include_characters)
        structure = None
        if prepared.layout is not None:
            texts = iter(found.lines)
            structure = build_structure(prepared.layout, [next(texts).text if keep else None for keep in is_kept])
        timings = sum((read.timings for read in lines), prepared.timings)
        return Recognition(
            lines=found.lines,
            image_width=prepared.width,
            image_height=prepared.height,
            model_name=model.name,
            model_version=model.version,
            timings=timings,
            structure=structure,
            applied_steps=prepared.applied_steps,
            fields=found.fields,
        )

    def rules(self, options: RuleOptions) -> Rules | None:
        """What is done to the text of lines; None for nothing. Raises OptionInvalid, or LanguageInvalid."""
        return self._rule_shelf.find(options)

    def models(self) -> tuple[ModelInfo, ...]:
        """Recognisers that requests can name, sorted by name and version."""
        return self.shelf.infos()

    def _load_single(
        self,
        registry: Registry,
        model: str,
        kind: Kind,
        precision: Precision,
        image_size: tuple[int, int] | None = None,
    ) -> Engine:
        """An engine whose one request uses all threads: one page at a time, so that its memory is needed once."""
        bundle = registry.find(model, kind)
        engine = Engine(
            bundle,
            registry.folder(bundle),
            streams=1,
            threads=self._config.workers,
            precision=precision,
            image_size=image_size,
        )
        engine.load()
        return engine

    def _model(self, leased: LineCrop | PreparedImage, options: RecognizeOptions) -> LoadedModel:
        """The one that was chosen when the image was prepared; for crops from elsewhere, the one named now."""
        return (leased.lease or self.shelf.lease(options.model)).model

    def _upside_down(self, crop: LineCrop) -> float:
        """Probability that a crop is upside down, by the 0/180 degree classifier."""
        with self._orientation.infer(make_batch([crop], self._orientation.bundle.input)) as probs:
            return float(probs[0, 1])


def _is_doubtful(read: ReadLine, crop: LineCrop) -> bool:
    return read.sureness < (SURE_CONFIDENCE if crop.is_vertical else DOUBTFUL_CONFIDENCE)


def _has_narrow_letters(text: str) -> bool:
    """Whether there is text, and less than half of it is Chinese."""
    return 2 * sum(map(is_wide, text)) < len(text)


def _wants_classifier(read: ReadLine, options: RecognizeOptions) -> bool:
    wanted = options.preprocess.classify_orientation
    if wanted is None:
        switch = options.preprocess.preparation.switch(Step.ORIENTATION)
        wanted = options.mode is Mode.PAGE or switch is Switch.ON
    return wanted and read.sureness < DOUBTFUL_CONFIDENCE


def _is_kept(line: Line, options: RecognizeOptions) -> bool:
    """An empty line says nothing on a page; of a line image it is the answer."""
    if not line.text and options.mode is Mode.PAGE:
        return False
    return line.confidence >= options.min_confidence


def _since(started: float) -> float:
    return 1e3 * (time.perf_counter() - started)
