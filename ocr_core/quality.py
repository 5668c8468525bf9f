"""What sets that were read tell of a recogniser: which characters it confuses, and what its confidence is worth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ocr_core.calibration import Reliability, calibrated, fit_temperature, reliability
from ocr_core.edits import Confusion, Edits, confusions, edits_of
from ocr_core.evaluation import LineReading, LineSet, PageSet

HEADER = ("confidence", "characters", "mean", "right", "lines", "characters right", "whole lines right")

_FOLDS = 5

Outcomes = tuple[list[float], list[bool]]
"""Confidences, and whether what has them is right."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Of all sets together.

    confusions: of lines, and of found lines of pages; the most frequent first. The others are of sets of lines alone.
    characters: whether each character is right. lines: which share of a line's characters is right, which is what its
    confidence estimates. whole_lines: whether a line is right from end to end, which is less. All normalised.
    """

    confusions: tuple[Confusion, ...]
    characters: Reliability
    lines: Reliability
    whole_lines: Reliability

    @property
    def rows(self) -> list[tuple[str, int, float, float, int, float, float]]:
        """A row for each bin of confidence that is not empty, with the columns of HEADER."""
        bins = zip(self.characters.bins, self.lines.bins, self.whole_lines.bins, strict=True)
        return [
            (f"{one.low:g} to {one.high:g}", one.count, one.confidence, one.right, line.count, line.right, whole.right)
            for one, line, whole in bins
            if one.count or line.count
        ]


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """temperature: by which confidences should be calibrated further. Errors are ECE of characters.

    error: as they are. fitted_error: at the temperature. held_out_error: of each fifth of the lines at the temperature
    of the other four; about the same when the temperature holds for lines that it was not fitted to.
    """

    temperature: float
    characters: int
    error: float
    fitted_error: float
    held_out_error: float


def quality_of(sets: Sequence[LineSet | PageSet]) -> Quality:
    """Confusions and reliability of everything that was read."""
    readings = [reading for each in sets if isinstance(each, LineSet) for reading in each.readings]
    edits = [reading.edits for reading in readings]
    confidences = [reading.confidence for reading in readings]
    return Quality(
        confusions=tuple(confusions([*edits, *_page_edits(sets)])),
        characters=reliability(*_outcomes(zip(readings, edits, strict=True))),
        lines=reliability(confidences, [_share_right(each) for each in edits]),
        whole_lines=reliability(confidences, [not each.pairs for each in edits]),
    )


def fit(readings: Sequence[LineReading]) -> TemperatureFit:
    """The temperature at which the confidences of these readings' characters are likeliest."""
    edits = [(reading, reading.edits) for reading in readings]
    confidences, right = _outcomes(edits)
    temperature = fit_temperature(confidences, right)
    held_out, held_out_right = list[float](), list[bool]()
    for fold in range(_FOLDS):
        others = fit_temperature(*_outcomes(each for i, each in enumerate(edits) if i % _FOLDS != fold))
        left_out = _outcomes(edits[fold::_FOLDS])
        held_out += [calibrated(confidence, others) for confidence in left_out[0]]
        held_out_right += left_out[1]
    return TemperatureFit(
        temperature=temperature,
        characters=len(confidences),
        error=reliability(confidences, right).error,
        fitted_error=reliability([calibrated(each, temperature) for each in confidences], right).error,
        held_out_error=reliability(held_out, held_out_right).error,
    )


def _outcomes(readings: Iterable[tuple[LineReading, Edits]]) -> Outcomes:
    """Of each character that counts."""
    confidences, right = list[float](), list[bool]()
    for reading, edits in readings:
        for (_, confidence), is_right in zip(reading.characters, edits.read_right, strict=True):
            if is_right is not None:
                confidences.append(confidence)
                right.append(is_right)
    return confidences, right


def _share_right(edits: Edits) -> float:
    """Of the characters that were read; of none, whether there is none to read."""
    counted = [is_right for is_right in edits.read_right if is_right is not None]
    return sum(counted) / len(counted) if counted else float(not edits.label)


def _page_edits(sets: Iterable[LineSet | PageSet]) -> Iterator[Edits]:
    for each in sets:
        if isinstance(each, PageSet):
            for reading in each.readings:
                for group in reading.comparison.groups:
                    if group.found:
                        yield edits_of("".join(group.labels), "".join(group.found))
