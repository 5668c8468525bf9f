"""Automata in prefix beam search, both backends."""

import math

import numpy as np
import pytest

from tests.ext.ctc_cases import (
    DEFAULTS,
    EVERYTHING,
    automaton,
    enumerated,
    matrix,
    only,
    random_automaton,
    softmax_matrix,
    unigrams,
    weight_of,
)


def test_weights_decide_between_labels(ctc):
    """A label that is weighed twice as much wins against one that is 1.5 times as likely; log_prob knows no weights."""
    probs = matrix([[0.1, 0.36, 0.54]])
    machine = unigrams([None, 2.0, 1.0])
    first, second, third = only(ctc.prefix_beam_search(probs, 0, **DEFAULTS, n_best=5, automata=[machine]))
    assert [h.labels for h in (first, second, third)] == [(1,), (2,), ()]
    assert (math.exp(first.score), math.exp(first.log_prob)) == (pytest.approx(0.72), pytest.approx(0.36))


@pytest.mark.parametrize("seed", range(25))
def test_scores_are_probabilities_times_what_all_automata_say(ctc, seed):
    """With room for all prefixes each labelling has its weighed probability, and those of weight 0 are missing."""
    rng = np.random.default_rng(seed)
    probs, blank = softmax_matrix(seed, 4, 4, sharpness=1.0), seed % 4
    machines = [random_automaton(rng, 4) for _ in range(1 + seed % 3)]
    totals, _ = enumerated(probs.astype(float), blank)
    weighed = {labels: total * math.prod(weight_of(m, labels) for m in machines) for labels, total in totals.items()}
    expected = {labels: mass for labels, mass in weighed.items() if mass > 0.0}
    found = only(ctc.prefix_beam_search(probs, blank, **EVERYTHING, automata=machines))
    assert {h.labels: math.exp(h.score) for h in found} == pytest.approx(expected, rel=1e-9)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)
    for h in found:
        assert math.exp(h.log_prob) == pytest.approx(totals[h.labels], rel=1e-9)


def test_a_label_without_an_arc_backs_off_until_there_is_one(ctc):
    """Each step down multiplies by its weight; where nothing is left the prefix is dropped."""
    machine = automaton(
        [0, 1, 2, 3],
        {(0, 1): (1, 1.0), (0, 2): (0, 0.5), (1, 1): (2, 1.0), (2, 1): (2, 1.0)},
        [1.0, 1.0, 1.0],
        {1: (0, 0.25), 2: (1, 0.5)},
    )
    probs = matrix([[0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, 0.5]])
    (h,) = only(ctc.prefix_beam_search(probs, 0, **DEFAULTS, n_best=9, automata=[machine]))
    assert (h.labels, math.exp(h.score)) == ((1, 1, 2), pytest.approx(0.5 * 0.5 * 0.25 * 0.5))


def test_a_line_may_fit_nothing(ctc):
    """Where no prefix of the beam may end the line has no hypothesis, and lines beside it keep theirs."""
    pair = automaton([0, 1, 1], {(0, 1): (1, 1.0), (1, 1): (2, 1.0)}, [0.0, 0.0, 1.0])
    lines = [matrix([[0, 1, 0], [0, 0, 1]]), matrix([[0, 1, 0]]), matrix([[0, 0, 1], [0, 1, 0]])]
    readings = ctc.prefix_beam_search(lines, 0, **DEFAULTS, automata=[pair])
    assert (readings.lines.tolist(), readings.labels.tolist()) == ([0, 1, 1, 2], [1, 2, 2, 1])


def test_final_weights_change_the_order(ctc):
    """The best prefix of the beam is not the best line when it must not end there."""
    machine = automaton([0, 1, 2], {(0, 1): (1, 1.0), (0, 2): (0, 1.0)}, [1.0, 0.125])
    probs = matrix([[0.1, 0.6, 0.3]])
    found = only(ctc.prefix_beam_search(probs, 0, **DEFAULTS, n_best=3, automata=[machine]))
    assert [(h.labels, pytest.approx(math.exp(h.score))) for h in found] == [((2,), 0.3), ((), 0.1), ((1,), 0.075)]


def test_a_line_without_rows_is_weighed_too(ctc):
    """The empty line ends in the start states."""
    empty = np.empty((0, 2), np.float32)
    (h,) = only(ctc.prefix_beam_search(empty, 0, **DEFAULTS, automata=[automaton([0, 0], {}, [0.25])]))
    assert (math.exp(h.score), h.log_prob) == (pytest.approx(0.25), 0.0)
    assert only(ctc.prefix_beam_search(empty, 0, **DEFAULTS, automata=[automaton([0, 0], {}, [0.0])])) == []


@pytest.mark.parametrize("weight", [math.exp(20.0), math.exp(-20.0)])
def test_weights_do_not_overflow_on_long_lines(ctc, weight):
    """Two hundred labels that are weighed by e^20 or e^-20 each add up to their logs."""
    probs = np.tile(matrix([[0.0, 1.0], [1.0, 0.0]]), (200, 1))
    (h,) = only(ctc.prefix_beam_search(probs, 0, **DEFAULTS, automata=[unigrams([None, weight])]))
    assert (h.labels, h.log_prob) == ((1,) * 200, 0.0)
    assert h.score == pytest.approx(200 * math.log(weight))


def test_a_weight_beyond_all_bounds_ends_the_search_with_an_infinite_score(ctc):
    """It is lifted into range no more, which would never end."""
    (h,) = only(ctc.prefix_beam_search(matrix([[0.5, 0.5]] * 4), 0, **DEFAULTS, automata=[unigrams([None, 1e308])]))
    assert h.score == math.inf


def test_prepared_automata_are_checked_once(ctc):
    """What prepare returns stands for the automaton, in any number of searches."""
    machine = unigrams([None, 2.0, 1.0])
    prepared = ctc.prepare(machine)
    for seed in range(3):
        probs = softmax_matrix(seed, 5, 3)
        searches = [ctc.prefix_beam_search(probs, 0, **DEFAULTS, automata=[m]) for m in (machine, prepared)]
        assert only(searches[0]) == only(searches[1])


GOOD = automaton([0, 1, 2], {(0, 1): (1, 1.0), (1, 1): (1, 2.0), (1, 2): (0, 1.0)}, [1.0, 0.0], {1: (0, 0.5)})


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("begins", [0, 1]),
        ("begins", [1, 1, 3]),
        ("begins", [0, 4, 3]),
        ("arc_symbols", [1, 2, 1]),
        ("arc_symbols", [1, 1, 1]),
        ("arc_symbols", [1, 1]),
        ("arc_states", [1, 1, 2]),
        ("arc_states", [1, -1, 0]),
        ("arc_weights", [1.0, 0.0, 1.0]),
        ("arc_weights", [1.0, math.nan, 1.0]),
        ("arc_weights", [1.0, math.inf, 1.0]),
        ("backoff_states", [-1, 1]),
        ("backoff_states", [1, 0]),
        ("backoff_states", [-1, 2]),
        ("backoff_weights", [1.0, -0.5]),
        ("final_weights", [1.0, -1.0]),
        ("final_weights", [1.0, math.nan]),
        ("symbols", [0, -2, 1]),
        ("symbols", [0, 1]),
    ],
)
def test_malformed_automata_are_refused(ctc, field, values):
    """What would lead out of the arrays, or round in circles, is a ValueError."""
    machine = GOOD._replace(**{field: np.array(values, getattr(GOOD, field).dtype)})
    with pytest.raises(ValueError, match=r"."):
        ctc.prefix_beam_search(softmax_matrix(0, 3, 3), 0, **DEFAULTS, automata=[machine])
    assert only(ctc.prefix_beam_search(softmax_matrix(0, 3, 3), 0, **DEFAULTS, automata=[GOOD]))
