"""Crops of drawn lines."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("fontTools", reason="needs the extra `training`")

from training.synth.cut import cut_line
from training.synth.render import Drawn
from training.synth.rolls import Rolls
from training.synth.scenes import CUTTING


def drawn() -> Drawn:
    canvas = np.full((60, 300, 3), 255, np.float32)
    canvas[20:40, 30:270] = 0
    return Drawn(canvas, (30.0, 20.0, 270.0, 40.0))


def cut(seed: int, **odds: float):
    return cut_line(drawn(), Rolls.of(seed, 0).with_odds(odds, 1.0))


def dark_share(image) -> float:
    return float((image < 128).mean())


def test_a_plain_cut_holds_the_whole_line_with_little_around():
    """All ink is inside, and most of the crop is ink of this solid block."""
    for seed in range(20):
        image = cut(seed)
        assert (image[:, :, 0] < 128).sum() == 20 * 240
        assert dark_share(image) > 0.7


def test_tight_cuts_have_less_around_than_loose_ones():
    """The margins follow their names."""
    tight, loose = (
        np.mean([dark_share(cut(seed, **{name: 1.0})) for seed in range(20)]) for name in ("tight", "loose")
    )
    assert loose < 0.7 < tight


@pytest.mark.parametrize("name", CUTTING)
def test_each_cut_keeps_most_of_the_line(name):
    """However the crop is turned or bent, the line stays in it and the image stays a line."""
    for seed in range(20):
        image = cut(seed, **{name: 1.0})
        assert image.dtype == np.uint8
        assert dark_share(image) > 0.3
        assert image.shape[1] > 2 * image.shape[0]
