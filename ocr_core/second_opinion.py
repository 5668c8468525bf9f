"""A second recogniser for lines that the first one reads with doubt, and what decides between both."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ext.automaton import Float64
from ocr_core.engine import Output
from ocr_core.errors import InputError, LanguageInvalid
from ocr_core.judge import Judge
from ocr_core.types import LanguageOptions, LineCrop, ReadLine, RecognizeOptions, Timings

if TYPE_CHECKING:
    from ocr_core.recognizer import Recognizer

_CHARACTER_BONUS = 0.05
"""What a character more makes up for in confidence: readings of a doubtful line miss more than they make up."""

LONGEST = 16
"""Heights of the longest line that gets one. Of longer ones few characters are doubtful, all would be read anew, and
what was chosen had as many errors as before."""

_LIKELY = 3
"""Readings of each network that the judge decides between."""


@dataclass(frozen=True, slots=True)
class SeenLine:
    """What a network made of a line. scores: [time, class], None where nobody wanted them; columns: of a timestep."""

    read: ReadLine
    scores: Output | None
    columns: float

    @property
    def kept(self) -> Output:
        """The scores. Raises ValueError without any."""
        if self.scores is None:
            raise ValueError("the line was read too surely to keep its scores")
        return self.scores


@dataclass(frozen=True, slots=True)
class Answers:
    """Different readings of a line. of_first, of_second: nats of each by both networks, float64 [text]."""

    texts: tuple[str, ...]
    reads: tuple[ReadLine, ...]
    of_first: Float64
    of_second: Float64


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """Another recogniser, which reads what the first one reads with a sureness below.

    Networks of different make seldom fail at the same lines: Viola and Jones, "Rapid Object Detection using a Boosted
    Cascade", 2001, of which this is the smallest. The judge decides between the likeliest readings of both. Without
    one, or where the caller says what the text is like, the surer network does.
    """

    recognizer: Recognizer
    below: float
    judge: Judge | None = None

    def better(self, reader: Recognizer, crop: LineCrop, options: RecognizeOptions, first: SeenLine) -> ReadLine:
        """What the reader has seen, or a better reading."""
        height, width = crop.image.shape[:2]
        is_doubtful = first.read.sureness < self.below and width <= LONGEST * height
        if not is_doubtful or not self._knows(options.decode.language):
            return first.read
        (second,) = self.recognizer.see([crop], [options], math.inf)
        started = time.perf_counter()
        if self.judge is None or options.decode.language != LanguageOptions():
            best = max(first.read, second.read, key=_plausibility)
        else:
            answers = self.answers(reader, crop, options, first, second)
            best = answers.reads[self.judge.best(answers.texts, answers.of_first, answers.of_second)]
        judged = Timings(decode_ms=1e3 * (time.perf_counter() - started))
        return replace(best, timings=first.read.timings + second.read.timings + judged)

    def answers(
        self, reader: Recognizer, crop: LineCrop, options: RecognizeOptions, first: SeenLine, second: SeenLine
    ) -> Answers:
        """The likeliest readings of what the reader and the other recogniser saw, and those they gave themselves."""
        count = max(_LIKELY, 1 + options.decode.alternatives)
        seen = [
            (network, line, network.likely(line, count, options))
            for network, line in ((reader, first), (self.recognizer, second))
        ]
        reads = {line.read.line.text: line.read for line in (second, first)}
        for network, line, (likely,) in seen:
            for found in likely[:_LIKELY]:
                if (text := found.text) not in reads:
                    others = [other for other in likely if other is not found][: options.decode.alternatives]
                    reads[text] = network.answer([found, *others], line, crop, options)
        texts = tuple(reads)
        of_first, of_second = (network.log_probs(line, texts, likely) for network, line, likely in seen)
        return Answers(texts, tuple(reads.values()), of_first, of_second)

    def _knows(self, language: LanguageOptions) -> bool:
        """Whether its charset has what the language asks for."""
        try:
            self.recognizer.decoders.find(language)
        except (InputError, LanguageInvalid):
            return False
        return True


def _plausibility(read: ReadLine) -> float:
    return read.line.confidence + _CHARACTER_BONUS * len(read.line.text)
