"""`glyphwire eval`."""

from __future__ import annotations

import json

import pytest

from ocr_core.evaluation import LineScore, PageScore
from ocr_core.types import DecodeMethod

SCORES = [
    LineScore("lines", 10, 0, 0.5, 0.75, 0.125, 0.0625),
    PageScore("pages", 2, 30, 0, 0.875, 0.75, 0.5, 0.25, 0.125),
]


@pytest.fixture
def scores(monkeypatch, fake_pipeline) -> list:
    """What evaluate() yields; the list of its calls is its own attribute `calls`."""
    found = list(SCORES)

    def evaluate(recognizer, directory, options, progress):
        assert recognizer.started
        progress("a.png")
        assert options.decode.decoder is DecodeMethod.PREFIX_BEAM
        yield from found

    monkeypatch.setattr("ocr_core.evaluation.evaluate", evaluate)
    return found


async def test_scores_as_json(glyphwire_command, scores, tmp_path, fake_pipeline):
    """JSON has every figure of every set."""
    status, out, _ = await glyphwire_command("eval", tmp_path, "--decoder", "prefix-beam", "--format", "json")
    first, second = json.loads(out)
    assert status == 0
    assert (first["name"], first["cer_norm"]) == ("lines", 0.0625)
    assert (second["name"], second["pages"], second["lines"], second["failed"]) == ("pages", 2, 30, 0)
    assert (second["precision"], second["recall"], second["h_mean"]) == (0.875, 0.75, 0.5)
    assert (second["cer"], second["line_recall"]) == (0.25, 0.125)
    assert fake_pipeline.closed


async def test_scores_as_markdown(glyphwire_command, scores, tmp_path):
    """Markdown has a table for lines and one for pages."""
    _, out, _ = await glyphwire_command("eval", tmp_path, "--decoder", "prefix-beam", "--format", "markdown")
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in out.splitlines() if row.startswith("|")]
    assert rows[0] == ["name", "lines", "failed", "exact", "exact norm", "cer", "cer norm"]
    assert rows[2] == ["lines", "10", "0", "0.5000", "0.7500", "0.1250", "0.0625"]
    assert rows[3][:3] == ["name", "pages", "lines"]


async def test_a_folder_without_sets_is_status_1(glyphwire_command, scores, tmp_path):
    """When there is nothing to score that is said."""
    scores.clear()
    status, _, err = await glyphwire_command("eval", tmp_path, "--decoder", "prefix-beam")
    assert (status, err) == (1, f"no labelled sets in {tmp_path}\n")
