"""Hypotheses -> lines: text, confidence, positions in the source image."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import fmean

from ocr_core.calibration import calibrated
from ocr_core.hypotheses import Hypothesis
from ocr_core.types import Alternative, Character, CharacterAlternative, Line, Polygon


def make_line(
    hypotheses: Sequence[Hypothesis],
    polygon: Polygon,
    *,
    timestep_share: float,
    include_characters: bool,
    temperature: float = 1.0,
) -> Line:
    """The best hypothesis as a line, the others as its alternatives; an empty line when there is none.

    timestep_share: what share of the crop's width one timestep covers; over 1 / timesteps when the crop was padded.
    temperature: by which confidences are calibrated; nothing else depends on it.
    """
    if not hypotheses:
        return Line("", 0.0, polygon)
    best, *others = hypotheses
    return Line(
        text=best.text,
        confidence=_confidence(best, temperature),
        polygon=polygon,
        characters=_characters(best, polygon, timestep_share, temperature) if include_characters else (),
        alternatives=tuple(
            Alternative(other.text, _confidence(other, temperature), other.log_prob, other.score) for other in others
        ),
    )


def _confidence(hypothesis: Hypothesis, temperature: float) -> float:
    """Mean over the characters, 0 for empty text."""
    confidences = [calibrated(confidence, temperature) for confidence in hypothesis.confidences]
    return fmean(confidences) if confidences else 0.0


def _length(polygon: Polygon) -> float:
    """Of the side along the tops of the letters."""
    tops = polygon.vertices[: len(polygon.vertices) // 2]
    return sum(math.hypot(other.x - one.x, other.y - one.y) for one, other in itertools.pairwise(tops))


def _characters(
    hypothesis: Hypothesis, polygon: Polygon, timestep_share: float, temperature: float
) -> tuple[Character, ...]:
    """CTC gives a peak per character, not its extent: neighbours share the space between their peaks."""
    decoded = hypothesis.characters
    if not decoded:
        return ()
    length = _length(polygon)
    peaks = [min((character.timestep + 0.5) * timestep_share, 1.0) * length for character in decoded]
    between = [(one + other) / 2 for one, other in itertools.pairwise(peaks)]
    # The outer ends mirror the inner half widths; a lone character has the line.
    start = max(0.0, 2 * peaks[0] - between[0]) if between else 0.0
    end = min(length, 2 * peaks[-1] - between[-1]) if between else length
    borders = [start, *between, end]
    return tuple(
        Character(
            text=character.text,
            confidence=calibrated(character.confidence, temperature),
            timestep=character.timestep,
            x_start=x_start,
            x_end=x_end,
            start_timestep=character.start,
            end_timestep=character.end,
            posterior=character.posterior,
            alternatives=tuple(CharacterAlternative(*other) for other in character.alternatives),
        )
        for character, x_start, x_end in zip(decoded, borders[:-1], borders[1:], strict=True)
    )
