"""Tokens in front of a real server."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from glyphwire.v1 import ocr_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from server.identity import client_of
from server.servicer import OcrServicer
from server.tokens import Client, TokenEntry
from tests.server.messages import answers, config, failure, frame, put_tokens, reached, request, texts, until

LIST_SERVICES = reflection_pb2.ServerReflectionRequest(list_services="")


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Metadata with a token."""
    return (("authorization", f"Bearer {token}"),)


SCANNER = bearer("scanner's")
CAMERA = bearer("camera's")


@pytest.fixture
async def guarded(start_app, tmp_path):
    """A server with two clients: the scanner has one call and one stream at once, and is rarely seen."""
    path = put_tokens(tmp_path, scanner="max_calls = 1\nmax_streams = 1", camera="calls_per_second = 0.001")
    return await start_app(token_file=path)


@pytest.fixture
def clients(monkeypatch) -> dict[str, Client]:
    """The clients of a server that is made after this."""
    clients: dict[str, Client] = {}

    def noted(name: str, entry: TokenEntry) -> Client:
        clients[name] = Client(name, entry)
        return clients[name]

    monkeypatch.setattr("server.tokens.Client", noted)
    return clients


@pytest.mark.parametrize(
    "metadata",
    [(), bearer("nobody's"), bearer(""), (("authorization", "Basic abc"),), (("authorization", "scanner's"),)],
    ids=["none", "unknown", "empty", "other scheme", "no scheme"],
)
async def test_calls_need_a_known_token(guarded, stages, metadata):
    """Without a token of the file every call, unary or stream, is UNAUTHENTICATED, and no image is looked at."""
    reflection = reflection_pb2_grpc.ServerReflectionStub(guarded.channel)
    for call in (
        guarded.stub.Recognize(request("a"), metadata=metadata),
        guarded.stub.BatchRecognize(ocr_pb2.BatchRecognizeRequest(), metadata=metadata),
        guarded.stub.ListModels(ocr_pb2.ListModelsRequest(), metadata=metadata),
        guarded.stub.StreamRecognize(metadata=metadata).read(),
        reflection.ServerReflectionInfo(metadata=metadata).read(),
    ):
        failed = await failure(call)
        assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAUTHENTICATED, "ERROR_REASON_TOKEN_INVALID")
        assert not failed.has_retry
    assert stages.prepared == []


async def test_large_refused_messages_are_not_read(guarded):
    """The answer to a call without a token comes although its message is larger than the server accepts."""
    failed = await failure(guarded.stub.Recognize(request(bytes(80_000_000))))
    assert failed.code is grpc.StatusCode.UNAUTHENTICATED


async def test_known_tokens_are_served(guarded):
    """With its token a client makes every kind of call; the scheme is written in any case."""
    assert texts((await guarded.stub.Recognize(request("a"), metadata=SCANNER)).recognition) == ["a"]
    responses = await answers(guarded.stub.StreamRecognize(iter([config(), frame(7, "a")]), metadata=SCANNER))
    assert [answer.frame_id for answer in responses] == [7]
    reflected = reflection_pb2_grpc.ServerReflectionStub(guarded.channel).ServerReflectionInfo(
        iter([LIST_SERVICES]), metadata=SCANNER
    )
    assert len(await answers(reflected)) == 1
    lower = (("authorization", "bearer scanner's"),)
    await guarded.stub.ListModels(ocr_pb2.ListModelsRequest(), metadata=lower)


async def test_health_needs_no_token(guarded):
    """Probes see the health without a token."""
    stub = health_pb2_grpc.HealthStub(guarded.channel)
    assert (await stub.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING


async def test_calls_at_once_are_limited(guarded, stages):
    """A call more than max_calls is RESOURCE_EXHAUSTED with RetryInfo; other clients, and later calls, are served."""
    stages.gate.clear()
    busy = asyncio.ensure_future(guarded.stub.Recognize(request("busy"), metadata=SCANNER))
    await reached(stages)
    failed = await failure(guarded.stub.Recognize(request("more"), metadata=SCANNER))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "ERROR_REASON_CLIENT_LIMIT")
    assert failed.has_retry
    other = asyncio.ensure_future(guarded.stub.Recognize(request("other"), metadata=CAMERA))
    stages.gate.set()
    await asyncio.gather(busy, other)
    await guarded.stub.Recognize(request("later"), metadata=SCANNER)
    assert stages.prepared == [b"busy", b"other", b"later"]


async def test_calls_that_begin_together_are_limited(guarded, stages):
    """Where several pass before the first begins, all but one are refused as any other, and one is answered."""
    stages.gate.clear()
    calls = [guarded.stub.Recognize(request(str(number)), metadata=SCANNER) for number in range(4)]
    waiting = [asyncio.ensure_future(failure(call)) for call in calls]
    await until(lambda: sum(task.done() for task in waiting) == 3)
    refused = [task.result() for task in waiting if task.done()]
    assert {(one.code, one.info.reason) for one in refused} == {
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "ERROR_REASON_CLIENT_LIMIT")
    }
    assert all(one.has_retry for one in refused)
    stages.gate.set()
    await until(lambda: all(call.done() for call in calls))
    assert [await call.code() for call in calls].count(grpc.StatusCode.OK) == 1
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_streams_at_once_are_limited(clients, guarded):
    """A stream more than max_streams is RESOURCE_EXHAUSTED; one that its caller has left does not count."""
    first = guarded.stub.StreamRecognize(metadata=SCANNER)
    for message in (config(), frame(1, "a")):
        await first.write(message)
    assert (await first.read()).frame_id == 1
    failed = await failure(guarded.stub.StreamRecognize(metadata=SCANNER).read())
    assert failed.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    first.cancel()
    await until(lambda: not clients["scanner"]._streams)
    assert await answers(guarded.stub.StreamRecognize(iter([config()]), metadata=SCANNER)) == []


async def test_calls_per_second_are_limited(guarded):
    """A call more than the rate allows is told how long to wait."""
    await guarded.stub.Recognize(request("a"), metadata=CAMERA)
    failed = await failure(guarded.stub.Recognize(request("b"), metadata=CAMERA))
    assert failed.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 900 < failed.retry.retry_delay.seconds <= 1000


async def test_other_services_are_for_admins(guarded, monkeypatch):
    """What is neither ours, reflection nor health needs an admin's token."""
    monkeypatch.setattr("server.authentication._FOR_EVERY_TOKEN", set())
    failed = await failure(guarded.stub.Recognize(request("a"), metadata=SCANNER))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ERROR_REASON_CALL_FORBIDDEN")


@pytest.fixture
def seen(monkeypatch):
    """What client_of says in each ListModels call of a server that is made after this."""
    seen: list[str] = []
    list_models = OcrServicer.ListModels

    async def noting(self, message, context):
        seen.append(client_of(context))
        return await list_models(self, message, context)

    monkeypatch.setattr(OcrServicer, "ListModels", noting)
    return seen


async def test_the_client_is_known_to_the_call_and_to_the_log(seen, guarded):
    """client_of names the token's client inside the call, and so does the access log, of refused calls too.

    A call without a token has its address there.
    """
    with capture_logs([merge_contextvars]) as logs:
        for metadata in (SCANNER, CAMERA):
            await guarded.stub.ListModels(ocr_pb2.ListModelsRequest(), metadata=metadata)
        await failure(guarded.stub.ListModels(ocr_pb2.ListModelsRequest(), metadata=CAMERA))
        await failure(guarded.stub.ListModels(ocr_pb2.ListModelsRequest()))
    assert seen == ["scanner", "camera"]
    calls = [entry for entry in logs if entry["event"] == "call"]
    assert [entry["client"] for entry in calls] == ["scanner", "camera", "camera", "ipv4:127.0.0.1"]
