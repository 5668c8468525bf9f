"""Long lines read through overlapping windows, whose scores are joined before they are decoded.

Two windows are joined at the timestep of their overlap where they agree most on what is there, so that a character at
the seam comes from one of them alone. Whatever decodes the line sees one row of timesteps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ocr_core.ctc_rows import Kind

Scores = npt.NDArray[np.float32]
"""Of a recogniser, float32 [time, class]."""

_EDGE_SHARE = 0.25
"""Share of the overlap at either end where a window has seen too little of what is beside it."""


def window_starts(length: int, window: int, overlap: int, step: int) -> list[int]:
    """Where windows start so that they cover `length` and share `overlap` or more, in multiples of `step`."""
    count = max(1, math.ceil((length - overlap) / (window - overlap)))
    last = math.ceil(max(0, length - window) / step) * step
    return [round(index * last / max(1, count - 1) / step) * step for index in range(count)]


def joined_scores(windows: Sequence[Scores], starts: Sequence[int], kind: Kind = "probs") -> Scores:
    """One row of timesteps. starts: timesteps of the whole at which the windows begin; kind: what their scores are."""
    pieces, begin = [], 0
    for number, window in enumerate(windows):
        if number + 1 == len(windows):
            pieces.append(window[begin - starts[number] :])
            break
        seam = _seam(window, windows[number + 1], starts[number], starts[number + 1], kind)
        pieces.append(window[begin - starts[number] : seam - starts[number]])
        begin = seam
    return np.concatenate(pieces)


def _seam(one: Scores, other: Scores, one_start: int, other_start: int, kind: Kind) -> int:
    """The first timestep that is taken from `other`: the one after that of best agreement in the overlap."""
    shared = one_start + len(one) - other_start
    overlaps = (_probs(scores, kind) for scores in (one[len(one) - shared :], other[:shared]))
    agreement = np.einsum("tc,tc->t", *overlaps)
    edge = int(_EDGE_SHARE * shared)
    inner: npt.NDArray[np.float32] = agreement[edge : shared - edge]
    # Of many places as good as each other, between words as a rule, the one furthest from both edges.
    middle = np.abs(np.arange(len(inner)) - len(inner) / 2)
    best = np.flatnonzero(inner >= inner.max() - 1e-3)
    return other_start + edge + int(best[middle[best].argmin()]) + 1


def _probs(scores: Scores, kind: Kind) -> Scores:
    if kind == "probs":
        return scores
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
