"""Tests of whole batches of composed lines."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from training.synth.atlas.lines import AtlasLines

WIDTHS = {64, 96, 128, 192, 256, 320, 480, 640, 896}


@pytest.fixture(scope="module")
def lines(charset, settings):
    """Lines of full strength."""
    return AtlasLines(charset, settings, seed=3, device="cpu")


def test_a_batch_has_one_of_few_widths(lines):
    """Images are float32, 32 rows high, as wide as their bucket, between -1 and 1."""
    widths = set()
    for index in range(10):
        batch = lines.batch(index, 2)
        widths.add(batch.images.shape[3])
        assert batch.images.shape[3] == lines.width(index)
        assert batch.images.shape[:3] == (2, 3, 32)
        assert batch.images.dtype == torch.float32
        assert batch.images.abs().max() <= 1
    assert widths <= WIDTHS
    assert len(widths) > 3


def test_a_batch_is_reproducible_by_its_number_alone(charset, settings, lines):
    """The same seed and index give the same batch in any order; another index or seed gives another."""
    first = lines.batch(5, 6)
    again = AtlasLines(charset, settings, seed=3, device="cpu").batch(5, 6)
    torch.testing.assert_close(again.images, first.images, atol=0, rtol=0)
    assert again.targets.tolist() == first.targets.tolist()
    for other in (lines.batch(6, 6), AtlasLines(charset, settings, seed=4, device="cpu").batch(5, 6)):
        assert other.images.shape != first.images.shape or not torch.equal(other.images, first.images)


def test_targets_are_labels_of_the_charset(lines, charset):
    """Targets read as pieces of the lines in the charset's labels, blanks after their lengths."""
    batch = lines.batch(7, 16)
    assert batch.targets.dtype == batch.target_lengths.dtype == torch.int64
    for target, length in zip(batch.targets, batch.target_lengths, strict=True):
        text = charset.text(target[:length].tolist())
        assert text.strip() == text != ""
        assert (target[length:] == charset.blank_index).all()


def test_columns_after_the_width_are_padding(lines, settings):
    """Right of each line's width all pixels are what the server pads with."""
    batch = lines.batch(8, 16)
    padding = (torch.tensor(settings.wanted.padding) / 255 - 0.5) / 0.5
    for image, width in zip(batch.images, batch.widths.tolist(), strict=True):
        assert 8 <= width <= image.shape[2]
        torch.testing.assert_close(image[:, :, width:], padding.view(3, 1, 1).expand_as(image)[:, :, width:])


def test_clean_lines_can_be_seen(charset, settings):
    """Without disturbances each line has dark ink on light ground or the reverse, and nothing grey over all of it."""
    clean = AtlasLines(charset, dataclasses.replace(settings, strength=0.0), seed=1, device="cpu")
    batch = clean.batch(0, 16)
    for image, width in zip(batch.images, batch.widths.tolist(), strict=True):
        assert np.ptp(image[0, :, :width].numpy()) > 0.5


def test_batches_larger_than_a_group_differ_within(lines):
    """Lines of several groups are all drawn, none the same."""
    batch = lines.batch(9, 60)
    flat = batch.images.flatten(1)
    assert len(torch.unique(flat, dim=0)) == 60


def test_a_style_without_fonts_is_an_error(charset, settings):
    """Asking for styles alone that no font of the atlas has is told so."""
    with pytest.raises(ValueError, match="is of the styles display"):
        AtlasLines(charset, dataclasses.replace(settings, styles={"display": 1.0}), seed=0, device="cpu")
