"""Long lines read through overlapping windows, whose scores are joined before they are decoded.

Two windows are joined at the timestep of their overlap where they agree most on what is there, so that a character at
the seam comes from one of them alone. Whatever decodes the line sees one row of timesteps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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


def joined_scores(windows: Iterable[Scores], starts: Sequence[int], kind: Kind = "probs") -> Scores:
    """One row of timesteps.

    windows: none longer than the first, taken one by one, so that no more than one needs to be there; starts: timesteps
    of the whole at which they begin; kind: what their scores are.
    """
    rest = iter(windows)
    first = next(rest)
    joined = np.empty((starts[-1] + len(first), first.shape[1]), np.float32)
    end = len(first)
    joined[:end] = first
    for start, window in zip(starts[1:], rest, strict=True):
        seam = _seam(joined[start:end], window[: end - start], kind)
        end = start + len(window)
        joined[start + seam : end] = window[seam:]
    return joined[:end]


def _seam(one: Scores, other: Scores, kind: Kind) -> int:
    """The first timestep of an overlap that is taken from `other`: the one after that of best agreement."""
    edge = int(_EDGE_SHARE * len(one))
    ones, others = (_probs(scores[edge : len(one) - edge], kind) for scores in (one, other))
    inner: npt.NDArray[np.float32] = np.einsum("tc,tc->t", ones, others)
    # Of many places as good as each other, between words as a rule, the one furthest from both edges.
    middle = np.abs(np.arange(len(inner)) - len(inner) / 2)
    best = np.flatnonzero(inner >= inner.max() - 1e-3)
    return edge + int(best[middle[best].argmin()]) + 1


def _probs(scores: Scores, kind: Kind) -> Scores:
    if kind == "probs":
        return scores
    powers: Scores = scores - scores.max(axis=1, keepdims=True)
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers
