"""The event loop's end of a connection to the engine process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from server.engine_link import Connection
from server.exchange import Exchange
from tests.server.messages import until


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Of one connection: the event loop's, and the engine's."""
    ours, theirs = socket.socketpair()
    theirs.settimeout(5)  # whoever waits for what is lost fails
    with ours, theirs:
        yield ours, theirs


async def test_more_pieces_wait_than_one_call_can_send(ends):
    """All questions arrive although the engine reads none until there are more pieces than the system takes at once."""
    ours, theirs = ends
    answered: list[object] = []
    exchange = Exchange(ours, lambda: answered.append("end"))
    pieces, full = [b"x"] * 7, b"y" * 2**20
    count = os.sysconf("SC_IOV_MAX") // len(pieces) + 2
    exchange.ask("first", (), [full], answered.append)
    for number in range(count):
        exchange.ask("next", (number,), pieces, answered.append)

    def read_and_answer() -> list[object]:
        engine, asked = Connection(theirs), []
        for _ in range(count + 1):
            (number, method, arguments), payload = engine.receive()
            asked.append((method, arguments, payload))
            engine.send((number, method))
        return asked

    asked = await asyncio.to_thread(read_and_answer)
    assert asked == [("first", (), full), *(("next", (number,), b"x" * 7) for number in range(count))]
    await until(lambda: len(answered) > count)
    assert answered == ["first", *["next"] * count]
    exchange.close()
