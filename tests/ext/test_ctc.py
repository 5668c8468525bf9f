"""Both CTC backends against enumeration, and against each other."""

import importlib
import itertools
import math
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr_core import ctc_reference

EVERYTHING = {"beam_width": 1024, "prune_top_k": 16, "prune_min_prob": 0.0, "n_best": 1024}
DEFAULTS = {"beam_width": 10, "prune_top_k": 40, "prune_min_prob": 0.001}


@pytest.fixture(scope="session")
def ctc(backend):
    """The module of a backend."""
    return importlib.import_module({"compiled": "ext.ctc", "reference": "ocr_core.ctc_reference"}[backend])


def matrix(rows):
    """Rows as both backends take them."""
    return np.ascontiguousarray(rows, dtype=np.float32)


def softmax_matrix(seed, times, classes, sharpness=3.0):
    """Random distributions, float32 [time, class]; the sharper, the closer to one-hot."""
    logits = np.random.default_rng(seed).normal(scale=sharpness, size=(times, classes))
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    return matrix(exps / exps.sum(axis=1, keepdims=True))


def collapsed(alignment, blank):
    """Labels of an alignment: repeats collapsed, blanks dropped."""
    return tuple(label for label, _ in itertools.groupby(alignment) if label != blank)


def enumerated(probs, blank):
    """Probability of every labelling and its most probable alignment, from all class sequences there are."""
    totals, best = {}, {}
    for alignment in itertools.product(range(probs.shape[1]), repeat=len(probs)):
        prob = math.prod(float(row[c]) for row, c in zip(probs, alignment, strict=True))
        labels = collapsed(alignment, blank)
        totals[labels] = totals.get(labels, 0.0) + prob
        best[labels] = max(best.get(labels, (0.0, ())), (prob, alignment))
    return totals, best


def peaks(probs, alignment, blank):
    """The likeliest timestep of each run of labels."""
    runs = [list(run) for _, run in itertools.groupby(range(len(alignment)), key=alignment.__getitem__)]
    return tuple(max(run, key=lambda t, c=alignment[run[0]]: probs[t, c]) for run in runs if alignment[run[0]] != blank)


def assert_same(ours, reference):
    """Readings are equal, types and every bit of their values included."""
    assert len(ours) == len(reference)
    for a, b in zip(ours, reference, strict=True):
        assert [x.tolist() for x in a[:3]] == [x.tolist() for x in b[:3]]
        assert [x.dtype for x in a[:3]] == [x.dtype for x in b[:3]] == [np.int32, np.int32, np.float32]
        assert a[3] == b[3]


def test_prefix_beam_sums_alignments_that_the_best_path_does_not_see(ctc):
    """Over "ab" and blank the best path is empty with 0.36, the prefix beam finds "a" with 0.64."""
    probs = matrix([[0.4, 0.0, 0.6], [0.4, 0.0, 0.6]])
    labels, timesteps, confidences, log_prob = ctc.best_path(probs, 2)
    assert (labels.size, timesteps.size, confidences.size) == (0, 0, 0)
    assert math.exp(log_prob) == pytest.approx(0.36)
    first, second = ctc.prefix_beam_search(probs, 2, **DEFAULTS, n_best=5)
    assert (first[0].tolist(), first[1].tolist(), first[2].tolist()) == ([0], [0], [pytest.approx(0.4)])
    assert math.exp(first[3]) == pytest.approx(0.64)
    assert (second[0].size, math.exp(second[3])) == (0, pytest.approx(0.36))


@pytest.mark.parametrize(
    ("times", "classes", "blank"), [(1, 2, 0), (3, 4, 0), (4, 3, 1), (5, 3, 2), (5, 4, 3), (5, 4, 1)]
)
def test_wide_beam_finds_every_labelling_with_its_exact_probability(ctc, times, classes, blank):
    """With room for all prefixes the result is the enumeration of all alignments, peaks included, wherever blank is."""
    probs = softmax_matrix(times * 100 + classes * 10 + blank, times, classes, sharpness=1.5)
    totals, best = enumerated(probs, blank)
    readings = ctc.prefix_beam_search(probs, blank, **EVERYTHING)
    assert [tuple(r[0].tolist()) for r in readings] == sorted(totals, key=lambda labels: -totals[labels])
    for labels, timesteps, confidences, log_prob in readings:
        key = tuple(labels.tolist())
        assert math.exp(log_prob) == pytest.approx(totals[key], rel=1e-12)
        assert tuple(timesteps.tolist()) == peaks(probs, best[key][1], blank)
        assert confidences.tolist() == probs[timesteps, labels].tolist()


@pytest.mark.parametrize("blank", [0, 1, 3])
def test_best_path_is_the_most_probable_alignment(ctc, blank):
    """Best path, its peaks and its log_prob are those of the greatest product over all alignments."""
    probs = softmax_matrix(blank, 5, 4)
    alignment = max(itertools.product(range(4), repeat=5), key=lambda a: math.prod(probs[range(5), list(a)]))
    labels, timesteps, confidences, log_prob = ctc.best_path(probs, blank)
    assert tuple(labels.tolist()) == collapsed(alignment, blank)
    assert tuple(timesteps.tolist()) == peaks(probs, alignment, blank)
    assert confidences.tolist() == probs[timesteps, labels].tolist()
    assert log_prob == pytest.approx(sum(math.log(p) for p in probs.max(axis=1)))


def test_peak_is_the_first_of_the_likeliest_timesteps_of_a_run(ctc):
    """A label held for several timesteps is placed where it is likeliest, and at the first such place."""
    probs = matrix([[0.3, 0.7], [0.1, 0.9], [0.1, 0.9], [0.8, 0.2], [0.4, 0.6]])
    labels, timesteps, _, _ = ctc.best_path(probs, 0)
    assert (labels.tolist(), timesteps.tolist()) == ([1, 1], [1, 4])


def test_equal_classes_and_equal_prefixes_are_taken_in_order(ctc):
    """Among equals the lower class and the lexicographically smaller prefix come first."""
    probs = matrix(np.full((2, 3), 1 / 4))
    assert ctc.best_path(probs, 2)[0].tolist() == [0]
    readings = ctc.prefix_beam_search(probs, 2, **EVERYTHING)
    assert [r[0].tolist() for r in readings] == [[0], [1], [], [0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("rows", "blank", "expected"),
    [
        pytest.param([[1, 1, 0], [1, 1, 2]], 0, [[1], [1, 2]], id="a new prefix ties with the last of a full beam"),
        pytest.param(
            [[2, 1, 2], [2, 0, 1], [1, 2, 1]], 2, [[0], [0, 1], [1]], id="a prefix that comes back ties with its child"
        ),
        pytest.param([[2, 1, 2], [2, 0, 1], [0, 2, 1]], 2, [[0, 1], [0], [1]], id="and with the child of its child"),
    ],
)
def test_tied_prefixes_stay_in_lexicographic_order_when_the_beam_is_full(ctc, rows, blank, expected):
    """Of equal prefixes the smaller one gets the last place of the beam, however either of them came up."""
    width = len(expected)
    readings = ctc.prefix_beam_search(matrix(rows) / 4, blank, width, 3, 0.0, width)
    assert [r[0].tolist() for r in readings] == expected


def test_blank_likeliest_class_and_repeats_are_never_pruned(ctc):
    """A flat line survives a threshold above all its probabilities, and a pruned label may go on."""
    flat = matrix([[0.1, 0.3, 0.2], [0.1, 0.2, 0.3]])
    assert [r[0].tolist() for r in ctc.prefix_beam_search(flat, 0, 10, 40, 0.9, 10)] == [[1, 2], [1], [2], []]
    repeat = matrix([[0.0, 1.0, 0.0], [0.0, 0.05, 0.95]])
    readings = ctc.prefix_beam_search(repeat, 0, 10, 1, 0.5, 10)
    assert [r[0].tolist() for r in readings] == [[1, 2], [1]]
    assert math.exp(readings[1][3]) == pytest.approx(0.05)


def test_a_prefix_that_left_the_beam_and_came_back_is_still_one_prefix(ctc):
    """Labellings in a result differ, also when prefixes drop out of a narrow beam and return."""
    for seed in range(30):
        readings = ctc.prefix_beam_search(softmax_matrix(seed, 12, 4, sharpness=1.0), 0, 4, 3, 0.0, 4)
        assert len({tuple(r[0].tolist()) for r in readings}) == len(readings) == 4


def test_no_timesteps_give_one_empty_reading_of_probability_one(ctc):
    """A matrix without timesteps reads as empty text with log_prob 0."""
    probs = np.empty((0, 5), np.float32)
    for reading in (ctc.best_path(probs, 4), *ctc.prefix_beam_search(probs, 4, **DEFAULTS, n_best=3)):
        assert [x.tolist() for x in reading[:3]] == [[], [], []]
        assert reading[3] == 0.0


@pytest.mark.parametrize("bad", [math.nan, -math.nan, -0.5, math.inf])
@pytest.mark.parametrize("at", [0, 70, 99])
def test_what_is_no_probability_shows_in_log_prob(ctc, bad, at):
    """One NaN, negative or infinite value anywhere makes log_prob infinite or NaN, never a plausible number."""
    probs = softmax_matrix(1, 4, 100)
    probs[2, at] = bad
    assert not math.isfinite(ctc.best_path(probs, 0)[3])
    assert [(r[0].size, r[3]) for r in ctc.prefix_beam_search(probs, 0, **DEFAULTS)] == [(0, -math.inf)]


def test_a_row_without_mass_empties_the_beam(ctc):
    """A timestep of zeros leaves one empty reading with log_prob -inf."""
    probs = matrix([[0.5, 0.5], [0.0, 0.0], [0.5, 0.5]])
    assert [(r[0].size, r[3]) for r in ctc.prefix_beam_search(probs, 0, **DEFAULTS)] == [(0, -math.inf)]
    assert ctc.best_path(probs, 0)[3] == -math.inf


@pytest.mark.parametrize("blank", [0, 17, 40])
def test_long_lines_do_not_underflow(ctc, blank):
    """2000 timesteps with a probability of about 1e-500 keep an exact log_prob and strictly increasing peaks."""
    probs = np.zeros((2000, 41), np.float32)
    probs[:, blank] = 0.55
    expected = [label for label in range(41) if label != blank]
    for start, label in zip(range(0, 2000, 50), expected, strict=True):
        probs[start : start + 2, blank], probs[start : start + 2, label] = 0.6, 0.4
    greedy = ctc.best_path(probs, blank)
    (beam,) = ctc.prefix_beam_search(probs, blank, **DEFAULTS)
    assert (greedy[0].size, greedy[3]) == (0, pytest.approx(1920 * math.log(0.55) + 80 * math.log(0.6)))
    assert (beam[0].tolist(), beam[3]) == (expected, pytest.approx(1920 * math.log(0.55) + 40 * math.log(0.64)))
    assert beam[1].tolist() == sorted(set(beam[1].tolist()))


def test_tiny_probabilities_do_not_underflow(ctc):
    """The smallest positive float32 at every timestep is still a probability, for alignments too."""
    tiny = np.finfo(np.float32).smallest_subnormal
    probs = np.tile(matrix([[tiny, 0.0], [0.0, tiny]]), (20, 1))
    ((labels, timesteps, _, log_prob),) = ctc.prefix_beam_search(probs, 0, **DEFAULTS)
    assert labels.tolist() == [1] * 20
    assert timesteps.tolist() == list(range(1, 40, 2))
    assert log_prob == pytest.approx(40 * math.log(tiny))


@pytest.mark.parametrize(
    "arguments", [(-1, 1, 1, 0.0, 1), (3, 1, 1, 0.0, 1), (0, 0, 1, 0.0, 1), (0, 1, 0, 0.0, 1), (0, 1, 1, 0.0, 0)]
)
def test_arguments_that_would_leave_the_matrix_are_refused(ctc, arguments):
    """Blank outside the class axis and empty beams are errors, not memory faults."""
    with pytest.raises(ValueError, match=r"blank is|must be at least 1"):
        ctc.prefix_beam_search(softmax_matrix(0, 2, 3), *arguments)


@st.composite
def searches(draw):
    """Arguments of prefix_beam_search over softmax-like, tied, binary and extremely small values."""
    times, classes = draw(st.integers(0, 9)), draw(st.one_of(st.integers(1, 6), st.integers(63, 130)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    probs = draw(
        st.sampled_from(
            [
                lambda: rng.dirichlet(np.full(classes, 0.3), times),  # like a softmax
                lambda: rng.integers(0, 3, (times, classes)) / 4,  # ties and zeros
                lambda: rng.integers(0, 2, (times, classes)),  # zeros and ones
                lambda: 10.0 ** -rng.integers(0, 44, (times, classes)),  # the range of float32
            ]
        )
    )()
    blank, width = draw(st.integers(0, classes - 1)), draw(st.integers(1, 12))
    min_prob = draw(st.sampled_from([0.0, 0.001, 0.1, 0.25, 0.5]))
    return matrix(probs).reshape(times, classes), blank, width, draw(st.integers(1, 9)), min_prob, width


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(search=searches())
def test_compiled_equals_reference_to_the_last_bit(search):
    """Both backends return identical labels, peaks, confidences and log_probs, prune settings and ties included."""
    compiled = importlib.import_module("ext.ctc")
    assert_same(compiled.prefix_beam_search(*search), ctc_reference.prefix_beam_search(*search))
    assert_same([compiled.best_path(*search[:2])], [ctc_reference.best_path(*search[:2])])


def test_compiled_equals_reference_on_a_large_charset():
    """A line of 6625 classes, as a Chinese model emits, decodes alike on both backends."""
    compiled = importlib.import_module("ext.ctc")
    probs = softmax_matrix(3, 40, 6625, sharpness=4.0)
    for blank, min_prob in itertools.product((0, 6624), (0.0, 0.001)):
        search = (probs, blank, 10, 40, min_prob, 10)
        assert_same(compiled.prefix_beam_search(*search), ctc_reference.prefix_beam_search(*search))
        assert_same([compiled.best_path(probs, blank)], [ctc_reference.best_path(probs, blank)])


def test_compiled_kernels_may_run_in_many_threads_at_once():
    """Calls share no state: threads that decode different lines get what they get alone."""
    compiled = importlib.import_module("ext.ctc")
    lines = [softmax_matrix(seed, 60, 500) for seed in range(8)]
    alone = [compiled.prefix_beam_search(line, 0, **DEFAULTS) for line in lines]
    together = [[] for _ in lines]

    def decode(i):
        for _ in range(20):
            together[i] = compiled.prefix_beam_search(lines[i], 0, **DEFAULTS)

    threads = [threading.Thread(target=decode, args=(i,)) for i in range(len(lines))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(together, alone, strict=True):
        assert_same(a, b)
