"""StreamRecognize: order, bad frames, read-ahead, configuration, end."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from glyphwire.v1 import ocr_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from tests.server.messages import answers, config, failure, frame, reached, received, texts

LATEST = config(stream={"frame_policy": ocr_pb2.FRAME_POLICY_LATEST})


async def test_frames_are_answered_in_order(start_app):
    """Every frame gets one response with its frame_id, in the order of the frames, whatever order they finish in."""
    running = await start_app(workers=4, stream_window=3)
    frames = [frame(1000 + number, "\n".join(f"{number}{row}" for row in "ab" * (number % 4))) for number in range(20)]
    responses = await answers(running.stub.StreamRecognize(iter([config(), *frames])))
    assert [response.frame_id for response in responses] == list(range(1000, 1020))
    assert texts(responses[1].recognition) == ["1a", "1b"]


async def test_the_configuration_holds_for_every_frame(running):
    """The options of the first message are used for all frames."""
    call = running.stub.StreamRecognize(iter([config(model="other", min_confidence=0.5), frame(0, "a\nfaint")]))
    (response,) = await answers(call)
    assert texts(response.recognition) == ["a"]
    assert response.recognition.model_name == "other"


async def test_a_bad_frame_does_not_end_the_stream(running):
    """A bad image, a missing one and a bug yield an error in their place; later frames are read."""
    missing = ocr_pb2.StreamRecognizeRequest(frame=ocr_pb2.Frame(frame_id=2))
    call = running.stub.StreamRecognize(iter([config(), frame(1, "!small"), missing, frame(3, "!bug"), frame(4, "d")]))
    responses = await answers(call)
    assert [response.frame_id for response in responses] == [1, 2, 3, 4]
    assert [ocr_pb2.ErrorReason.Name(response.error.reason) for response in responses[:3]] == [
        "ERROR_REASON_IMAGE_TOO_SMALL",
        "ERROR_REASON_REQUEST_INVALID",
        "ERROR_REASON_INTERNAL",
    ]
    assert texts(responses[3].recognition) == ["d"]


async def test_capture_times_come_back(running):
    """A frame's capture_time is copied to its response, and stays unset when the frame has none."""
    dated = frame(1, "a")
    dated.frame.capture_time.CopyFrom(Timestamp(seconds=17, nanos=5))
    first, second = await answers(running.stub.StreamRecognize(iter([config(), dated, frame(2, "!small")])))
    assert first.capture_time == Timestamp(seconds=17, nanos=5)
    assert not second.HasField("capture_time")


async def test_a_stream_without_frames_is_fine(running):
    """A stream that has only a configuration ends well."""
    assert await answers(running.stub.StreamRecognize(iter([config()]))) == []


@pytest.mark.parametrize(
    ("messages", "code", "reason"),
    [
        ([], "INVALID_ARGUMENT", "REQUEST_INVALID"),
        ([ocr_pb2.StreamRecognizeRequest()], "INVALID_ARGUMENT", "REQUEST_INVALID"),
        ([frame(1, "a")], "INVALID_ARGUMENT", "REQUEST_INVALID"),
        ([config(min_confidence=2)], "INVALID_ARGUMENT", "OPTION_INVALID"),
        ([config(model="nobody")], "NOT_FOUND", "MODEL_NOT_FOUND"),
        ([config(stream={"frame_policy": 9})], "INVALID_ARGUMENT", "OPTION_INVALID"),
        ([config(stream={"unchanged": {"threshold": 256}})], "INVALID_ARGUMENT", "OPTION_INVALID"),
        ([config(stream={"voting": {"stable_frames": 0}})], "INVALID_ARGUMENT", "OPTION_INVALID"),
    ],
)
async def test_a_bad_configuration_ends_the_stream(running, messages, code, reason):
    """A missing or bad configuration ends the stream with its status before any frame is read."""
    failed = await failure(answers(running.stub.StreamRecognize(iter(messages))))
    assert (failed.code.name, failed.info.reason) == (code, f"ERROR_REASON_{reason}")


@pytest.mark.parametrize("wrong", [config(), ocr_pb2.StreamRecognizeRequest()])
async def test_a_later_message_must_be_a_frame(running, wrong):
    """A second configuration ends the stream, after the frames before it have been answered."""
    call = running.stub.StreamRecognize(iter([config(), frame(1, "a"), wrong, frame(2, "b")]))
    responses = received(call)
    assert texts((await anext(responses)).recognition) == ["a"]
    failed = await failure(anext(responses))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_INVALID")


async def test_read_ahead_is_bounded(start_app, stages):
    """No more frames than stream_window are held before the first of them is answered."""
    running = await start_app(workers=1, stream_window=2)
    stages.gate.clear()
    most = 0
    batcher = running.app._batcher
    submit = batcher.submit_in_turn

    async def counted(*arguments):
        nonlocal most
        answer = await submit(*arguments)
        most = max(most, batcher._admission.images)
        return answer

    batcher.submit_in_turn = counted
    frames = [frame(number, str(number)) for number in range(10)]
    call = running.stub.StreamRecognize(iter([config(), *frames]))
    await reached(stages)
    stages.gate.set()
    assert len(await answers(call)) == 10
    assert 1 <= most <= 2


async def test_streams_wait_when_the_queue_is_full(start_app):
    """A stream whose window is larger than the queue is slowed down, not refused."""
    running = await start_app(max_queue=1, max_batch_items=1, stream_window=4)
    frames = [frame(number, str(number)) for number in range(10)]
    responses = await answers(running.stub.StreamRecognize(iter([config(), *frames])))
    assert [texts(response.recognition) for response in responses] == [[str(number)] for number in range(10)]


@pytest.mark.parametrize("first", [config(), LATEST])
async def test_cancelling_drops_queued_frames(running, stages, first):
    """When the caller cancels, frames that are queued are never prepared, and nothing stays admitted."""
    stages.gate.clear()
    frames = [frame(number, str(number)) for number in range(5)]
    call = running.stub.StreamRecognize(iter([first, *frames]))
    await reached(stages)
    call.cancel()
    await running.app._batcher._admission.idle()
    stages.gate.set()
    await running.stub.ListModels(ocr_pb2.ListModelsRequest())
    assert stages.prepared == [b"0"]


async def test_late_frames_get_an_error(start_app, stages):
    """A frame that takes longer than max_deadline_s yields DEADLINE_EXPIRED in its place and the stream goes on."""
    running = await start_app(max_deadline_s=0.05)
    stages.gate.clear()
    call = running.stub.StreamRecognize()
    await call.write(config())
    await call.write(frame(1, "late"))
    response = await call.read()
    assert response.error.reason == ocr_pb2.ERROR_REASON_DEADLINE_EXPIRED
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


@pytest.mark.parametrize("first", [config(), LATEST])
async def test_draining_ends_open_streams(running, stages, first):
    """A stop signal ends a stream, even an idle one, with DRAINING once the frames it had sent are answered."""
    stages.gate.clear()
    call = running.stub.StreamRecognize()
    await call.write(first)
    await call.write(frame(1, "a"))
    await reached(stages)
    stopping = asyncio.create_task(running.app.stop())
    stages.gate.set()
    assert texts((await call.read()).recognition) == ["a"]
    failed = await failure(call.read())
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_DRAINING")
    assert failed.has_retry
    await stopping


async def test_latest_drops_frames_while_one_is_read(running, stages, taken):
    """Of the frames that come meanwhile the last is read next; each is answered in order, and says what replaced it."""
    stages.gate.clear()
    call = running.stub.StreamRecognize(iter([LATEST, *(frame(number, str(number)) for number in range(10, 15))]))
    for _ in range(5):
        await taken.acquire()
    stages.gate.set()
    responses = await answers(call)
    assert [response.frame_id for response in responses] == [10, 11, 12, 13, 14]
    assert [response.WhichOneof("result") for response in responses] == ["recognition", *["dropped"] * 3, "recognition"]
    assert [response.dropped.replaced_by for response in responses[1:4]] == [12, 13, 14]
    assert stages.prepared == [b"10", b"14"]
    outcome = {"method": "StreamRecognize", "outcome": "DROPPED"}
    assert running.app.metrics.registry.get_sample_value("glyphwire_items_total", outcome) == 3


async def test_latest_reads_every_frame_of_a_slow_sender(running):
    """A sender that waits for each response has all of its frames read."""
    call = running.stub.StreamRecognize()
    await call.write(LATEST)
    for text in "abc":
        await call.write(frame(1, text))
        assert texts((await call.read()).recognition) == [text]
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_latest_reads_on_after_a_bad_frame(running):
    """A frame that cannot be read has its error; the next one is read."""
    call = running.stub.StreamRecognize()
    await call.write(LATEST)
    await call.write(frame(1, "!small"))
    assert (await call.read()).error.reason == ocr_pb2.ERROR_REASON_IMAGE_TOO_SMALL
    await call.write(frame(2, "a"))
    assert texts((await call.read()).recognition) == ["a"]


async def test_unchanged_frames_are_not_read(running, stages):
    """Frames that look like the last one read have its result and name it; a bad frame between them changes nothing."""
    frames = [
        frame(5, "a\n1"),
        frame(6, "a\n2"),
        frame(7, "!small"),
        frame(8, "a\n3"),
        frame(9, "z"),
        frame(10, "z\n4"),
    ]
    responses = await answers(running.stub.StreamRecognize(iter([config(stream={"unchanged": {}}), *frames])))
    read = [response for response in responses if response.HasField("recognition")]
    assert [response.frame_id for response in read] == [5, 6, 8, 9, 10]
    assert [texts(response.recognition) for response in read] == [["a", "1"]] * 3 + [["z"]] * 2
    sources = [response.unchanged_from if response.HasField("unchanged_from") else None for response in read]
    assert sources == [None, 5, 5, None, 9]
    assert responses[2].error.reason == ocr_pb2.ERROR_REASON_IMAGE_TOO_SMALL
    assert stages.prepared == [b"a\n1", b"z"]


async def test_unchanged_frames_need_not_wait_for_the_last_one(running, stages):
    """A frame may look like one that is still being read: both have what comes of it."""
    stages.gate.clear()
    call = running.stub.StreamRecognize(iter([config(stream={"unchanged": {}}), frame(1, "a\n1"), frame(2, "a\n2")]))
    await reached(stages)
    stages.gate.set()
    assert [texts(response.recognition) for response in await answers(call)] == [["a", "1"]] * 2
    assert stages.prepared == [b"a\n1"]


async def test_a_frame_that_failed_is_no_model_for_others(running, stages):
    """A frame that looks like one whose reading failed is read."""
    call = running.stub.StreamRecognize()
    await call.write(config(stream={"unchanged": {}}))
    for _ in range(2):
        await call.write(frame(1, "poison"))
        response = await call.read()
        assert response.error.reason == ocr_pb2.ERROR_REASON_INTERNAL
        assert not response.HasField("unchanged_from")
    assert len(stages.prepared) == 2


async def test_frames_are_read_when_nobody_asked_otherwise(running, stages):
    """Without the option, frames that look alike are all read."""
    await answers(running.stub.StreamRecognize(iter([config(), frame(1, "a"), frame(2, "a")])))
    assert stages.prepared == [b"a", b"a"]


@pytest.mark.parametrize("asked", [False, True])
async def test_readings_are_merged(running, asked):
    """Every response has the lines so far; characters, by which readings vote, are there when asked for."""
    call = running.stub.StreamRecognize(
        iter([config(stream={"voting": {}}, include_characters=asked), *(frame(i, "total\n12.50") for i in range(3))])
    )
    responses = await answers(call)
    found = [[(line.track_id, line.text, line.frames_seen) for line in response.stable_lines] for response in responses]
    # The fake pipeline puts all lines in one place: only their texts tell them apart.
    assert found == [[(1, "total", seen), (2, "12.50", seen)] for seen in (1, 2, 3)]
    assert [response.stable_lines[0].is_stable for response in responses] == [False, False, True]
    assert all(bool(line.characters) == asked for response in responses for line in response.recognition.lines)


async def test_readings_are_merged_after_rules(running):
    """What votes is the text that rules have made of each reading."""
    rules = {"field_types": [ocr_pb2.FIELD_TYPE_AMOUNT]}
    frames = [frame(1, "total 1O.50"), frame(2, "total 10.5O")]
    responses = await answers(running.stub.StreamRecognize(iter([config(stream={"voting": {}}, rules=rules), *frames])))
    assert [[line.text for line in response.stable_lines] for response in responses] == [["total 10.50"]] * 2
    assert [response.recognition.fields[0].value for response in responses] == ["10.50", "10.50"]


async def test_unchanged_frames_do_not_vote(running):
    """A line is seen in an unchanged frame, which makes it stable, but what was misread once is not read twice."""
    streams = {"voting": {"stable_frames": 4}, "unchanged": {}}
    frames = [frame(1, "faint hallo"), *(frame(number, "faint hallo\nlater") for number in (2, 3, 4))]
    responses = await answers(running.stub.StreamRecognize(iter([config(stream=streams), *frames])))
    merged = [response.stable_lines[0] for response in responses]
    assert [line.frames_seen for line in merged] == [1, 2, 3, 4]
    assert [line.is_stable for line in merged] == [False, False, False, True]
    assert len({line.confidence for line in merged}) == 1


async def test_nothing_is_merged_unless_asked(running):
    """Without the option there are no stable lines."""
    (response,) = await answers(running.stub.StreamRecognize(iter([config(), frame(1, "a")])))
    assert not response.stable_lines
