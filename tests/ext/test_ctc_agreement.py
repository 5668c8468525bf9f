"""The compiled kernels against their twin, on lines and arguments of all sorts; and against themselves in threads."""

import importlib
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr_core import ctc_reference
from tests.ext.ctc_cases import DEFAULTS, KINDS, as_kind, matrix, only, random_automaton, softmax_matrix

LAYOUTS = {
    "plain": lambda x: x,
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "every second column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
}

# Of logits all but the random ones leave comparisons to rounding: 1 / 3 of the row is or is not a third of its sum.
VALUES = {
    "like a softmax": lambda rng, shape: rng.dirichlet(np.full(shape[1], 0.3), shape[0]),
    "flat": lambda rng, shape: rng.dirichlet(np.full(shape[1], 30.0), shape[0]),
    "sharp": lambda rng, shape: rng.dirichlet(np.full(shape[1], 0.02), shape[0]),
    "ties and zeros": lambda rng, shape: rng.integers(0, 3, shape) / 4,
    "zeros and ones": lambda rng, shape: rng.integers(0, 2, shape),
    "powers of ten": lambda rng, shape: 10.0 ** -rng.integers(0, 44, shape),
}


def compiled():
    """The compiled module."""
    return importlib.import_module("ext.ctc")


def assert_agree(ours, twins, kind, searched):
    """Readings agree: of probs and log_probs every label, timestep, confidence and mass, the rest up to rounding."""
    for name in ("labels", "timesteps", "starts", "ends", "offsets", "lines"):
        assert getattr(ours, name).tolist() == getattr(twins, name).tolist(), name
    for a, b in zip(ours, twins, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
    if kind != "logits":
        np.testing.assert_array_equal(ours.confidences, twins.confidences)
        if searched:
            np.testing.assert_array_equal(ours.scores, twins.scores)
    for name in ("confidences", "posteriors", "log_probs", "scores"):
        np.testing.assert_allclose(getattr(ours, name), getattr(twins, name), rtol=1e-6, atol=1e-5, err_msg=name)
    np.testing.assert_allclose(*map(by_label, (ours, twins)), atol=1e-5)
    assert (np.diff(ours.alternative_posteriors, axis=1) <= 0).all()


def by_label(readings):
    """Alternatives with their shares, in an order that no rounding of shares changes."""
    order = np.argsort(readings.alternative_labels, axis=1)
    both = np.stack([readings.alternative_labels.astype(float), readings.alternative_posteriors], axis=-1)
    return np.take_along_axis(both, order[..., None], axis=1)


@st.composite
def calls(draw):
    """Lines, blank, kind, allowed classes, random generator: what both functions take."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(KINDS))
    class_count = draw(st.sampled_from([5, 4, 3, 2, 1, 63, 64, 127, 128, 129, 300, 650]))
    values = VALUES[draw(st.sampled_from(sorted(VALUES) if kind != "logits" else ["flat", "like a softmax"]))]
    dtype = draw(st.sampled_from([np.float32, np.float16]))
    lines = []
    for _ in range(draw(st.sampled_from([2, 1, 3, 0]))):
        probs = matrix(values(rng, (draw(st.sampled_from([6, 9, 8, 4, 1, 0])), class_count)))
        line = as_kind(probs.reshape(-1, class_count), kind).astype(dtype)
        lines.append(LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](line))
    blank = draw(st.integers(0, class_count - 1))
    classes = None
    if draw(st.sampled_from([False, False, True])):
        classes = np.flatnonzero(rng.random(class_count) < rng.random()).astype(np.int32)
    return (
        lines,
        {"blank": blank, "kind": kind, "classes": classes[classes != blank] if classes is not None else None},
        rng,
    )


@st.composite
def searches(draw):
    """Options of a search, but for automata."""
    width, align = draw(st.integers(1, 12)), draw(st.booleans())
    return {
        "beam_width": width,
        "prune_top_k": draw(st.integers(1, 9)),
        "prune_min_prob": draw(st.sampled_from([0.0, 0.001, 0.1, 0.25, 0.5])),
        "prune_cum_prob": draw(st.sampled_from([1.0, 1.0, 0.99, 0.75, 0.5, 0.0])),
        "n_best": draw(st.integers(1, width + 1)),
        "align": align,
        "alternatives": draw(st.integers(0, 4)) if align else 0,
    }


def padded(lines, class_count):
    """The lines as one array with whatever beyond their ends, and their lengths."""
    batch = np.full((len(lines), 9, class_count), np.nan, lines[0].dtype)
    for row, line in zip(batch, lines, strict=True):
        row[: len(line)] = line
    return {"x": batch, "lengths": [len(line) for line in lines]}


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(
    call=calls(),
    search=searches(),
    automata=st.sampled_from([0, 0, 1, 1, 3]),
    wild=st.booleans(),
    is_padded=st.booleans(),
    threads=st.sampled_from([1, 1, 2, 3]),
)
def test_searches_agree(call, search, automata, wild, is_padded, threads):
    """Both backends find the same, prune settings, automata, ties, layouts and threads included."""
    lines, common, rng = call
    if lines:
        spread = 6.0 if wild else 0.7
        search["automata"] = [random_automaton(rng, lines[0].shape[1], spread) for _ in range(automata)]
    x = padded(lines, lines[0].shape[1]) if is_padded and lines else {"x": lines}
    found, expected = (
        module.prefix_beam_search(**x, **common, **search, threads=threads) for module in (compiled(), ctc_reference)
    )
    assert_agree(found, expected, common["kind"], searched=True)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(call=calls(), confidences=st.booleans(), is_padded=st.booleans(), threads=st.sampled_from([1, 2, 3]))
def test_best_paths_agree(call, confidences, is_padded, threads):
    """Both backends take the same path."""
    lines, common, _ = call
    x = padded(lines, lines[0].shape[1]) if is_padded and lines else {"x": lines}
    found, expected = (
        module.best_path(**x, **common, confidences=confidences, threads=threads)
        for module in (compiled(), ctc_reference)
    )
    assert_agree(found, expected, common["kind"], searched=False)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(call=calls(), search=searches(), automata=st.integers(0, 2), cuts=st.lists(st.integers(0, 9), max_size=4))
def test_streams_agree(call, search, automata, cuts):
    """Both backends read streams alike, what they tell in between included, and as all rows at once."""
    lines, common, rng = call
    for line in lines:
        search["automata"] = [random_automaton(rng, line.shape[1]) for _ in range(automata)]
        streams = [module.BeamStream(**common, **search) for module in (compiled(), ctc_reference)]
        paths = [module.BestPathStream(**common) for module in (compiled(), ctc_reference)]
        for chunk in np.split(line, sorted(cuts)):
            for pair in (streams, paths):
                for stream in pair:
                    stream.push(chunk)
                (ours, stable), (twins, twins_stable) = (stream.partial() for stream in pair)
                assert (ours.tolist(), stable) == (twins.tolist(), twins_stable)
        found, expected = (stream.finish() for stream in streams)
        assert_agree(found, expected, common["kind"], searched=True)
        at_once = compiled().prefix_beam_search(line, **common, **search)
        for a, b in zip(found, at_once, strict=True):
            np.testing.assert_array_equal(a, b)
        assert_agree(*(path.finish() for path in paths), common["kind"], searched=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", [0, 6624])
def test_backends_agree_on_a_large_charset(kind, blank):
    """A line of 6625 classes, as a Chinese model emits, decodes alike on both backends."""
    x = as_kind(softmax_matrix(3, 40, 6625, sharpness=4.0), kind)
    for min_prob in (0.0, 0.001):
        search = (x, blank, 10, 40, min_prob, 10)
        found, expected = (module.prefix_beam_search(*search, kind=kind) for module in (compiled(), ctc_reference))
        assert_agree(found, expected, kind, searched=True)
    found, expected = (module.best_path(x, blank, kind=kind) for module in (compiled(), ctc_reference))
    assert_agree(found, expected, kind, searched=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sharpness", [0.1, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("classes", [3, 12])
def test_backends_agree_on_long_lines(kind, sharpness, classes):
    """Over 120 timesteps no rounding sets the backends apart; sharp, flat and weighed lines."""
    x = as_kind(softmax_matrix(classes, 120, classes, sharpness), kind)
    machine = random_automaton(np.random.default_rng(classes), classes, 2.0)
    for automata in ([], [machine]):
        search = {**DEFAULTS, "n_best": 3, "automata": automata, "kind": kind}
        found, expected = (module.prefix_beam_search(x, 2, **search) for module in (compiled(), ctc_reference))
        assert_agree(found, expected, kind, searched=True)


def test_calls_may_run_in_many_threads_at_once(ctc):
    """Calls share no state: threads that decode different lines get what they get alone, every time."""
    lines = [softmax_matrix(seed, 12, 30, sharpness=2.0) for seed in range(8)]
    search = {**DEFAULTS, "n_best": 3, "alternatives": 1}
    alone = [only(ctc.prefix_beam_search(line, 0, **search)) for line in lines]
    together = [[] for _ in lines]

    def decode(i):
        stream = ctc.BeamStream(0, **search)
        stream.push(lines[i])
        together[i] = [only(ctc.prefix_beam_search(lines[i], 0, **search)), only(stream.finish())]

    for _ in range(1 if ctc is ctc_reference else 20):
        threads = [threading.Thread(target=decode, args=(i,)) for i in range(len(lines))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert together == [[found, found] for found in alone]


def test_one_automaton_serves_many_threads(ctc):
    """A prepared automaton is only read."""
    machine = ctc.prepare(random_automaton(np.random.default_rng(4), 20))
    lines = [softmax_matrix(seed, 20, 20, sharpness=1.0) for seed in range(4)]
    alone = [only(ctc.prefix_beam_search(line, 0, **DEFAULTS, automata=[machine])) for line in lines]
    together = [[] for _ in lines]

    def decode(i):
        together[i] = only(ctc.prefix_beam_search(lines[i], 0, **DEFAULTS, automata=[machine]))

    threads = [threading.Thread(target=decode, args=(i,)) for i in range(len(lines))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
