"""What the CTC functions take: kinds, types, strides, lengths, classes; what they refuse; what is no distribution."""

import math

import numpy as np
import pytest

from tests.ext.ctc_cases import (
    DEFAULTS,
    EVERYTHING,
    KINDS,
    as_kind,
    enumerated,
    hypotheses,
    matrix,
    only,
    probabilities,
    softmax_matrix,
    spans,
)

SEARCH = {**DEFAULTS, "n_best": 3, "alternatives": 2}

LAYOUTS = {
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "every second column": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "every second row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "rows backwards": lambda x: np.ascontiguousarray(x[::-1])[::-1],
    "columns backwards": lambda x: np.ascontiguousarray(x[:, ::-1])[:, ::-1],
    "not aligned": lambda x: np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape),
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
}


def both(ctc, x, blank=0, **arguments):
    """What both functions find in lines."""
    return (
        hypotheses(ctc.best_path(x, blank, **arguments)),
        hypotheses(ctc.prefix_beam_search(x, blank, **SEARCH, **arguments)),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_strides_change_nothing(ctc, layout, dtype):
    """Whatever way values lie in memory, what they read as is the same."""
    x = softmax_matrix(1, 12, 133, sharpness=2.0).astype(dtype)
    odd = LAYOUTS[layout](x)
    assert (odd == x).all()
    assert both(ctc, odd) == both(ctc, x)


@pytest.mark.parametrize("kind", KINDS)
def test_halves_are_read_as_the_floats_they_are(ctc, kind):
    """float16 reads as the same values in float32 do, subnormal ones included."""
    halves = as_kind(softmax_matrix(2, 9, 150, sharpness=4.0), kind).astype(np.float16)
    found, expected = both(ctc, halves, kind=kind)[1], both(ctc, halves.astype(np.float32), kind=kind)[1]
    assert found == expected


def test_arrays_of_lines_are_cut_to_their_lengths(ctc):
    """Rows beyond a line's length are not looked at, be they NaN, and a length may be 0."""
    lines = [softmax_matrix(seed, times, 7) for seed, times in enumerate((4, 0, 9))]
    batch = np.full((3, 9, 7), np.nan, np.float32)
    for row, line in zip(batch, lines, strict=True):
        row[: len(line)] = line
    assert both(ctc, batch, lengths=np.array([4, 0, 9])) == both(ctc, lines)
    assert both(ctc, np.moveaxis(np.moveaxis(batch, 1, 0).copy(), 0, 1), lengths=[4, 0, 9]) == both(ctc, lines)


def test_one_line_is_a_batch_of_one(ctc):
    """A matrix, an array of one line and a list of one line read the same."""
    line = softmax_matrix(3, 6, 5)
    assert both(ctc, line) == both(ctc, line[None]) == both(ctc, [line]) == both(ctc, (line,))


def test_no_lines_have_no_hypotheses(ctc):
    """Neither an array of no lines nor an empty list has any."""
    for x in ([], np.empty((0, 4, 5), np.float32)):
        for readings in (ctc.best_path(x, 0), ctc.prefix_beam_search(x, 0, **DEFAULTS)):
            assert (readings.lines.tolist(), readings.offsets.tolist(), readings.labels.size) == ([0], [0], 0)


@pytest.mark.parametrize("alternatives", [0, 3])
def test_readings_have_their_types(ctc, alternatives):
    """Each array has the type and shape that Readings says."""
    search = {**DEFAULTS, "n_best": 2, "alternatives": alternatives}
    readings = ctc.prefix_beam_search(softmax_matrix(4, 9, 6, sharpness=1.0), 0, **search)
    n, h = len(readings.labels), len(readings.scores)
    assert {name: (str(array.dtype), array.shape) for name, array in readings._asdict().items()} == {
        "labels": ("int32", (n,)),
        "timesteps": ("int32", (n,)),
        "starts": ("int32", (n,)),
        "ends": ("int32", (n,)),
        "confidences": ("float32", (n,)),
        "offsets": ("int32", (h + 1,)),
        "log_probs": ("float64", (h,)),
        "scores": ("float64", (h,)),
        "lines": ("int32", (2,)),
        "posteriors": ("float32", (n if alternatives else 0,)),
        "alternative_labels": ("int32", (n, 3) if alternatives else (0, 0)),
        "alternative_posteriors": ("float32", (n, 3) if alternatives else (0, 0)),
        "normalisers": ("float64", (2, 0)),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", [0, 2, 4])
def test_only_allowed_labels_are_read_with_the_probabilities_of_the_whole_row(ctc, kind, blank):
    """With classes the result is the enumeration of the alignments over blank and those."""
    x = as_kind(softmax_matrix(blank, 5, 5, sharpness=1.5), kind)
    p = probabilities(x, kind)
    allowed = [label for label in (0, 1, 3) if label != blank]
    classes = np.array(allowed, np.int32)
    totals, best = enumerated(p, blank, sorted([*allowed, blank]))
    found = only(ctc.prefix_beam_search(x, blank, **EVERYTHING, kind=kind, classes=classes))
    assert [h.labels for h in found] == sorted(totals, key=lambda labels: -totals[labels])
    for h in found:
        assert math.exp(h.log_prob) == pytest.approx(totals[h.labels], rel=1e-5)
        assert (h.timesteps, h.starts, h.ends) == spans(p, best[h.labels], blank)
        assert h.confidences == pytest.approx(p[h.timesteps, h.labels].tolist(), rel=1e-5)
    (path,) = only(ctc.best_path(x, blank, kind=kind, classes=classes))
    masked = np.where(np.isin(np.arange(5), [*allowed, blank]), x, -np.inf)
    assert (
        path.labels
        == only(ctc.best_path(masked - masked.min(initial=0, where=masked > -np.inf), blank, kind="logits"))[0].labels
    )
    assert path.confidences == pytest.approx(p[path.timesteps, path.labels].tolist(), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_thresholds_are_shares_of_what_is_allowed(ctc, kind):
    """A label counts by its share among blank and the allowed labels, not by what an excluded one leaves to it."""
    probs = matrix([[0.01, 0.9, 0.04, 0.03, 0.02]])
    found = only(
        ctc.prefix_beam_search(
            as_kind(probs, kind), 0, 10, 10, 0.25, 10, kind=kind, classes=np.array([2, 3, 4], np.int32)
        )
    )
    assert {h.labels for h in found} == {(2,), (3,), ()}
    found = only(
        ctc.prefix_beam_search(
            as_kind(probs, kind),
            0,
            10,
            10,
            0.0,
            10,
            kind=kind,
            classes=np.array([2, 3, 4], np.int32),
            prune_cum_prob=0.4,
        )
    )
    assert {h.labels for h in found} == {(2,), ()}


def test_without_any_allowed_label_everything_is_blank(ctc):
    """An empty set of classes leaves the empty line."""
    none = np.empty(0, np.int32)
    probs = softmax_matrix(5, 3, 4)
    for found in both(ctc, probs, 1, classes=none):
        ((h,),) = found
        assert (h.labels, h.log_prob) == ((), pytest.approx(np.log(probs[:, 1].astype(float)).sum()))


BAD = {
    "probs": [math.nan, -math.nan, -0.5, -1e-45, math.inf, -math.inf, 1.1, 3e38],
    "log_probs": [math.nan, -math.nan, 0.02, 5.0, math.inf],
    "logits": [math.nan, -math.nan, math.inf],
}


@pytest.mark.parametrize(("kind", "bad"), [(kind, bad) for kind in KINDS for bad in BAD[kind]])
@pytest.mark.parametrize("at", [0, 70, 99, 128, 134])
def test_one_value_of_no_kind_spoils_its_line_alone(ctc, kind, bad, at):
    """A bad value anywhere gives one empty hypothesis without a probability; lines beside it stay as they are."""
    lines = [as_kind(softmax_matrix(seed, 4, 135), kind) for seed in range(3)]
    good = both(ctc, [lines[0], lines[2]], kind=kind)
    lines[1][2, at] = bad
    for (first, second, third), expected in zip(both(ctc, lines, kind=kind), good, strict=True):
        (h,) = second
        assert (h.labels, h.timesteps, h.confidences) == ((), [], [])
        assert math.isnan(h.log_prob)
        assert math.isnan(h.score)
        assert str([first, third]) == str(expected)  # as a string NaN equals NaN


@pytest.mark.parametrize(("kind", "nothing"), [("probs", 0.0), ("log_probs", -math.inf), ("logits", -math.inf)])
def test_a_row_without_any_probability_spoils_its_line(ctc, kind, nothing):
    """A timestep at which nothing is possible is no distribution."""
    x = as_kind(softmax_matrix(6, 3, 4), kind)
    x[1] = nothing
    for ((h,),) in both(ctc, x, kind=kind):
        assert h.labels == ()
        assert math.isnan(h.log_prob)
        assert math.isnan(h.score)


@pytest.mark.parametrize(("kind", "nothing"), [("probs", 0.0), ("log_probs", -math.inf)])
def test_a_row_that_excludes_all_allowed_labels_is_read_as_blank_or_not_at_all(ctc, kind, nothing):
    """What is impossible is not bad: best path takes blank with probability 0, the search has no hypothesis."""
    x = as_kind(matrix([[0.2, 0.2, 0.6], [0.0, 1.0, 0.0], [0.2, 0.2, 0.6]]), kind)
    (((path,),), (found,)) = both(ctc, x, kind=kind, classes=np.array([2], np.int32))
    assert (path.labels, path.timesteps, path.log_prob) == ((2, 2), [0, 2], -math.inf)
    assert found == []


def test_a_logit_that_leaves_nothing_to_allowed_labels_ends_a_search(ctc):
    """Best path, which looks at allowed classes alone, reads them with confidence 0; the search has no hypothesis."""
    x = matrix([[0.0, math.inf, 1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, math.inf, 1.0]])
    (((path,),), (found,)) = both(ctc, x, kind="logits", classes=np.array([2], np.int32))
    assert (path.labels, path.starts, path.ends, path.timesteps) == ((2, 2), [0, 3], [2, 4], [1, 3])
    assert path.confidences == pytest.approx([0.576, 0.0], abs=1e-3)
    assert found == []
    stream = ctc.BeamStream(0, 10, 10, 0.0, kind="logits", classes=np.array([2], np.int32))
    stream.push(x)
    assert stream.partial()[0].tolist() == []


@pytest.mark.parametrize("far", [90.0, 500.0, 700.0])
def test_allowed_labels_may_be_as_improbable_as_doubles_allow(ctc, far):
    """Logits of other classes that are greater by so much lower the probability, and change nothing else."""
    x = np.column_stack([np.log(softmax_matrix(4, 9, 5)), np.full(9, -math.inf, np.float32)])
    allowed = np.arange(1, 5, dtype=np.int32)
    (near,) = hypotheses(ctc.prefix_beam_search(x, 0, **SEARCH, kind="logits", classes=allowed))
    x[:, 5] = far
    (found,) = hypotheses(ctc.prefix_beam_search(x, 0, **SEARCH, kind="logits", classes=allowed))
    assert len(found) == len(near) == 3
    for h, before in zip(found, near, strict=True):
        assert (h.labels, h.timesteps, h.starts, h.ends) == (
            before.labels,
            before.timesteps,
            before.starts,
            before.ends,
        )
        assert h.log_prob == pytest.approx(before.log_prob - 9 * far)
        assert h.posteriors == pytest.approx(before.posteriors, rel=1e-5)


def test_given_texts_may_be_as_improbable_as_doubles_allow(ctc):
    """log_probs finds them where other classes take nearly everything."""
    x = np.column_stack([np.log(softmax_matrix(4, 9, 5)), np.full(9, -math.inf, np.float32)])
    near = ctc.log_probs(x, 0, [[1, 2], [3]], kind="logits")
    x[:, 5] = 300.0
    assert ctc.log_probs(x, 0, [[1, 2], [3]], kind="logits") == pytest.approx(near - 9 * 300.0)


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_above_one_is_forgiven(ctc, kind):
    """A probability of 1.004, as a bfloat16 softmax may have it, is one."""
    x = matrix([[1.004, 0.0], [0.0, 1.004]])
    x = x if kind == "probs" else np.log(x, where=x > 0, out=np.full_like(x, -np.inf))
    for ((h, *_),) in both(ctc, x, kind=kind):
        assert h.labels == (1,)


def test_impossible_values_are_no_fault(ctc):
    """-inf is a log-probability and a logit like others."""
    x = matrix([[-math.inf, 0.0, -math.inf], [0.0, -math.inf, -math.inf]])
    for kind in ("log_probs", "logits"):
        (path,), (found,) = (lines[0] for lines in both(ctc, x, kind=kind))
        assert path.labels == found.labels == (1,)
        assert found.log_prob == pytest.approx(0.0, abs=1e-6)


LINE = softmax_matrix(0, 2, 3)


@pytest.mark.parametrize(
    ("x", "arguments"),
    [
        (LINE, {"blank": -1}),
        (LINE, {"blank": 3}),
        (LINE, {"kind": "scores"}),
        (LINE, {"classes": np.array([3], np.int32)}),
        (LINE, {"classes": np.array([-1], np.int32)}),
        (LINE[None], {"lengths": [3]}),
        (LINE[None], {"lengths": [-1]}),
        (LINE[None], {"lengths": [2, 2]}),
        (LINE[None], {"lengths": [1.5]}),
        ([LINE, LINE[:, :2]], {}),
    ],
)
def test_arguments_that_make_no_sense_are_refused_by_both_functions(ctc, x, arguments):
    """What does not fit the matrix is a ValueError, not a memory fault."""
    for decode, further in ((ctc.best_path, {}), (ctc.prefix_beam_search, DEFAULTS)):
        with pytest.raises(ValueError, match=r"."):
            decode(x, **{"blank": 0, **further, **arguments})


@pytest.mark.parametrize(
    "arguments",
    [
        {"beam_width": 0},
        {"beam_width": -3},
        {"prune_top_k": 0},
        {"n_best": 0},
        {"prune_min_prob": math.nan},
        {"prune_cum_prob": math.nan},
        {"alternatives": -1},
        {"alternatives": 1, "align": False},
    ],
)
def test_searches_that_make_no_sense_are_refused(ctc, arguments):
    """Empty beams and their like are a ValueError, for a stream at once."""
    search = {**DEFAULTS, **arguments}
    with pytest.raises(ValueError, match=r"."):
        ctc.prefix_beam_search(LINE, 0, **search)
    with pytest.raises(ValueError, match=r"."):
        ctc.BeamStream(0, **search)


@pytest.mark.parametrize(
    "x",
    [
        LINE.astype(np.float64),
        LINE.astype(np.int32),
        LINE.astype(">f4"),
        LINE.astype(">f2"),
        LINE[0],
        LINE[None, None],
        [LINE[None]],
        [LINE, LINE.astype(np.float64)],
    ],
)
def test_other_arrays_are_refused(ctc, x):
    """Anything but matrices of float32 or float16 in native byte order is a TypeError."""
    for decode, further in ((ctc.best_path, {}), (ctc.prefix_beam_search, DEFAULTS)):
        with pytest.raises(TypeError):
            decode(x, 0, **further)


def test_classes_must_be_integers(ctc):
    """A mask of booleans or floats is a TypeError."""
    for classes in (np.array([True, False, True]), np.array([0.0, 1.0])):
        with pytest.raises(TypeError):
            ctc.best_path(LINE, 1, classes=classes)


def test_logits_that_may_not_be_read_count_in_full(ctc):
    """An excluded class may be likelier than the allowed ones by any factor; their probabilities are still exact."""
    logits = matrix([[0.0, 3.0, 200.0], [2.0, 0.0, 200.0]])
    (h,) = only(ctc.prefix_beam_search(logits, 0, **DEFAULTS, kind="logits", classes=np.array([1], np.int32)))
    assert (h.labels, h.log_prob) == ((1,), pytest.approx(5.0 + math.log1p(math.exp(-2) + math.exp(-5)) - 400.0))
