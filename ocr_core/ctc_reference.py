"""CTC decoding in plain Python: the specification of ext/ctc.pyx, its oracle in tests, and an opt-in backend.

Both return the same to the last bit, so the order of floating point operations is part of the specification.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ocr_core.types import Probs

Reading: TypeAlias = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32], float]
"""labels int32 [length], timesteps int32 [length], confidences float32 [length], log_prob."""

Prefix: TypeAlias = tuple[int, ...]

Masses: TypeAlias = tuple[float, float]
"""Probability of the alignments of a prefix that end in blank, and of those that end in its last label."""

Score: TypeAlias = tuple[int, float]
"""(exponent, mantissa): mantissa * 2 ** (256 * exponent), mantissa in (2 ** -256, 1]: tuples order as the values do."""

# All powers of two: rescaling rounds nothing, however long the line.
MASS_FLOOR = 2.0**-900
RESCALE_BELOW = 2.0**-256
RESCALE_UP = 2.0**256
RESCALE_BITS = 256
ZERO: Score = (-(2**31), 0.0)


def best_path(probs: Probs, blank: int) -> Reading:
    """Best path of one line (Graves et al. 2006, section 3.2): likeliest class per timestep, collapsed.

    probs: softmax, float32 [time, class], C-contiguous. Of equal classes the first is taken. The timestep of a label
    is the first of the likeliest in its run, its confidence the probability there; log_prob is the natural logarithm
    of the probability of this one alignment. It is not finite if probs has a NaN, a negative value or a row of zeros;
    the labels then mean nothing.
    """
    _check_blank(probs, blank)
    classes = [int(row.argmax()) for row in probs]
    labels, timesteps = _collapse(probs, classes, blank)
    log_prob = 0.0
    for row, best in zip(probs, classes, strict=True):
        log_prob += _log(float(row[best])) if _is_distribution(row) else math.nan
    return _pack(probs, labels, timesteps, log_prob)


def prefix_beam_search(
    probs: Probs, blank: int, beam_width: int, prune_top_k: int, prune_min_prob: float, n_best: int = 1
) -> list[Reading]:
    """Up to n_best labellings by total probability over their alignments, best first (Hannun et al. 2014, algorithm 1).

    probs: softmax, float32 [time, class], C-contiguous. Per timestep the beam_width best prefixes are kept. They are
    extended by no more than the prune_top_k likeliest labels and by none below prune_min_prob, but always by the
    timestep's likeliest class; blank and repeats are never pruned. Equal classes: lower index first. Equal prefixes:
    lexicographic order of labels.

    log_prob: natural logarithm of the mass found, a lower bound of the labelling's probability. timesteps: peaks as in
    best_path, in the labelling's most probable alignment. If probs has a NaN, a negative value or a row of zeros the
    result is one empty reading with log_prob -inf.
    """
    _check_blank(probs, blank)
    if beam_width < 1 or prune_top_k < 1 or n_best < 1:
        raise ValueError("beam_width, prune_top_k and n_best must be at least 1")
    beam: dict[Prefix, Masses] = {(): (1.0, 0.0)}
    exponent = 0
    for row in probs:
        likely = _likely_labels(row, blank, prune_top_k, prune_min_prob)
        beam = _best(_advance(beam, row.tolist(), likely, blank), beam_width) if _is_distribution(row) else {}
        while beam and max(map(sum, beam.values())) < RESCALE_BELOW:
            beam = {prefix: (ends * RESCALE_UP, goes * RESCALE_UP) for prefix, (ends, goes) in beam.items()}
            exponent -= RESCALE_BITS
    readings = [
        _pack(probs, prefix, _peaks(probs, prefix, blank), _log(sum(masses)) + exponent * math.log(2.0))
        for prefix, masses in list(beam.items())[:n_best]
    ]
    return readings or [_pack(probs, (), [], -math.inf)]


def _check_blank(probs: Probs, blank: int) -> None:
    if not 0 <= blank < probs.shape[1]:
        raise ValueError(f"blank is {blank}, matrix has {probs.shape[1]} classes")


def _is_distribution(row: Probs) -> bool:
    return bool(np.isfinite(row).all() and not np.signbit(row).any())


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else -math.inf


def _pack(probs: Probs, labels: Sequence[int], timesteps: Sequence[int], log_prob: float) -> Reading:
    confidences = [probs[t, label] for t, label in zip(timesteps, labels, strict=True)]
    return (
        np.array(labels, np.int32),
        np.array(timesteps, np.int32),
        np.array(confidences, np.float32),
        log_prob,
    )


def _collapse(probs: Probs, classes: Sequence[int], blank: int) -> tuple[list[int], list[int]]:
    """Labels of an alignment, one class per timestep, and the peak timestep of each run."""
    labels: list[int] = []
    timesteps: list[int] = []
    previous = blank
    for t, label in enumerate(classes):
        if label not in (blank, previous):
            labels.append(label)
            timesteps.append(t)
        elif label != blank and probs[t, label] > probs[timesteps[-1], label]:
            timesteps[-1] = t
        previous = label
    return labels, timesteps


def _likely_labels(row: Probs, blank: int, top_k: int, min_prob: float) -> list[int]:
    """Labels that extend prefixes at this timestep, likeliest first."""
    order = [int(label) for label in np.argsort(-row, stable=True) if label != blank and row[label] > 0.0]
    likely = [label for label in order[:top_k] if float(row[label]) >= min_prob]
    return likely or [label for label in order[:1] if label == int(row.argmax())]


def _advance(
    beam: dict[Prefix, Masses], row: Sequence[float], likely: Sequence[int], blank: int
) -> dict[Prefix, Masses]:
    """Every prefix of the beam one timestep later, kept and extended."""
    kept = {
        prefix: ((ends + goes) * row[blank], goes * row[prefix[-1]] if prefix else 0.0)
        for prefix, (ends, goes) in beam.items()
    }
    for prefix, (ends, goes) in beam.items():
        for label in likely:
            # A repeat is a new label only after a blank.
            mass = (ends if prefix[-1:] == (label,) else ends + goes) * row[label]
            longer_ends, longer_goes = kept.get((*prefix, label), (0.0, 0.0))
            kept[(*prefix, label)] = (longer_ends, longer_goes + mass)
    return kept


def _best(prefixes: dict[Prefix, Masses], beam_width: int) -> dict[Prefix, Masses]:
    """The beam_width greatest by total mass, in that order; of equals the smaller prefix first. Specks are dropped."""
    alive = [(prefix, masses) for prefix, masses in prefixes.items() if sum(masses) >= MASS_FLOOR]
    return dict(sorted(alive, key=lambda item: (-sum(item[1]), item[0]))[:beam_width])


def _peaks(probs: Probs, labels: Prefix, blank: int) -> list[int]:
    """Peak timesteps of labels in their most probable alignment.

    The best path is the most probable alignment of all, so of its own labels too: no search is needed for those.
    """
    path_labels, path_timesteps = _collapse(probs, [int(row.argmax()) for row in probs], blank)
    if list(labels) == path_labels:
        return path_timesteps
    states = [blank, *(state for label in labels for state in (label, blank))]
    peaks = [-1] * len(labels)
    alignment = _viterbi(probs, states, blank)
    for t, state in enumerate(alignment):
        if state % 2 and (peaks[state // 2] < 0 or probs[t, states[state]] > probs[peaks[state // 2], states[state]]):
            peaks[state // 2] = t
    return peaks


def _viterbi(probs: Probs, states: Sequence[int], blank: int) -> list[int]:
    """Most probable alignment as one state per timestep; states: classes blank, label, blank, ..., label, blank.

    On ties the fewest states are moved at once, and the alignment ends in the last state.
    """
    scores = [(0, 1.0), *[ZERO] * (len(states) - 1)]
    moves: list[list[int]] = []
    for row in probs.tolist():
        moves.append([_best_move(scores, states, state, blank) for state in range(len(states))])
        scores = [_times(scores[i - move], row[states[i]]) for i, move in enumerate(moves[-1])]
    last = len(states) - 1
    alignment = [last - 1 if last and scores[last - 1] > scores[last] else last]
    for move in reversed(moves):
        alignment.append(alignment[-1] - move[alignment[-1]])
    return alignment[-2::-1]


def _best_move(scores: Sequence[Score], states: Sequence[int], state: int, blank: int) -> int:
    may_skip = state >= 3 and states[state] not in (blank, states[state - 2])
    reachable = range(1 + min(state, 2 if may_skip else 1))
    return max(reachable, key=lambda move: scores[state - move])


def _times(score: Score, prob: float) -> Score:
    exponent, mantissa = score[0], score[1] * prob
    if mantissa == 0.0:
        return ZERO
    return (exponent - 1, mantissa * RESCALE_UP) if mantissa <= RESCALE_BELOW else (exponent, mantissa)
