"""The Open Inference Protocol against a fake pipeline."""

from __future__ import annotations

import asyncio
import hashlib
import json
import struct
from importlib.metadata import version

import grpc
import pytest
from glyphwire.v1 import ocr_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from ocr_core.prepare.steps import Preparation, Switch
from ocr_core.types import DecodeMethod, Mode
from server import parameters
from server.request import Priority
from server.stubs import open_inference_pb2 as pb2
from server.stubs.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.server.messages import failure, reached, request

NAME = "inference.GRPCInferenceService"
Input = pb2.ModelInferRequest.InferInputTensor
Output = pb2.ModelInferRequest.InferRequestedOutputTensor
Parameter = pb2.InferParameter


@pytest.fixture
def stub(running) -> GRPCInferenceServiceStub:
    """Calls the protocol on a running server."""
    return GRPCInferenceServiceStub(running.channel)


def raw_elements(*elements: bytes) -> bytes:
    """A BYTES tensor as raw contents."""
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def infer(*images: bytes, **fields) -> pb2.ModelInferRequest:
    """Image files to read, raw."""
    files = Input(name="image", datatype="BYTES", shape=[len(images)])
    return pb2.ModelInferRequest(**{"inputs": [files], "raw_input_contents": [raw_elements(*images)]} | fields)


def wanted(*names: str) -> list[Output]:
    """Outputs to request."""
    return [Output(name=name) for name in names]


def pixels(shape: list[int], content: bytes) -> pb2.ModelInferRequest:
    """Pixels to read, raw."""
    tensor = Input(name="image", datatype="UINT8", shape=shape)
    return infer(inputs=[tensor], raw_input_contents=[content])


def listed(datatype: str, shape: list[int], **contents) -> pb2.ModelInferRequest:
    """Images to read, in contents."""
    tensor = Input(name="image", datatype=datatype, shape=shape, contents=pb2.InferTensorContents(**contents))
    return pb2.ModelInferRequest(inputs=[tensor])


def elements(response: pb2.ModelInferResponse, name: str) -> list:
    """Elements of a raw output."""
    index = [output.name for output in response.outputs].index(name)
    raw, (count,) = response.raw_output_contents[index], response.outputs[index].shape
    if response.outputs[index].datatype == "FP32":
        return list(struct.unpack(f"<{count}f", raw))
    found, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        found.append(raw[at + 4 : at + 4 + length].decode())
        at += 4 + length
    assert len(found) == count
    return found


async def test_files_are_read(stub):
    """Each image has its text, its lines as JSON and its confidence in its place, and the model is named."""
    answer = await stub.ModelInfer(infer(b"first\nfaint", b"other", id="7"))
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


async def test_an_image_without_text_is_empty(stub):
    """No lines are an empty text, an empty list and confidence 0."""
    answer = await stub.ModelInfer(infer(b"\n"))
    assert [elements(answer, name) for name in ("text", "lines", "confidence")] == [[""], ["[]"], [0.0]]


async def test_answers_have_the_form_of_the_request(stub):
    """A request with typed contents gets typed contents, in any of the shapes for files."""
    answer = await stub.ModelInfer(listed("BYTES", [2, 1], bytes_contents=[b"a", "乙".encode()]))
    text, _, confidence = answer.outputs
    assert list(text.contents.bytes_contents) == [b"a", "乙".encode()]
    assert list(confidence.contents.fp32_contents) == [0.75, 0.75]
    assert (list(text.shape), list(answer.raw_output_contents)) == ([2], [])


@pytest.mark.parametrize(
    ("message", "images"),
    [
        (pixels([1, 2, 3], b"abcdef"), [b"abcdef"]),
        (pixels([2, 1, 1, 3], b"abcdef"), [b"abc", b"def"]),
        (listed("UINT8", [1, 1, 3], uint_contents=b"abc"), [b"abc"]),
    ],
)
async def test_pixels_are_read(stub, stages, message, images):
    """RGB pixels come as one image or several of one size, raw or as numbers."""
    await stub.ModelInfer(message)
    assert sorted(stages.prepared) == images


async def test_only_requested_outputs_come_back(stub):
    """Outputs have the order in which they were requested."""
    answer = await stub.ModelInfer(infer(b"a", outputs=wanted("confidence", "text")))
    assert [output.name for output in answer.outputs] == ["confidence", "text"]
    assert (elements(answer, "text"), len(answer.raw_output_contents)) == (["a"], 2)


async def test_parameters_are_the_options_of_our_contract(stub, stages):
    """Every option has its name, whatever message of the contract it is in, and comes in the type the caller has."""
    words = "wörd\t1.5\nother\t-2\n"
    parameters = {
        "mode": Parameter(string_param="line"),
        "decoder": Parameter(string_param="prefix_beam"),
        "beam_width": Parameter(int64_param=20),
        "prune_top_k": Parameter(uint64_param=30),
        "prune_min_prob": Parameter(double_param=0.25),
        "min_confidence": Parameter(string_param="0.5"),
        "include_characters": Parameter(bool_param=True),
        "classify_orientation": Parameter(bool_param=False),
        "other_steps": Parameter(string_param="off"),
        "deskew": Parameter(string_param="on"),
        "pattern": Parameter(string_param="[a-z]+"),
        "hot_words": Parameter(string_param=words),
        "lexicon": Parameter(string_param="one\ntwo words\n"),
    }
    answer = await stub.ModelInfer(infer(b"a", model_name="other", model_version="2", parameters=parameters))
    assert (answer.model_name, answer.model_version) == ("other", "2")
    (options,) = stages.options
    assert (options.model, options.mode, options.decode.decoder) == ("other/2", Mode.LINE, DecodeMethod.PREFIX_BEAM)
    assert (options.decode.beam_width, options.decode.prune_top_k, options.decode.prune_min_prob) == (20, 30, 0.25)
    assert (options.min_confidence, options.include_characters) == (0.5, True)
    assert options.preprocess.classify_orientation is False
    assert options.preprocess.preparation == Preparation(Switch.OFF, deskew=Switch.ON)
    language = options.decode.language
    assert (language.pattern, language.lexicon) == ("[a-z]+", ("one", "two words"))
    assert language.hot_words == (("wörd", 1.5), ("other", -2.0))


async def test_work_is_the_callers_and_has_its_priority(running, stub, monkeypatch):
    """The queue gets the priority, and the connection that shares the workers with others."""
    asked = []
    submit_all = running.app._batcher.submit_all

    async def noted(jobs, deadline, client):
        asked.extend((job.priority, client) for job in jobs)
        return await submit_all(jobs, deadline, client)

    monkeypatch.setattr(running.app._batcher, "submit_all", noted)
    await stub.ModelInfer(infer(b"a", parameters={"priority": Parameter(uint64_param=2)}))
    await stub.ModelInfer(infer(b"b"))
    assert [priority for priority, _ in asked] == [Priority.BULK, Priority.INTERACTIVE]
    assert {client.rpartition(":")[0] for _, client in asked} == {"ipv4:127.0.0.1"}


@pytest.mark.parametrize(
    ("name", "parameter", "words"),
    [
        ("beam_with", Parameter(int64_param=3), "no such option"),
        ("model", Parameter(string_param="other"), "no such option"),
        ("decode", Parameter(string_param="x"), "no such option"),
        ("beam_width", Parameter(), "no value"),
        ("beam_width", Parameter(int64_param=2**40), "beam_width"),
        ("beam_width", Parameter(bool_param=True), "beam_width"),
        ("beam_width", Parameter(int64_param=0), "must be from 1 to 256"),
        ("prune_min_prob", Parameter(string_param="NaN"), "must be from 0.0 to 1.0"),
        ("mode", Parameter(string_param="lines"), "none of line, page"),
        ("mode", Parameter(int64_param=77), "none of line, page"),
        ("mode", Parameter(bool_param=True), "none of line, page"),
        ("whitelist", Parameter(int64_param=123), "whitelist"),
        ("include_characters", Parameter(string_param="yes"), "include_characters"),
        ("hot_words", Parameter(string_param="word"), "could not convert"),
        ("lexicon", Parameter(string_param="x" * (2**20 + 1)), "at most 1048576"),
        ("timeout", Parameter(int64_param=-1), "microseconds"),
        ("timeout", Parameter(string_param="1s"), "microseconds"),
        ("sequence_id", Parameter(int64_param=1), "no such option"),
    ],
)
async def test_bad_parameters_are_refused(stub, stages, name, parameter, words):
    """A parameter that the server cannot heed is an error that names it, and nothing is read."""
    failed = await failure(stub.ModelInfer(infer(b"a", parameters={name: parameter})))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_OPTION_INVALID")
    assert name in failed.message
    assert words in failed.message
    assert stages.prepared == []


def test_every_option_is_a_parameter():
    """No option of the contract is hidden behind another of its name in another message."""

    def count(descriptor) -> int:
        return sum(
            count(field.message_type) if field.message_type and not field.is_repeated else 1
            for field in descriptor.fields
        )

    assert len(parameters._FIELDS) == count(ocr_pb2.RecognizeOptions.DESCRIPTOR) - 1


CLASSES = {"classification": Parameter(int64_param=2)}
SHARED = {"shared_memory_region": Parameter(string_param="x")}
PIXEL = Input(name="image", datatype="UINT8", shape=[1, 1, 3])


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (infer(inputs=[]), "one input, 'image'"),
        (infer(inputs=[Input(name="picture", datatype="BYTES", shape=[1])]), "one input, 'image'"),
        (infer(b"a", inputs=[PIXEL, PIXEL]), "one input, 'image'"),
        (infer(b"a", inputs=[Input(name="image", datatype="FP32", shape=[1])]), "image is FP32 [1]"),
        (infer(), "image is BYTES [0]"),
        (pixels([1, 3], b"abc"), "image is UINT8 [1, 3]"),
        (pixels([1, 1, 4], b"abcd"), "image is UINT8 [1, 1, 4]"),
        (pixels([-1, -1, 3], b"abc"), "image is UINT8 [-1, -1, 3]"),
        (pixels([2, 1, 3], b"abc"), "3 elements"),
        (pixels([1, 1, 1, 3], b"abcdef"), "6 elements"),
        (infer(b"a", raw_input_contents=[raw_elements(b"a", b"b", b"c")]), "2 elements"),
        (infer(b"a", b"b", raw_input_contents=[raw_elements(b"a")]), "1 elements"),
        (infer(b"a", raw_input_contents=[]), "0 elements"),
        (infer(b"a", raw_input_contents=[raw_elements(b"abc")[:-1]]), "ends within an element"),
        (infer(b"a", raw_input_contents=[b"\1\0"]), "ends within an element"),
        (infer(b"a", raw_input_contents=[b"", b""]), "one place"),
        (infer(inputs=listed("BYTES", [1], bytes_contents=[b"a"]).inputs), "one place"),
        (listed("BYTES", [2], bytes_contents=[b"a"]), "1 elements"),
        (listed("UINT8", [1, 1, 3], uint_contents=[1, 2, 256]), "above 255"),
        (listed("UINT8", [1, 1, 3], uint_contents=bytes(2**20 + 1)), "raw_input_contents takes more"),
        (infer(b"a", outputs=wanted("text", "boxes")), "can be text, lines, confidence"),
        (infer(b"a", outputs=wanted("text", "text")), "each of them once"),
        (infer(inputs=[Input(name="image", datatype="BYTES", shape=[1], parameters=SHARED)]), "does not support"),
        (infer(b"a", outputs=[Output(name="text", parameters=CLASSES)]), "does not support"),
    ],
)
async def test_bad_tensors_are_refused(stub, stages, message, words):
    """A tensor that does not fit is the caller's fault, says why, and nothing is read."""
    failed = await failure(stub.ModelInfer(message))
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in failed.message
    assert stages.prepared == []


@pytest.mark.parametrize(
    ("image", "code", "reason"),
    [
        (b"!undecodable", grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_IMAGE_UNDECODABLE"),
        (b"!bug", grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL"),
        (b"poison", grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL"),
    ],
)
async def test_errors_are_those_of_our_contract(stub, image, code, reason):
    """An image that cannot be read has the status and the details that Recognize gives it."""
    failed = await failure(stub.ModelInfer(infer(image)))
    assert (failed.code, failed.info.reason) == (code, reason)


async def test_one_bad_image_fails_its_request(stub):
    """The error says which of the images it was."""
    failed = await failure(stub.ModelInfer(infer(b"a", b"!undecodable", b"!large")))
    assert (failed.info.reason, failed.message) == ("ERROR_REASON_IMAGE_UNDECODABLE", "image 1: no image")


@pytest.mark.parametrize("name", ["nothing", "fake/2", "/1"])
async def test_unknown_models_are_not_found(stub, name):
    """A model that the server does not have is NOT_FOUND, and not ready."""
    model, _, model_version = name.partition("/")
    for call in (
        stub.ModelInfer(infer(b"a", model_name=model, model_version=model_version)),
        stub.ModelMetadata(pb2.ModelMetadataRequest(name=model, version=model_version)),
    ):
        failed = await failure(call)
        assert (failed.code, failed.info.reason) == (grpc.StatusCode.NOT_FOUND, "ERROR_REASON_MODEL_NOT_FOUND")
    assert not (await stub.ModelReady(pb2.ModelReadyRequest(name=model, version=model_version))).ready


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
    stub = GRPCInferenceServiceStub(running.channel)
    failed = await failure(stub.ModelInfer(late, timeout=0.05 if limit == "deadline" else None))
    stages.gate.set()
    if busy:
        await busy
    assert failed.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert limit == "server" or stages.prepared == [b"busy"]


async def test_readiness_follows_health(start_app, stages):
    """Live at once; ready, the models too, when health says SERVING, and no longer when the server stops."""
    running = await start_app(warm=False)
    stub = GRPCInferenceServiceStub(running.channel)

    async def states() -> tuple[bool, bool, bool, bool]:
        health = health_pb2_grpc.HealthStub(running.channel)
        check = await health.Check(health_pb2.HealthCheckRequest(service=NAME))
        return (
            (await stub.ServerLive(pb2.ServerLiveRequest())).live,
            (await stub.ServerReady(pb2.ServerReadyRequest())).ready,
            (await stub.ModelReady(pb2.ModelReadyRequest(name="other"))).ready,
            check.status == health_pb2.HealthCheckResponse.SERVING,
        )

    assert await states() == (True, False, False, False)
    await running.app.start()
    assert await states() == (True, True, True, True)
    stages.gate.clear()
    busy = asyncio.ensure_future(stub.ModelInfer(infer(b"busy")))
    await reached(stages)
    stopping = asyncio.create_task(running.app.stop())
    await asyncio.sleep(0)
    assert await states() == (True, False, False, False)
    failed = await failure(stub.ModelInfer(infer(b"new")))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_DRAINING")
    stages.gate.set()
    assert elements(await busy, "text") == ["busy"]
    await stopping


async def test_metadata_describes_server_and_models(stub):
    """The server has a name and a version; a model its versions, its input and its outputs."""
    server = await stub.ServerMetadata(pb2.ServerMetadataRequest())
    assert (server.name, server.version) == ("glyphwire", version("glyphwire-server"))
    model = await stub.ModelMetadata(pb2.ModelMetadataRequest(name="other", version="2"))
    assert (model.name, list(model.versions), model.platform) == ("other", ["2"], "glyphwire_ocr")
    assert [(tensor.name, tensor.datatype, list(tensor.shape)) for tensor in (*model.inputs, *model.outputs)] == [
        ("image", "BYTES", [-1]),
        ("text", "BYTES", [-1]),
        ("lines", "BYTES", [-1]),
        ("confidence", "FP32", [-1]),
    ]
    assert (await stub.ModelMetadata(pb2.ModelMetadataRequest())).name == "fake"
    assert (await stub.ModelReady(pb2.ModelReadyRequest())).ready


async def test_a_stream_answers_each_request(stub):
    """Answers come in order; a bad request is an error message with its id, without words of ours, and no more."""
    requests = [infer(b"a", id="1"), infer(b"!undecodable", id="2"), infer(id="3"), infer(b"!bug", id="4"), infer(b"e")]
    answers = [answer async for answer in stub.ModelStreamInfer(iter(requests))]
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


async def test_a_stream_ends_when_the_server_stops(running, stub, stages):
    """What was admitted is answered; the next request of the stream ends it with DRAINING."""
    call = stub.ModelStreamInfer()
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


async def test_calls_are_logged_and_counted_like_our_own(running, stub):
    """The access log has the method, the images and the lines; metrics count the call and each image."""
    with capture_logs() as logs:
        await stub.ModelInfer(infer(b"a\nb", b"c"))
    (entry,) = [entry for entry in logs if entry["event"] == "call"]
    assert (entry["method"], entry["code"], entry["images"], entry["lines"]) == ("ModelInfer", "OK", 2, 3)
    value = running.app.metrics.registry.get_sample_value
    assert value("glyphwire_calls_total", {"method": "ModelInfer", "code": "OK"}) == 1
    assert value("glyphwire_items_total", {"method": "ModelInfer", "outcome": "OK"}) == 2


async def test_tokens_guard_the_protocol_too(start_app, tmp_path, stages):
    """Where calls need a token, those of the protocol do, and any token will do."""
    path = tmp_path / "tokens.toml"
    path.write_text(f'[camera]\nsha256 = "{hashlib.sha256(b"secret").hexdigest()}"\n', encoding="utf-8")
    stub = GRPCInferenceServiceStub((await start_app(token_file=path)).channel)
    for call in (stub.ModelInfer(infer(b"a")), stub.ServerLive(pb2.ServerLiveRequest())):
        failed = await failure(call)
        assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "ERROR_REASON_TOKEN_INVALID")
    known = (("authorization", "Bearer secret"),)
    assert elements(await stub.ModelInfer(infer(b"b"), metadata=known), "text") == ["b"]
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
