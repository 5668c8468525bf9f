"""What a Decoder says of texts that others bring to a line, on both backends."""

from __future__ import annotations

import numpy as np
import pytest

from ocr_core.decode import Decoder
from ocr_core.errors import ModelFailed

DIGITS = "0123456789ab"


def softmaxes(times):
    """Of random scores of the digits and blank, float32 [time, class]."""
    return np.random.default_rng(7).dirichlet(np.full(len(DIGITS) + 1, 0.3), times).astype(np.float32) + 1e-30


@pytest.mark.parametrize("kind", ["probs", "log_probs", "logits"])
def test_texts_have_the_log_prob_of_the_hypotheses_that_read_them(backend, kind):
    """Of each hypothesis of a line, log_probs says of its text what the hypothesis does, whatever the layout."""
    decoder = Decoder(DIGITS, 5, backend=backend)
    line = softmaxes(14)
    scores = line if kind == "probs" else np.log(line)
    (hypotheses,) = decoder.beam(scores, kind=kind, n_best=8)
    for layout in (scores, np.asfortranarray(scores), np.repeat(scores, 2, axis=0)[::2]):
        found = decoder.log_probs(layout, [h.text for h in hypotheses], kind)
        assert found == pytest.approx([h.log_prob for h in hypotheses], abs=1e-5)


def test_texts_that_cannot_be_are_impossible(decoder, probs):
    """The empty text is all blank; what the charset cannot spell, or does not fit the timesteps, has -inf."""
    found = decoder.log_probs(probs, ["", "a", "x", "ax", "aa", "b"])
    assert found.dtype == np.float64
    assert np.exp(found) == pytest.approx([0.36, 0.64, 0.0, 0.0, 0.0, 0.0])
    assert decoder.log_probs(probs, []).tolist() == []


def test_a_text_is_judged_by_its_longest_characters_and_first_classes(backend):
    """Of "ffi" the ligature counts, of a character that occurs twice the first class."""
    decoder = Decoder(["f", "ffi", "i", "f"], 0, backend=backend)
    line = np.array([[0.1, 0.2, 0.3, 0.15, 0.25]], np.float32)
    assert np.exp(decoder.log_probs(line, ["ffi", "f"])) == pytest.approx([0.3, 0.2])


def test_log_probs_refuse_what_the_other_methods_do(decoder, probs):
    """Other classes and values that are none of their kind are the model's fault, the rest is the caller's."""
    with pytest.raises(ModelFailed, match="3 classes; model emits 2 classes"):
        decoder.log_probs(probs[:, :2], ["a"])
    for texts in (["a"], ["x"]):
        with pytest.raises(ModelFailed, match="no probabilities"):
            decoder.log_probs(probs - 1, texts)
    with pytest.raises(TypeError, match=r"\[time, class\]"):
        decoder.log_probs(probs[None], ["a"])
    with pytest.raises(ValueError, match="kind"):
        decoder.log_probs(probs, ["a"], kind="odds")


def test_what_a_beam_found_of_rows_serves_log_probs(backend):
    """With the normalisers of a beam over the same logits texts have the probabilities that they have without."""
    decoder = Decoder(DIGITS, 5, backend=backend)
    logits = np.log(softmaxes(20)) + np.float32(3.5)
    lines = decoder.beam(logits, kind="logits", n_best=4)
    texts = [hypothesis.text for hypothesis in lines[0]]
    found = decoder.log_probs(logits, texts, "logits", lines.readings.normalisers)
    assert found == pytest.approx(decoder.log_probs(logits, texts, "logits"), abs=1e-9)
    with pytest.raises(ValueError, match="normalisers"):
        decoder.log_probs(logits[1:], texts, "logits", lines.readings.normalisers)
