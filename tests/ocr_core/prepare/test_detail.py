"""Tests of ocr_core.prepare.detail."""

import cv2
import numpy as np

from ocr_core.prepare.detail import denoised, sharpened
from tests.ocr_core.prepare.drawn import flat, line, noisy


def test_noise_is_smoothed_and_letters_are_not() -> None:
    """What is left of the noise on paper is less than half; the image is nearer to the clean one."""
    clean = flat(line(), 40, 180)
    bad = noisy(clean, 20)
    better = denoised(bad)
    assert better[:8, :60].std() < 0.5 * bad[:8, :60].std()
    assert np.abs(better.astype(int) - clean).mean() < 0.7 * np.abs(bad.astype(int) - clean).mean()


def test_blurred_edges_become_steeper() -> None:
    """The steepest edges come nearer to those of the sharp image."""
    blurred = np.asarray(cv2.GaussianBlur(line(), (0, 0), 1.5), np.uint8)

    def steepness(image):
        return np.percentile(np.abs(np.diff(image[:, :, 0].astype(int), axis=1)), 99)

    assert steepness(sharpened(blurred, 1.5)) > 1.3 * steepness(blurred)
