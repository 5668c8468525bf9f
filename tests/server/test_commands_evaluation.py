"""`glyphwire eval`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ocr_core.evaluation import LineReading, LineSet, PageReading, PageSet
from ocr_core.page_scores import PageLine, compare_page, polygon_of
from ocr_core.types import DecodeMethod

PLACE = polygon_of([(0, 0), (100, 0), (100, 20), (0, 20)])
BEAM = ("--decoder", "prefix-beam")


@pytest.fixture
def sets(monkeypatch, fake_pipeline, tmp_path) -> list:
    """What read_sets() yields."""
    damaged = tmp_path / "a.png"
    damaged.write_bytes(b"")
    readings = (
        LineReading(damaged, "AB", (("a", 0.96), ("x", 0.5)), 0.73),
        LineReading(damaged, "cd", (("c", 0.96), ("d", 0.96)), 0.96),
    )
    page = compare_page([PageLine("ef", PLACE)], [PageLine("eg", PLACE)])
    found = [LineSet("lines", readings), PageSet("pages", (PageReading(damaged, page, is_failed=True),))]

    def read_sets(recognizer, directory, options, progress):
        assert recognizer.started
        progress("a.png")
        assert options.decode.decoder is DecodeMethod.PREFIX_BEAM
        yield from found

    monkeypatch.setattr("ocr_core.evaluation.read_sets", read_sets)
    return found


async def test_scores_as_json(glyphwire_command, sets, tmp_path, fake_pipeline):
    """JSON has every figure of every set."""
    status, out, _ = await glyphwire_command("eval", tmp_path, *BEAM, "--format", "json")
    first, second = json.loads(out)
    assert status == 0
    assert first == {
        **{"name": "lines", "lines": 2, "failed": 0},
        **{"exact": 0.5, "exact_norm": 0.5, "cer": 0.5, "cer_norm": 0.25},
    }
    assert second == {
        **{"name": "pages", "pages": 1, "lines": 1, "failed": 1},
        **{"precision": 1.0, "recall": 1.0, "h_mean": 1.0, "cer": 0.5, "line_recall": 0.0},
    }
    assert fake_pipeline.closed


async def test_details_as_json(glyphwire_command, sets, tmp_path):
    """With them JSON is an object: the sets, what was confused, and reliability with its error."""
    _, out, _ = await glyphwire_command("eval", tmp_path, *BEAM, "--format", "json", "--details")
    content = json.loads(out)
    assert [each["name"] for each in content["sets"]] == ["lines", "pages"]
    assert content["confusions"] == [
        {"expected": "b", "read": "x", "count": 1, "of": 1},
        {"expected": "f", "read": "g", "count": 1, "of": 1},
    ]
    assert content["characters"]["error"] == pytest.approx((3 * 0.04 + 0.5) / 4)
    assert sum(each["count"] for each in content["whole_lines"]["bins"]) == 2


def cells(out: str) -> list[list[str]]:
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in out.splitlines() if row.startswith("|")]


async def test_scores_as_markdown(glyphwire_command, sets, tmp_path):
    """Markdown has a table for lines and one for pages."""
    _, out, _ = await glyphwire_command("eval", tmp_path, *BEAM, "--format", "markdown")
    rows = cells(out)
    assert rows[0] == ["name", "lines", "failed", "exact", "exact norm", "cer", "cer norm"]
    assert rows[2] == ["lines", "2", "0", "0.5000", "0.5000", "0.5000", "0.2500"]
    assert rows[3][:3] == ["name", "pages", "lines"]
    assert len(rows) == 6


async def test_details_as_markdown(glyphwire_command, sets, tmp_path):
    """Two more tables follow, and the calibration error."""
    _, out, _ = await glyphwire_command("eval", tmp_path, *BEAM, "--format", "markdown", "--details")
    rows = cells(out)
    assert rows[6] == ["expected", "read", "count", "of"]
    assert rows[8] == ["b", "x", "1", "1"]
    assert ["0.95 to 0.99", "3", "0.9600", "1.0000", "1", "1.0000", "1.0000"] in rows
    assert "expected calibration error: 0.1550 of characters" in out


async def test_the_report_is_written(glyphwire_command, sets, tmp_path):
    """With --html the tables are printed as ever, and a report is in the file; it names what was read by what."""
    report = tmp_path / "report.html"
    status, out, _ = await glyphwire_command("eval", tmp_path, *BEAM, "--html", report, "--default-model", "mine/7")
    assert status == 0
    assert "exact norm" in out
    written = report.read_text(encoding="utf-8")
    assert f"<p>{Path(tmp_path).name}, read by mine/7</p>" in written
    assert "A<mark>B</mark>" in written


async def test_a_folder_without_sets_is_status_1(glyphwire_command, sets, tmp_path):
    """When there is nothing to score that is said, and nothing written."""
    sets.clear()
    report = tmp_path / "report.html"
    status, out, err = await glyphwire_command("eval", tmp_path, *BEAM, "--html", report)
    assert (status, out, err) == (1, "", f"no labelled sets in {tmp_path}\n")
    assert not report.exists()
