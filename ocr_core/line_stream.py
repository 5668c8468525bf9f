"""One line whose scores come bit by bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ocr_core.ctc_rows import Matrix
from ocr_core.hypotheses import Hypothesis, Lines
from ocr_core.kernels import KernelStream
from ocr_core.scores import check_scores


class Partial(NamedTuple):
    """What a stream has read so far."""

    text: str
    """The best prefix."""
    stable_text: str
    """The beginning of it on which all prefixes that are still in the running agree."""


class LineStream:
    """Reads one line. For one thread; use no more after finish(). texts: of each class, empty for blank."""

    def __init__(self, stream: KernelStream, texts: Sequence[str]) -> None:
        self._stream = stream
        self._texts = texts

    def push(self, x: Matrix) -> None:
        """Take the next rows: float32 or float16 [time, class], any number of them. Raises as Decoder.beam."""
        check_scores(x, len(self._texts))
        self._stream.push(x)

    def partial(self) -> Partial:
        """The best text so far."""
        labels, stable = self._stream.partial()
        characters = [self._texts[label] for label in labels.tolist()]
        return Partial("".join(characters), "".join(characters[:stable]))

    def finish(self) -> tuple[Hypothesis, ...]:
        """What decoding all rows at once gives, best first. Raises ModelFailed."""
        return Lines(self._stream.finish(), self._texts)[0]
