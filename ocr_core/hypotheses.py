"""What a Decoder returns: readings as text, made from flat arrays when it is asked for."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, overload

from ext.readings import Readings
from ocr_core.errors import ModelFailed


@dataclass(frozen=True, slots=True)
class DecodedCharacter:
    """One emitted element, with timesteps of its alignment: the likeliest, the first, and one past the last.

    posterior, and alternatives as (text, posterior) pairs: shares among the character, its alternatives and no
    character in its place; None and () where no alternatives were asked for.
    """

    text: str
    timestep: int
    start: int
    end: int
    confidence: float
    posterior: float | None
    alternatives: tuple[tuple[str, float], ...]


class Hypothesis:
    """One reading of a line."""

    __slots__ = ("_index", "_readings", "_span", "_texts")

    def __init__(self, readings: Readings, index: int, span: slice, texts: Sequence[str]) -> None:
        self._readings = readings
        self._index = index
        self._span = span
        self._texts = texts

    def __repr__(self) -> str:
        return f"Hypothesis({self.text!r}, score={self.score:.3f})"

    @property
    def labels(self) -> tuple[int, ...]:
        """Class indices."""
        return tuple(self._readings.labels[self._span].tolist())

    @property
    def text(self) -> str:
        """The labels' characters, joined."""
        return "".join([self._texts[label] for label in self._readings.labels[self._span].tolist()])

    @property
    def log_prob(self) -> float:
        """Natural logarithm of the probability: of the alignment (best path), of the reading (prefix beam search)."""
        return float(self._readings.log_probs[self._index])

    @property
    def score(self) -> float:
        """By what hypotheses are ranked: log of the mass that the search found, language knowledge included."""
        return float(self._readings.scores[self._index])

    @property
    def confidences(self) -> tuple[float, ...]:
        """Of the characters, their probability at their peak timesteps; none without alignment."""
        return tuple(self._readings.confidences[self._span].tolist())

    @property
    def timesteps(self) -> tuple[int, ...]:
        """Of the characters, their peaks; none without alignment."""
        return tuple(self._readings.timesteps[self._span].tolist())

    @property
    def confidence(self) -> float:
        """Mean probability of the characters at their peak timesteps; 0 for empty text, NaN without alignment."""
        confidences = self.confidences
        if confidences:
            return math.fsum(confidences) / len(confidences)
        return math.nan if self._readings.labels[self._span].size else 0.0

    @property
    def characters(self) -> tuple[DecodedCharacter, ...]:
        """One per label; none without alignment."""
        readings, span = self._readings, self._span
        has_posteriors = bool(readings.posteriors.size)
        return tuple(
            DecodedCharacter(
                text=self._texts[label],
                timestep=timestep,
                start=start,
                end=end,
                confidence=confidence,
                posterior=float(readings.posteriors[i]) if has_posteriors else None,
                alternatives=tuple(self._alternatives(i)) if has_posteriors else (),
            )
            for i, (label, timestep, start, end, confidence) in enumerate(
                # Without alignment there are labels and nothing else: zip stops at once.
                zip(
                    readings.labels[span].tolist(),
                    readings.timesteps[span].tolist(),
                    readings.starts[span].tolist(),
                    readings.ends[span].tolist(),
                    readings.confidences[span].tolist(),
                    strict=False,
                ),
                start=span.start,
            )
        )

    def _alternatives(self, i: int) -> Iterator[tuple[str, float]]:
        labels, posteriors = self._readings.alternative_labels[i], self._readings.alternative_posteriors[i]
        for label, posterior in zip(labels.tolist(), posteriors.tolist(), strict=True):
            if label >= 0:
                yield self._texts[label], posterior


class Lines(Sequence[tuple[Hypothesis, ...]]):
    """For each line its hypotheses, best first. A line has none when nothing that was searched fits the mask.

    texts: of each class, empty for blank. Raises ModelFailed when a line holds what its kind of scores excludes.
    """

    def __init__(self, readings: Readings, texts: Sequence[str]) -> None:
        self.readings: Final = readings
        self._texts = texts
        # Plain numbers: after an inference NumPy's functions come from far away, 8 us for each.
        self._lines: Final[list[int]] = readings.lines.tolist()
        self._offsets: Final[list[int]] = readings.offsets.tolist()
        for i, score in enumerate(readings.scores.tolist()):
            if math.isnan(score):
                line = bisect_right(self._lines, i) - 1
                raise ModelFailed(f"model emitted values that are no probabilities: line {line} of {len(self)}")

    def __len__(self) -> int:
        return len(self._lines) - 1

    @overload
    def __getitem__(self, index: int) -> tuple[Hypothesis, ...]: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[tuple[Hypothesis, ...], ...]: ...
    def __getitem__(self, index: int | slice) -> tuple[Hypothesis, ...] | tuple[tuple[Hypothesis, ...], ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(len(self))[index])
        line = range(len(self._lines) - 1)[index]  # len(self) is one more function that comes from far away
        offsets = self._offsets
        return tuple(
            [
                Hypothesis(self.readings, i, slice(offsets[i], offsets[i + 1]), self._texts)
                for i in range(self._lines[line], self._lines[line + 1])
            ]
        )

    @property
    def best_texts(self) -> list[str]:
        """The best text of each line, empty where there is none."""
        return [hypotheses[0].text if hypotheses else "" for hypotheses in self]
