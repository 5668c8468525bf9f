"""The Open Inference Protocol against a fake pipeline."""

from __future__ import annotations

import asyncio
import hashlib
import json
from importlib.metadata import version

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from server.request import Priority
from server.stubs import open_inference_pb2 as pb2
from server.stubs.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.server.infer_requests import NAME, Parameter, elements, infer
from tests.server.messages import failure, reached, request


async def test_files_are_read(inference):
    """Each image has its text, its lines as JSON and its confidence in its place, and the model is named."""
    answer = await inference.ModelInfer(infer(b"first\nfaint", b"other", id="7"))
    assert (answer.model_name, answer.model_version, answer.id) == ("fake", "1", "7")
    assert [(output.name, output.datatype) for output in answer.outputs] == [
        ("text", "BYTES"),
        ("lines", "BYTES"),
        ("confidence", "FP32"),
    ]
    assert not any(output.HasField("contents") for output in answer.outputs)
    assert elements(answer, "text") == ["first\nfaint", "other"]
    assert elements(answer, "confidence") == [0.5, 0.75]
    first, faint = json.loads(elements(answer, "lines")[0])
    assert (first["text"], first["confidence"], faint["confidence"]) == ("first", 0.75, 0.25)
    assert first["polygon"]["vertices"][0] == {"x": 1.5, "y": 2.0}


async def test_an_image_without_text_is_empty(inference):
    """No lines are an empty text, an empty list and confidence 0."""
    answer = await inference.ModelInfer(infer(b"\n"))
    assert [elements(answer, name) for name in ("text", "lines", "confidence")] == [[""], ["[]"], [0.0]]


async def test_work_is_the_callers_and_has_its_priority(running, inference, monkeypatch):
    """The queue gets the priority, and the connection that shares the workers with others."""
    asked = []
    submit_all = running.app._batcher.submit_all

    async def noted(jobs, deadline, client):
        asked.extend((job.priority, client) for job in jobs)
        return await submit_all(jobs, deadline, client)

    monkeypatch.setattr(running.app._batcher, "submit_all", noted)
    await inference.ModelInfer(infer(b"a", parameters={"priority": Parameter(uint64_param=2)}))
    await inference.ModelInfer(infer(b"b"))
    assert [priority for priority, _ in asked] == [Priority.BULK, Priority.INTERACTIVE]
    assert {client.rpartition(":")[0] for _, client in asked} == {"ipv4:127.0.0.1"}


@pytest.mark.parametrize(
    ("image", "code", "reason"),
    [
        (b"!undecodable", grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_IMAGE_UNDECODABLE"),
        (b"!bug", grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL"),
        (b"poison", grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL"),
    ],
)
async def test_errors_are_those_of_our_contract(inference, image, code, reason):
    """An image that cannot be read has the status and the details that Recognize gives it."""
    failed = await failure(inference.ModelInfer(infer(image)))
    assert (failed.code, failed.info.reason) == (code, reason)


async def test_one_bad_image_fails_its_request(inference):
    """The error says which of the images it was."""
    failed = await failure(inference.ModelInfer(infer(b"a", b"!undecodable", b"!large")))
    assert (failed.info.reason, failed.message) == ("ERROR_REASON_IMAGE_UNDECODABLE", "image 1: no image")


@pytest.mark.parametrize("name", ["nothing", "fake/2", "/1"])
async def test_unknown_models_are_not_found(inference, name):
    """A model that the server does not have is NOT_FOUND, and not ready."""
    model, _, model_version = name.partition("/")
    for call in (
        inference.ModelInfer(infer(b"a", model_name=model, model_version=model_version)),
        inference.ModelMetadata(pb2.ModelMetadataRequest(name=model, version=model_version)),
    ):
        failed = await failure(call)
        assert (failed.code, failed.info.reason) == (grpc.StatusCode.NOT_FOUND, "ERROR_REASON_MODEL_NOT_FOUND")
    assert not (await inference.ModelReady(pb2.ModelReadyRequest(name=model, version=model_version))).ready


async def test_requests_have_a_size(start_app, stages):
    """More images than max_batch_items are refused before they are looked at."""
    running = await start_app(max_batch_items=2)
    failed = await failure(GRPCInferenceServiceStub(running.channel).ModelInfer(infer(b"a", b"b", b"c")))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_BATCH_TOO_LARGE")


async def test_a_full_queue_is_unavailable(start_app, stages):
    """Requests share the queue with our own service, and are admitted whole or not at all."""
    running = await start_app(max_queue=2, max_batch_items=2)
    stages.gate.clear()
    busy = asyncio.ensure_future(running.stub.Recognize(request("busy")))
    await reached(stages)
    failed = await failure(GRPCInferenceServiceStub(running.channel).ModelInfer(infer(b"a", b"b")))
    stages.gate.set()
    await busy
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_QUEUE_FULL")
    assert failed.has_retry
    assert stages.prepared == [b"busy"]


@pytest.mark.parametrize("limit", ["deadline", "timeout", "server"])
async def test_late_work_is_dropped(start_app, stages, limit):
    """The deadline of the call, the parameter timeout and max_deadline_s all end a request that is still queued."""
    running = await start_app(max_deadline_s=0.05 if limit == "server" else 60)
    late = infer(b"late", parameters={"timeout": Parameter(int64_param=50_000 if limit == "timeout" else 0)})
    stages.gate.clear()
    busy = asyncio.ensure_future(running.stub.Recognize(request("busy"))) if limit != "server" else None
    if busy:
        await reached(stages)
    inference = GRPCInferenceServiceStub(running.channel)
    failed = await failure(inference.ModelInfer(late, timeout=0.05 if limit == "deadline" else None))
    stages.gate.set()
    if busy:
        await busy
    assert failed.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert limit == "server" or stages.prepared == [b"busy"]


async def test_readiness_follows_health(start_app, stages):
    """Live at once; ready, the models too, when health says SERVING, and no longer when the server stops."""
    running = await start_app(warm=False)
    inference = GRPCInferenceServiceStub(running.channel)

    async def states() -> tuple[bool, bool, bool, bool]:
        health = health_pb2_grpc.HealthStub(running.channel)
        check = await health.Check(health_pb2.HealthCheckRequest(service=NAME))
        return (
            (await inference.ServerLive(pb2.ServerLiveRequest())).live,
            (await inference.ServerReady(pb2.ServerReadyRequest())).ready,
            (await inference.ModelReady(pb2.ModelReadyRequest(name="other"))).ready,
            check.status == health_pb2.HealthCheckResponse.SERVING,
        )

    assert await states() == (True, False, False, False)
    await running.app.start()
    assert await states() == (True, True, True, True)
    stages.gate.clear()
    busy = asyncio.ensure_future(inference.ModelInfer(infer(b"busy")))
    await reached(stages)
    stopping = asyncio.create_task(running.app.stop())
    await asyncio.sleep(0)
    assert await states() == (True, False, False, False)
    failed = await failure(inference.ModelInfer(infer(b"new")))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_DRAINING")
    stages.gate.set()
    assert elements(await busy, "text") == ["busy"]
    await stopping


async def test_metadata_describes_server_and_models(inference):
    """The server has a name and a version; a model its versions, its input and its outputs."""
    server = await inference.ServerMetadata(pb2.ServerMetadataRequest())
    assert (server.name, server.version) == ("glyphwire", version("glyphwire-server"))
    model = await inference.ModelMetadata(pb2.ModelMetadataRequest(name="other", version="2"))
    assert (model.name, list(model.versions), model.platform) == ("other", ["2"], "glyphwire_ocr")
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in (*model.inputs, *model.outputs)] == [
        ("image", "BYTES", [-1]),
        ("text", "BYTES", [-1]),
        ("lines", "BYTES", [-1]),
        ("confidence", "FP32", [-1]),
    ]
    assert (await inference.ModelMetadata(pb2.ModelMetadataRequest())).name == "fake"
    assert (await inference.ModelReady(pb2.ModelReadyRequest())).ready


async def test_a_stream_answers_each_request(inference):
    """Answers come in order; a bad request is an error message with its id, without words of ours, and no more."""
    requests = [infer(b"a", id="1"), infer(b"!undecodable", id="2"), infer(id="3"), infer(b"!bug", id="4"), infer(b"e")]
    answers = [answer async for answer in inference.ModelStreamInfer(iter(requests))]
    assert [answer.error_message for answer in answers] == [
        "",
        "no image",
        answers[2].error_message,
        "internal error",
        "",
    ]
    assert "BYTES [0]" in answers[2].error_message
    assert [answer.infer_response.id for answer in answers] == ["1", "2", "3", "4", ""]
    assert [elements(answers[index].infer_response, "text") for index in (0, -1)] == [["a"], ["e"]]


async def test_a_stream_ends_when_the_server_stops(running, inference, stages):
    """What was admitted is answered; the next request of the stream ends it with DRAINING."""
    call = inference.ModelStreamInfer()
    stages.gate.clear()
    await call.write(infer(b"busy"))
    await reached(stages)
    await call.write(infer(b"next"))
    stopping = asyncio.create_task(running.app.stop())
    await asyncio.sleep(0)
    stages.gate.set()
    assert elements((await call.read()).infer_response, "text") == ["busy"]
    failed = await failure(call.read())
    await stopping
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_DRAINING")


async def test_a_stream_that_waits_for_its_caller_ends_too(running, inference):
    """A stop does not wait for requests that may never come, and says why the stream ends."""
    call = inference.ModelStreamInfer()
    await call.write(infer(b"a"))
    await call.read()
    stopping = asyncio.create_task(running.app.stop())
    failed = await failure(call.read())
    await stopping
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_DRAINING")


async def test_calls_are_logged_and_counted_like_our_own(running, inference):
    """The access log has the method, the images and the lines; metrics count the call and each image."""
    with capture_logs() as logs:
        await inference.ModelInfer(infer(b"a\nb", b"c"))
    (entry,) = [entry for entry in logs if entry["event"] == "call"]
    assert (entry["method"], entry["code"], entry["images"], entry["lines"]) == ("ModelInfer", "OK", 2, 3)
    value = running.app.metrics.registry.get_sample_value
    assert value("glyphwire_calls_total", {"method": "ModelInfer", "code": "OK"}) == 1
    assert value("glyphwire_items_total", {"method": "ModelInfer", "outcome": "OK"}) == 2


async def test_tokens_guard_the_protocol_too(start_app, tmp_path, stages):
    """Where calls need a token, those of the protocol do, and any token will do."""
    path = tmp_path / "tokens.toml"
    path.write_text(f'[camera]\nsha256 = "{hashlib.sha256(b"secret").hexdigest()}"\n', encoding="utf-8")
    inference = GRPCInferenceServiceStub((await start_app(token_file=path)).channel)
    for call in (inference.ModelInfer(infer(b"a")), inference.ServerLive(pb2.ServerLiveRequest())):
        failed = await failure(call)
        assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "ERROR_REASON_TOKEN_INVALID")
    known = (("authorization", "Bearer secret"),)
    assert elements(await inference.ModelInfer(infer(b"b"), metadata=known), "text") == ["b"]
    assert stages.prepared == [b"b"]


@pytest.mark.parametrize("open_inference", [True, False])
async def test_the_protocol_can_be_switched_off(start_app, open_inference):
    """Reflection names the service, and it answers, unless open_inference is false."""
    running = await start_app(open_inference=open_inference)
    reflected = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    call = reflected.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    names = {service.name async for answer in call for service in answer.list_services_response.service}
    assert (NAME in names) == open_inference
    live = GRPCInferenceServiceStub(running.channel).ServerLive(pb2.ServerLiveRequest())
    if open_inference:
        assert (await live).live
    else:
        assert (await failure(live)).code is grpc.StatusCode.UNIMPLEMENTED


async def test_reflection_describes_the_protocol(running):
    """Generic tools get the messages of the service."""
    reflected = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol=NAME)
    (answer,) = [answer async for answer in reflected.ServerReflectionInfo(iter([asked]))]
    assert b"raw_input_contents" in answer.file_descriptor_response.file_descriptor_proto[0]
