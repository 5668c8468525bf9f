"""Border checks, backend choice and options of the decoder, on both backends."""

import math
import sys

import numpy as np
import pytest

from ocr_core.charset import Charset
from ocr_core.decode import CtcDecoder, confidence
from ocr_core.errors import BackendMissing, ModelFailed
from ocr_core.types import DecodeOptions, Decoder, Hypothesis

PREFIX_BEAM = DecodeOptions(decoder=Decoder.PREFIX_BEAM)


@pytest.fixture(scope="session")
def decoder(backend):
    """A decoder of each backend."""
    return CtcDecoder(backend)


@pytest.fixture
def probs():
    """Two timesteps over "ab" and blank: no "a" on the best path, yet "a" is the likelier text."""
    return np.array([[0.4, 0.0, 0.6], [0.4, 0.0, 0.6]], np.float32)


@pytest.fixture
def charset():
    """The letters of probs, blank last."""
    return Charset(("a", "b"), blank_index=2)


def test_best_path_is_empty_where_prefix_beam_reads_a(decoder, probs, charset):
    """The options choose the decoder: best path "", prefix beam "a" (0.64 against 0.36)."""
    (greedy,) = decoder.decode(probs, charset, DecodeOptions())
    (beam,) = decoder.decode(probs, charset, PREFIX_BEAM)
    assert (charset.text(greedy.labels), math.exp(greedy.log_prob)) == ("", pytest.approx(0.36))
    assert (charset.text(beam.labels), math.exp(beam.log_prob)) == ("a", pytest.approx(0.64))
    assert (beam.timesteps, beam.confidences) == ((0,), (pytest.approx(0.4),))


def test_alternatives_follow_best_first(decoder, probs, charset):
    """As many further hypotheses come as were asked for and found, the better ones first."""
    for asked, found in [(0, 1), (1, 2), (5, 2)]:
        hypotheses = decoder.decode(probs, charset, DecodeOptions(decoder=Decoder.PREFIX_BEAM, alternatives=asked))
        assert len(hypotheses) == found
        assert [h.log_prob for h in hypotheses] == sorted((h.log_prob for h in hypotheses), reverse=True)


def test_beam_options_reach_the_search(decoder):
    """Width and both prune limits change what is found."""
    line = np.array([[0.36, 0.33, 0.31], [0.36, 0.33, 0.31]], np.float32)
    charset = Charset(("a", "b"), blank_index=0)

    def texts(**limits):
        wide = {"beam_width": 9, "prune_min_prob": 0.0, **limits}
        options = DecodeOptions(decoder=Decoder.PREFIX_BEAM, alternatives=wide["beam_width"] - 1, **wide)
        return [charset.text(h.labels) for h in decoder.decode(line, charset, options)]

    assert texts() == ["a", "b", "", "ab", "ba"]
    assert texts(beam_width=2) == ["a", ""]
    assert texts(prune_top_k=1) == ["a", ""]
    assert texts(prune_min_prob=0.32) == ["a", ""]


def test_characters_of_several_code_points_stay_whole(decoder):
    """Labels index characters, not code points, with the blank in the middle."""
    charset = Charset(("e\u0301", " ", "ffi"), blank_index=1)
    line = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 3, 1, 3]]
    for options in (DecodeOptions(), PREFIX_BEAM):
        (hypothesis,) = decoder.decode(line, charset, options)
        assert charset.text(hypothesis.labels) == "e\u0301 ffiffi"
        assert hypothesis.timesteps == (0, 2, 3, 6)


def test_values_are_plain_python(decoder, probs, charset):
    """Hypotheses hold int and float, not NumPy scalars."""
    (hypothesis,) = decoder.decode(probs, charset, PREFIX_BEAM)
    values = (*hypothesis.labels, *hypothesis.timesteps, *hypothesis.confidences, hypothesis.log_prob)
    assert [type(value) for value in values] == [int, int, float, float]


def test_layout_in_memory_does_not_matter(decoder, charset):
    """Transposed, strided and read-only matrices decode like their contiguous copies."""
    line = np.random.default_rng(5).dirichlet(np.ones(3), 12).astype(np.float32)
    expected = decoder.decode(line, charset, PREFIX_BEAM)
    frozen = line.copy()
    frozen.flags.writeable = False
    for layout in (np.asfortranarray(line), np.repeat(line, 2, axis=0)[::2], frozen):
        assert decoder.decode(layout, charset, PREFIX_BEAM) == expected


def test_empty_line_reads_as_empty_text(decoder, charset):
    """No timesteps are one empty hypothesis with log_prob 0."""
    for options in (DecodeOptions(), PREFIX_BEAM):
        assert decoder.decode(np.empty((0, 3), np.float32), charset, options) == [Hypothesis((), (), (), 0.0)]


def test_class_count_mismatch_names_both_sides(decoder, charset):
    """A model that emits other classes than the charset has is refused with both numbers."""
    with pytest.raises(ModelFailed, match=r"charset has 2 characters and blank, 3 classes; model emits 5 classes"):
        decoder.decode(np.full((4, 5), 0.2, np.float32), charset, PREFIX_BEAM)


@pytest.mark.parametrize("wrong", [np.ones((2, 3)), np.ones((1, 2, 3), np.float32), np.ones(3, np.float32)])
def test_other_types_and_axes_are_refused(decoder, charset, wrong):
    """Only float32 with a time and a class axis is decoded."""
    with pytest.raises(TypeError, match=r"must be float32 \[time, class\]"):
        decoder.decode(wrong, charset, PREFIX_BEAM)


@pytest.mark.parametrize("options", [DecodeOptions(), PREFIX_BEAM], ids=["best path", "prefix beam"])
@pytest.mark.parametrize("bad", [math.nan, -math.inf, math.inf, -2.5])
def test_what_is_no_probability_is_refused(decoder, charset, options, bad):
    """One NaN, negative or infinite value raises instead of yielding a text."""
    line = np.full((3, 3), 1 / 3, np.float32)
    line[1, 1] = bad
    with pytest.raises(ModelFailed, match="no probabilities"):
        decoder.decode(line, charset, options)


@pytest.mark.parametrize("options", [DecodeOptions(), PREFIX_BEAM], ids=["best path", "prefix beam"])
def test_logits_and_log_probs_are_refused(decoder, charset, options):
    """A model without its softmax, or with a logarithm after it, is noticed."""
    logits = np.random.default_rng(2).uniform(0.0, 9.0, (20, 3)).astype(np.float32)
    for emitted in (logits, logits - 10.0):
        with pytest.raises(ModelFailed, match="no probabilities"):
            decoder.decode(emitted, charset, options)


def test_missing_extension_is_an_error_unless_the_reference_was_asked_for(monkeypatch):
    """Without the compiled kernels the default backend raises BackendMissing and the reference works."""
    monkeypatch.setitem(sys.modules, "ext.ctc", None)
    monkeypatch.delattr("ext.ctc", raising=False)
    with pytest.raises(BackendMissing, match="build it"):
        CtcDecoder()
    assert CtcDecoder("reference").backend == "reference"


def test_confidence_is_the_mean_over_characters_and_zero_for_none():
    """Confidence is the mean probability at the peaks, 0 without characters."""
    assert confidence(Hypothesis((1, 2), (0, 3), (0.5, 1.0), -1.0)) == 0.75
    assert confidence(Hypothesis((), (), (), -0.1)) == 0.0
