"""Hypotheses -> lines: text, confidence, positions in the source image."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from ocr_core.charset import Charset
from ocr_core.decode import confidence
from ocr_core.types import Alternative, Character, Hypothesis, Line, Polygon


def make_line(
    hypotheses: Sequence[Hypothesis],
    charset: Charset,
    polygon: Polygon,
    *,
    timestep_share: float,
    include_characters: bool,
) -> Line:
    """The best hypothesis as a line, the others as its alternatives.

    timestep_share: what share of the crop's width one timestep covers; over 1 / timesteps when the crop was padded.
    """
    best, *others = hypotheses
    return Line(
        text=charset.text(best.labels),
        confidence=confidence(best),
        polygon=polygon,
        characters=_characters(best, charset, polygon, timestep_share) if include_characters else (),
        alternatives=tuple(
            Alternative(charset.text(other.labels), confidence(other), other.log_prob) for other in others
        ),
    )


def _characters(
    hypothesis: Hypothesis, charset: Charset, polygon: Polygon, timestep_share: float
) -> tuple[Character, ...]:
    """CTC gives a peak per character, not its extent: neighbours share the space between their peaks."""
    if not hypothesis.labels:
        return ()
    first, second = polygon.vertices[:2]
    length = math.hypot(second.x - first.x, second.y - first.y)
    peaks = [min((step + 0.5) * timestep_share, 1.0) * length for step in hypothesis.timesteps]
    between = [(one + other) / 2 for one, other in itertools.pairwise(peaks)]
    # The outer ends mirror the inner half widths; a lone character has the line.
    start = max(0.0, 2 * peaks[0] - between[0]) if between else 0.0
    end = min(length, 2 * peaks[-1] - between[-1]) if between else length
    borders = [start, *between, end]
    return tuple(
        Character(charset.character(label), probability, step, x_start, x_end)
        for label, probability, step, x_start, x_end in zip(
            hypothesis.labels,
            hypothesis.confidences,
            hypothesis.timesteps,
            borders[:-1],
            borders[1:],
            strict=True,
        )
    )
