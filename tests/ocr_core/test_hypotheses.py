"""Readings as lines of hypotheses."""

from __future__ import annotations

import numpy as np
import pytest

from ocr_core.ctc_reference import prefix_beam_search
from ocr_core.hypotheses import Lines

TEXTS = ("", "a", "b", "c")


def batch(*lengths, seed=4):
    """Softmaxes over three labels and blank 0, float32 [time, class] each."""
    rng = np.random.default_rng(seed)
    return [rng.dirichlet(np.full(4, 0.4), length).astype(np.float32) for length in lengths]


def test_lines_are_a_sequence():
    """They have a length, indices from either end, slices, and an end."""
    lines = Lines(prefix_beam_search(batch(5, 0, 7), 0, 10, 4, 0.0, n_best=3), TEXTS)
    assert len(lines) == 3
    assert [hypotheses[0].text for hypotheses in lines] == lines.best_texts
    assert lines[-1][0].labels == lines[2][0].labels
    assert [hypotheses[0].text for hypotheses in lines[1:]] == lines.best_texts[1:]
    with pytest.raises(IndexError):
        lines[3]


def test_text_and_characters_agree_with_the_labels():
    """Each hypothesis has the characters of its labels, in order, and shows its text."""
    for hypotheses in Lines(prefix_beam_search(batch(9, 6), 0, 10, 4, 0.0, n_best=4), TEXTS):
        for hypothesis in hypotheses:
            assert hypothesis.text == "".join(TEXTS[label] for label in hypothesis.labels)
            assert [character.text for character in hypothesis.characters] == list(hypothesis.text)
            assert [character.timestep for character in hypothesis.characters] == list(hypothesis.timesteps)
            assert repr(hypothesis).startswith(f"Hypothesis({hypothesis.text!r}")
