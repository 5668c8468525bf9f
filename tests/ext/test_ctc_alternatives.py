"""What might stand in a label's place, both backends against all alignments there are."""

import math

import numpy as np
import pytest

from tests.ext.ctc_cases import (
    DEFAULTS,
    KINDS,
    as_kind,
    enumerated,
    matrix,
    only,
    probabilities,
    softmax_matrix,
    unigrams,
)


def replaced(labels, i, middle):
    return (*labels[:i], *middle, *labels[i + 1 :])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", [0, 2, 4])
@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("classes", [None, [1, 2, 3]])
def test_shares_are_those_of_the_lines_with_another_label_or_none(ctc, kind, blank, count, classes):
    """Each share is a line's exact probability in the sum over label, other labels and no label; likeliest others."""
    x = as_kind(softmax_matrix(blank + count, 5, 5, sharpness=1.0), kind)
    p = probabilities(x, kind)
    totals, _ = enumerated(p, blank)
    allowed = None if classes is None else np.array(classes, np.int32)
    search = {**DEFAULTS, "n_best": 8, "classes": allowed, "alternatives": count}
    for h in only(ctc.prefix_beam_search(x, blank, **search, kind=kind)):
        for i, (label, t) in enumerate(zip(h.labels, h.timesteps, strict=True)):
            others = [c for c in np.argsort(-p[t], stable=True).tolist() if c not in (blank, label)]
            others = [c for c in others if classes is None or c in classes][:count]
            masses = {c: totals.get(replaced(h.labels, i, [c]), 0.0) for c in [label, *others]}
            whole = math.fsum(masses.values()) + totals.get(replaced(h.labels, i, []), 0.0)
            shares = {c: mass / whole for c, mass in masses.items()}
            assert h.posteriors[i] == pytest.approx(shares.pop(label), abs=1e-5)
            if len(others) < count:
                shares[-1] = 0.0
            assert h.alternatives[i] == pytest.approx(shares, abs=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_alternatives_come_best_first_and_add_up_to_one_at_most(ctc, seed):
    """Shares fall, missing alternatives come last, and what is left belongs to no label at all."""
    probs = softmax_matrix(seed, 12, 4 + seed, sharpness=1.0)
    readings = ctc.prefix_beam_search(probs, 1, **DEFAULTS, n_best=4, alternatives=5)
    shares = readings.alternative_posteriors
    assert (np.diff(shares, axis=1) <= 1e-6).all()
    assert (shares[readings.alternative_labels < 0] == 0).all()
    assert (np.diff((readings.alternative_labels < 0).astype(int), axis=1) >= 0).all()
    sums = readings.posteriors + shares.sum(axis=1)
    assert (sums > 0).all()
    assert (sums <= 1 + 1e-5).all()


def test_impossible_labels_are_no_alternatives(ctc):
    """A label of probability 0 is not offered."""
    (h,) = only(ctc.prefix_beam_search(matrix([[0.25, 0.5, 0.25, 0.0]]), 0, **DEFAULTS, alternatives=2))
    assert (h.labels, h.posteriors) == ((1,), [pytest.approx(0.5)])
    assert h.alternatives == [{2: pytest.approx(0.25), -1: 0.0}]


def test_a_repeat_needs_room_for_a_blank(ctc):
    """In two timesteps "ab" has no alternative "aa": its share is 0."""
    (h,) = only(ctc.prefix_beam_search(matrix([[0.2, 0.8, 0.0], [0.2, 0.2, 0.6]]), 0, 10, 1, 0.0, alternatives=1))
    assert h.labels == (1, 2)
    assert h.alternatives[1] == {1: 0.0}
    assert h.posteriors[1] == pytest.approx(0.48 / (0.48 + 0.8 * 0.2 + 0.8 * 0.2 + 0.2 * 0.2))


def test_shares_do_not_underflow_on_long_lines(ctc):
    """Of 1500 timesteps at which next to nothing is allowed, a line's probability is 1e-6000 and its shares are not."""
    probs = np.tile(matrix([[1e-4, 1e-12, 1e-12, 0.9999]]), (1500, 1))
    probs[700] = [1e-6, 2e-4, 1e-4, 0.9997]
    allowed = np.array([1, 2], np.int32)
    (h,) = only(ctc.prefix_beam_search(probs, 0, **DEFAULTS, classes=allowed, alternatives=1))
    assert (h.labels, h.timesteps) == ((1,), [700])
    assert h.posteriors == [pytest.approx(2e-4 / 3.01e-4, rel=1e-5)]
    assert h.alternatives == [{2: pytest.approx(1e-4 / 3.01e-4, rel=1e-5)}]


def test_shares_know_no_weights(ctc):
    """Alternatives say what the image shows, whatever an automaton prefers."""
    probs = matrix([[0.2, 0.5, 0.3]])
    (h,) = only(ctc.prefix_beam_search(probs, 0, **DEFAULTS, alternatives=1, automata=[unigrams([1.0, 1.0, 10.0])]))
    assert (h.labels, h.posteriors) == ((2,), [pytest.approx(0.3)])
    assert h.alternatives == [{1: pytest.approx(0.5)}]
