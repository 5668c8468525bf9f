"""What lies between both clients and the server: deadlines, retries, tokens, sockets."""

from __future__ import annotations

import asyncio
import hashlib
import math

import grpc
import pytest
from glyphwire import ErrorReason, Tls

from server.errors import QueueFull
from tests.client.outcomes import failure, texts
from tests.server.authorities import Authority
from tests.server.messages import reached


async def test_calls_have_a_deadline(connect, running, stages):
    """A call that takes longer than its timeout_s, or that of the client, raises DEADLINE_EXCEEDED."""
    client = await connect(running.target, timeout_s=0.05)
    stages.gate.clear()
    assert (await failure(client.call("recognize", b"a"))).code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (await failure(client.call("recognize_batch", [b"a"], timeout_s=0.04))).code is (
        grpc.StatusCode.DEADLINE_EXCEEDED
    )
    assert (await failure(client.stream([b"a"], timeout_s=0.04))).code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_deadline_may_be_infinite(connect, running):
    """Calls and streams that may take as long as they like are not over before they begin."""
    client = await connect(running.target, timeout_s=math.inf)
    assert texts(await client.call("recognize", b"a")) == ["a"]
    (result,) = await client.stream([b"a"], timeout_s=math.inf)
    assert texts(result.outcome) == ["a"]


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
    assert str(error) == "DEADLINE_EXCEEDED: no server is ready after 0.05 s"
    waiting = asyncio.ensure_future(client.call("wait_ready"))
    await running.app.start()
    await waiting


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
