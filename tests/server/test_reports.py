"""Text, JSON and TSV."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ocr_core.prepare.steps import AppliedStep, Step
from ocr_core.structure import Cell, Paragraph, Structure, Table
from ocr_core.types import Alternative, Line, Point, Polygon, Recognition, StableLine, Timings
from server.reports import TSV_HEADER, report, timings_row

CORNERS = Polygon((Point(0, 0), Point(10.25, 0), Point(10.25, 5), Point(0, 5)))
LINES = (Line("送货单\tNote", 0.98765, CORNERS), Line("second", 0.5, CORNERS))
RECOGNITION = Recognition(LINES, 10, 5, "m", "1", Timings(load_image_ms=1.25, total_ms=3.0))


def rows(form: str, recognition: Recognition = RECOGNITION, *, titled: bool = False) -> list[str]:
    """The report of one image."""
    return list(report(form, "a.png", recognition, titled=titled))


def test_text_is_the_lines_alone():
    """Plain text is one row per line, after the name of the source when there are several."""
    assert rows("text") == ["送货单\tNote", "second"]
    assert rows("text", titled=True)[0] == "==> a.png <=="


def test_text_shows_alternatives_below_their_line():
    """Alternatives follow their line, indented, with their log probability."""
    line = replace(LINES[1], alternatives=(Alternative("sec0nd", 0.4, -1.5, -1.4),))
    assert rows("text", replace(RECOGNITION, lines=(line,))) == ["second", "\t-1.50\tsec0nd"]


def test_json_is_one_object_with_everything():
    """JSON is one row per image that holds every field."""
    (row,) = rows("json", replace(RECOGNITION, applied_steps=(AppliedStep(Step.DESKEW, 7.5),)))
    parsed = json.loads(row)
    assert "送货单" in row
    assert (parsed["source"], parsed["image_width"], parsed["timings"]["load_image_ms"]) == ("a.png", 10, 1.25)
    assert parsed["lines"][1]["polygon"]["vertices"][1] == {"x": 10.25, "y": 0}
    assert parsed["applied_steps"] == [{"step": "deskew", "amount": 7.5}]


def test_tsv_has_one_row_per_line():
    """TSV rows have as many columns as the header, whatever the text holds."""
    assert rows("tsv")[0] == "a.png\t1\t0.9877\t0.0,0.0 10.2,0.0 10.2,5.0 0.0,5.0\t送货单 Note"
    assert {row.count("\t") for row in [TSV_HEADER, *rows("tsv")]} == {4}


@pytest.mark.parametrize("form", ["text", "tsv"])
def test_an_image_without_text_has_no_rows(form):
    """An image without lines leaves nothing."""
    assert rows(form, replace(RECOGNITION, lines=())) == []


@pytest.mark.parametrize(
    ("frames_missed", "is_stable", "state"), [(0, False, "new"), (0, True, "stable"), (2, True, "missed")]
)
def test_merged_lines_take_the_place_of_others(frames_missed, is_stable, state):
    """As text they have their track and state, in TSV the track is the line's number."""
    merged = [StableLine(7, "送货单", 0.875, CORNERS, 3, frames_missed, is_stable)]
    assert list(report("text", "a.png", RECOGNITION, titled=False, merged=merged)) == [f"7\t{state}\t0.88\t送货单"]
    (row,) = report("tsv", "a.png", RECOGNITION, titled=False, merged=merged)
    assert row.startswith("a.png\t7\t0.8750\t")
    assert row.endswith("\t送货单")


def test_timings_are_named():
    """The timings row names each stage."""
    assert timings_row(RECOGNITION).startswith("queue 0.0 ms, load image 1.2 ms, find lines 0.0 ms")


CELLS = (Cell(0, 0, 1, 1, "a", (1,), CORNERS), Cell(0, 1, 1, 1, "<b>", (), CORNERS))
STRUCTURE = Structure((Paragraph("送货单", (0,)),), (), (Table(1, 2, True, CELLS, CORNERS),))
STRUCTURED = replace(RECOGNITION, structure=STRUCTURE)


def test_structure_as_markdown_and_html():
    """Paragraphs and tables take the place of lines; a title names the source."""
    assert rows("markdown", STRUCTURED) == ["送货单\n\n| a | \\<b\\> |\n| --- | --- |\n"]
    assert rows("markdown", STRUCTURED, titled=True)[0] == "<!-- a.png -->\n"
    (article,) = rows("html", STRUCTURED)
    assert article.startswith('<article title="a.png">\n<p>送货单</p>\n<table>')
    assert "<td>&lt;b&gt;</td>" in article


def test_structure_as_tsv():
    """Rows are those of paragraphs and tables, no longer of lines."""
    assert rows("tsv", STRUCTURED) == ["送货单\n\na\t<b>"]


def test_text_that_was_not_read_is_a_paragraph_per_line():
    """Pages of a document with text of their own have no structure; their lines are shown all the same."""
    assert rows("markdown") == ["送货单 Note\n\nsecond\n"]
