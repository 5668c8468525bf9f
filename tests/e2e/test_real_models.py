"""The whole product with its real models: server in a process of its own, Python client, our own sample images."""

import dataclasses
import math
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import fmean

import glyphwire
import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from ocr_core.bundle import Kind, Registry, write_manifest
from ocr_core.evaluation import score_texts
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.page_scores import normalise
from ocr_core.pipeline import DETECTOR, ORIENTATION, Pipeline
from ocr_core.pipeline_config import DEFAULT_MODEL, PipelineConfig
from ocr_core.prepare.placed_image import PlacedImage, levelling
from ocr_core.prepare.steps import AppliedStep, Preparation, Step, Switch
from ocr_core.types import (
    DecodeMethod,
    DecodeOptions,
    LanguageOptions,
    Mode,
    PixelFormat,
    PreprocessOptions,
    RawImage,
    RecognizeOptions,
)

LINE = glyphwire.RecognizeOptions(mode=glyphwire.Mode.LINE)
ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
LABELS = dict(row.split("\t") for row in (DATA / "labels.tsv").read_text(encoding="utf-8").strip().split("\n"))


@pytest.fixture(scope="module")
def pipeline() -> Iterator[Pipeline]:
    """A started pipeline on the models of this checkout."""
    made = Pipeline(PipelineConfig(ROOT / "models", workers=2))
    made.start()
    yield made
    made.close()


def test_our_lines_are_read(pipeline: Pipeline) -> None:
    """Of the clean line images at least nine of twelve are fully right, white space and case aside."""
    options = RecognizeOptions(mode=Mode.LINE)
    images = [(DATA / name).read_bytes() for name in LABELS]
    texts = ["".join(line.text for line in pipeline.recognize(image, options).lines) for image in images]
    assert score_texts("ours", list(LABELS.values()), texts).exact_norm >= 9 / 12, texts


@pytest.mark.parametrize("name", ["page_small.jpg", "page_rotated.jpg"])
def test_a_small_page_is_read_in_order(pipeline: Pipeline, name: str) -> None:
    """Upright or turned by EXIF, its lines are found and read from top to bottom."""
    truth = (DATA / "page_small.txt").read_text(encoding="utf-8").split("\n")
    lines = pipeline.recognize((DATA / name).read_bytes()).lines
    assert [normalise(line.text) for line in lines] == [normalise(line) for line in truth if line]


def test_a_temperature_changes_confidences_alone(pipeline: Pipeline, tmp_path: Path) -> None:
    """What is read in a page stays as it is, doubtful lines included, when a model is made to doubt everything."""
    bundle = Registry(ROOT / "models").find(DEFAULT_MODEL, Kind.RECOGNIZER)
    folder = tmp_path / bundle.name / bundle.version
    shutil.copytree(ROOT / "models" / bundle.name / bundle.version, folder)
    write_manifest(folder, bundle.model_copy(update={"temperature": 8.0}))
    for name in (DETECTOR, ORIENTATION):
        (tmp_path / name).symlink_to(ROOT / "models" / name)
    image, options = (DATA / "page_small.jpg").read_bytes(), RecognizeOptions(include_characters=True)
    doubting = Pipeline(PipelineConfig(tmp_path))
    doubting.start()
    with closing(doubting):
        lines = doubting.recognize(image, options).lines
    plain = pipeline.recognize(image, options).lines
    assert [line.text for line in lines] == [line.text for line in plain]
    for line, other in zip(lines, plain, strict=True):
        assert line.confidence == pytest.approx(fmean(character.confidence for character in line.characters))
        assert line.confidence < other.confidence


def test_upside_down_lines_are_turned_when_asked(pipeline: Pipeline) -> None:
    """The classifier turns the line; its polygon starts where reading starts, at the bottom right."""
    image = (DATA / "line_upside_down.jpg").read_bytes()
    turned = RecognizeOptions(mode=Mode.LINE, preprocess=PreprocessOptions(classify_orientation=True))
    recognition = pipeline.recognize(image, turned)
    (line,) = recognition.lines
    # Upside down it is nothing like that; a character may be misread.
    assert Levenshtein.normalized_similarity(normalise(line.text), normalise(LABELS["line_upside_down.jpg"])) > 0.9
    first = line.polygon.vertices[0]
    assert (first.x, first.y) == (recognition.image_width, recognition.image_height)


def test_prefix_beam_agrees_with_best_path_on_clean_lines(pipeline: Pipeline) -> None:
    """On a clean line both decoders read the same; the beam has ranked alternatives to offer."""
    image = (DATA / "line_zh.jpg").read_bytes()
    beam = DecodeOptions(DecodeMethod.PREFIX_BEAM, alternatives=3)
    (line,) = pipeline.recognize(image, RecognizeOptions(mode=Mode.LINE, decode=beam)).lines
    (plain,) = pipeline.recognize(image, RecognizeOptions(mode=Mode.LINE)).lines
    assert line.text == plain.text
    scores = [other.score for other in line.alternatives]
    assert scores == sorted(scores, reverse=True)
    assert line.text not in {other.text for other in line.alternatives}


def test_characters_lie_in_order_within_the_image(pipeline: Pipeline) -> None:
    """Each character has a place to the right of the one before."""
    options = RecognizeOptions(mode=Mode.LINE, include_characters=True)
    recognition = pipeline.recognize((DATA / "line_digits.jpg").read_bytes(), options)
    (line,) = recognition.lines
    assert "".join(character.text for character in line.characters) == line.text
    borders = [x for character in line.characters for x in (character.x_start, character.x_end)]
    assert borders == sorted(borders)
    assert 0 <= borders[0] < borders[-1] <= recognition.image_width


@pytest.mark.parametrize("name", ["line_amount.png", "line_digits.jpg", "line_mixed.jpg"])
def test_a_pattern_of_digits_reads_digits(pipeline: Pipeline, name: str) -> None:
    """Whatever else stands in the line, what comes back matches as a whole, and has its digits in their order."""
    decode = DecodeOptions(DecodeMethod.PREFIX_BEAM, language=LanguageOptions(pattern=r"\d+"))
    (line,) = pipeline.recognize((DATA / name).read_bytes(), RecognizeOptions(mode=Mode.LINE, decode=decode)).lines
    assert line.text.isascii()
    assert line.text.isdigit()
    assert 0 < line.confidence <= 1


def test_a_whitelist_needs_no_beam(pipeline: Pipeline) -> None:
    """Best path reads the allowed characters alone; on digits that is what it reads anyway."""
    image = (DATA / "line_digits.jpg").read_bytes()
    (plain,) = pipeline.recognize(image, RecognizeOptions(mode=Mode.LINE)).lines
    decode = DecodeOptions(language=LanguageOptions(whitelist="13579"))
    (line,) = pipeline.recognize(image, RecognizeOptions(mode=Mode.LINE, decode=decode)).lines
    assert set(line.text) <= set("13579")
    odd = [character for character in plain.text if character in "13579"]
    assert len(odd) <= len(line.text)


def test_a_line_that_fits_nothing_is_empty(pipeline: Pipeline) -> None:
    """A pattern longer than the line can be leaves empty text, with confidence 0, instead of an invention."""
    decode = DecodeOptions(DecodeMethod.PREFIX_BEAM, language=LanguageOptions(pattern="[0-9]{900}"))
    image = (DATA / "line_digits.jpg").read_bytes()
    (line,) = pipeline.recognize(image, RecognizeOptions(mode=Mode.LINE, decode=decode)).lines
    assert (line.text, line.confidence, line.characters) == ("", 0.0, ())


def test_characters_are_weighed_against_others(pipeline: Pipeline) -> None:
    """Each character of a clean line outweighs its alternatives, and all of them together are no more than certain."""
    decode = DecodeOptions(DecodeMethod.PREFIX_BEAM, character_alternatives=3)
    options = RecognizeOptions(mode=Mode.LINE, decode=decode, include_characters=True)
    (line,) = pipeline.recognize((DATA / "line_zh.jpg").read_bytes(), options).lines
    for character in line.characters:
        assert len(character.alternatives) <= 3
        shares = [character.posterior or 0.0, *(other.posterior for other in character.alternatives)]
        assert shares[0] > 0.5
        assert sum(shares) <= 1.0001
        assert character.start_timestep <= character.timestep < character.end_timestep


def test_a_bad_pattern_is_the_callers_fault(address: str) -> None:
    """The server names the field, of a call and of each frame of a stream, and reads the next request."""
    known = glyphwire.LanguageOptions(pattern="[0-9")
    options = dataclasses.replace(LINE, decoder=glyphwire.Decoder.PREFIX_BEAM, language=known)
    image = DATA / "line_digits.jpg"
    with glyphwire.OcrClient(address) as client:
        client.wait_ready(60)
        with pytest.raises(glyphwire.OcrError) as caught:
            client.recognize(image, options)
        (result,) = client.stream([image], options)
        assert client.recognize(image, LINE).lines[0].text
    assert isinstance(result.outcome, glyphwire.OcrError)
    for error in (caught.value, result.outcome):
        assert error.reason is glyphwire.ErrorReason.OPTION_INVALID
        assert error.field == "options.decode.language.pattern"


def test_the_server_reads_the_sample_page(address: str) -> None:
    """A page sent over gRPC comes back as its lines, in order, most of them fully right."""
    truth = (ROOT / "docs" / "sample" / "page.txt").read_text(encoding="utf-8").strip().split("\n")
    with glyphwire.OcrClient(address) as client:
        client.wait_ready(60)
        recognition = client.recognize(ROOT / "docs" / "sample" / "page.jpg")
    texts = [line.text for line in recognition.lines]
    assert len(texts) == len(truth)
    assert score_texts("page", truth, texts).cer_norm < 0.06
    assert recognition.timings.total_ms > 0


def test_raw_pixels_read_like_the_file_they_came_from(address: str) -> None:
    """Decoded frames sent as raw pixels give the text of the file."""
    image = (DATA / "line_sign.jpg").read_bytes()
    pixels = load_image(image, ImageLimits())
    height, width = pixels.shape[:2]
    raw = glyphwire.RawImage(pixels.tobytes(), width, height, glyphwire.PixelFormat.RGB24)
    with glyphwire.OcrClient(address) as client:
        client.wait_ready(60)
        one, other = (client.recognize(source, LINE) for source in (image, raw))
    assert [line.text for line in one.lines] == [line.text for line in other.lines]
    assert one.lines[0].text


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_page_that_lies_otherwise_is_read_alike(pipeline: Pipeline, quarters: int) -> None:
    """Its lines come in their order; their polygons are in pixels of the image as it was sent."""
    upright = load_image((DATA / "page_small.jpg").read_bytes(), ImageLimits())
    image = np.ascontiguousarray(np.rot90(upright, -quarters))
    height, width = image.shape[:2]
    raw = RawImage(image.tobytes(), width, height, PixelFormat.RGB24)
    plain = pipeline.recognize((DATA / "page_small.jpg").read_bytes())
    turned = pipeline.recognize(raw)
    assert [line.text for line in turned.lines] == [line.text for line in plain.lines]
    assert AppliedStep(Step.ORIENTATION, 360.0 - 90 * quarters) in turned.applied_steps
    assert (turned.image_width, turned.image_height) == (width, height)
    first, second = turned.lines[0].polygon.vertices[:2]
    angle = math.degrees(math.atan2(second.y - first.y, second.x - first.x))
    assert angle % 360 == pytest.approx(90 * quarters, abs=2)


def test_a_sloping_line_is_levelled(pipeline: Pipeline) -> None:
    """It is read as well as the level one, by default, and its polygon slopes; switched off, it is not."""
    level = load_image((DATA / "line_zh.jpg").read_bytes(), ImageLimits())
    placed = PlacedImage.unprepared(level)
    image = placed.warped(*levelling(placed.source_size, 12), AppliedStep(Step.DESKEW)).image
    raw = RawImage(image.tobytes(), image.shape[1], image.shape[0], PixelFormat.RGB24)
    (line,) = pipeline.recognize(raw, RecognizeOptions(mode=Mode.LINE)).lines
    assert normalise(line.text) == normalise(LABELS["line_zh.jpg"])
    first, second = line.polygon.vertices[:2]
    assert math.degrees(math.atan2(second.y - first.y, second.x - first.x)) == pytest.approx(12, abs=1.5)
    off = PreprocessOptions(preparation=Preparation(Switch.OFF))
    (sloping,) = pipeline.recognize(raw, RecognizeOptions(mode=Mode.LINE, preprocess=off)).lines
    assert normalise(sloping.text) != normalise(LABELS["line_zh.jpg"])
