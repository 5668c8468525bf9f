"""Tests of ocr_core.layout.stacked."""

import numpy as np
import pytest

from ocr_core.layout import stacked
from ocr_core.layout.stacked import side_by_side


@pytest.mark.parametrize(("pitch", "size"), [(40, 36), (52, 36), (36, 34)])
def test_characters_come_to_stand_side_by_side(pitch: int, size: int) -> None:
    """Each of six squares, told apart by their grey, is in a square of its own, in order, whatever the distance."""
    column = np.full((6 * pitch, 40, 3), 250, np.uint8)
    for number in range(6):
        top = number * pitch + (pitch - size) // 2
        column[top : top + size, 4:36] = 20 * number
    row = side_by_side(column)
    assert row.shape == (40, 240, 3)
    for number in range(6):
        cell = row[8:32, 40 * number + 8 : 40 * number + 32].astype(int)
        assert np.abs(cell - 20 * number).max() <= 2


def test_a_sliver_is_cut_at_one_pitch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking for the pitch of thousands of characters would take minutes, and there is no such line."""
    tries = []
    cuts = stacked._cuts
    monkeypatch.setattr(stacked, "_cuts", lambda ink, count: tries.append(count) or cuts(ink, count))
    row = side_by_side(np.full((1600, 4, 3), 250, np.uint8))
    assert row.shape == (4, 1600, 3)
    assert tries == [400]
