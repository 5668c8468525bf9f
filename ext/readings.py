"""What decoders return: the hypotheses of a batch of lines in flat arrays, as a batch of strings would be stored."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


class Readings(NamedTuple):
    """Hypotheses of a batch of lines, N characters in H hypotheses of B lines.

    Line b owns hypotheses lines[b] to lines[b + 1], best first; hypothesis h owns characters offsets[h] to
    offsets[h + 1]. Timestep arrays are empty when no alignment was asked for, those of alternatives have K columns.
    """

    labels: Int32
    """[N] class indices, blank nowhere."""
    timesteps: Int32
    """[N] the likeliest timestep of each label in the alignment, the first of equals; strictly increasing."""
    starts: Int32
    """[N] first timestep of each label in the alignment."""
    ends: Int32
    """[N] one past its last timestep."""
    confidences: Float32
    """[N] probability of the label at its timestep."""
    offsets: Int32
    """[H + 1]"""
    log_probs: Float64
    """[H] natural logarithm of a probability: of the alignment (best path), of the labelling (prefix beam search)."""
    scores: Float64
    """[H] by what hypotheses are ranked: log of the mass that the search found, language weights included."""
    lines: Int32
    """[B + 1]"""
    posteriors: Float32
    """[N] share of the label among itself, its alternatives and no label at all, the rest of the line being as it is;
    [0] when no alternatives were asked for."""
    alternative_labels: Int32
    """[N, K] other labels in its place, best first; -1 where there are fewer."""
    alternative_posteriors: Float32
    """[N, K] their shares."""
    normalisers: Float64
    """[2, rows of all lines] of a search of logits: p = exp(x - first) / second; NaN from a row on that is no
    distribution. [2, 0] of anything else."""
