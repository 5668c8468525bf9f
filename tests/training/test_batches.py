"""Batches of labelled lines."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.bundle import InputFormat
from ocr_core.charset import Charset
from training.batches import LabelledLine, Labeller, bucketed, make_line_batch

CHARSET = Charset(("a", "b", "a", "é"), blank_index=1)
WANTED = InputFormat(height=32, min_width=64, channels="BGR", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def line(text: str, width: int, colour: tuple[int, int, int] = (255, 0, 0)) -> LabelledLine:
    return LabelledLine(np.full((32, width, 3), colour, np.uint8), text)


def test_labels_leave_out_the_blank() -> None:
    """Labels are class indices: those from the blank on are one more than the character's position."""
    labeller = Labeller(CHARSET)
    labels = labeller.labels("abé")
    assert labels == [0, 2, 4]
    assert CHARSET.text(labels) == "abé"


def test_texts_outside_the_charset_have_no_labels() -> None:
    """A text with a character that the charset lacks has no labels, and the character is named."""
    labeller = Labeller(CHARSET)
    assert labeller.labels("abc") is None
    assert labeller.missing("abc") == {"c"}
    with pytest.raises(ValueError, match=r"lacks \['c'\]"):
        make_line_batch([line("abc", 64)], labeller, WANTED)


def test_batches_are_what_the_network_sees_when_it_serves() -> None:
    """Images have the model's channel order and scaling, and are 0 in the padding."""
    batch = make_line_batch([line("ab", 40), line("é", 100)], Labeller(CHARSET), WANTED)
    assert batch.images.shape == (2, 3, 32, 128)
    assert batch.images[0, :, 0, 0].tolist() == [-1, -1, 1]
    assert batch.images[0, :, :, 40:].abs().max() < 0.01
    assert batch.widths.tolist() == [40, 100]
    assert batch.targets.tolist() == [[0, 2], [4, 1]]
    assert batch.target_lengths.tolist() == [2, 1]


def test_buckets_hold_lines_of_like_width() -> None:
    """Lines go into batches of their width until a batch is full; nothing usable is lost, the rest is left out."""
    lines = [line("a", 60), line("b", 250), line("ab", 62), line("a", 900), line("x", 60), line("", 60), line("é", 50)]
    batches = list(bucketed(lines, Labeller(CHARSET), WANTED, columns=128, max_width=512))
    assert [tuple(batch.images.shape[::3]) for batch in batches] == [(1, 256), (2, 64), (1, 64)]
