"""Rendered pages through the real models: tables, columns, vertical text, an arc, a line of a hundred words."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.page_scores import normalise
from ocr_core.pipeline import Pipeline
from ocr_core.pipeline_config import PipelineConfig
from ocr_core.types import Mode, PixelFormat, RawImage, RecognizeOptions

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
TRUTH = json.loads((DATA / "layout" / "layout.json").read_text(encoding="utf-8"))
STRUCTURE = RecognizeOptions(include_structure=True)


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    """A started pipeline on the models of this checkout."""
    made = Pipeline(PipelineConfig(ROOT / "models", workers=2))
    made.start()
    yield made
    made.close()


def page(name: str) -> bytes:
    return (DATA / "layout" / name).read_bytes()


@pytest.mark.parametrize("name", ["table_ruled.png", "table_unruled.png", "table_spans.png"])
def test_tables_come_back_cell_by_cell(pipeline: Pipeline, name: str) -> None:
    """Every text of 20 x 6 cells, and of a table with spans, is in its cell."""
    wanted = TRUTH["spans" if "spans" in name else "table"]
    structure = pipeline.recognize(page(name), STRUCTURE).structure
    assert structure is not None
    (table,) = structure.tables
    assert (table.rows, table.columns) == (len(wanted), len(wanted[0]))
    pairs = [(wanted[cell.row][cell.column], cell.text) for cell in table.cells]
    wrong = [pair for pair in pairs if normalise(pair[0]) != normalise(pair[1])]
    # A character may be misread; a text in another cell would be several.
    assert sum(Levenshtein.distance(*map(normalise, pair)) for pair in wrong) <= 2, wrong


@pytest.mark.parametrize("name", ["columns", "vertical"])
def test_columns_are_read_in_order(pipeline: Pipeline, name: str) -> None:
    """Two columns of text from left to right, four columns of characters from right to left."""
    wanted = [normalise(text) for text in TRUTH[name]]
    found = [normalise(line.text) for line in pipeline.recognize(page(f"{name}.png")).lines]
    assert len(found) == len(wanted)
    for one, other in zip(wanted, found, strict=True):
        assert Levenshtein.normalized_similarity(one, other) > 0.8


def test_an_arc_is_read_as_a_line(pipeline: Pipeline) -> None:
    """Its polygon follows the bend, its vertices first along the tops of the letters."""
    (line,) = pipeline.recognize(page("arc.png")).lines
    assert Levenshtein.normalized_similarity(normalise(TRUTH["arc"]), normalise(line.text)) > 0.9
    half = len(line.polygon.vertices) // 2
    assert half > 2
    tops, bottoms = line.polygon.vertices[:half], line.polygon.vertices[half:][::-1]
    assert all(top.y < bottom.y for top, bottom in zip(tops[2:-2], bottoms[2:-2], strict=True))


@pytest.mark.parametrize("name", ["line_zh.jpg", "line_mixed.jpg"])
def test_a_long_line_is_read_to_its_end(pipeline: Pipeline, name: str) -> None:
    """A line put together of eight reads as eight times the line, no character lost or doubled at a seam."""
    single = load_image((DATA / name).read_bytes(), ImageLimits())
    options = RecognizeOptions(mode=Mode.LINE, include_characters=True)

    def read(image: np.ndarray) -> tuple[str, list[float]]:
        height, width = image.shape[:2]
        raw = RawImage(np.ascontiguousarray(image).tobytes(), width, height, PixelFormat.RGB24)
        (line,) = pipeline.recognize(raw, options).lines
        return normalise(line.text), [character.x_start for character in line.characters]

    once, _ = read(single)
    text, places = read(np.concatenate([single] * 8, axis=1))
    assert text == once * 8
    assert places == sorted(places)
    assert places[-1] > 7.5 * single.shape[1]
