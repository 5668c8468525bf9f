"""Lines whose rows come bit by bit, on both backends."""

from __future__ import annotations

import numpy as np
import pytest

from ocr_core.decode import Decoder
from ocr_core.errors import ModelFailed


@pytest.fixture
def line():
    """Forty timesteps over "abcd" and blank."""
    return np.random.default_rng(3).dirichlet(np.full(5, 0.2), 40).astype(np.float32)


@pytest.fixture
def decoder(backend):
    """A decoder of "abcd" with the blank first."""
    return Decoder("abcd", 0, backend=backend)


def described(hypotheses):
    """Everything that hypotheses hold, as plain values."""
    return [(h.text, h.labels, h.characters, h.log_prob, h.score) for h in hypotheses]


@pytest.mark.parametrize("step", [1, 7, 40])
def test_the_end_is_what_all_rows_at_once_give(decoder, line, step):
    """However the rows are cut, finish() gives what the decoder gives of the whole line."""
    streams = [decoder.stream("best_path"), decoder.stream(n_best=3, alternatives=2)]
    for stream in streams:
        for start in range(0, len(line), step):
            stream.push(line[start : start + step])
    best, beam = (stream.finish() for stream in streams)
    assert described(best) == described(decoder.best_path(line)[0])
    assert described(beam) == described(decoder.beam(line, n_best=3, alternatives=2)[0])


@pytest.mark.parametrize("method", ["best_path", "beam"])
def test_partial_text_is_that_of_the_rows_so_far(decoder, line, method):
    """After each row the best text is that of a line which ends there, and begins with the part that is stable."""
    stream = decoder.stream(method)
    for end in range(1, len(line)):
        stream.push(line[end - 1 : end])
        text, stable = stream.partial()
        assert text == getattr(decoder, method)(line[:end]).best_texts[0]
        assert text.startswith(stable)


def test_an_unknown_method_is_refused(decoder):
    """A stream is of one of the two decoders, and never of another one than was asked for."""
    with pytest.raises(ValueError, match="method is 'greedy', must be beam or best_path"):
        decoder.stream("greedy")


def test_what_is_not_of_the_model_is_refused(decoder, line):
    """Rows with another number of classes or of another type are refused, and NaN at the end."""
    stream = decoder.stream()
    with pytest.raises(ModelFailed, match="model emits 4 classes"):
        stream.push(line[:, :4])
    with pytest.raises(TypeError, match="float64"):
        stream.push(line.astype(np.float64))
    stream.push(np.full((1, 5), np.nan, np.float32))
    with pytest.raises(ModelFailed, match="no probabilities"):
        stream.finish()
