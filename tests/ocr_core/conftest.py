"""A small decoder and what it reads."""

from __future__ import annotations

import numpy as np
import pytest

from ocr_core.decode import Decoder


@pytest.fixture
def decoder(backend):
    """A decoder of "ab" with the blank last."""
    return Decoder("ab", 2, backend=backend)


@pytest.fixture
def probs():
    """Two timesteps over "ab" and blank: no "a" on the best path, yet "a" is the likelier text."""
    return np.array([[0.4, 0.0, 0.6], [0.4, 0.0, 0.6]], np.float32)
