"""Streams of both clients; every test runs with OcrClient and with AsyncOcrClient."""

from __future__ import annotations

import asyncio
import datetime

import grpc
import pytest
from glyphwire import (
    ErrorReason,
    Frame,
    FrameDropped,
    FramePolicy,
    RecognizeOptions,
    StableLine,
    StreamOptions,
    UnchangedOptions,
    VotingOptions,
)

from tests.client.outcomes import failure, texts
from tests.server.messages import reached, until


async def test_a_frame_id_that_fits_no_message_is_refused(client):
    """A negative frame_id ends the stream with its field's name, after the frames before it."""
    error = await failure(client.stream([b"a", Frame(b"b", -1)]))
    assert (error.code, error.field) == (grpc.StatusCode.INVALID_ARGUMENT, "frame.frame_id")


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
