"""Tests of ocr_core.layout.seams."""

from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt
import pytest

from ocr_core.layout.seams import joined_scores, window_starts

BLANK = 0


def emitted(text: list[int], classes: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Probabilities of a line, four timesteps a character: two that emit it, two blanks."""
    probs = rng.uniform(0, 0.05, (4 * len(text), classes)).astype(np.float32)
    for place, label in enumerate(text):
        probs[4 * place : 4 * place + 2, label] += 1
        probs[4 * place + 2 : 4 * place + 4, BLANK] += 1
    return np.asarray(probs / probs.sum(axis=1, keepdims=True))


def best_path(probs: npt.NDArray[np.float32]) -> list[int]:
    return [int(label) for label, _ in groupby(probs.argmax(axis=1)) if label != BLANK]


@pytest.mark.parametrize("length", [1, 99, 100, 101, 180, 1000, 1234])
def test_windows_cover_a_line(length: int) -> None:
    """From the first column to the last, with the overlap or more, at multiples of the step."""
    starts = window_starts(length, 100, 20, 4)
    assert starts[0] == 0
    assert starts[-1] + 100 >= length
    assert all(start % 4 == 0 for start in starts)
    assert all(other - one <= 80 for one, other in pairwise(starts))
    assert len(starts) == max(1, -(-(length - 20) // 80))


@pytest.mark.parametrize("shift", range(8))
def test_no_character_is_lost_or_doubled_at_a_seam(shift: int) -> None:
    """Wherever a window begins, within a character or between two, doubled letters among them, the text is the same."""
    rng = np.random.default_rng(shift)
    text = rng.integers(1, 6, 40).tolist()
    whole = emitted(text, 6, rng)
    starts = [0, 50 + shift, 97 + shift]
    windows = [whole[start : start + 70].copy() for start in starts[:2]] + [whole[starts[2] :].copy()]
    # What a window sees of its outermost characters is not to be trusted.
    for window in windows:
        window[:3], window[-3:] = 1 / 6, 1 / 6
    windows[0][:3], windows[-1][-3:] = whole[:3], whole[-3:]
    joined = joined_scores(windows, starts)
    assert joined.shape == whole.shape
    assert best_path(joined) == best_path(whole)
    logits = joined_scores([np.log(window) + 3 for window in windows], starts, "logits")
    assert best_path(logits) == best_path(whole)


def test_one_window_is_the_line() -> None:
    """A line that fits is not changed."""
    whole = emitted([1, 2, 3], 4, np.random.default_rng(1))
    assert (joined_scores([whole], [0]) == whole).all()
