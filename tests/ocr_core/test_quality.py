"""Tests of ocr_core.quality."""

from pathlib import Path

import numpy as np
import pytest

from ocr_core.calibration import calibrated
from ocr_core.edits import Confusion
from ocr_core.evaluation import LineReading, LineSet, PageReading, PageSet
from ocr_core.page_scores import PageLine, compare_page, polygon_of
from ocr_core.quality import HEADER, fit, quality_of


def line(label: str, *characters: tuple[str, float]) -> LineReading:
    sure = [confidence for _, confidence in characters]
    return LineReading(Path("x.png"), label, characters, sum(sure) / len(sure) if sure else 0.0)


def page(label: str, read: str) -> PageReading:
    place = polygon_of([(0, 0), (100, 0), (100, 20), (0, 20)])
    below = polygon_of([(0, 50), (100, 50), (100, 70), (0, 70)])
    return PageReading(
        Path("p.png"), compare_page([PageLine(label, place), PageLine("unseen", below)], [PageLine(read, place)])
    )


def test_confusions_are_of_lines_and_of_what_was_found_on_pages() -> None:
    """A line that was not found is no confusion of its characters."""
    sets = [
        LineSet("lines", (line("10", ("l", 0.6), ("0", 0.9)),)),
        PageSet("pages", (page("2014", "20l4"),)),
    ]
    assert quality_of(sets).confusions == (Confusion("1", "l", 2, 2),)


def test_reliability_of_characters_and_of_lines() -> None:
    """Of a line with one wrong character of two, half is right and the whole is not; white space does not count."""
    readings = (
        line("ab", ("a", 0.96), ("x", 0.56)),
        line("ab c", ("a", 0.96), ("b", 0.96), (" ", 0.2), ("c", 0.96)),
        line("lost"),
    )
    quality = quality_of([LineSet("lines", readings)])
    assert quality.characters.count == 5
    assert [each.right for each in quality.characters.bins if each.count] == [0.0, 1.0]
    assert [(each.count, each.right) for each in quality.lines.bins if each.count] == [(1, 0.0), (2, 0.75)]
    assert [(each.count, each.right) for each in quality.whole_lines.bins if each.count] == [(1, 0.0), (2, 0.5)]


def test_rows_leave_empty_bins_out() -> None:
    """A row has the columns of the header, for bins of characters or of lines."""
    (row,) = quality_of([LineSet("lines", (line("a", ("a", 0.75)),))]).rows
    assert dict(zip(HEADER, row, strict=True)) == {
        "confidence": "0.7 to 0.8",
        "characters": 1,
        "mean": 0.75,
        "right": 1.0,
        "lines": 1,
        "characters right": 1.0,
        "whole lines right": 1.0,
    }


def test_a_temperature_that_fits_holds_for_lines_held_out() -> None:
    """Of readings that are too sure by a factor of 2 the error goes, of lines held out as of others."""
    chances = np.random.default_rng(3)
    readings = []
    for _ in range(400):
        true = chances.uniform(0.4, 1.0, 10)
        read = ["a" if chances.random() < chance else "b" for chance in true]
        readings.append(line("a" * 10, *zip(read, (calibrated(float(chance), 0.5) for chance in true), strict=True)))
    found = fit(readings)
    assert found.characters == 4000
    assert found.temperature == pytest.approx(2.0, rel=0.1)
    assert found.fitted_error < 0.03
    assert found.error > 0.05
    assert found.held_out_error == pytest.approx(found.fitted_error, abs=0.02)
