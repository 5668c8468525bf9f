"""Teachers of another format and charset."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.bundle import InputFormat, Kind, Registry
from ocr_core.charset import Charset
from ocr_core.pipeline_config import DEFAULT_MODEL
from training.batches import LabelledLine, Labeller, make_line_batch
from training.recipe import MODELS
from training.teacher import load_teacher

LINE = np.full((32, 160, 3), 255, np.uint8)
LINE[8:24, 20:140:9] = 0


def test_probabilities_are_in_the_learners_classes() -> None:
    """A teacher's probabilities stand at the learner's classes, timesteps and channel order, whatever its own are."""
    theirs = Registry(MODELS).find(DEFAULT_MODEL, Kind.RECOGNIZER)
    same = load_teacher(MODELS, DEFAULT_MODEL, theirs.input, theirs.charset, threads=1)
    reversed_charset = Charset(theirs.characters[::-1], blank_index=len(theirs.characters))
    rgb = InputFormat.model_validate(theirs.input.model_dump() | {"channels": "RGB"})
    other = load_teacher(MODELS, DEFAULT_MODEL, rgb, reversed_charset, threads=1)
    batch, rgb_batch = (
        make_line_batch([LabelledLine(LINE, "l")], Labeller(theirs.charset), wanted) for wanted in (theirs.input, rgb)
    )
    expected = same.lesson(batch, 64).probs
    assert expected.shape == (1, 64, theirs.charset.class_count)
    assert expected.sum(2).allclose(torch.ones(1, 64), atol=1e-3)
    torch.testing.assert_close(other.lesson(rgb_batch, 64).probs[..., -1], expected[..., 0])
    torch.testing.assert_close(other.lesson(rgb_batch, 64).probs.max(2).values, expected.max(2).values)
    assert same.lesson(batch, 48).probs.shape[1] == 48
