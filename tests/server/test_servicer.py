"""The RPCs against a fake pipeline."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from glyphwire.v1 import ocr_pb2

from tests.server.messages import failure, reached, request, texts, until

REASON = ocr_pb2.ErrorReason.Name


async def test_recognize_answers_with_the_lines(running):
    """Recognize returns every line with its text, confidence and polygon, the image's size, the model and timings."""
    answer = (await running.stub.Recognize(request("first\nsecond"))).recognition
    assert texts(answer) == ["first", "second"]
    assert [line.confidence for line in answer.lines] == [0.75, 0.75]
    assert (answer.lines[0].polygon.vertices[0].x, answer.lines[0].polygon.vertices[0].y) == (1.5, 2.0)
    assert (answer.image_width, answer.image_height) == (100, 50)
    assert (answer.model_name, answer.model_version) == ("fake", "1")
    assert answer.timings.load_image_ms == 1.0
    assert answer.timings.infer_ms == 4.0
    assert answer.timings.total_ms > 0


async def test_options_reach_the_pipeline(running):
    """Characters, alternatives, confidence threshold and model are those of the request."""
    decode = ocr_pb2.DecodeOptions(decoder=ocr_pb2.DECODER_PREFIX_BEAM, alternatives=2)
    options = {"model": "other/2", "decode": decode, "include_characters": True, "min_confidence": 0.5}
    answer = (await running.stub.Recognize(request("ab\nfaint", **options))).recognition
    assert texts(answer) == ["ab"]
    assert [character.text for character in answer.lines[0].characters] == ["a", "b"]
    assert [other.text for other in answer.lines[0].alternatives] == ["ab0", "ab1"]
    assert answer.model_name == "other"


async def test_rules_are_applied_and_told(running, stages, tmp_path):
    """A profile and the request's own rules change lines, say so, and find fields with their places."""
    stages.language_dir = tmp_path
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "receipts.toml").write_text("field_types = ['amount']\n", encoding="utf-8")
    rules = {"profile": "receipts", "extractors": [{"name": "total", "pattern": r"total\D*([\d.]+)"}]}
    answer = (await running.stub.Recognize(request("shop\ntotal 1O.50", rules=rules))).recognition
    shop, total = answer.lines
    assert (shop.text, shop.HasField("raw_text")) == ("shop", False)
    assert (total.text, total.raw_text, len(total.characters)) == ("total 10.50", "total 1O.50", 0)
    (correction,) = total.corrections
    assert (correction.rule, correction.before, correction.after) == ("amount", "1O.50", "10.50")
    assert (correction.start, correction.end) == (6, 11)
    assert [(field.name, field.value, field.line) for field in answer.fields] == [
        ("amount", "10.50", 1),
        ("total", "10.50", 1),
    ]
    assert [field.polygon.vertices[1].x for field in answer.fields] == [12.5, 12.5]


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"profile": "none"}, "options.rules.profile"),
        ({"dictionary_name": "none"}, "options.rules.dictionary_name"),
        ({"extractors": [{"name": "total", "pattern": "("}]}, "options.rules.extractors[0].pattern"),
        ({"extractors": [{"name": "to tal", "pattern": "a"}]}, "options.rules.extractors[0].name"),
    ],
)
async def test_bad_rules_name_their_field(running, rules, field):
    """A name that there is not, and a pattern that is none, are INVALID_ARGUMENT with the place in the request."""
    failed = await failure(running.stub.Recognize(request("a", rules=rules)))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_OPTION_INVALID")
    assert failed.info.metadata["field"] == field


async def test_batch_keeps_the_order_and_isolates_bad_items(running):
    """Each item has its result in its place: a bad image, a bad option, a missing image or a bug spoils no other."""
    items = [
        request("a"),
        request(b"!undecodable"),
        request("c", mode=77),
        ocr_pb2.RecognizeRequest(),
        request("poison"),
        request("f"),
    ]
    results = (await running.stub.BatchRecognize(ocr_pb2.BatchRecognizeRequest(requests=items))).results
    assert [texts(result.recognition) for result in results] == [["a"], [], [], [], [], ["f"]]
    assert [REASON(result.error.reason) for result in results[1:5]] == [
        "ERROR_REASON_IMAGE_UNDECODABLE",
        "ERROR_REASON_OPTION_INVALID",
        "ERROR_REASON_REQUEST_INVALID",
        "ERROR_REASON_INTERNAL",
    ]
    assert [result.error.field for result in results[1:4]] == ["image.encoded", "options.mode", "image"]
    assert results[4].error.message == "internal error"


@pytest.mark.parametrize(
    ("count", "reason"), [(0, "ERROR_REASON_REQUEST_INVALID"), (4, "ERROR_REASON_BATCH_TOO_LARGE")]
)
async def test_batches_have_a_size(start_app, count, reason):
    """An empty batch and one above max_batch_items are refused as a whole."""
    running = await start_app(max_batch_items=3)
    batch = ocr_pb2.BatchRecognizeRequest(requests=[request("a")] * count)
    failed = await failure(running.stub.BatchRecognize(batch))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_batches_are_refused_whole_when_the_queue_is_full(start_app, stages):
    """A batch that does not fit into the queue is UNAVAILABLE as a whole, and none of its items is prepared."""
    running = await start_app(max_queue=3, max_batch_items=3)
    stages.gate.clear()
    busy = asyncio.ensure_future(running.stub.Recognize(request("busy")))
    await reached(stages)
    batch = ocr_pb2.BatchRecognizeRequest(requests=[request("a")] * 3)
    failed = await failure(running.stub.BatchRecognize(batch))
    stages.gate.set()
    await busy
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_QUEUE_FULL")
    assert stages.prepared == [b"busy"]


async def test_a_full_queue_is_unavailable_with_retry_info(start_app, stages):
    """Beyond max_queue images callers get UNAVAILABLE with google.rpc.RetryInfo, and gRPC's retries the same delay."""
    running = await start_app(max_queue=1, max_batch_items=1)
    stages.gate.clear()
    busy = asyncio.ensure_future(running.stub.Recognize(request("busy")))
    await reached(stages)
    failed = await failure(running.stub.Recognize(request("a")))
    stages.gate.set()
    await busy
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_QUEUE_FULL")
    assert failed.retry.retry_delay.ToMilliseconds() == int(failed.trailers["grpc-retry-pushback-ms"]) > 0


async def test_the_callers_deadline_drops_queued_work(running, stages):
    """A call whose deadline passes in the queue is DEADLINE_EXCEEDED and never prepared."""
    stages.gate.clear()
    busy = asyncio.ensure_future(running.stub.Recognize(request("busy")))
    await reached(stages)
    failed = await failure(running.stub.Recognize(request("late"), timeout=0.05))
    stages.gate.set()
    await busy
    await running.stub.Recognize(request("next"))
    assert failed.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert stages.prepared == [b"busy", b"next"]


@pytest.mark.parametrize("rpc", ["Recognize", "BatchRecognize"])
async def test_the_servers_own_deadline_drops_queued_work(start_app, stages, rpc):
    """Callers without a deadline get that of the server, max_deadline_s, with its reason."""
    running = await start_app(max_deadline_s=0.05)
    stages.gate.clear()
    message = request("late") if rpc == "Recognize" else ocr_pb2.BatchRecognizeRequest(requests=[request("late")])
    failed = await failure(getattr(running.stub, rpc)(message))
    assert (failed.code, failed.info.reason) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "ERROR_REASON_DEADLINE_EXPIRED",
    )


async def test_a_cancelled_call_drops_queued_work(running, stages):
    """A call that its caller cancels while it is queued is never prepared."""
    stages.gate.clear()
    busy = asyncio.ensure_future(running.stub.Recognize(request("busy")))
    await reached(stages)
    gone = running.stub.Recognize(request("gone"))
    admission = running.app._batcher._admission
    await until(lambda: admission.images == 2)
    gone.cancel()
    await until(lambda: admission.images == 1)
    stages.gate.set()
    await busy
    assert stages.prepared == [b"busy"]


async def test_list_models(running):
    """ListModels names each recogniser with its facts."""
    first, second = (await running.stub.ListModels(ocr_pb2.ListModelsRequest())).models
    assert (first.name, first.version, first.is_default, first.charset_size) == ("fake", "1", True, 95)
    assert (first.input_height, first.origin, first.licence) == (48, "nowhere", "Apache-2.0")
    assert (second.name, second.is_default) == ("other", False)


async def test_calls_before_the_models_are_loaded_wait(start_app):
    """Calls that come during the warm-up are answered after it."""
    running = await start_app(warm=False)
    early = asyncio.ensure_future(running.stub.Recognize(request("early")))
    models = asyncio.ensure_future(running.stub.ListModels(ocr_pb2.ListModelsRequest()))
    await running.app.start()
    assert texts((await early).recognition) == ["early"]
    assert len((await models).models) == 2


async def test_messages_above_the_limit_are_refused(start_app):
    """A message above max_message_bytes is RESOURCE_EXHAUSTED, one below is read."""
    running = await start_app(max_message_bytes="64KiB", max_image_bytes="32KiB", max_queue_bytes="64KiB")
    assert texts((await running.stub.Recognize(request("a" * 60_000))).recognition) == ["a" * 60_000]
    failed = await failure(running.stub.Recognize(request("a" * 70_000)))
    assert failed.code is grpc.StatusCode.RESOURCE_EXHAUSTED
