"""Best path and prefix beam search, both backends, by hand and against all alignments there are."""

import itertools
import math

import numpy as np
import pytest

from tests.ext.ctc_cases import (
    DEFAULTS,
    EVERYTHING,
    KINDS,
    as_kind,
    collapsed,
    enumerated,
    hypotheses,
    matrix,
    only,
    probabilities,
    softmax_matrix,
    spans,
)

SMALL = [(1, 2, 0), (3, 4, 0), (4, 3, 1), (5, 3, 2), (5, 4, 3), (5, 4, 1)]


def test_prefix_beam_sums_alignments_that_the_best_path_does_not_see(ctc):
    """Over "ab" and blank the best path is empty with 0.36, the prefix beam finds "a" with 0.64."""
    probs = matrix([[0.4, 0.0, 0.6], [0.4, 0.0, 0.6]])
    (greedy,) = only(ctc.best_path(probs, 2))
    assert (greedy.labels, math.exp(greedy.log_prob)) == ((), pytest.approx(0.36))
    first, second = only(ctc.prefix_beam_search(probs, 2, **DEFAULTS, n_best=5))
    assert (first.labels, first.timesteps, first.confidences) == ((0,), [0], [pytest.approx(0.4)])
    assert (math.exp(first.log_prob), math.exp(first.score)) == (pytest.approx(0.64), pytest.approx(0.64))
    assert (second.labels, math.exp(second.log_prob)) == ((), pytest.approx(0.36))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("times", "classes", "blank"), SMALL)
def test_wide_beam_finds_every_labelling_with_its_exact_probability(ctc, kind, times, classes, blank):
    """With room for all prefixes the result is the enumeration of all alignments, spans included."""
    probs = softmax_matrix(times * 100 + classes * 10 + blank, times, classes, sharpness=1.5)
    x = as_kind(probs, kind)
    p = probabilities(x, kind)
    totals, best = enumerated(p, blank)
    found = only(ctc.prefix_beam_search(x, blank, **EVERYTHING, kind=kind))
    assert [h.labels for h in found] == sorted(totals, key=lambda labels: -totals[labels])
    rounding = 1e-5 if kind == "logits" else 1e-12
    for h in found:
        assert math.exp(h.log_prob) == pytest.approx(totals[h.labels], rel=rounding)
        assert math.exp(h.score) == pytest.approx(totals[h.labels], rel=rounding)
        assert (h.timesteps, h.starts, h.ends) == spans(p, best[h.labels], blank)
        assert h.confidences == pytest.approx(p[h.timesteps, h.labels].tolist(), rel=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("times", "classes", "blank"), SMALL)
def test_log_prob_is_exact_however_narrow_the_beam(ctc, kind, times, classes, blank):
    """log_prob counts all alignments; score only those that a narrow search came across."""
    x = as_kind(softmax_matrix(times + classes, times, classes, sharpness=1.0), kind)
    totals, _ = enumerated(probabilities(x, kind), blank)
    for h in only(ctc.prefix_beam_search(x, blank, 2, 1, 0.2, 2, kind=kind)):
        assert math.exp(h.log_prob) == pytest.approx(totals[h.labels], rel=1e-5)
        assert h.score <= h.log_prob + 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", [0, 1, 3])
def test_best_path_is_the_most_probable_alignment(ctc, kind, blank):
    """Best path, its spans and its log_prob are those of the greatest product over all alignments."""
    x = as_kind(softmax_matrix(blank, 6, 4), kind)
    p = probabilities(x, kind)
    alignment = max(itertools.product(range(4), repeat=6), key=lambda a: math.prod(p[range(6), list(a)]))
    (h,) = only(ctc.best_path(x, blank, kind=kind))
    assert h.labels == collapsed(alignment, blank)
    assert (h.timesteps, h.starts, h.ends) == spans(p, alignment, blank)
    assert h.confidences == pytest.approx(p[h.timesteps, h.labels].tolist(), rel=1e-6)
    if kind == "logits":
        assert math.isnan(h.log_prob)
        assert h.score == 0.0
    else:
        assert h.log_prob == h.score == pytest.approx(sum(math.log(most) for most in p.max(axis=1)))


def test_peak_is_the_first_of_the_likeliest_timesteps_of_a_run(ctc):
    """A label held for several timesteps is placed where it is likeliest, and at the first such place."""
    probs = matrix([[0.3, 0.7], [0.1, 0.9], [0.1, 0.9], [0.8, 0.2], [0.4, 0.6]])
    (h,) = only(ctc.best_path(probs, 0))
    assert (h.labels, h.timesteps, h.starts, h.ends) == ((1, 1), [1, 4], [0, 4], [3, 5])


def test_best_path_without_confidences_needs_no_sum_over_a_row(ctc):
    """Without confidences labels and spans stay; of logits the timestep is the first of the run."""
    logits = matrix([[0, 3, 1], [5, 7, 6.5], [0, 6, 0], [4, 0, 0]])
    (with_,) = only(ctc.best_path(logits, 0, kind="logits"))
    (without,) = only(ctc.best_path(logits, 0, kind="logits", confidences=False))
    assert (with_.labels, with_.timesteps, len(with_.confidences)) == ((1,), [2], 1)
    assert (without.labels, without.timesteps, without.confidences) == ((1,), [0], [])
    assert (without.starts, without.ends) == (with_.starts, with_.ends) == ([0], [3])


def test_equal_classes_and_equal_prefixes_are_taken_in_order(ctc):
    """Among equals the lower class and the lexicographically smaller prefix come first."""
    probs = matrix(np.full((2, 3), 1 / 4))
    assert only(ctc.best_path(probs, 2))[0].labels == (0,)
    found = only(ctc.prefix_beam_search(probs, 2, **EVERYTHING))
    assert [h.labels for h in found] == [(0,), (1,), (), (0, 1), (1, 0)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [100, 511, 512, 513, 700, 1000, 1500])
def test_the_first_of_equals_is_found_wherever_it_is_and_rows_begin(ctc, kind, classes):
    """Rows of many lengths, beginning anywhere in a vector: the peak may be in any column, and others after it.

    Of 1500 classes the matrix is larger than a core's own cache.
    """
    rng = np.random.default_rng(classes)
    firsts = np.concatenate([np.arange(1, 80), np.arange(classes - 160, classes), rng.integers(1, classes, 80)])
    firsts = firsts[firsts > 0]
    probs = matrix(rng.uniform(1e-9, 1e-4, (len(firsts), classes)))
    for row, first in zip(probs, firsts, strict=True):
        row[[first, *rng.integers(first, classes, 3)]] = 0.2
    found = only(ctc.best_path(as_kind(probs, kind), 0, kind=kind))[0]
    assert found.labels == collapsed(firsts.tolist(), 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [100, 511, 512, 513, 700, 1000])
@pytest.mark.parametrize(("likely", "blank"), [(3, 0), (30, 77)])
def test_every_likely_label_is_found_once_wherever_it_is_and_rows_begin(ctc, kind, classes, likely, blank):
    """Rows of many lengths, beginning anywhere in a vector: the five likeliest labels above the threshold extend."""
    rng = np.random.default_rng(classes)
    firsts = np.concatenate([np.arange(80), np.arange(classes - 160, classes), rng.integers(0, classes, 40)])
    weights = rng.uniform(1e-7, 1e-6, (len(firsts[firsts >= 0]), classes))
    for row, first in zip(weights, firsts[firsts >= 0], strict=True):
        row[[first, blank, *rng.integers(0, classes, likely - 1)]] = rng.uniform(1, 3, likely + 1)
    for x in as_kind(matrix(weights / weights.sum(axis=1, keepdims=True)), kind):
        p = probabilities(x[None], kind)[0]
        found = only(ctc.prefix_beam_search(x[None], blank, 40, 5, 0.001, 40, kind=kind))
        labels = sorted((c for c in range(classes) if p[c] >= 0.001 and c != blank), key=lambda c: -p[c])[:5]
        assert [h.labels for h in found if h.labels] == [(c,) for c in labels]


def test_a_line_that_is_far_is_searched_like_its_rows_one_by_one(ctc):
    """1.6 MB are asked for in advance, a row is not."""
    x = softmax_matrix(8, 60, 6625, sharpness=8.0)
    stream = ctc.BeamStream(0, 10, 40, 0.001, 3)
    for row in x:
        stream.push(row[None])
    whole = only(ctc.prefix_beam_search(x, 0, 10, 40, 0.001, 3))
    assert len(whole) == 3
    assert len(whole[0].labels) > 10
    assert whole == only(stream.finish())


def test_zeros_are_equal_whatever_their_sign(ctc):
    """Of two logits 0 and -0 neither is greater: the lower class is taken."""
    logits = matrix([[-0.0, 0.0, -1.0], [-0.0, 0.0, -1.0]])
    assert only(ctc.best_path(logits, 2, kind="logits"))[0].labels == (0,)
    found = only(ctc.prefix_beam_search(logits, 2, 10, 1, 0.0, 10, kind="logits"))
    assert {label for h in found for label in h.labels} == {0}


@pytest.mark.parametrize(
    ("rows", "blank", "expected"),
    [
        pytest.param([[1, 1, 0], [1, 1, 2]], 0, [(1,), (1, 2)], id="a new prefix ties with the last of a full beam"),
        pytest.param(
            [[2, 1, 2], [2, 0, 1], [1, 2, 1]],
            2,
            [(0,), (0, 1), (1,)],
            id="a prefix that comes back ties with its child",
        ),
        pytest.param([[2, 1, 2], [2, 0, 1], [0, 2, 1]], 2, [(0, 1), (0,), (1,)], id="and with the child of its child"),
    ],
)
def test_tied_prefixes_stay_in_lexicographic_order_when_the_beam_is_full(ctc, rows, blank, expected):
    """Of equal prefixes the smaller one gets the last place of the beam, however either of them came up."""
    width = len(expected)
    found = only(ctc.prefix_beam_search(matrix(rows) / 4, blank, width, 3, 0.0, width))
    assert [h.labels for h in found] == expected


def test_tied_alignments_move_late_and_end_in_blank(ctc):
    """Of equally probable alignments the one is taken that moves fewer states at once and ends in the last blank."""
    (h,) = [h for h in only(ctc.prefix_beam_search(matrix(np.full((4, 2), 0.5)), 0, **EVERYTHING)) if h.labels == (1,)]
    assert (h.timesteps, h.starts, h.ends) == ([0], [0], [1])


def test_blank_likeliest_class_and_repeats_are_never_pruned(ctc):
    """A flat line survives a threshold above all its probabilities, and a pruned label may go on."""
    flat = matrix([[0.1, 0.3, 0.2], [0.1, 0.2, 0.3]])
    found = only(ctc.prefix_beam_search(flat, 0, 10, 40, 0.9, 10))
    assert [h.labels for h in found] == [(1, 2), (1,), (2,), ()]
    repeat = matrix([[0.0, 1.0, 0.0], [0.0, 0.05, 0.95]])
    found = only(ctc.prefix_beam_search(repeat, 0, 10, 1, 0.5, 10))
    assert [h.labels for h in found] == [(1, 2), (1,)]
    assert math.exp(found[1].score) == pytest.approx(0.05)


def test_labels_below_min_prob_and_beyond_top_k_extend_nothing(ctc):
    """In one row labels are read exactly down to the threshold, and no more than top_k."""
    row = matrix([[0.125, 0.375, 0.25, 0.1875, 0.0625]])
    read = {h.labels for h in only(ctc.prefix_beam_search(row, 0, 10, 10, 0.1875, 10))}
    assert read == {(), (1,), (2,), (3,)}
    assert {h.labels for h in only(ctc.prefix_beam_search(row, 0, 10, 2, 0.0, 10))} == {(), (1,), (2,)}


@pytest.mark.parametrize(("cum_prob", "labels"), [(0.125, {1}), (0.5, {1}), (0.51, {1, 2}), (0.76, {1, 2, 3})])
def test_no_more_labels_are_taken_once_cum_prob_is_reached(ctc, cum_prob, labels):
    """Blank and the labels taken add up; the likeliest label is taken in any case."""
    row = matrix([[0.125, 0.375, 0.25, 0.1875, 0.0625]])
    found = only(ctc.prefix_beam_search(row, 0, 10, 10, 0.0, 10, prune_cum_prob=cum_prob))
    assert {label for h in found for label in h.labels} == labels


def test_a_cum_prob_of_one_prunes_nothing(ctc):
    """Rows that rounding lifted above 1 keep all their labels by default."""
    row = matrix([[0.5, 0.5, 0.004]])
    assert {h.labels for h in only(ctc.prefix_beam_search(row, 0, 10, 10, 0.0, 10))} == {(), (1,), (2,)}


@pytest.mark.parametrize("kind", KINDS)
def test_thresholds_are_shares_of_the_row(ctc, kind):
    """min_prob and cum_prob mean the same for all kinds."""
    probs = matrix([[0.1, 0.4, 0.28, 0.17, 0.05], [0.2, 0.1, 0.4, 0.26, 0.04]])
    for limits in ({"prune_min_prob": 0.15}, {"prune_min_prob": 0.0, "prune_cum_prob": 0.55}):
        found, expected = (
            only(ctc.prefix_beam_search(x, 0, 50, 10, n_best=50, kind=k, **limits))
            for x, k in ((as_kind(probs, kind), kind), (probs, "probs"))
        )
        assert [h.labels for h in found] == [h.labels for h in expected]
        assert len(found) < 17


def test_specks_are_dropped(ctc):
    """A prefix with less than a 2^-40th of the greatest mass leaves the beam, one with just as much does not."""
    probs = matrix([[1.0, 2.0**-40, 2.0**-41]])
    assert [h.labels for h in only(ctc.prefix_beam_search(probs, 0, **EVERYTHING))] == [(), (1,)]


def test_a_prefix_that_left_the_beam_and_came_back_is_still_one_prefix(ctc):
    """Labellings in a result differ, also when prefixes drop out of a narrow beam and return."""
    for seed in range(30):
        found = only(ctc.prefix_beam_search(softmax_matrix(seed, 12, 4, sharpness=1.0), 0, 4, 3, 0.0, 4))
        assert len({h.labels for h in found}) == len(found) == 4


def test_hypotheses_come_best_first_and_as_many_as_asked_for(ctc):
    """n_best cuts the list off, and scores fall."""
    probs = softmax_matrix(5, 8, 5, sharpness=1.0)
    all_ = only(ctc.prefix_beam_search(probs, 0, 20, 10, 0.0, 100))
    assert len(all_) == 20
    assert [h.score for h in all_] == sorted((h.score for h in all_), reverse=True)
    assert only(ctc.prefix_beam_search(probs, 0, 20, 10, 0.0, 7)) == all_[:7]


def test_without_alignment_labels_and_probabilities_stay(ctc):
    """align=False leaves out where labels are, and nothing else."""
    probs = softmax_matrix(6, 8, 5, sharpness=1.0)
    with_ = only(ctc.prefix_beam_search(probs, 0, **DEFAULTS, n_best=5))
    without = only(ctc.prefix_beam_search(probs, 0, **DEFAULTS, n_best=5, align=False))
    assert [(h.labels, h.score) for h in without] == [(h.labels, h.score) for h in with_]
    assert [h.log_prob for h in without] == pytest.approx([h.log_prob for h in with_])
    assert {(*h.timesteps, *h.starts, *h.ends, *h.confidences) for h in without} == {()}


@pytest.mark.parametrize("seed", range(20))
def test_spans_are_in_order_and_hold_their_timesteps(ctc, seed):
    """Labels hold their timesteps, none starts before the one before it ends, and of equal ones not even then."""
    probs = softmax_matrix(seed, 30, 4, sharpness=1.0 + seed % 4)
    found = [*only(ctc.prefix_beam_search(probs, 1, **DEFAULTS, n_best=10)), *only(ctc.best_path(probs, 1))]
    for h in found:
        assert all(a <= t < b for a, t, b in zip(h.starts, h.timesteps, h.ends, strict=True))
        neighbours = itertools.pairwise(zip(h.starts, h.ends, h.labels, strict=True))
        assert all(end + (a == b) <= start for (_, end, a), (start, _, b) in neighbours)
        assert h.ends[-1:] <= [30]


def test_no_timesteps_give_one_empty_hypothesis_of_probability_one(ctc):
    """A matrix without timesteps reads as empty text with log_prob 0."""
    probs = np.empty((0, 5), np.float32)
    for found in (ctc.best_path(probs, 4), ctc.prefix_beam_search(probs, 4, **DEFAULTS, n_best=3)):
        (h,) = only(found)
        assert (h.labels, h.timesteps, h.log_prob, h.score) == ((), [], 0.0, 0.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", [0, 17, 40])
def test_long_lines_do_not_underflow(ctc, kind, blank):
    """2000 timesteps with a probability of about 1e-500 keep an exact log_prob and strictly increasing peaks."""
    probs = np.full((2000, 41), 1e-9, np.float32)
    probs[:, blank] = 0.55
    expected = [label for label in range(41) if label != blank]
    for start, label in zip(range(0, 2000, 50), expected, strict=True):
        probs[start : start + 2, blank], probs[start : start + 2, label] = 0.6, [0.4, 0.35]
    x = as_kind(probs, kind)
    p = probabilities(x, kind)
    plain, (first, second) = p[2, blank], p[:2, [blank, expected[0]]].tolist()
    (greedy,) = only(ctc.best_path(x, blank, kind=kind))
    (beam,) = only(ctc.prefix_beam_search(x, blank, **DEFAULTS, kind=kind))
    assert greedy.labels == ()
    if kind != "logits":
        assert greedy.log_prob == pytest.approx(1920 * math.log(plain) + 80 * math.log(first[0]), rel=1e-6)
    read = first[1] * second[1] + first[1] * second[0] + first[0] * second[1]
    assert beam.labels == tuple(expected)
    assert beam.score == pytest.approx(1920 * math.log(plain) + 40 * math.log(read), abs=1e-3)
    assert beam.log_prob == pytest.approx(beam.score, abs=1e-3)
    assert beam.timesteps == list(range(0, 2000, 50))


def test_flat_lines_have_their_best_alignment(ctc):
    """Where no single alignment has a tangible share of a labelling's probability the best one is still found."""
    x = softmax_matrix(8, 1200, 4, sharpness=0.05)
    (h,) = only(ctc.prefix_beam_search(x, 0, 4, 4, 0.0))
    assert len(h.labels) > 300
    log_probs = np.log(x.astype(float))
    emitted = np.zeros(len(x), int)
    for start, end, label in zip(h.starts, h.ends, h.labels, strict=True):
        emitted[start:end] = label
    assert collapsed(emitted.tolist(), 0) == h.labels
    assert log_probs[range(len(x)), emitted].sum() == pytest.approx(best_alignment(log_probs, h.labels, 0), abs=1e-9)


def best_alignment(log_probs, labels, blank):
    """Log-probability of the most probable alignment."""
    states = np.array([blank, *(state for label in labels for state in (label, blank))])
    skips = np.concatenate(([False, False], (states[2:] != blank) & (states[2:] != states[:-2])))
    scores = np.where(np.arange(len(states)) == 0, 0.0, -np.inf)
    for row in log_probs:
        one, two = (np.concatenate((np.full(n, -np.inf), scores[:-n])) for n in (1, 2))
        scores = np.maximum(np.maximum(scores, one), np.where(skips, two, -np.inf)) + row[states]
    return max(scores[-2:])


@pytest.mark.parametrize("seed", range(20))
def test_flat_logits_have_exact_probabilities(ctc, seed):
    """Of flat logits, whose exponentials sum up to more than 1, log_prob is exact as well."""
    probs = softmax_matrix(seed, 40, 3, sharpness=0.3)
    found, expected = (
        {h.labels: h.log_prob for h in only(ctc.prefix_beam_search(x, 0, 10, 4, 0.0, 2, kind=kind))}
        for x, kind in ((as_kind(probs, "logits"), "logits"), (probs, "probs"))
    )
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("classes", [*range(2, 26), 37, 97, 127, 128, 129, 300, 511, 512, 513, 660])
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_of_equals_wins_wherever_it_stands(ctc, kind, classes):
    """Best path takes the lowest of the likeliest, however many classes there are."""
    rng = np.random.default_rng(classes)
    probs = matrix(rng.uniform(0, 0.1, (40, classes)))
    equal = [rng.integers(0, classes, 3) for _ in probs]
    for row, columns in zip(probs, equal, strict=True):
        row[columns] = 0.25
    labels = collapsed([int(columns.min()) for columns in equal], 0)
    assert only(ctc.best_path(as_kind(probs, kind), 0, kind=kind))[0].labels == labels


@pytest.mark.parametrize("classes", [*range(2, 36), 127, 128, 129, 150, 650])
@pytest.mark.parametrize("spread", [0.1, 20.0, 300.0])
def test_every_logit_of_a_row_counts(ctc, classes, spread):
    """Confidences from logits are the softmax to the precision of float32, however many classes there are."""
    logits = matrix(np.random.default_rng(classes).uniform(-spread, 0, (1, classes)))
    exps = np.exp(logits[0].astype(float))
    blank = int(logits[0].argmin())
    for readings in (
        ctc.best_path(logits, blank, kind="logits"),
        ctc.prefix_beam_search(logits, blank, **DEFAULTS, kind="logits"),
    ):
        assert only(readings)[0].confidences == pytest.approx([exps.max() / exps.sum()], rel=3e-7)


def test_tiny_probabilities_do_not_underflow(ctc):
    """The smallest positive float32 at every timestep is still a probability, for alignments too."""
    tiny = np.finfo(np.float32).smallest_subnormal
    probs = np.tile(matrix([[tiny, 0.0], [0.0, tiny]]), (20, 1))
    (h,) = only(ctc.prefix_beam_search(probs, 0, **DEFAULTS, alternatives=1))
    assert h.labels == (1,) * 20
    assert h.timesteps == list(range(1, 40, 2))
    assert h.log_prob == pytest.approx(40 * math.log(tiny))
    assert h.posteriors == [1.0] * 20


def test_batches_are_lines_one_by_one(ctc):
    """What a line reads as does not depend on the lines beside it."""
    lines = [softmax_matrix(seed, 5 + 3 * seed, 9, sharpness=1.5) for seed in range(6)]
    search = {**DEFAULTS, "n_best": 3, "alternatives": 2}
    assert hypotheses(ctc.best_path(lines, 0)) == [only(ctc.best_path(line, 0)) for line in lines]
    found = hypotheses(ctc.prefix_beam_search(lines, 0, **search))
    assert found == [only(ctc.prefix_beam_search(line, 0, **search)) for line in lines]
