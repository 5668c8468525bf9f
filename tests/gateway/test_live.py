"""Live streams over a WebSocket."""

from __future__ import annotations

import json

import pytest
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway import live
from tests.gateway.conftest import GatewayClient


async def exchanged(socket: ClientConnection, *frames: bytes) -> list[dict]:
    """Each frame's answer."""
    answers = []
    for frame in frames:
        await socket.send(frame)
        answers.append(json.loads(await socket.recv()))
    return answers


async def test_frames_become_stable_text(gateway: GatewayClient):
    """Each frame is answered; lines that stay are stable, frames that look the same are not read again."""
    async with connect(f"ws://{gateway.address}/api/live") as socket:
        await socket.send('{"stable_frames": 2}')
        first, second, third = await exchanged(socket, b"one", b"one", b"!!!")
    assert [answer["state"] for answer in (first, second, third)] == ["read", "unchanged", "read"]
    assert [answer["frame"] for answer in (first, second, third)] == [0, 1, 2]
    assert [line["text"] for line in first["lines"]] == ["one"]
    assert [line["is_stable"] for line in first["stable"]] == [False]
    assert third["rate"] > 0


async def test_frames_have_fields(gateway: GatewayClient):
    """Rules hold for frames too: stable lines have the text after them, and what they found is there."""
    async with connect(f"ws://{gateway.address}/api/live") as socket:
        await socket.send('{"options": {"field_types": ["amount"]}}')
        (answer,) = await exchanged(socket, b"total 1O.50")
    assert (answer["lines"][0]["raw_text"], answer["stable"][0]["text"]) == ("total 1O.50", "total 10.50")
    assert [(field["name"], field["value"]) for field in answer["fields"]] == [("amount", "10.50")]


async def test_a_bad_frame_does_not_end_the_stream(gateway: GatewayClient):
    """Its problem stands in its place."""
    async with connect(f"ws://{gateway.address}/api/live") as socket:
        await socket.send("{}")
        bad, good = await exchanged(socket, b"!undecodable", b"one")
    assert bad["reason"] == "IMAGE_UNDECODABLE"
    assert good["lines"][0]["text"] == "one"


@pytest.mark.parametrize("first", ["nonsense", '{"stable_frames": 0}', b"one"])
async def test_bad_beginnings_are_told(gateway: GatewayClient, first):
    """A problem comes, and the socket is closed."""
    async with connect(f"ws://{gateway.address}/api/live") as socket:
        await socket.send(first)
        assert json.loads(await socket.recv())["reason"] in {"OPTION_INVALID", "REQUEST_INVALID"}
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_who_leaves_before_being_refused_is_no_error():
    """Nobody is told then, and nothing is raised that would stand in the log with its traceback."""
    received = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "nonsense"}])
    refused: list[str] = []

    async def receive() -> dict:
        return next(received)

    async def send(message: dict) -> None:
        if message["type"] != "websocket.accept":
            refused.append(message["type"])
            raise OSError("the caller has gone")

    socket = WebSocket({"type": "websocket"}, receive, send)
    await socket.accept()
    await live._serve(socket, None, 1)
    assert refused == ["websocket.send"]


async def test_pages_from_elsewhere_are_refused(gateway: GatewayClient):
    """Before the handshake, as no browser would stop them."""
    url = f"ws://{gateway.address}/api/live"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, origin="https://evil.example").__aenter__()
    assert refused.value.response.status_code == 403
    async with connect(url, origin=f"http://{gateway.address}"):
        pass


async def test_a_token_travels_as_a_subprotocol(start_gateway, token_file):
    """Browsers let pages choose no headers."""
    gateway = await start_gateway(http_token_file=token_file)
    url = f"ws://{gateway.address}/api/live"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url).__aenter__()
    assert refused.value.response.status_code == 401
    token_file.write_text(token_file.read_text(encoding="utf-8"), encoding="utf-8")
    async with connect(url, additional_headers={"authorization": "Bearer bob's token"}) as socket:
        await socket.send("{}")
        assert (await exchanged(socket, b"one"))[0]["state"] == "read"
