"""What both clients do; every test runs with OcrClient and with AsyncOcrClient."""

from __future__ import annotations

import asyncio
import datetime
import hashlib

import glyphwire
import grpc
import numpy as np
import pytest
from glyphwire import (
    ErrorReason,
    Frame,
    FrameDropped,
    FramePolicy,
    OcrError,
    PixelFormat,
    RawImage,
    RecognizeOptions,
    StableLine,
    StreamOptions,
    Switch,
    Tls,
    UnchangedOptions,
    VotingOptions,
)

from ocr_core import types
from ocr_core.prepare import steps
from server.errors import QueueFull
from tests.server.authorities import Authority
from tests.server.messages import reached, until


def texts(outcome: glyphwire.Recognition) -> list[str]:
    """The texts of the lines."""
    return [line.text for line in outcome.lines]


async def failure(call) -> OcrError:
    """The error of a call that must fail."""
    with pytest.raises(OcrError) as caught:
        await call
    return caught.value


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


async def test_a_frame_id_that_fits_no_message_is_refused(client):
    """A negative frame_id ends the stream with its field's name, after the frames before it."""
    error = await failure(client.stream([b"a", Frame(b"b", -1)]))
    assert (error.code, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, "frame.frame_id")


async def test_a_batch_has_one_outcome_per_image(client):
    """recognize_batch returns recognitions and errors in the order of the images."""
    first, second, third = await client.call("recognize_batch", [b"a", b"!small", b"c"])
    assert (texts(first), texts(third)) == (["a"], ["c"])
    assert isinstance(second, OcrError)
    assert (second.code, second.reason) == (grpc.StatusCode.INVALID_ARGUMENT, ErrorReason.IMAGE_TOO_SMALL)


async def test_stream_options_reach_the_server(client, stages):
    """Unchanged frames name their source; lines are merged; defaults are the server's, other values those given."""
    options = StreamOptions(unchanged=UnchangedOptions(), voting=VotingOptions(stable_frames=2))
    one, two, three = await client.stream([b"a\n1", b"a\n2", b"z"], stream_options=options)
    assert [result.unchanged_from for result in (one, two, three)] == [None, 0, None]
    assert [line.is_stable for result in (one, two) for line in result.stable_lines] == [False, False, True, True]
    (merged, _) = two.stable_lines
    expected = StableLine(1, "a", 0.5, one.outcome.lines[0].polygon, frames_seen=2, frames_missed=0, is_stable=True)
    assert merged == expected
    assert stages.prepared == [b"a\n1", b"z"]


async def test_dropped_frames_have_results(client, stages, taken):
    """With FramePolicy.LATEST a frame that was not read says which one took its place."""
    stages.gate.clear()
    options = StreamOptions(frame_policy=FramePolicy.LATEST)
    reading = asyncio.ensure_future(client.stream([b"a", b"b", b"c"], stream_options=options))
    for _ in range(3):
        await taken.acquire()
    stages.gate.set()
    first, second, third = await reading
    assert second.outcome == FrameDropped(replaced_by=2)
    assert (texts(first.outcome), texts(third.outcome)) == (["a"], ["c"])


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (StreamOptions(unchanged=UnchangedOptions(threshold=-1)), "config.unchanged.threshold"),
        (StreamOptions(voting=VotingOptions(stable_frames=0)), "config.voting.stable_frames"),
        (StreamOptions(voting=VotingOptions(max_missed_frames=2**40)), "config"),
    ],
)
async def test_stream_options_out_of_range_are_refused(client, options, field):
    """By the server, or by the client where no message can hold the value."""
    error = await failure(client.stream([b"a"], stream_options=options))
    assert (error.reason, error.field) == (ErrorReason.OPTION_INVALID, field)


async def test_a_stream_has_one_result_per_frame(client):
    """stream() yields results in order with frame_id and capture_time; an image alone gets its position as frame_id."""
    captured = datetime.datetime(2024, 11, 18, 14, 35, 7, 250_000, tzinfo=datetime.UTC)
    results = await client.stream([b"a", Frame(b"b", 77, captured), b"!small", b"d"], RecognizeOptions(model="other"))
    assert [result.frame_id for result in results] == [0, 77, 2, 3]
    assert [result.capture_time for result in results] == [None, captured, None, None]
    assert results[2].outcome.reason is ErrorReason.IMAGE_TOO_SMALL
    assert [texts(results[i].outcome) for i in (0, 1, 3)] == [["a"], ["b"], ["d"]]
    assert results[0].outcome.model_name == "other"


async def test_a_stream_of_many_frames(client):
    """Far more frames than any window flow through in order."""
    results = await client.stream([str(number).encode() for number in range(300)])
    assert [texts(result.outcome) for result in results] == [[str(number)] for number in range(300)]


@pytest.mark.parametrize("resume", [False, True])
async def test_a_stream_that_fails_raises(client, resume):
    """When a stream as a whole fails, stream() raises the server's reason, even while frames are being sent."""
    for _ in range(20):
        error = await failure(client.stream([bytes(100_000)] * 20, RecognizeOptions(model="nobody"), resume=resume))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, ErrorReason.MODEL_NOT_FOUND)


@pytest.mark.parametrize("resume", [False, True])
async def test_what_the_frames_raise_is_raised(client, tmp_path, resume):
    """An error of the caller's own iterator, or a file that is not there, comes out of stream()."""

    def broken():
        yield b"a"
        raise ZeroDivisionError("the camera is gone")

    with pytest.raises(ZeroDivisionError, match="the camera is gone"):
        await client.stream(broken(), resume=resume)
    with pytest.raises(FileNotFoundError):
        await client.stream([tmp_path / "nothing.png"], resume=resume)


@pytest.mark.parametrize("resume", [False, True])
async def test_leaving_a_stream_cancels_it(client, running, resume):
    """Leaving the iterator early ends the stream on the server too."""
    (first,) = await client.take(1, (str(number).encode() for number in range(100_000)), resume=resume)
    assert texts(first.outcome) == ["0"]
    await running.app._batcher._admission.idle()


@pytest.mark.parametrize("is_graceful", [True, False])
async def test_a_resumed_stream_loses_nothing(connect, start_app, stages, is_graceful):
    """With resume, a stream whose server goes away goes on with the next one: one result per frame, in order."""

    def frames():
        for number in range(60):
            if number == 30:
                stages.gate.clear()
            yield str(number).encode()

    first = await start_app()
    reading = asyncio.ensure_future((await connect(first.target)).stream(frames(), resume=True))
    await until(lambda: not stages.gate.is_set())
    if not is_graceful:
        await first.app._server.stop(0)
    stages.gate.set()
    await first.app.stop()
    assert not reading.done()
    await start_app(listen=first.target)
    results = await reading
    assert [(result.frame_id, texts(result.outcome)) for result in results] == [(i, [str(i)]) for i in range(60)]


async def test_a_resumed_stream_keeps_few_frames(client, stages):
    """With resume, frames are taken no faster than they are answered, but for those that are kept."""
    stages.gate.clear()
    taken = []

    def frames():
        for number in range(100):
            taken.append(number)
            yield str(number).encode()

    reading = asyncio.ensure_future(client.stream(frames(), resume=True))
    await reached(stages)
    await until(lambda: len(taken) > 16)
    assert len(taken) == 17
    stages.gate.set()
    assert len(await reading) == 100


async def test_a_stream_is_not_resumed_for_ever(connect, monkeypatch):
    """When no server comes back in time, the stream raises UNAVAILABLE."""
    monkeypatch.setattr("glyphwire._channel.RESUME_S", 0.05)
    client = await connect("127.0.0.1:1")
    assert (await failure(client.stream([b"a"], resume=True))).code is grpc.StatusCode.UNAVAILABLE


async def test_list_models(client):
    """list_models returns what the server knows of each model."""
    first, second = await client.call("list_models")
    assert first == glyphwire.Model("fake", "1", True, 95, 48, "nowhere", "Apache-2.0")
    assert second.name == "other"


async def test_calls_have_a_deadline(connect, running, stages):
    """A call that takes longer than its timeout_s, or that of the client, raises DEADLINE_EXCEEDED."""
    client = await connect(running.target, timeout_s=0.05)
    stages.gate.clear()
    assert (await failure(client.call("recognize", b"a"))).code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await failure(client.call("recognize_batch", [b"a"], timeout_s=0.04))).code is (
        grpc.StatusCode.DEADLINE_EXCEEDED
    )
    assert (await failure(client.stream([b"a"], timeout_s=0.04))).code is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("size", [1, 1_000_000])
async def test_calls_are_tried_again_while_the_server_is_full(connect, start_app, stages, size):
    """A unary call that finds the queue full is tried again after the server's delay, large images included."""
    running = await start_app(max_queue=1, max_batch_items=1)
    client = await connect(running.target)
    stages.gate.clear()
    busy = asyncio.ensure_future(client.call("recognize", b"busy"))
    await reached(stages)
    admission = running.app._batcher._admission
    take, refused = admission.take, []

    def refuse_once(*work: object) -> None:
        try:
            take(*work)
        except QueueFull as error:
            refused.append(error)
            stages.gate.set()
            raise

    admission.take = refuse_once
    assert texts(await client.call("recognize", b"b" * size)) == ["b" * size]
    assert len(refused) >= 1
    await busy


async def test_without_retries_a_full_server_is_an_error(connect, start_app, stages):
    """With max_attempts 1 a full queue raises UNAVAILABLE with the time to wait."""
    running = await start_app(max_queue=1, max_batch_items=1)
    client = await connect(running.target, max_attempts=1)
    stages.gate.clear()
    busy = asyncio.ensure_future(client.call("recognize", b"busy"))
    await reached(stages)
    error = await failure(client.call("recognize", b"a"))
    stages.gate.set()
    await busy
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, ErrorReason.QUEUE_FULL)
    assert error.retry_after_s > 0


async def test_a_server_that_is_not_there_is_unavailable(connect):
    """Without a server a call raises UNAVAILABLE, with no reason of the server's."""
    client = await connect("127.0.0.1:1", max_attempts=1)
    error = await failure(client.call("recognize", b"a"))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, ErrorReason.UNSPECIFIED)


async def test_wait_ready_waits_for_the_models(connect, start_app):
    """wait_ready returns when the server says SERVING, and raises when it does not in time."""
    running = await start_app(warm=False)
    client = await connect(running.target)
    error = await failure(client.call("wait_ready", 0.05))
    assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
    waiting = asyncio.ensure_future(client.call("wait_ready"))
    await running.app.start()
    await waiting


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


@pytest.fixture
def token_file(tmp_path):
    """Of one client, the scanner."""
    path = tmp_path / "tokens.toml"
    path.write_text(f'[scanner]\nsha256 = "{hashlib.sha256(b"secret").hexdigest()}"\n', encoding="utf-8")
    return path


async def test_a_token_goes_with_every_call(connect, start_app, token_file):
    """Unary calls and streams carry the client's token; without it they raise UNAUTHENTICATED."""
    target = (await start_app(token_file=token_file)).target
    client = await connect(target, token="secret")
    assert texts(await client.call("recognize", b"a")) == ["a"]
    assert [texts(result.outcome) for result in await client.stream([b"a"])] == [["a"]]
    stranger = await connect(target)
    await stranger.call("wait_ready")
    for call in (stranger.call("recognize", b"a"), stranger.stream([b"a"])):
        error = await failure(call)
        assert (error.code, error.reason) == (grpc.StatusCode.UNAUTHENTICATED, ErrorReason.TOKEN_INVALID)


async def test_a_token_does_not_cross_a_network_in_plain_text(connect, start_app, token_file, tmp_path):
    """A token needs this machine, TLS, or the caller's word that something else encrypts."""
    with pytest.raises(ValueError, match="plain text"):
        await connect("127.example.org:1", token="secret")
    await connect("example.org:1", token="secret", allow_plaintext_token=True)
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")
    running = await start_app(token_file=token_file, tls_cert=pair["cert"], tls_key=pair["key"])
    client = await connect(running.target, tls=Tls(ca=authority.ca), token="secret")
    assert texts(await client.call("recognize", b"a")) == ["a"]


async def test_a_socket_file_is_a_target(connect, start_app, tmp_path):
    """A client reaches a server through the file of its Unix socket."""
    client = await connect((await start_app(listen=f"unix:{tmp_path}/s")).target)
    assert texts(await client.call("recognize", b"a")) == ["a"]
