"""Between the contract and ocr_core."""

from __future__ import annotations

import math

import pytest
from glyphwire.v1 import ocr_pb2

from ocr_core import types
from ocr_core.errors import ImageUndecodable, OptionInvalid, RawImageInvalid
from ocr_core.prepare.steps import AppliedStep, Preparation, Step, Switch
from ocr_core.rules.findings import Correction, Field
from ocr_core.rules.options import Extractor, FieldType, RuleOptions, UnicodeForm, WidthForm
from ocr_core.structure import Cell, KeyValue, Paragraph, Structure, Table
from server import convert
from server.errors import RequestInvalid
from server.request import FramePolicy, Job, Priority
from tests.server.messages import request


def raw(**changes) -> ocr_pb2.RecognizeRequest:
    """A raw image of two by one pixels."""
    fields = {"pixels": b"rgbrgb", "width": 2, "height": 1, "pixel_format": ocr_pb2.PIXEL_FORMAT_RGB24} | changes
    return ocr_pb2.RecognizeRequest(image=ocr_pb2.Image(raw=ocr_pb2.RawImage(**fields)))


def test_unset_options_get_the_defaults_of_the_contract():
    """An empty options message, and none at all, mean every field's documented default."""
    expected = types.RecognizeOptions()
    assert convert.options(ocr_pb2.RecognizeOptions()) == expected
    assert convert.job(request("a")).options == expected
    assert (expected.mode, expected.decode.decoder) == (types.Mode.PAGE, types.DecodeMethod.BEST_PATH)
    assert (expected.decode.beam_width, expected.decode.prune_top_k, expected.decode.prune_min_prob) == (10, 40, 0.001)
    assert (expected.preprocess.apply_exif_orientation, expected.preprocess.rotate_vertical) == (True, True)
    assert (expected.preprocess.classify_orientation, expected.preprocess.detector_max_side) == (None, None)


def test_every_option_is_taken_over():
    """Each field that is set arrives, also where its value is zero or false."""
    message = ocr_pb2.RecognizeOptions(
        model="m/1",
        mode=ocr_pb2.MODE_LINE,
        decode=ocr_pb2.DecodeOptions(
            decoder=ocr_pb2.DECODER_PREFIX_BEAM,
            beam_width=20,
            prune_top_k=30,
            prune_min_prob=0,
            alternatives=4,
            prune_cum_prob=0.75,
            character_alternatives=3,
            language=ocr_pb2.LanguageOptions(
                pattern="a+",
                whitelist="ab",
                hot_words=[ocr_pb2.HotWord(text="aa", weight=2.5)],
                hot_words_name="names",
                lexicon=["a", "aa"],
                lexicon_name="words",
                lexicon_bonus=0,
                lexicon_separators="",
                language_model="receipts",
                language_model_weight=0,
                language_model_bonus=0.25,
            ),
        ),
        preprocess=ocr_pb2.PreprocessOptions(
            apply_exif_orientation=False,
            rotate_vertical=False,
            classify_orientation=False,
            detector_max_side=640,
            preparation=ocr_pb2.Preparation(
                other_steps=ocr_pb2.SWITCH_OFF, deskew=ocr_pb2.SWITCH_ON, local_contrast=ocr_pb2.SWITCH_AUTO
            ),
        ),
        include_characters=True,
        min_confidence=0.5,
        include_structure=True,
        rules=ocr_pb2.RuleOptions(
            profile="receipts",
            unicode_form=ocr_pb2.UNICODE_FORM_NFC,
            width_form=ocr_pb2.WIDTH_FORM_HALF,
            dictionary=["a", "b c"],
            dictionary_name="shops",
            field_types=[ocr_pb2.FIELD_TYPE_EAN, ocr_pb2.FIELD_TYPE_DATE],
            extractors=[ocr_pb2.Extractor(name="total", pattern="a+")],
        ),
    )
    assert convert.options(message) == types.RecognizeOptions(
        model="m/1",
        mode=types.Mode.LINE,
        decode=types.DecodeOptions(
            types.DecodeMethod.PREFIX_BEAM,
            20,
            30,
            0.0,
            4,
            0.75,
            3,
            types.LanguageOptions(
                "a+", "ab", (("aa", 2.5),), "names", ("a", "aa"), "words", 0.0, "", "receipts", 0.0, 0.25
            ),
        ),
        preprocess=types.PreprocessOptions(
            False, False, False, 640, Preparation(Switch.OFF, deskew=Switch.ON, local_contrast=Switch.AUTO)
        ),
        include_characters=True,
        min_confidence=0.5,
        include_structure=True,
        rules=RuleOptions(
            "receipts",
            UnicodeForm.NFC,
            WidthForm.HALF,
            ("a", "b c"),
            "shops",
            (FieldType.EAN, FieldType.DATE),
            (Extractor("total", "a+"),),
        ),
    )


BEAM = ocr_pb2.DECODER_PREFIX_BEAM


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"mode": 77}, "options.mode"),
        ({"min_confidence": -0.1}, "options.min_confidence"),
        ({"min_confidence": math.nan}, "options.min_confidence"),
        ({"decode": {"decoder": 77}}, "options.decode.decoder"),
        ({"decode": {"beam_width": 0}}, "options.decode.beam_width"),
        ({"decode": {"beam_width": 257}}, "options.decode.beam_width"),
        ({"decode": {"prune_top_k": 0}}, "options.decode.prune_top_k"),
        ({"decode": {"prune_top_k": 1025}}, "options.decode.prune_top_k"),
        ({"decode": {"prune_min_prob": 1.0}}, "options.decode.prune_min_prob"),
        ({"decode": {"prune_min_prob": math.nan}}, "options.decode.prune_min_prob"),
        ({"decode": {"alternatives": 1}}, "options.decode.alternatives"),
        ({"decode": {"alternatives": -1}}, "options.decode.alternatives"),
        ({"decode": {"decoder": BEAM, "alternatives": 33}}, "options.decode.alternatives"),
        ({"decode": {"decoder": BEAM, "beam_width": 3, "alternatives": 3}}, "options.decode.alternatives"),
        ({"decode": {"decoder": BEAM, "prune_cum_prob": 0.0}}, "options.decode.prune_cum_prob"),
        ({"decode": {"decoder": BEAM, "prune_cum_prob": 1.5}}, "options.decode.prune_cum_prob"),
        ({"decode": {"character_alternatives": 1}}, "options.decode.character_alternatives"),
        ({"decode": {"decoder": BEAM, "character_alternatives": 17}}, "options.decode.character_alternatives"),
        *[
            ({"decode": {"language": {field: value}}}, f"options.decode.language.{field}")
            for field, value in (
                ("pattern", "a"),
                ("hot_words", [{"text": "a", "weight": 1.0}]),
                ("hot_words_name", "a"),
                ("lexicon", ["a"]),
                ("lexicon_name", "a"),
                ("language_model", "a"),
            )
        ],
        *[
            ({"decode": {"decoder": BEAM, "language": {field: value}}}, f"options.decode.language.{field}")
            for field, value in (
                ("pattern", "a" * 1001),
                ("whitelist", "a" * 8193),
                ("hot_words", [{"text": "a"}] * 1001),
                ("hot_words", [{"text": ""}]),
                ("hot_words", [{"text": "a" * 65}]),
                ("hot_words", [{"text": "a", "weight": 20.5}]),
                ("hot_words", [{"text": "a", "weight": math.nan}]),
                ("lexicon", ["a"] * 10_001),
                ("lexicon", ["a", ""]),
                ("lexicon_bonus", -20.5),
                ("lexicon_bonus", math.nan),
                ("lexicon_separators", " " * 65),
                ("language_model_weight", 10.5),
                ("language_model_bonus", math.nan),
            )
        ],
        ({"preprocess": {"detector_max_side": 319}}, "options.preprocess.detector_max_side"),
        ({"preprocess": {"detector_max_side": 2561}}, "options.preprocess.detector_max_side"),
        (
            {"preprocess": {"preparation": {"other_steps": ocr_pb2.SWITCH_ON}}},
            "options.preprocess.preparation.other_steps",
        ),
        ({"preprocess": {"preparation": {"deskew": 9}}}, "options.preprocess.preparation.deskew"),
        ({"rules": {"unicode_form": 9}}, "options.rules.unicode_form"),
        ({"rules": {"width_form": 9}}, "options.rules.width_form"),
        ({"rules": {"dictionary": ["a" * 65]}}, "options.rules.dictionary"),
        ({"rules": {"field_types": [ocr_pb2.FIELD_TYPE_DATE, 0]}}, "options.rules.field_types[1]"),
        ({"rules": {"extractors": [{"name": "a"}]}}, "options.rules.extractors[0].pattern"),
    ],
)
def test_bad_options_name_their_field(options, field):
    """An option that is out of range, not a number, unknown or at odds with another is refused with its path."""
    with pytest.raises(OptionInvalid) as caught:
        convert.options(ocr_pb2.RecognizeOptions(**options))
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ocr_pb2.PRIORITY_UNSPECIFIED, Priority.INTERACTIVE),
        (ocr_pb2.PRIORITY_INTERACTIVE, Priority.INTERACTIVE),
        (ocr_pb2.PRIORITY_BULK, Priority.BULK),
    ],
)
def test_priorities(value, expected):
    """Each priority arrives in the job; none given means interactive."""
    assert convert.job(request("a", priority=value)).priority is expected


def test_an_unknown_priority_is_refused():
    """A priority that the contract does not name is OPTION_INVALID."""
    with pytest.raises(OptionInvalid) as caught:
        convert.job(request("a", priority=77))
    assert caught.value.field == "options.priority"


@pytest.mark.parametrize("image", [None, ocr_pb2.Image()])
def test_a_request_needs_an_image(image):
    """No image, or one without a source, is REQUEST_INVALID."""
    with pytest.raises(RequestInvalid) as caught:
        convert.job(ocr_pb2.RecognizeRequest(image=image))
    assert caught.value.field == "image"


def test_an_empty_file_is_still_an_image():
    """Zero bytes in `encoded` are a source: the pipeline tells the caller that the image has no bytes."""
    assert convert.job(request(b"")).image == b""


@pytest.mark.parametrize("name", ["GRAY8", "RGB24", "BGR24", "RGBA32", "BGRA32"])
def test_raw_images_are_taken_over(name):
    """Pixels, sides, stride and format of a raw image arrive."""
    job = convert.job(raw(pixel_format=f"PIXEL_FORMAT_{name}", stride=8))
    assert job.image == types.RawImage(b"rgbrgb", 2, 1, types.PixelFormat[name], 8)
    assert job.size == 6


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"pixel_format": 0}, "image.raw.pixel_format"),
        ({"pixel_format": 77}, "image.raw.pixel_format"),
        ({"stride": -1}, "image.raw.stride"),
    ],
)
def test_bad_raw_images_name_their_field(changes, field):
    """A pixel format that is missing or unknown, or a negative stride, is RAW_IMAGE_INVALID."""
    with pytest.raises(RawImageInvalid) as caught:
        convert.job(raw(**changes))
    assert caught.value.field == field


def test_a_stream_without_choices_has_the_defaults():
    """Every frame is read, none is compared and nothing is merged."""
    made = convert.stream_config(ocr_pb2.StreamConfig())
    assert (made.frame_policy, made.unchanged, made.voting) == (FramePolicy.EVERY, None, None)


def test_choices_for_streams_are_read():
    """What is set is taken, what is not has the contract's default."""
    config = ocr_pb2.StreamConfig(
        options={"model": "m", "priority": ocr_pb2.PRIORITY_BULK},
        frame_policy=ocr_pb2.FRAME_POLICY_LATEST,
        unchanged={"threshold": 0},
        voting={"max_missed_frames": 0},
    )
    made = convert.stream_config(config)
    assert made.job == Job(b"", types.RecognizeOptions(model="m"), Priority.BULK)
    assert made.frame_policy is FramePolicy.LATEST
    assert made.unchanged == types.UnchangedOptions(threshold=0)
    assert made.voting == types.VotingOptions(stable_frames=3, max_missed_frames=0)
    assert convert.stream_config(ocr_pb2.StreamConfig(unchanged={})).unchanged == types.UnchangedOptions(threshold=12)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"frame_policy": 9}, "config.frame_policy"),
        ({"unchanged": {"threshold": float("nan")}}, "config.unchanged.threshold"),
        ({"voting": {"stable_frames": 101}}, "config.voting.stable_frames"),
        ({"options": {"min_confidence": 2}}, "options.min_confidence"),
    ],
)
def test_bad_choices_for_streams_name_their_field(message, field):
    """OPTION_INVALID, with the path in the configuration."""
    with pytest.raises(OptionInvalid) as caught:
        convert.stream_config(ocr_pb2.StreamConfig(**message))
    assert caught.value.field == field


def test_no_field_of_a_stable_line_is_forgotten():
    """Every field of StableLine is filled from its twin in ocr_core."""
    line = types.StableLine(1, "a", 0.5, types.Polygon((types.Point(1.0, 2.0),)), 3, 2, is_stable=True)
    assert filled(convert.stable_line(line)) == []


def test_every_enum_value_has_a_meaning():
    """No value of the contract's enums is unknown to the server, but for the unspecified pixel format."""
    for value in ocr_pb2.Mode.values():
        convert.options(ocr_pb2.RecognizeOptions(mode=value))
    for value in ocr_pb2.FramePolicy.values():
        convert.stream_config(ocr_pb2.StreamConfig(frame_policy=value))
    for value in ocr_pb2.Decoder.values():
        convert.options(ocr_pb2.RecognizeOptions(decode=ocr_pb2.DecodeOptions(decoder=value)))
    for value in set(ocr_pb2.PixelFormat.values()) - {ocr_pb2.PIXEL_FORMAT_UNSPECIFIED}:
        convert.job(raw(pixel_format=value))


def filled(message, path: str = "") -> list[str]:
    """Paths of the fields that are not set, anywhere in a message."""
    missing = []
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is None:
            missing += [] if value else [f"{path}{field.name}"]
        elif field.is_repeated:
            missing += filled(value[0], f"{path}{field.name}.") if value else [f"{path}{field.name}"]
        else:
            missing += filled(value, f"{path}{field.name}.")
    return missing


def test_no_field_of_a_recognition_is_forgotten():
    """Every field of Recognition, down to the last timing, is filled from its twin in ocr_core."""
    line = types.Line(
        text="a",
        confidence=0.5,
        polygon=types.Polygon((types.Point(1.0, 2.0),)),
        characters=(
            types.Character("a", 0.5, 3, 1.0, 2.0, 2, 5, 0.75, (types.CharacterAlternative("o", 0.125),)),
            types.Character("b", 0.5, 7, 2.0, 3.0, 6, 8),
        ),
        alternatives=(types.Alternative("b", 0.25, -1.0, -0.5),),
        raw_text="o",
        corrections=(Correction("dictionary", "o", "a", 1, 2),),
    )
    timings = types.Timings(1, 2, 3, 4, 5, 6, 7, 8)
    cell = Cell(1, 2, 3, 4, "c", (1,), line.polygon)
    structure = Structure(
        (Paragraph("p", (1, 2)),),
        (KeyValue("k", "v", 1, 2),),
        (Table(3, 4, True, (cell,), line.polygon),),
    )
    applied = (AppliedStep(Step.CONTRAST, 2.5), AppliedStep(Step.DESKEW, -7.5))
    fields = (Field("date", "a", 1, 2, 3, line.polygon),)
    read = types.Recognition((line,), 10, 20, "m", "1", timings, structure, applied, fields)
    message = convert.recognize_response(read).recognition
    assert filled(message) == []
    assert message.timings.queue_ms == 1
    assert message.timings.total_ms == 8
    weighed, plain = message.lines[0].characters
    assert (weighed.timestep, weighed.start_timestep, weighed.end_timestep) == (3, 2, 5)
    assert not plain.HasField("posterior")
    contrast, deskew = message.applied_steps
    assert (contrast.step, contrast.amount) == (ocr_pb2.PREPARATION_STEP_CONTRAST, 2.5)
    assert (deskew.step, deskew.amount) == (ocr_pb2.PREPARATION_STEP_DESKEW, -7.5)


@pytest.mark.parametrize("step", Step)
def test_every_step_has_its_switch_and_its_name(step):
    """A switch of the contract is that of the step with its name, and no other; the step comes back by its number."""
    message = ocr_pb2.PreprocessOptions(preparation={step.value: ocr_pb2.SWITCH_OFF})
    chosen = convert.options(ocr_pb2.RecognizeOptions(preprocess=message)).preprocess.preparation
    assert [each for each in Step if chosen.switch(each) is not Switch.AUTO] == [step]
    read = types.Recognition((), 1, 1, "m", "1", types.Timings(), applied_steps=(AppliedStep(step, 1.0),))
    (applied,) = convert.recognize_response(read).recognition.applied_steps
    assert ocr_pb2.PreparationStep.Name(applied.step) == f"PREPARATION_STEP_{step.name}"


@pytest.mark.parametrize(
    ("kind", "name"), [(UnicodeForm, "unicode_form"), (WidthForm, "width_form"), (FieldType, "field_types")]
)
def test_every_choice_of_rules_has_its_name(kind, name):
    """Each value of the contract is the one with its name."""
    for choice in kind:
        number = f"{name.removesuffix('s').upper()}_{choice.name}"
        message = ocr_pb2.RuleOptions(**{name: [number] if name == "field_types" else number})
        chosen = getattr(convert.options(ocr_pb2.RecognizeOptions(rules=message)).rules, name)
        assert chosen in (choice, (choice,))


def test_no_field_of_a_model_is_forgotten():
    """Every field of Model is filled."""
    (model,) = convert.models_response((types.ModelInfo("m", "1", True, 2, 3, "o", "l"),)).models
    assert filled(model) == []


def test_errors_of_items_say_what_and_where():
    """An item's error has reason, message and field."""
    message = convert.error_message(ImageUndecodable("no image", "image.encoded"))
    assert message == ocr_pb2.Error(
        reason=ocr_pb2.ERROR_REASON_IMAGE_UNDECODABLE, message="no image", field="image.encoded"
    )
