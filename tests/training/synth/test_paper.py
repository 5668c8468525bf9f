"""What lines are written on."""

from __future__ import annotations

import numpy as np
import pytest

from training.synth.paper import PAPERS, luminance, make_paper
from training.synth.rolls import Rolls


@pytest.mark.parametrize("name", sorted(PAPERS))
def test_ink_stands_out_from_paper(name):
    """Ink is seldom as bright as the paper it is on."""
    gaps = []
    for seed in range(40):
        canvas, ink = make_paper({name: 1.0}, 40, 120, Rolls.of(seed, 0))
        assert canvas.shape == (40, 120, 3)
        assert canvas.dtype == np.float32
        gaps.append(abs(luminance(ink) - luminance(canvas.mean((0, 1)))))
    assert np.quantile(gaps, 0.1) > 25
