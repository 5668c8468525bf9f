"""What the twin of the kernels finds in lines, and Readings of it.

What ext/results.pxi is to the compiled kernels this is to ctc_reference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ext.readings import Float64, Readings


class Hypothesis(NamedTuple):
    """As in Readings. alternatives: pairs of another label and its share."""

    labels: Sequence[int]
    log_prob: float
    score: float
    timesteps: Sequence[int] = ()
    starts: Sequence[int] = ()
    ends: Sequence[int] = ()
    confidences: Sequence[float] = ()
    posteriors: Sequence[float] = ()
    alternatives: Sequence[Sequence[tuple[int, float]]] = ()


BAD = Hypothesis((), math.nan, math.nan)


def pack(lines: Sequence[Sequence[Hypothesis]], alternatives: int = 0, normalisers: Sequence[Float64] = ()) -> Readings:
    """Readings of the hypotheses of each line, with so many columns of alternatives."""
    hypotheses = [hypothesis for line in lines for hypothesis in line]
    others = [pair for hypothesis in hypotheses for pairs in hypothesis.alternatives for pair in pairs]
    shape = (-1, alternatives) if alternatives else (0, 0)

    def flat(field: str, dtype: type) -> np.ndarray:
        return np.array([value for hypothesis in hypotheses for value in getattr(hypothesis, field)], dtype)

    return Readings(
        labels=flat("labels", np.int32),
        timesteps=flat("timesteps", np.int32),
        starts=flat("starts", np.int32),
        ends=flat("ends", np.int32),
        confidences=flat("confidences", np.float32),
        offsets=np.cumsum([0, *(len(hypothesis.labels) for hypothesis in hypotheses)], dtype=np.int32),
        log_probs=np.array([hypothesis.log_prob for hypothesis in hypotheses], np.float64),
        scores=np.array([hypothesis.score for hypothesis in hypotheses], np.float64),
        lines=np.cumsum([0, *map(len, lines)], dtype=np.int32),
        posteriors=flat("posteriors", np.float32),
        alternative_labels=np.array([label for label, _ in others], np.int32).reshape(shape),
        alternative_posteriors=np.array([share for _, share in others], np.float32).reshape(shape),
        normalisers=np.concatenate([np.empty((2, 0)), *normalisers], axis=1),
    )
