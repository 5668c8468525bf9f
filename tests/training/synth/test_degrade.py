"""What light, lens and files do to crops."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("fontTools", reason="needs the extra `training`")

from training.synth.degrade import EFFECTS, degrade
from training.synth.rolls import Rolls
from training.synth.scenes import LIGHT, OPTICS


def image():
    picture = np.full((32, 200, 3), (230, 220, 200), np.uint8)
    for left in range(20, 180, 10):
        picture[8:24, left : left + 3] = (30, 20, 60)
    return picture


def test_effects_are_those_that_scenes_give_odds_for():
    """Names and order agree, so that no odds are ignored."""
    assert tuple(EFFECTS) == (*LIGHT, *OPTICS)


@pytest.mark.parametrize("name", sorted(EFFECTS))
def test_each_effect_changes_the_image_and_keeps_it_an_image(name):
    """RGB, uint8, not smaller than readable; and something has happened to it."""
    changed = [degrade(image(), Rolls.of(seed, 0).with_odds({name: 1.0}, 1.0)) for seed in range(10)]
    assert all(result.dtype == np.uint8 and result.shape[2] == 3 and result.shape[0] >= 9 for result in changed)
    assert any(result.shape != image().shape or not np.array_equal(result, image()) for result in changed)


def test_without_odds_nothing_happens():
    """Effects come by odds alone."""
    np.testing.assert_array_equal(degrade(image(), Rolls.of(1, 0)), image())


def test_bilevel_images_are_black_and_white():
    """Most pixels of a black and white scan are one or the other, and the strokes are still there."""
    result = degrade(image(), Rolls.of(3, 0).with_odds({"bilevel": 1.0}, 1.0))
    assert ((result < 40) | (result > 215)).mean() > 0.5
    assert result[16, 20:180].std() > 60
