"""A recogniser: line crops -> batch -> scores -> text. Loaded, warmed up and checked before it is used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import numpy as np

from ext.automaton import Float64
from ocr_core.bundle import SECOND, Check, ModelBundle, read_second
from ocr_core.ctc_rows import Kind
from ocr_core.decode import Decoder
from ocr_core.decoder_shelf import DecoderShelf
from ocr_core.engine import Batch, Engine, Output, Precision
from ocr_core.errors import BundleInvalid, InputError, ModelFailed
from ocr_core.hypotheses import Hypothesis, Lines
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.judge import Judge
from ocr_core.kernels import Backend
from ocr_core.language_dir import LanguageDir
from ocr_core.layout.seams import joined_scores
from ocr_core.layout.unread import Span, unread_spans
from ocr_core.postprocess import make_line
from ocr_core.preprocess import (
    MAX_RATIO,
    batch_width,
    fitted_width,
    is_long,
    make_batch,
    max_width,
    whole_image,
    window_count,
    windows,
)
from ocr_core.second_opinion import LONGEST, SecondOpinion, SeenLine
from ocr_core.types import DecodeMethod, DecodeOptions, Line, LineCrop, Mode, ReadLine, RecognizeOptions, Timings

_SUM_TOLERANCE = 0.05
"""How far the probabilities of a timestep may be from 1 together: bfloat16 has two to three digits."""

_RETRIES = 2
"""How often what was passed over is read again within what was passed over."""

_SURE = 0.6
"""Sureness of text that is put where there was none."""

_SHARED_WIDTH = 384
"""Lines in wider batches are read one by one: they gain little, and their memory is more than that of the widest."""

_PLAIN = RecognizeOptions()

_Decoding: TypeAlias = Callable[[Output], Sequence[tuple[Hypothesis, ...]]]
"""Of one line, [time, class], or several, [batch, time, class]."""


class Recognizer:
    """An engine and the decoders of its charset. May be shared by threads."""

    def __init__(self, engine: Engine, decoders: DecoderShelf, second: SecondOpinion | None = None) -> None:
        self.decoders = decoders
        self.second = second
        self._engine = engine
        self._input = engine.bundle.input
        self._output = engine.output
        self._temperature = engine.bundle.temperature

    def batch_key(self, crop: LineCrop) -> tuple[int, int]:
        """Width in pixels of the batch in which the crop is read, and how often: long ones cost as many windows."""
        return batch_width(crop, self._input), window_count(crop, self._input)

    def read(self, crops: Sequence[LineCrop], options: Sequence[RecognizeOptions]) -> list[ReadLine]:
        """Read crops of one batch width, each with its own options. Returns one ReadLine per crop, in order."""
        below = self.second.below if self.second else 0.0
        return [self.better(*line) for line in zip(crops, options, self.see(crops, options, below), strict=True)]

    def better(self, crop: LineCrop, options: RecognizeOptions, seen: SeenLine) -> ReadLine:
        """What was seen, or a second opinion on it where it is doubtful. It must have kept its scores then."""
        return self.second.better(self, crop, options, seen) if self.second else seen.read

    def see(self, crops: Sequence[LineCrop], options: Sequence[RecognizeOptions], below: float = 0.0) -> list[SeenLine]:
        """What the network makes of each line. Those with a sureness below keep their scores."""
        if len(crops) > 1 and not self._may_share(crops):
            return [self.see([crop], [chosen], below)[0] for crop, chosen in zip(crops, options, strict=True)]
        if is_long(crops[0], self._input):
            return [self._see_long(crops[0], options[0])]
        started = time.perf_counter()
        batch = make_batch(crops, self._input)
        decodings = [self._decoding(chosen) for chosen in options]
        prepared = time.perf_counter()
        with self._engine.infer(batch) as scores:
            inferred = time.perf_counter()
            hypotheses = _decoded(scores, decodings)
            decoded = time.perf_counter()
            surenesses = [_sureness(found) for found in hypotheses]
            columns = batch.shape[2] / scores.shape[1]
            passed_over = {
                i: spans
                for i, (found, crop, chosen) in enumerate(zip(hypotheses, crops, options, strict=True))
                if (spans := self._unread(found, crop, columns, chosen))
            }
            kept = {
                i: scores[i].copy() for i, sureness in enumerate(surenesses) if i in passed_over or sureness < below
            }
        looked = time.perf_counter()
        for i, spans in passed_over.items():
            hypotheses[i] = self._decode(self._filled(kept[i], crops[i], spans, columns, _RETRIES), options[i])
            surenesses[i] = _sureness(hypotheses[i])
        read_again = time.perf_counter()
        lines = [
            self._line(found, crop, columns, chosen)
            for found, crop, chosen in zip(hypotheses, crops, options, strict=True)
        ]
        share = 1e3 / len(crops)
        timings = Timings(
            preprocess_ms=share * (prepared - started),
            # What is read again is nearly all inference.
            infer_ms=share * (inferred - prepared + read_again - looked),
            decode_ms=share * (decoded - inferred),
            postprocess_ms=share * (looked - decoded + time.perf_counter() - read_again),
        )
        return [
            SeenLine(ReadLine(line, timings, sureness), kept.get(i), columns)
            for i, (line, sureness) in enumerate(zip(lines, surenesses, strict=True))
        ]

    def likely(self, seen: SeenLine, count: int, options: RecognizeOptions) -> Lines:
        """The likeliest readings of a line that kept its scores, best first, as a batch of one."""
        width = max(options.decode.beam_width, count)
        beam = replace(options.decode, decoder=DecodeMethod.PREFIX_BEAM, beam_width=width, alternatives=count - 1)
        return self._beam(beam, count, _weighed(options))(seen.kept)

    def log_probs(self, seen: SeenLine, texts: Sequence[str], likely: Lines) -> Float64:
        """float64 [text]: nats that texts have in a line that kept its scores. likely: what was found so there."""
        normalisers = likely.readings.normalisers if self._output == "logits" else None
        decoder = self.decoders.find(_PLAIN.decode.language)
        return decoder.log_probs(seen.kept, texts, self._output, normalisers)

    def answer(
        self, hypotheses: Sequence[Hypothesis], seen: SeenLine, crop: LineCrop, options: RecognizeOptions
    ) -> ReadLine:
        """These readings of a line instead of those that it was seen with."""
        line = self._line(hypotheses, crop, seen.columns, options)
        return ReadLine(line, seen.read.timings, _sureness(hypotheses))

    def _may_share(self, crops: Sequence[LineCrop]) -> bool:
        """Whether crops of one batch width are read at once."""
        is_narrow = batch_width(crops[0], self._input) <= _SHARED_WIDTH
        return is_narrow and not any(is_long(crop, self._input) for crop in crops)

    def sureness(self, crop: LineCrop) -> float:
        """As ReadLine has it, of the first network."""
        (seen,) = self.see([crop], [_PLAIN])
        return seen.read.sureness

    def _see_long(self, crop: LineCrop, options: RecognizeOptions) -> SeenLine:
        """Read a crop through windows, one after the other, so that they take the memory of one."""
        started = time.perf_counter()
        parts, starts = windows(crop, self._input)
        batches = [make_batch([part], self._input) for part in parts]
        prepared = time.perf_counter()
        seen = map(self._scores, batches)
        first = next(seen)
        columns = batches[0].shape[2] / len(first)
        timesteps = [round(start / columns) for start in starts]
        joined = joined_scores(chain([first], seen), timesteps, self._output)
        inferred = time.perf_counter()
        hypotheses = self._decode(joined, options)
        decoded = time.perf_counter()
        line = self._line(hypotheses, crop, columns, options)
        timings = Timings(
            preprocess_ms=1e3 * (prepared - started),
            infer_ms=1e3 * (inferred - prepared),
            decode_ms=1e3 * (decoded - inferred),
            postprocess_ms=1e3 * (time.perf_counter() - decoded),
        )
        return SeenLine(ReadLine(line, timings, _sureness(hypotheses)), joined, columns)

    def _scores(self, batch: Batch) -> Output:
        """Of a batch of one, [time, class]."""
        with self._engine.infer(batch) as scores:
            return np.array(scores[0])

    def _unread(
        self, hypotheses: Sequence[Hypothesis], crop: LineCrop, columns: float, options: RecognizeOptions
    ) -> list[Span]:
        """Parts of the crop that were passed over; none where only some text is wanted anyway."""
        language = options.decode.language
        if language.pattern or language.whitelist:
            return []
        scale = columns * crop.image.shape[1] / fitted_width(crop, self._input)
        peaks = hypotheses[0].timesteps if hypotheses else ()
        return unread_spans(crop.image, [(peak + 0.5) * scale for peak in peaks])

    def _filled(self, scores: Output, crop: LineCrop, spans: Sequence[Span], columns: float, retries: int) -> Output:
        """Output with those of the spans, read on their own, in their places, as far as they were read surely."""
        scale = fitted_width(crop, self._input) / crop.image.shape[1] / columns
        for start, end in spans:
            part = replace(crop, image=crop.image[:, start:end])
            with self._engine.infer(make_batch([part], self._input)) as seen:
                alone = seen[0, : round((end - start) * scale)].copy()
            hypotheses = self._decode(alone, _PLAIN)
            if retries and (inner := self._unread(hypotheses, part, columns, _PLAIN)):
                alone = self._filled(alone, part, inner, columns, retries - 1)
                hypotheses = self._decode(alone, _PLAIN)
            if _sureness(hypotheses) > _SURE:
                first = round(start * scale)
                place = scores[first : first + len(alone)]
                place[:] = alone[: len(place)]
        return scores

    def _line(
        self, hypotheses: Sequence[Hypothesis], crop: LineCrop, columns: float, options: RecognizeOptions
    ) -> Line:
        """columns: of pixels at the model's height that a timestep covers."""
        return make_line(
            hypotheses,
            crop.polygon,
            timestep_share=columns / fitted_width(crop, self._input),
            include_characters=options.needs_characters,
            temperature=self._temperature,
        )

    def _decode(self, scores: Output, options: RecognizeOptions) -> tuple[Hypothesis, ...]:
        return self._decoding(options)(scores)[0]

    def _decoding(self, options: RecognizeOptions) -> _Decoding:
        """What is made of scores with these options."""
        chosen, count, weighed = options.decode, 1 + options.decode.alternatives, _weighed(options)
        if chosen.decoder is DecodeMethod.BEST_PATH:
            return partial(self.decoders.find(chosen.language).best_path, kind=self._output)
        if count > 1 and weighed:
            # Nobody sees the characters of other readings, and weighing takes time by the square of a line's length.
            return partial(_with_others, self._beam(chosen, 1, weighed), self._beam(chosen, count, 0))
        return self._beam(chosen, count, weighed)

    def _beam(self, chosen: DecodeOptions, count: int, weighed: int) -> Callable[[Output], Lines]:
        """count: of readings. weighed: labels that their characters are weighed against."""
        return partial(
            self.decoders.find(chosen.language).beam,
            kind=self._output,
            width=chosen.beam_width,
            top_n=chosen.prune_top_k,
            min_prob=chosen.prune_min_prob,
            cum_prob=chosen.prune_cum_prob,
            n_best=count,
            alternatives=weighed,
        )

    def warm_up(self, workers: int, widest: int) -> None:
        """Run the engine on all its requests: the first run of each is several times slower. widest: batch, in pixels.

        They see their widest batch first: buffers that only ever shrink leave no holes in memory. Raises BundleInvalid
        when what comes out are no scores of the charset.
        """
        together = threading.Barrier(workers)

        def run(width: int) -> None:
            together.wait()
            batch = make_batch([whole_image(np.full((self._input.height, width, 3), 255, np.uint8))], self._input)
            try:
                with self._engine.infer(batch) as scores:
                    _check_scores(scores, self._engine.bundle, self._output)
            except RuntimeError as error:
                raise BundleInvalid(f"OpenVINO cannot run the model on {list(batch.shape)}: {error}") from error

        with ThreadPoolExecutor(workers, thread_name_prefix="warm-up") as pool:
            for width in (widest, 320):
                list(pool.map(run, [width] * workers))

    def check(self, folder: Path, wanted: Check) -> None:
        """Read the check of a bundle. Raises BundleInvalid when its text comes out otherwise."""
        try:
            image = load_image((folder / wanted.image).read_bytes(), ImageLimits())
            (read,) = self.read([whole_image(image)], [RecognizeOptions(mode=Mode.LINE)])
        except (OSError, InputError, ModelFailed) as error:
            raise BundleInvalid(f"{folder}: {wanted.image} cannot be read: {error}") from error
        if read.line.text != wanted.text:
            raise BundleInvalid(f"{folder}: reads {read.line.text!r} in {wanted.image}, must read {wanted.text!r}")


def load_recognizer(
    bundle: ModelBundle,
    folder: Path,
    language: LanguageDir,
    *,
    workers: int,
    precision: Precision,
    backend: Backend,
    longest: float = MAX_RATIO,
) -> Recognizer:
    """A recogniser that has shown that it works. longest: heights of the longest lines that it will see at once.

    Raises BundleInvalid, or BackendMissing.
    """
    best = precision if bundle.bfloat16 else "f32"
    engine = Engine(bundle, folder, streams=workers, threads=workers, precision=best, keep_softmax=False)
    engine.load()
    second = None
    if bundle.second_opinion is not None:
        other = load_recognizer(
            read_second(folder),
            folder / SECOND,
            language,
            # One for every two: few lines are read twice, and each has code and memory of its own, 28 MB.
            workers=(workers + 1) // 2,
            precision=precision,
            backend=backend,
            longest=LONGEST,
        )
        judge = Judge.load(folder, bundle.judge) if bundle.judge else None
        second = SecondOpinion(other, bundle.second_opinion, judge)
    recognizer = Recognizer(engine, DecoderShelf(Decoder(bundle.charset, backend=backend), language), second)
    recognizer.warm_up(workers, min(max_width(bundle.input), int(longest * bundle.input.height)))
    if bundle.check:
        recognizer.check(folder, bundle.check)
    return recognizer


def _sureness(hypotheses: Sequence[Hypothesis]) -> float:
    """As ReadLine has it. hypotheses: best first."""
    return hypotheses[0].confidence if hypotheses else 0.0


def _check_scores(scores: Output, bundle: ModelBundle, kind: Kind) -> None:
    """scores: as the engine emits them for a batch of one; kind: what they should be. Raises BundleInvalid."""
    model, classes = f"{bundle.name}/{bundle.version}", bundle.charset.class_count
    if scores.ndim != 3 or scores.shape[0] != 1:
        raise BundleInvalid(f"{model} emits {list(scores.shape)}, must be [batch, time, class] with a batch of 1")
    if scores.shape[2] != classes:
        raise BundleInvalid(
            f"{model}: charset has {classes - 1} characters and blank, {classes} classes; "
            f"model emits {scores.shape[2]} classes"
        )
    is_finite = bool(np.isfinite(scores).all())
    if kind == "logits" and not is_finite:
        raise BundleInvalid(f"{model} emits no logits: they must be finite")
    if kind == "probs" and not (is_finite and scores.min() >= 0 and _add_up_to_1(scores)):
        raise BundleInvalid(f"{model} emits no probabilities: they must be finite and add up to 1 at every timestep")


def _add_up_to_1(scores: Output) -> bool:
    return bool(np.abs(scores.sum(axis=2) - 1).max() <= _SUM_TOLERANCE)


def _weighed(options: RecognizeOptions) -> int:
    return options.decode.character_alternatives if options.needs_characters else 0


def _with_others(first: _Decoding, several: _Decoding, scores: Output) -> list[tuple[Hypothesis, ...]]:
    """Readings of one line, the first as `first` finds it, who finds the same one."""
    return [(*first(scores)[0], *several(scores)[0][1:])]


def _decoded(scores: Output, decodings: Sequence[_Decoding]) -> list[tuple[Hypothesis, ...]]:
    """Hypotheses of each line of a batch, [batch, time, class]."""
    if len(decodings) == 1:
        return [decodings[0](scores)[0]]  # a view of its one line would come from far away
    return [decode(row)[0] for row, decode in zip(scores, decodings, strict=True)]
