"""What both clients do; every test runs with OcrClient and with AsyncOcrClient."""

from __future__ import annotations

import asyncio

import glyphwire
import grpc
import numpy as np
import pytest
from glyphwire import ErrorReason, OcrError, PixelFormat, RawImage, RecognizeOptions, Switch

from ocr_core import types
from ocr_core.prepare import steps
from tests.client.outcomes import failure, texts
from tests.server.messages import reached, until


async def test_recognize_returns_dataclasses(client):
    """Everything the server says about an image arrives as frozen dataclasses."""
    options = RecognizeOptions(
        decoder=glyphwire.Decoder.PREFIX_BEAM,
        beam_width=5,
        alternatives=1,
        character_alternatives=1,
        include_characters=True,
    )
    recognition = await client.call("recognize", b"ab\nc", options)
    assert recognition.text == "ab\nc"
    line = recognition.lines[0]
    assert (line.confidence, line.polygon.vertices[0]) == (0.75, glyphwire.Point(1.5, 2.0))
    rival = glyphwire.CharacterAlternative("?", 0.125)
    assert line.characters[1] == glyphwire.Character("b", 0.5, 1, 1.0, 2.0, 1, 2, 0.875, (rival,))
    assert line.alternatives == (glyphwire.Alternative("ab0", 0.25, -1.5, -1.25),)
    assert (recognition.image_width, recognition.image_height) == (100, 50)
    assert (recognition.model_name, recognition.model_version) == ("fake", "1")
    assert recognition.timings.infer_ms == 4.0
    assert recognition.timings.total_ms > 0


async def test_the_priority_reaches_the_server(client, running, stages):
    """An interactive image that comes last is prepared before a bulk image that waits."""
    stages.gate.clear()
    bulk = RecognizeOptions(priority=glyphwire.Priority.BULK)
    count = running.app.metrics.registry.get_sample_value
    calls = []
    for number, options in enumerate((bulk, bulk, RecognizeOptions())):
        calls.append(asyncio.create_task(client.call("recognize", str(number).encode(), options)))
        await until(lambda: count("glyphwire_images_held") == len(calls))
    await reached(stages)
    stages.gate.set()
    await asyncio.gather(*calls)
    assert stages.prepared == [b"0", b"2", b"1"]


async def test_images_come_in_many_forms(client, running, tmp_path):
    """A path, a str, bytes-like objects and one-dimensional arrays are files; arrays and RawImage are pixels."""
    path = tmp_path / "image.png"
    path.write_bytes(b"file")
    for image in (path, str(path), b"file", bytearray(b"file"), memoryview(b"file"), np.frombuffer(b"file", np.uint8)):
        assert texts(await client.call("recognize", image)) == ["file"]
    pixels = np.frombuffer(b"pixels", np.uint8).reshape(1, 2, 3)
    for image in (pixels, RawImage.from_array(pixels, PixelFormat.BGR24), RawImage(b"pixels", 2, 1, PixelFormat.RGB24)):
        assert texts(await client.call("recognize", image)) == ["pixels"]


async def test_a_file_that_is_not_there_is_the_usual_error(client, tmp_path):
    """A path that cannot be read raises OSError, as reading it would."""
    with pytest.raises(FileNotFoundError):
        await client.call("recognize", tmp_path / "nothing.png")


async def test_errors_have_everything_the_server_said(client):
    """A failed call raises OcrError with code, reason, message, field and request id."""
    error = await failure(client.call("recognize", b"!undecodable"))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, ErrorReason.IMAGE_UNDECODABLE)
    assert (error.message, error.field, error.retry_after_s) == ("no image", "image.encoded", None)
    assert len(error.request_id) == 32
    assert str(error) == "INVALID_ARGUMENT, IMAGE_UNDECODABLE: no image (image.encoded)"


async def test_bad_options_are_the_servers_to_judge(client):
    """An option out of range is refused by the server with the path of its field."""
    error = await failure(client.call("recognize", b"a", RecognizeOptions(beam_width=0)))
    assert (error.reason, error.field) == (ErrorReason.OPTION_INVALID, "options.decode.beam_width")


async def test_language_knowledge_is_handed_on(client, running):
    """Everything that a caller knows of the text reaches the pipeline, and only what is set."""
    known = glyphwire.LanguageOptions(
        pattern="a+",
        whitelist="ab",
        hot_words={"aa": 2.0},
        hot_words_name="names",
        lexicon=["a", "aa"],
        lexicon_name="words",
        lexicon_bonus=0.0,
        lexicon_separators="",
        language_model="receipts",
        language_model_weight=0.0,
        language_model_bonus=0.25,
    )
    options = RecognizeOptions(decoder=glyphwire.Decoder.PREFIX_BEAM, prune_cum_prob=0.5, language=known)
    await client.call("recognize", b"aa", options)
    await client.call("recognize", b"a")
    chosen, default = (found.decode for found in running.stages.options)
    assert chosen.prune_cum_prob == 0.5
    assert chosen.language == types.LanguageOptions(
        pattern="a+",
        whitelist="ab",
        hot_words=(("aa", 2.0),),
        hot_words_name="names",
        lexicon=("a", "aa"),
        lexicon_name="words",
        lexicon_bonus=0.0,
        lexicon_separators="",
        language_model="receipts",
        language_model_weight=0.0,
        language_model_bonus=0.25,
    )
    assert default == types.DecodeOptions()


async def test_switches_of_preparation_are_handed_on(client, running):
    """Those that are set reach the pipeline, all others follow the one for them, which is auto."""
    asked = glyphwire.Preparation(Switch.OFF, deskew=Switch.ON, local_contrast=Switch.AUTO)
    await client.call("recognize", b"a", RecognizeOptions(preparation=asked))
    await client.call("recognize", b"a")
    chosen, default = (found.preprocess.preparation for found in running.stages.options)
    assert chosen == steps.Preparation(steps.Switch.OFF, deskew=steps.Switch.ON, local_contrast=steps.Switch.AUTO)
    assert default == steps.Preparation()


async def test_what_was_done_to_the_image_comes_back(client):
    """Steps with their amounts, in their order."""
    recognition = await client.call("recognize", b"a")
    assert recognition.applied_steps == (
        glyphwire.AppliedStep(glyphwire.Step.CONTRAST, 2.5),
        glyphwire.AppliedStep(glyphwire.Step.ORIENTATION, 90.0),
    )


@pytest.mark.parametrize(
    ("image", "options", "reason", "field"),
    [
        (b"a", RecognizeOptions(beam_width=2**40), ErrorReason.OPTION_INVALID, "options"),
        (b"a", RecognizeOptions(model="\ud800"), ErrorReason.OPTION_INVALID, "options"),
        (RawImage(b"a", 2**40, 1, PixelFormat.GRAY8), RecognizeOptions(), ErrorReason.RAW_IMAGE_INVALID, "image.raw"),
    ],
)
async def test_values_that_fit_no_message_are_refused_alike(client, image, options, reason, field):
    """A value that cannot be sent raises the error that the server would have answered with."""
    for call in (client.call("recognize", image, options), client.call("recognize_batch", [image], options)):
        error = await failure(call)
        assert (error.code, error.reason, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, reason, field)


async def test_a_batch_has_one_outcome_per_image(client):
    """recognize_batch returns recognitions and errors in the order of the images."""
    first, second, third = await client.call("recognize_batch", [b"a", b"!small", b"c"])
    assert (texts(first), texts(third)) == (["a"], ["c"])
    assert isinstance(second, OcrError)
    assert (second.code, second.reason) == (grpc.StatusCode.INVALID_ARGUMENT, ErrorReason.IMAGE_TOO_SMALL)


async def test_list_models(client):
    """list_models returns what the server knows of each model."""
    first, second = await client.call("list_models")
    assert first == glyphwire.Model("fake", "1", True, 95, 48, "nowhere", "Apache-2.0")
    assert second.name == "other"


async def test_bgr_arrays_of_opencv_need_their_format(client, running, monkeypatch, stages):
    """The pixel format given to from_array is the one the server gets."""
    seen = []
    prepare = stages.prepare

    def noting(image, options):
        seen.append(image)
        return prepare(image, options)

    monkeypatch.setattr(stages, "prepare", noting)
    await client.call("recognize", RawImage.from_array(np.full((2, 3, 3), 97, np.uint8), PixelFormat.BGR24))
    assert (seen[0].width, seen[0].height, seen[0].pixel_format.name) == (3, 2, "BGR24")
    await until(lambda: not running.app._batcher._admission.images)
