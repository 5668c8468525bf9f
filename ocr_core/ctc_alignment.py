"""One labelling in one line: its exact probability, where its labels are, what might stand in their place.

What ext/alignment.h is to the compiled kernels this is to ctc_reference. The states of a labelling are blank, label,
blank, ..., label, blank.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple, TypeAlias

import numpy as np

from ocr_core.ctc_rows import Row

Score: TypeAlias = tuple[int, float]
"""(exponent, mantissa): mantissa * 2 ** exponent, mantissa in [0.5, 1): tuples order as the values do."""

ZERO: Score = (-(2**31), 0.0)


class Spans(NamedTuple):
    """Where labels are: their likeliest timesteps, their first, and one past their last."""

    timesteps: list[int]
    starts: list[int]
    ends: list[int]


def log_prob(rows: Sequence[Row], labels: Sequence[int], blank: int) -> float:
    """Natural logarithm of a labelling's probability over all its alignments (Graves et al. 2006, section 4.1)."""
    states = _states(labels, blank)
    may_skip = [_may_skip(states, state) for state in range(len(states))]
    masses = np.array([0.0] + [-math.inf] * (len(states) - 1))
    for row in rows:
        before = np.concatenate(([-math.inf] * 2, masses))
        masses = np.logaddexp(masses, before[1:-1])
        masses = np.where(may_skip, np.logaddexp(masses, before[:-2]), masses)
        masses += [log(row.prob(state)) for state in states]
    return float(np.logaddexp.reduce(masses[-2:]))


def align(rows: Sequence[Row], labels: Sequence[int], blank: int) -> list[int]:
    """Most probable alignment (Viterbi): for each timestep which of the labels it emits, -1 for none.

    On ties the fewest states are moved at once, and the alignment ends in the last blank.
    """
    states = _states(labels, blank)
    scores = [(1, 0.5), *[ZERO] * (len(states) - 1)]
    moves: list[list[int]] = []
    for row in rows:
        moves.append([_best_move(scores, states, state) for state in range(len(states))])
        scores = [_times(scores[i - move], row.p[states[i]]) for i, move in enumerate(moves[-1])]
    state = len(states) - 1
    if labels and scores[state - 1] > scores[state]:
        state -= 1
    owners: list[int] = []
    for move in reversed(moves):
        owners.append(state // 2 if state % 2 else -1)
        state -= move[state]
    return owners[::-1]


def locate(rows: Sequence[Row], labels: Sequence[int], owners: Sequence[int]) -> Spans:
    """Spans of labels in an alignment as align returns it; of equally likely timesteps the first."""
    runs = [list(run) for owner, run in groupby(range(len(owners)), key=owners.__getitem__) if owner >= 0]
    probs = [[rows[t].prob(label) for t in run] for label, run in zip(labels, runs, strict=True)]
    timesteps = [run[prob.index(max(prob))] for run, prob in zip(runs, probs, strict=True)]
    return Spans(timesteps, [run[0] for run in runs], [run[-1] + 1 for run in runs])


def weigh_alternatives(
    rows: Sequence[Row], labels: Sequence[int], blank: int, i: int, timestep: int, count: int
) -> tuple[float, list[tuple[int, float]]]:
    """Share of label i, and count other labels with theirs, best first; -1 and 0 where there are fewer.

    Shares are parts of the sum over the lines with the label, with each other label in its place, and without any.
    """
    p = rows[timestep].p
    others = [label for label in p if label not in (blank, labels[i]) and p[label] > 0.0][:count]
    middles = [labels[i : i + 1], [], *([other] for other in others)]
    log_probs = [log_prob(rows, [*labels[:i], *middle, *labels[i + 1 :]], blank) for middle in middles]
    shares = np.exp(log_probs - np.logaddexp.reduce(log_probs)).tolist()
    ranked = sorted(zip(others, shares[2:], strict=True), key=lambda alternative: -alternative[1])
    return shares[0], ranked + [(-1, 0.0)] * (count - len(ranked))


def log(value: float) -> float:
    """Natural logarithm, of 0 as well."""
    return math.log(value) if value else -math.inf


def _states(labels: Sequence[int], blank: int) -> list[int]:
    return [blank, *(state for label in labels for state in (label, blank))]


def _may_skip(states: Sequence[int], state: int) -> bool:
    """Whether the blank before a label may be left out."""
    return state % 2 == 1 and state >= 3 and states[state] != states[state - 2]


def _best_move(scores: Sequence[Score], states: Sequence[int], state: int) -> int:
    reachable = range(1 + min(state, 2 if _may_skip(states, state) else 1))
    return max(reachable, key=lambda move: scores[state - move])


def _times(score: Score, prob: float) -> Score:
    mantissa, shift = math.frexp(score[1] * prob)
    return (score[0] + shift, mantissa) if mantissa else ZERO
