"""Tests of ocr_core.prepare.tone."""

import numpy as np

from ocr_core.prepare import tone
from tests.ocr_core.prepare.drawn import flat, page, shadowed


def test_a_flat_image_is_stretched_to_nearly_the_whole_range() -> None:
    """Levels between the given ones are drawn apart; what was darker or brighter stays so."""
    result = tone.stretched(flat(page(), 100, 140), 103, 139)
    assert np.percentile(result, 1) < 40
    assert np.percentile(result, 99) > 220


def test_a_shadow_is_taken_out() -> None:
    """Paper that was three times darker on one side differs by less than a sixth afterwards, and text stays dark."""
    image = shadowed(page(), 0.33)
    lit = tone.evenly_lit(image, tone.background(tone.sketched(image, 512)))
    columns = np.percentile(tone.luminance(lit), 90, axis=0)
    assert columns.min() > 0.84 * columns.max()
    assert np.percentile(tone.luminance(lit)[:, 100:300], 1) < 0.5 * columns.min()


def test_even_light_stays_as_it_is() -> None:
    """Where there is no shadow, pixels hardly change."""
    image = page()
    lit = tone.evenly_lit(image, tone.background(tone.sketched(image, 512)))
    assert np.abs(lit.astype(int) - image).mean() < 2


def test_local_contrast_is_raised() -> None:
    """Letters that were hardly darker than their paper differ more from it."""
    image = flat(page(), 120, 150)
    assert tone.locally_stretched(image).std() > 1.4 * image.std()


def test_colour_is_taken_out() -> None:
    """All channels hold the luminance."""
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, :4] = (200, 30, 30)
    grey = tone.without_colour(image)
    assert np.array_equal(grey[:, :, 0], grey[:, :, 2])
    assert grey[0, 0, 0] == tone.luminance(image)[0, 0]


def test_a_page_in_shadow_becomes_black_and_white() -> None:
    """There are two levels, and letters are black on white in the light and in the shadow."""
    image = page()
    result = tone.binarised(shadowed(image, 0.33))
    assert set(np.unique(result)) == {0, 255}
    is_text = image[:, :, 0] < 60
    assert result[is_text].mean() < 25
    assert result[image[:, :, 0] > 240].mean() > 250


def test_a_sketch_is_a_small_grey_copy() -> None:
    """It is shrunk by a whole number, so that it fits, and a small image is not shrunk."""
    assert tone.sketched(page(1025, 700), 512).shape == (233, 341)
    assert tone.sketched(page(512, 300), 512).shape == (300, 512)


def test_levels_are_found_by_share() -> None:
    """A quarter of these pixels is below 10, and three quarters are below 200."""
    grey = np.array([[9, 150, 150, 250]], np.uint8)
    assert tone.level_below(grey, 0.25) == 9
    assert tone.level_below(grey, 0.75) == 150
