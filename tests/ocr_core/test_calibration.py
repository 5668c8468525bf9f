"""Tests of ocr_core.calibration."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr_core.calibration import TEMPERATURES, calibrated, fit_temperature, reliability

probabilities = st.floats(0.0, 1.0)
temperatures = st.floats(*TEMPERATURES)


@given(probabilities)
def test_temperature_1_changes_nothing(confidence: float) -> None:
    """A bundle that was never calibrated answers what its model emitted."""
    assert calibrated(confidence, 1.0) == confidence


@given(probabilities, probabilities, temperatures)
def test_the_surer_stays_the_surer(one: float, other: float, temperature: float) -> None:
    """Confidences stay in [0, 1] and in their order, whatever the temperature."""
    low, high = (calibrated(confidence, temperature) for confidence in sorted((one, other)))
    assert 0.0 <= low <= high <= 1.0


@pytest.mark.parametrize(("temperature", "expected"), [(2.0, 0.75), (0.5, 81 / 82), (1.0, 0.9)])
def test_figures_of_a_hand_made_example(temperature: float, expected: float) -> None:
    """Odds of 9 to 1 are 3 to 1 at temperature 2 and 81 to 1 at 0.5; even odds are even at any."""
    assert calibrated(0.9, temperature) == pytest.approx(expected)
    assert calibrated(0.5, temperature) == pytest.approx(0.5)


def test_certainty_that_was_only_rounded_is_calibrated_too() -> None:
    """A 1 in float32 may be a little less; no character at all stays at 0."""
    assert 0.999 < calibrated(1.0, 2.0) < 1.0
    assert calibrated(0.0, 2.0) == 0.0


def test_temperatures_multiply() -> None:
    """Calibrating what is calibrated is calibrating by the product, so a fit may start from any temperature."""
    assert calibrated(calibrated(0.97, 2.0), 1.5) == pytest.approx(calibrated(0.97, 3.0))


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_the_temperature_of_distorted_confidences_is_found(temperature: float) -> None:
    """Confidences made too sure, or too modest, by a known factor: the fit undoes it, and the error goes."""
    chances = np.random.default_rng(5)
    true = chances.beta(3, 1, 20_000)
    right = (chances.random(20_000) < true).tolist()
    distorted = [calibrated(float(each), 1 / temperature) for each in true]
    found = fit_temperature(distorted, right)
    assert found == pytest.approx(temperature, rel=0.05)
    assert reliability([calibrated(each, found) for each in distorted], right).error < 0.01


@pytest.mark.parametrize(("right", "limit"), [(True, TEMPERATURES[0]), (False, TEMPERATURES[1])])
def test_what_is_always_right_or_wrong_stays_within_limits(right: bool, limit: float) -> None:
    """No likelihood has its top there; the fit ends at what bundles may have."""
    assert fit_temperature([0.9, 0.8], [right, right]) == pytest.approx(limit)


def test_reliability_of_a_hand_made_example() -> None:
    """Two bins: 0.925 against one of two right, 0.25 against what is right by half; weighed by their counts."""
    found = reliability([0.9, 0.949, 0.25, 1.0], [True, False, 0.5, True])
    filled = [(each.low, each.high, each.count, each.right) for each in found.bins if each.count]
    assert filled == [(0.2, 0.3, 1, 0.5), (0.9, 0.95, 2, 0.5), (0.99, 1.0, 1, 1.0)]
    assert found.count == 4
    assert found.error == pytest.approx((0.25 + 2 * 0.4245 + 0) / 4)


def test_reliability_of_nothing() -> None:
    """No lines, no error."""
    assert (reliability([], []).count, reliability([], []).error) == (0, 0.0)
