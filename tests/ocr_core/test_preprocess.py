"""Tests of ocr_core.preprocess."""

import numpy as np
import pytest

from ocr_core.bundle import InputFormat
from ocr_core.preprocess import (
    MAX_RATIO,
    MAX_WIDTH,
    batch_width,
    crop_line,
    is_long,
    make_batch,
    max_width,
    turn_if_vertical,
    turned,
    whole_image,
    window_count,
    windows,
)
from ocr_core.types import Image, LineCrop, Point, Polygon

WANTED = InputFormat(height=32, min_width=256, channels="BGR", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def gradient(height: int, width: int) -> Image:
    """Red grows to the right, green grows downwards."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :, 0] = np.linspace(0, 255, width)[None]
    image[:, :, 1] = np.linspace(0, 255, height)[:, None]
    return image


def quadrilateral(*points: tuple[float, float]) -> Polygon:
    return Polygon(tuple(Point(x, y) for x, y in points))


def test_an_upright_polygon_is_cut_out_as_it_is() -> None:
    """Whole-pixel rectangles are copied without resampling."""
    image = gradient(60, 80)
    crop = crop_line(image, quadrilateral((10, 20), (50, 20), (50, 40), (10, 40)))
    assert np.array_equal(crop.image, image[20:40, 10:50])


def test_a_polygon_at_the_border_is_filled_with_the_border() -> None:
    """Nothing black creeps in where the polygon touches the edge of the image."""
    image = np.full((30, 40, 3), 200, np.uint8)
    crop = crop_line(image, quadrilateral((0, 0), (40, 3), (40, 30), (0, 27)))
    assert crop.image.min() == 200


def test_the_first_vertex_becomes_the_top_left_corner() -> None:
    """A polygon that starts elsewhere turns the crop accordingly."""
    image = gradient(60, 80)
    upside_down = crop_line(image, quadrilateral((50, 40), (10, 40), (10, 20), (50, 20)))
    assert np.abs(upside_down.image.astype(int) - image[20:40, 10:50][::-1, ::-1]).max() <= 1


def test_high_crops_are_turned_and_their_polygon_with_them() -> None:
    """What ran downwards runs to the right; the first edge of the polygon is still the reading direction."""
    crop = whole_image(gradient(60, 40))
    result = turn_if_vertical(crop)
    assert result.image.shape == (40, 60, 3)
    assert result.image[20, 59, 1] == 255
    first, second = result.polygon.vertices[:2]
    assert (first, second) == (Point(40, 0), Point(40, 60))


def test_wide_crops_are_left_alone() -> None:
    """Below one and a half times as high as wide nothing is turned."""
    crop = whole_image(gradient(59, 40))
    assert turn_if_vertical(crop) is crop


def test_turning_twice_by_half_gives_the_crop_back() -> None:
    """Image and polygon turn together."""
    crop = whole_image(gradient(20, 50))
    back = turned(turned(crop, 2), 2)
    assert np.array_equal(back.image, crop.image)
    assert back.polygon == crop.polygon


def test_the_set_of_widths_is_small() -> None:
    """However wide the crops are, the engine sees few shapes, and padding stays below a quarter past the minimum."""
    sizes = [LineCrop(np.zeros((32, width, 3), np.uint8), quadrilateral()) for width in range(1, 4000)]
    widths = {batch_width(crop, WANTED) for crop in sizes}
    assert len(widths) <= 12
    assert min(widths) == 256
    longest = max_width(WANTED)
    assert longest <= max(widths) <= longest * 5 / 4
    assert all(batch_width(crop, WANTED) <= crop.image.shape[1] * 5 / 4 for crop in sizes[256:longest])


def test_lines_are_as_long_for_every_model() -> None:
    """Whatever a network's height, lines up to one length in heights are read at once, unless they are too wide."""
    twice = WANTED.model_copy(update={"height": 64})
    longest = int(MAX_RATIO * 32)
    assert not is_long(whole_image(np.zeros((32, longest, 3), np.uint8)), WANTED)
    assert is_long(whole_image(np.zeros((32, longest + 1, 3), np.uint8)), WANTED)
    assert max_width(twice) == MAX_WIDTH


@pytest.mark.parametrize("width", [900, 1300, 1438, 2000, 5000])
def test_windows_of_a_long_line_are_its_batches(width: int) -> None:
    """They cover it, are read in its batch but for the last, not long themselves, and see at most a third twice."""
    crop = whole_image(gradient(32, width))
    parts, starts = windows(crop, WANTED)
    widths = [part.image.shape[1] for part in parts]
    assert {make_batch([part], WANTED).shape[2] for part in parts[:-1]} == {batch_width(crop, WANTED)}
    assert len(parts) == window_count(crop, WANTED) > 1
    assert not any(is_long(part, WANTED) for part in parts)
    assert starts[-1] + widths[-1] == width
    assert sum(widths) < 4 / 3 * width


@pytest.mark.parametrize("shape", [(4, 4000), (4000, 4), (32, 100), (64, 64), (4, 4)])
def test_batches_have_the_models_height_and_padding(shape: tuple[int, int]) -> None:
    """Every crop fits, and what is right of it is the value that normalisation maps to zero."""
    batch = make_batch([whole_image(np.zeros((*shape, 3), np.uint8))] * 2, WANTED)
    assert batch.shape[:2] == (2, 32)
    assert batch.flags.c_contiguous
    text_width = min(-(-32 * shape[1] // shape[0]), batch.shape[2])
    assert (batch[:, :, :text_width] == 0).all()
    assert (batch[:, :, text_width:] == 128).all()


def test_shrinking_averages() -> None:
    """A fine checkerboard becomes grey instead of noise."""
    board = (np.indices((128, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)
    batch = make_batch([whole_image(np.repeat(board[:, :, None], 3, axis=2))], WANTED)
    assert np.abs(batch[0, :, :128].astype(int) - 127).max() <= 1
