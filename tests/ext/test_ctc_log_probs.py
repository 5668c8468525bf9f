"""log_probs: exact probabilities of given labellings, against enumeration, the twin, and what the search says."""

import importlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr_core import ctc_reference
from tests.ext.ctc_cases import DEFAULTS, KINDS, as_kind, enumerated, only, probabilities, softmax_matrix
from tests.ext.test_ctc_agreement import calls

LINE = softmax_matrix(3, 4, 3, sharpness=1.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", [0, 1, 2])
def test_probabilities_are_those_of_all_alignments(ctc, kind, blank):
    """Every labelling of a short line has the sum of its alignments, the empty one and those with repeats included."""
    x = as_kind(LINE, kind)
    totals, _ = enumerated(probabilities(x, kind), blank)
    found = ctc.log_probs(x, blank, list(totals), kind)
    assert (found.dtype, found.shape) == (np.float64, (len(totals),))
    np.testing.assert_allclose(np.exp(found), list(totals.values()), rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_hypotheses_of_a_search_have_the_same(ctc, kind, dtype):
    """What prefix_beam_search says of its hypotheses is what log_probs says of their labels."""
    x = as_kind(softmax_matrix(5, 40, 60, sharpness=2.5), kind).astype(dtype)
    hypotheses = only(ctc.prefix_beam_search(x, 7, **DEFAULTS, n_best=8, kind=kind))
    found = ctc.log_probs(x, 7, [h.labels for h in hypotheses], kind)
    np.testing.assert_allclose(found, [h.log_prob for h in hypotheses], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_fit_is_impossible(ctc, kind):
    """What needs more timesteps than there are, blanks between repeats included, or an impossible label has -inf."""
    x = as_kind(LINE, kind)
    fitting, repeating, long = ctc.log_probs(x, 0, [(1, 2, 2), (1, 1, 2, 2), (1, 2) * 50], kind)
    assert math.isfinite(fitting)
    assert (repeating, long) == (-math.inf, -math.inf)
    assert ctc.log_probs(x[:0], 0, [(), (1,)], kind).tolist() == [0.0, -math.inf]
    never = as_kind(np.array([[0.5, 0.5, 0.0]] * 3, np.float32), kind)
    assert ctc.log_probs(never, 0, [(2,), (1, 2)], kind).tolist() == [-math.inf, -math.inf]


def test_improbable_is_not_impossible(ctc):
    """A probability far below what a double holds has its logarithm."""
    x = as_kind(np.tile(np.array([[1 - 2e-30, 1e-30, 1e-30]], np.float32), (200, 1)), "log_probs")
    (found,) = ctc.log_probs(x, 0, [(1, 2) * 100], "log_probs")
    assert found == pytest.approx(200 * math.log(1e-30), rel=1e-6)


def test_no_labellings_have_no_probabilities(ctc):
    """Nothing given is nothing found."""
    found = ctc.log_probs(LINE, 0, [])
    assert (found.dtype, found.shape) == (np.float64, (0,))


@pytest.mark.parametrize(
    ("kind", "bad"), [("probs", -0.5), ("log_probs", 5.0), ("logits", math.inf), ("logits", math.nan)]
)
def test_a_value_of_no_kind_spoils_all(ctc, kind, bad):
    """In a line with a value that its kind excludes no labelling has a probability."""
    x = as_kind(LINE, kind).copy()
    x[2, 1] = bad
    assert np.isnan(ctc.log_probs(x, 0, [(), (2,), (1,) * 9], kind)).all()


@pytest.mark.parametrize(
    ("error", "x", "blank", "labellings", "kind"),
    [
        (TypeError, LINE.astype(np.float64), 0, [()], "probs"),
        (TypeError, LINE[None], 0, [()], "probs"),
        (TypeError, LINE, 0, [(1.0,)], "probs"),
        (TypeError, LINE, 0, [1], "probs"),
        (ValueError, LINE, 3, [()], "probs"),
        (ValueError, LINE, 0, [()], "scores"),
        (ValueError, LINE, 0, [(0,)], "probs"),
        (ValueError, LINE, 0, [(1,), (-1,)], "probs"),
        (ValueError, LINE, 0, [(1, 3)], "probs"),
    ],
)
def test_what_makes_no_sense_is_refused(ctc, error, x, blank, labellings, kind):
    """Other arrays and labels are a TypeError; labels, blanks and kinds that there are not a ValueError."""
    with pytest.raises(error):
        ctc.log_probs(x, blank, labellings, kind)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_normalisers_turn_logits_into_probabilities(ctc, dtype):
    """Of each line p = exp(x - first) / second, NaN from a row on that has no logits; other kinds have none."""
    x = as_kind(softmax_matrix(5, 9, 130), "logits").astype(dtype)
    bad = x.copy()
    bad[3, 100] = math.inf
    most, z = ctc.prefix_beam_search([x, bad, x[:0], x], 7, **DEFAULTS, kind="logits").normalisers
    for first in (0, 18):
        p = np.exp(x - most[first : first + 9, None]) / z[first : first + 9, None]
        np.testing.assert_allclose(p, probabilities(x, "logits"), rtol=1e-5)
    assert np.isnan([most[9:18], z[9:18]]).tolist() == [[False] * 3 + [True] * 6] * 2
    assert ctc.prefix_beam_search(LINE, 0, **DEFAULTS).normalisers.shape == (2, 0)
    assert ctc.best_path(x, 7, kind="logits").normalisers.shape == (2, 0)


@pytest.mark.parametrize(("kind", "known"), [("probs", np.ones((2, 4))), ("logits", np.ones((2, 3)))])
def test_normalisers_of_something_else_are_refused(ctc, kind, known):
    """They are of logits and have a column for each row."""
    with pytest.raises(ValueError, match="normalisers"):
        ctc.log_probs(LINE, 0, [()], kind, known)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(call=calls())
def test_known_normalisers_change_nothing(call):
    """Labellings of logits have the same probabilities with what a search on either backend has found of the rows."""
    lines, common, _ = call
    compiled = importlib.import_module("ext.ctc")
    for x in lines if common["kind"] == "logits" else []:
        ours, twins = (
            module.prefix_beam_search(x, **common, beam_width=6, prune_top_k=9, prune_min_prob=0.0, n_best=3)
            for module in (compiled, ctc_reference)
        )
        (our_most, our_z), (most, z) = ours.normalisers, twins.normalisers
        np.testing.assert_allclose(our_most + np.log(our_z), most + np.log(z), rtol=1e-6, atol=1e-6)
        labellings = np.split(ours.labels, ours.offsets[1:-1])
        for known in (ours.normalisers, twins.normalisers):
            found = compiled.log_probs(x, common["blank"], labellings, "logits", known)
            np.testing.assert_allclose(found, ours.log_probs, rtol=1e-6, atol=1e-5)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(call=calls(), lengths=st.lists(st.sampled_from([2, 0, 1, 3, 4, 5, 8, 12]), max_size=5), few=st.booleans())
def test_backends_agree(call, lengths, few):
    """Both backends find the same for labellings of any length, of few labels or many, in lines of all sorts."""
    lines, common, rng = call
    for x in lines:
        labels = np.delete(np.arange(x.shape[1]), common["blank"])[: 2 if few else None]
        labellings = [rng.choice(labels, length) if labels.size else () for length in lengths]
        found, expected = (
            module.log_probs(x, common["blank"], labellings, common["kind"])
            for module in (importlib.import_module("ext.ctc"), ctc_reference)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-5)
