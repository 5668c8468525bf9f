"""Tests of training.compress.quantize."""

from pathlib import Path

import pytest

pytest.importorskip("nncf", reason="needs the extra `compression`")

from ocr_core.bundle import read_bundle
from tests.training.compress.striped import striped_bundle, striped_lines, striped_set
from training.batches import LabelledLine
from training.compress.compare import compare
from training.compress.errors import CompressionFailed
from training.compress.quantize import QuantizeSettings, quantize


def test_convolutions_compute_in_int8(tmp_path: Path) -> None:
    """Lines are read as before, and the origin says what was done."""
    source = striped_bundle(tmp_path)
    target, done = quantize(source, tmp_path, "striped/2", striped_lines(16), QuantizeSettings())
    assert (done.int8_layers, len(done.float_layers)) == (2, 0)
    assert (done.calibration_lines, done.validation_lines) == (8, 8)
    figures = compare([source, target], striped_set(tmp_path / "data", 8), rounds=1)
    assert [each.exact for each in figures] == [1, 1]
    assert "INT8 dense" in read_bundle(target).origin.source


def test_a_layer_that_hurts_stays_in_float(tmp_path: Path) -> None:
    """Where one scale cannot express loud and soft channels, the layer that reads them is left alone."""
    source = striped_bundle(tmp_path, loud=3000)
    lines = striped_lines(16)
    target, done = quantize(source, tmp_path, "striped/2", lines, QuantizeSettings())
    assert done.int8_layers < 2
    _, all_of_them = quantize(source, tmp_path, "striped/3", lines, QuantizeSettings(max_drop=1))
    assert all_of_them.int8_layers == 2
    figures = compare([source, target, tmp_path / "striped" / "3"], striped_set(tmp_path / "data", 8), rounds=1)
    assert figures[1].exact == figures[0].exact == 1
    assert (figures[2].exact or 0) < 1


def test_lines_without_labels_are_compared_with_float(tmp_path: Path) -> None:
    """An empty label stands for what is read in float."""
    lines = [LabelledLine(line.image, "") for line in striped_lines(16)]
    source = striped_bundle(tmp_path, loud=3000)
    _, done = quantize(source, tmp_path, "striped/2", lines, QuantizeSettings())
    assert done.int8_layers < 2


@pytest.mark.parametrize(("weights", "share"), [("int8", 0.35), ("float16", 0.55)])
def test_weights_are_stored_in_fewer_bits(tmp_path: Path, weights: str, share: float) -> None:
    """Without lines, only storage changes: the file shrinks and the same is read."""
    source = striped_bundle(tmp_path)
    settings = QuantizeSettings(compute="none", weights=weights)
    target, done = quantize(source, tmp_path, "striped/2", [], settings)
    assert (done.int8_layers, done.validation_lines) == (0, 0)
    sizes = [(folder / "model.bin").stat().st_size for folder in (source, target)]
    assert sizes[1] < share * sizes[0]
    figures = compare([source, target], striped_set(tmp_path / "data", 8), rounds=1)
    assert [each.exact for each in figures] == [1, 1]


def test_int8_needs_lines(tmp_path: Path) -> None:
    """One line cannot both calibrate and validate."""
    with pytest.raises(CompressionFailed, match="two at least"):
        quantize(striped_bundle(tmp_path), tmp_path, "striped/2", striped_lines(1), QuantizeSettings())
