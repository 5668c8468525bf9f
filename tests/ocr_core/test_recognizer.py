"""Tests of ocr_core.recognizer: which bundles are refused before they are used. e2e tests show what is read."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ocr_core.bundle import (
    Check,
    InputFormat,
    Kind,
    ModelBundle,
    Origin,
    add_second_opinion,
    file_sha256,
    read_bundle,
    write_manifest,
)
from ocr_core.calibration import calibrated
from ocr_core.decode import Decoder
from ocr_core.engine import Engine, Precision
from ocr_core.errors import BundleInvalid
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.language_dir import LanguageDir
from ocr_core.ngram import CharacterModel
from ocr_core.preprocess import whole_image
from ocr_core.recognizer import Recognizer, load_recognizer
from ocr_core.second_opinion import LONGEST, SecondOpinion, SeenLine
from ocr_core.types import DecodeMethod, DecodeOptions, LanguageOptions, Mode, ReadLine, RecognizeOptions

DATA = Path(__file__).parents[1] / "data"
LINE = RecognizeOptions(mode=Mode.LINE)


def load(folder: Path, *, workers: int = 1, precision: Precision = "f32") -> Recognizer:
    bundle = read_bundle(folder)
    language = LanguageDir(folder)
    return load_recognizer(bundle, folder, language, workers=workers, precision=precision, backend="compiled")


def tiny_bundle(folder: Path, last_layer, **changes) -> Path:
    """A network whose score of class i is i times the brightness of a column, before its last layer."""
    pixels = ops.parameter([1, 3, 8, -1], np.float32)
    columns = ops.unsqueeze(ops.reduce_mean(pixels, np.int64([1, 2])), np.int64(2))
    scores = ops.matmul(columns, ops.constant(np.float32([[0, 1, 2]])), transpose_a=False, transpose_b=False)
    folder = folder / "tiny" / "1"
    folder.mkdir(parents=True)
    ov.save_model(ov.Model([last_layer(scores)], [pixels]), folder / "model.xml", compress_to_fp16=False)
    fields = {
        "name": "tiny",
        "version": "1",
        "kind": Kind.RECOGNIZER,
        "input": InputFormat(height=8, channels="RGB", mean=(0, 0, 0), std=(1, 1, 1)),
        "characters": ("a", "b"),
        "origin": Origin(source="a test", file="tiny", sha256="0" * 64),
        "licence": "Apache-2.0",
        "weights_sha256": file_sha256(folder / "model.bin"),
    }
    write_manifest(folder, ModelBundle.model_validate(fields | changes))
    return folder


def softmax(scores: ov.Node) -> ov.Node:
    return ops.softmax(scores, 2)


def with_nan(scores: ov.Node) -> ov.Node:
    return ops.multiply(softmax(scores), ops.constant(np.float32(np.nan)))


def without_time(scores: ov.Node) -> ov.Node:
    return ops.softmax(ops.reduce_mean(scores, np.int64([1])), 1)


def test_a_bundle_that_works_is_loaded(tmp_path):
    """Every infer request is warmed up; the last class wins where it is bright."""
    recognizer = load(tiny_bundle(tmp_path, softmax), workers=3)
    recognizer.check(DATA, Check(image="line_digits.jpg", text="b"))


def test_a_bundle_may_emit_logits(tmp_path):
    """What decoders read in logits is what they read in their softmax, confidence included."""
    confidences = []
    for last_layer, output in ((softmax, "probs"), (lambda scores: scores, "logits")):
        recognizer = load(tiny_bundle(tmp_path / output, last_layer, output=output))
        recognizer.check(DATA, Check(image="line_digits.jpg", text="b"))
        crop = whole_image(load_image((DATA / "line_digits.jpg").read_bytes(), ImageLimits()))
        (read,) = recognizer.read([crop], [LINE])
        confidences.append(read.line.confidence)
    assert confidences[0] == pytest.approx(confidences[1], abs=1e-5)


@pytest.mark.parametrize(("width", "sizes"), [(200, [3]), (300, [1] * 6)])
def test_short_lines_share_a_batch(tmp_path, monkeypatch, width, sizes):
    """Windows of long ones are read one by one, and each line is read as it would be alone."""
    recognizer = load(tiny_bundle(tmp_path, softmax))
    crops = [whole_image(np.full((8, width, 3), grey, np.uint8)) for grey in (0, 128, 255)]
    alone = [recognizer.read([crop], [LINE])[0].line.text for crop in crops]
    seen, infer = [], Engine.infer
    monkeypatch.setattr(Engine, "infer", lambda engine, batch: seen.append(len(batch)) or infer(engine, batch))
    assert [read.line.text for read in recognizer.read(crops, [LINE] * 3)] == alone
    assert seen == sizes


def test_other_readings_have_their_characters_weighed_by_nobody(tmp_path, monkeypatch):
    """It takes time by the square of a line's length; what is answered is the same as one by one."""
    recognizer = load(tiny_bundle(tmp_path, softmax))
    crop = whole_image(np.tile(np.uint8([[[40] * 3, [90] * 3, [20] * 3]]), (8, 32, 1)))
    asked, beam = [], Decoder.beam
    monkeypatch.setattr(Decoder, "beam", lambda self, x, **wanted: asked.append(wanted) or beam(self, x, **wanted))

    def read(alternatives, character_alternatives):
        decode = DecodeOptions(
            DecodeMethod.PREFIX_BEAM, alternatives=alternatives, character_alternatives=character_alternatives
        )
        (read,) = recognizer.read([crop], [replace(LINE, decode=decode, include_characters=True)])
        return read.line

    both, others, weighed = read(3, 2), read(3, 0), read(0, 2)
    assert (both.text, both.characters) == (weighed.text, weighed.characters)
    assert both.characters[0].alternatives
    assert len(others.alternatives) == 3
    assert both.alternatives == others.alternatives
    assert all(wanted["n_best"] == 1 or not wanted["alternatives"] for wanted in asked)


def test_a_temperature_leaves_sureness_alone(tmp_path):
    """What callers are told is calibrated; that by which a line is read again is not."""
    crop = whole_image(load_image((DATA / "line_digits.jpg").read_bytes(), ImageLimits()))
    reads = [
        load(tiny_bundle(tmp_path / str(temperature), softmax, temperature=temperature)).read([crop], [LINE])[0]
        for temperature in (1.0, 3.0)
    ]
    plain, cooler = reads
    assert (cooler.line.text, cooler.sureness) == (plain.line.text, plain.sureness)
    assert plain.line.confidence == plain.sureness
    assert cooler.line.confidence == pytest.approx(calibrated(plain.sureness, 3.0))


@pytest.mark.parametrize(
    ("last_layer", "changes", "reason"),
    [
        (lambda scores: scores, {}, "no probabilities"),
        (with_nan, {}, "no probabilities"),
        (with_nan, {"output": "logits"}, "no logits"),
        (without_time, {}, r"emits \[1, 3\]"),
        (softmax, {"characters": ("a", "b", "c")}, "4 classes; model emits 3 classes"),
        (softmax, {"input": InputFormat(height=9, channels="RGB", mean=(0, 0, 0), std=(0, 0, 0))}, "no logits"),
        (softmax, {"check": Check(image="line.jpg", text="a")}, "reads 'b' in line.jpg, must read 'a'"),
        (softmax, {"check": Check(image="missing.jpg", text="b")}, "missing.jpg cannot be read"),
        (softmax, {"check": Check(image="model.json", text="b")}, "model.json cannot be read"),
    ],
)
def test_a_bundle_that_does_not_work_is_refused(tmp_path, last_layer, changes, reason):
    """What is emitted must be probabilities of the charset, and the line of the check must be read."""
    folder = tiny_bundle(tmp_path, last_layer, **changes)
    shutil.copy(DATA / "line_digits.jpg", folder / "line.jpg")
    with pytest.raises(BundleInvalid, match=reason):
        load(folder)


def test_a_network_that_does_not_run_is_refused(tmp_path, monkeypatch):
    """What OpenVINO compiles but cannot run is the bundle's fault."""

    def infer(engine, batch):
        raise RuntimeError("unsupported shape")

    monkeypatch.setattr("ocr_core.engine.Engine.infer", infer)
    with pytest.raises(BundleInvalid, match=r"cannot run the model on .*: unsupported shape"):
        load(tiny_bundle(tmp_path, softmax))


@pytest.mark.parametrize(
    ("reads_as_well", "wanted", "chosen"),
    [(True, "auto", "auto"), (True, "f32", "f32"), (False, "auto", "f32"), (False, "f32", "f32")],
)
def test_bfloat16_is_for_networks_that_read_as_well_in_it(tmp_path, monkeypatch, reads_as_well, wanted, chosen):
    """A bundle that says nothing of bfloat16 is computed in float32, and so is every bundle where that is asked for."""
    asked = []

    def made(*args, precision, **kwargs):
        asked.append(precision)
        return Engine(*args, precision=precision, **kwargs)

    monkeypatch.setattr("ocr_core.recognizer.Engine", made)
    folder = tiny_bundle(tmp_path, softmax, bfloat16=reads_as_well)
    load(folder, precision=wanted)
    assert asked == [chosen]


def test_a_check_that_is_read_passes(tmp_path):
    """A bundle with a check is loaded when it reads what it must."""
    folder = tiny_bundle(tmp_path, softmax, check=Check(image="line.jpg", text="b"))
    shutil.copy(DATA / "line_digits.jpg", folder / "line.jpg")
    assert isinstance(load(folder), Recognizer)


@pytest.mark.parametrize("image", ["../line.jpg", "/etc/passwd", "a/b.png", ""])
def test_a_check_stays_in_its_folder(image):
    """Its image is a file beside model.json."""
    with pytest.raises(ValueError, match="image"):
        Check(image=image, text="b")


def sharp(scores: ov.Node) -> ov.Node:
    return softmax(ops.multiply(scores, ops.constant(np.float32(5))))


class TestSecondOpinion:
    """A dull recogniser of a and b, which reads a white line as b with two thirds, beside a sharp one of c and d."""

    def join(self, first: Path, other: Path, below: float, likes: str) -> None:
        """likes: what the judge takes all text for, nobody's when it is empty. No reading gains by being longer."""
        if not likes:
            add_second_opinion(first, other, below)
            return
        CharacterModel.train([likes] * 50).save(first / "likes.lm")
        add_second_opinion(first, other, below, first / "likes.lm")
        bundle = read_bundle(first)
        assert bundle.judge is not None
        judge = bundle.judge.model_copy(update={"character": 0.0, "second": 1.0, "language": 1.0})
        write_manifest(first, bundle.model_copy(update={"judge": judge}))

    def read(
        self, folder: Path, below: float, whitelist: str = "", likes: str = "", width: int = 8, **changes
    ) -> ReadLine:
        first = tiny_bundle(folder / "first", softmax)
        other = tiny_bundle(folder / "second", sharp, **({"characters": ("c", "d")} | changes))
        self.join(first, other, below, likes)
        options = RecognizeOptions(mode=Mode.LINE, decode=DecodeOptions(language=LanguageOptions(whitelist=whitelist)))
        (read,) = load(first).read([whole_image(np.full((8, width, 3), 255, np.uint8))], [options])
        return read

    def test_the_surer_reading_of_a_doubtful_line_is_the_answer(self, tmp_path):
        """Text and sureness are the second recogniser's, time is what both took."""
        read = self.read(tmp_path, 0.7)
        assert read.line.text == "d"
        assert read.sureness > 0.99

    def test_it_is_not_asked_about_sure_lines(self, tmp_path):
        """A line read as surely as the bundle wants keeps its text, however sure another one would be."""
        assert self.read(tmp_path, 0.6).line.text == "b"

    @pytest.mark.parametrize(("width", "answer"), [(8 * LONGEST, "d"), (8 * LONGEST + 1, "b")])
    def test_it_is_not_asked_about_long_lines(self, tmp_path, width, answer):
        """Lines longer than LONGEST keep their text, however doubtful it is."""
        assert self.read(tmp_path, 0.7, width=width).line.text == answer

    def test_what_confidences_mean_decides(self, tmp_path):
        """A second recogniser that is too sure of itself, as its temperature says, does not prevail."""
        assert self.read(tmp_path, 0.7, temperature=10.0).line.text == "b"

    @pytest.mark.parametrize(("less", "answer"), [(0.03, "bb"), (0.07, "d")])
    def test_a_longer_reading_may_be_a_little_less_sure(self, tmp_path, less, answer):
        """One character more makes up for 0.05 of confidence."""
        second = load(tiny_bundle(tmp_path, sharp, characters=("c", "d")))
        crop, options = whole_image(np.full((8, 8, 3), 255, np.uint8)), RecognizeOptions(mode=Mode.LINE)
        (read,) = second.read([crop], [options])
        line = replace(read.line, text="bb", confidence=read.line.confidence - less)
        first = SeenLine(replace(read, line=line, sureness=0.1), None, columns=1.0)
        assert SecondOpinion(second, below=0.5).better(second, crop, options, first).line.text == answer

    @pytest.mark.parametrize("likes", ["b", "d"])
    def test_a_judge_decides_between_both(self, tmp_path, likes):
        """Of what either network reads, what the model has seen is the answer, and its sureness goes along."""
        read = self.read(tmp_path, 0.7, likes=likes)
        assert read.line.text == likes
        assert read.sureness == pytest.approx({"b": 2 / 3, "d": 0.993}[likes], abs=0.01)

    def test_a_judge_finds_what_neither_took_for_likeliest(self, tmp_path):
        """Readings that a network finds less likely than its first are judged too."""
        alone = load(tiny_bundle(tmp_path / "alone", softmax))
        (seen,) = alone.see([whole_image(np.full((8, 8, 3), 255, np.uint8))], [LINE], below=1.0)
        wanted = alone.likely(seen, 3, LINE)[0][2].text
        assert self.read(tmp_path, 0.7, likes=wanted).line.text == wanted

    def test_a_judge_has_its_readings_whatever_the_beam(self, tmp_path):
        """The likeliest readings are found with a beam narrower than there are of them, too."""
        network = load(tiny_bundle(tmp_path, softmax))
        (seen,) = network.see([whole_image(np.full((8, 8, 3), 255, np.uint8))], [LINE], below=1.0)
        narrow = replace(LINE, decode=DecodeOptions(decoder=DecodeMethod.PREFIX_BEAM, beam_width=1))
        assert len(network.likely(seen, 3, narrow)[0]) == 3

    def test_no_judge_where_the_caller_knows_the_text(self, tmp_path):
        """With a whitelist the surer reading is the answer, whatever text is likely elsewhere."""
        assert self.read(tmp_path, 0.7, whitelist="bd", likes="b", characters=("b", "d")).line.text == "d"

    def test_it_is_not_asked_for_what_it_cannot_read(self, tmp_path):
        """A whitelist outside its charset leaves the line to the first."""
        assert self.read(tmp_path, 0.9, whitelist="ab").line.text == "b"
