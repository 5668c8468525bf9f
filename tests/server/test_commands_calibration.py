"""`glyphwire models calibrate`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from ocr_core.bundle import read_bundle
from ocr_core.calibration import calibrated
from ocr_core.evaluation import LineReading, LineSet, PageSet
from tests.ocr_core.test_bundle import make_bundle


@pytest.fixture
def models_dir(tmp_path) -> Path:
    """With tiny/1, which has a temperature already."""
    make_bundle(tmp_path, temperature=1.25)
    return tmp_path


@pytest.fixture
def readings(monkeypatch, fake_pipeline) -> list[LineReading]:
    """What is read in the set of lines."""
    found: list[LineReading] = []

    def read_sets(recognizer, directory, options, progress):
        assert recognizer.started
        progress("a.png")
        yield LineSet("lines", tuple(found))
        yield PageSet("pages", ())

    monkeypatch.setattr("ocr_core.evaluation.read_sets", read_sets)
    return found


async def test_the_temperature_is_stored(glyphwire_command, models_dir, readings):
    """Confidences too sure by 2 make the bundle's temperature twice what it was; nothing else of it changes."""
    chances = np.random.default_rng(1)
    for true in chances.uniform(0.4, 1.0, 6000):
        read = "a" if chances.random() < true else "b"
        readings.append(LineReading(Path("a.png"), "a", ((read, calibrated(float(true), 0.5)),), 0.5))
    before = read_bundle(models_dir / "tiny" / "1")
    flags = ("--models-dir", models_dir, "--lines", models_dir)
    status, out, _ = await glyphwire_command("models", "calibrate", "tiny", *flags)
    after = read_bundle(models_dir / "tiny" / "1")
    assert status == 0
    assert after.temperature == pytest.approx(2.5, rel=0.1)
    assert after == before.model_copy(update={"temperature": after.temperature})
    assert f"tiny/1: temperature 1.25 -> {after.temperature:g}, fitted to 6000 characters" in out
    assert "on lines held out" in out


async def test_a_temperature_stays_within_limits(glyphwire_command, models_dir, readings):
    """Where everything is wrong there is no best temperature; the bundle stays valid."""
    readings += [LineReading(Path("a.png"), "a", (("b", 0.9),), 0.9)] * 10
    status, _, _ = await glyphwire_command(
        "models", "calibrate", "tiny/1", "--models-dir", models_dir, "--lines", models_dir
    )
    assert (status, read_bundle(models_dir / "tiny" / "1").temperature) == (0, 10.0)


async def test_without_lines_nothing_is_stored(glyphwire_command, models_dir, readings):
    """A folder in which nothing is read is an error."""
    status, _, err = await glyphwire_command(
        "models", "calibrate", "tiny", "--models-dir", models_dir, "--lines", models_dir
    )
    assert (status, err) == (2, f"glyphwire: no characters were read in {models_dir}\n")
    assert read_bundle(models_dir / "tiny" / "1").temperature == 1.25


async def test_drawing_lines_needs_an_extra(glyphwire_command, models_dir, readings, monkeypatch):
    """Without --lines they are drawn, by what comes with the extra for training."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "training.compress.lines", raising=False)
    monkeypatch.delitem(sys.modules, "training.batches", raising=False)
    status, _, err = await glyphwire_command("models", "calibrate", "tiny", "--models-dir", models_dir)
    assert status == 2
    assert "glyphwire-server[training]" in err
