"""Tests of training.compress.lines."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.charset import Charset
from tests.training.compress.striped import striped_set
from training.batches import LabelledLine
from training.compress.errors import CompressionFailed
from training.compress.lines import draw_set, drawn_lines, folder_lines


def test_lines_of_a_folder_are_always_the_same(tmp_path: Path) -> None:
    """So many of them, chosen alike every time, each image with its label."""
    folder = striped_set(tmp_path / "lines", 9)
    first, second = (folder_lines(folder, 4) for _ in range(2))
    assert [line.text for line in first] == [line.text for line in second]
    assert all(line.image.shape[1] == 16 * len(line.text) for line in first)
    assert len(first) == 4


def test_a_folder_without_labels_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(CompressionFailed, match=f"{tmp_path} has no labels.tsv"):
        folder_lines(tmp_path, 4)


def test_drawn_lines_become_a_labelled_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its text and its pixels as they were drawn."""
    red = np.full((8, 24, 3), (200, 10, 10), np.uint8)
    monkeypatch.setattr(
        "training.compress.lines.drawn_lines",
        lambda charset, count: [LabelledLine(red, f"{charset.characters[0]} {i}") for i in range(count)],
    )
    draw_set(tmp_path, Charset(("中",), 0), 2)
    lines = folder_lines(tmp_path, 2)
    assert sorted(line.text for line in lines) == ["中 0", "中 1"]
    assert all(np.array_equal(line.image, red) for line in lines)


def test_lines_cannot_be_drawn_from_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where texts and fonts have not been built, the message says how, and what to do else."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CompressionFailed, match=r"training.synth build.*or name a folder"):
        drawn_lines(Charset(("a",), 0), 1)
