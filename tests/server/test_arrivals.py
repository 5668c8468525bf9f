"""Which frames are handed out to be read, and what is said of the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from glyphwire.v1 import ocr_pb2
from hypothesis import given
from hypothesis import strategies as st

from server import arrivals
from server.arrivals import Arrival, every_frame, latest_frame
from server.errors import RequestInvalid
from tests.server.messages import config, frame

Requests = AsyncIterator[ocr_pb2.StreamRecognizeRequest]


class Sender:
    """Sends what the test gives it, when it does. sent: how many messages were taken."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[ocr_pb2.StreamRecognizeRequest | None] = asyncio.Queue()
        self.sent = 0

    async def send(self, *messages: ocr_pb2.StreamRecognizeRequest | None) -> None:
        """Returns when whoever receives has had time to take what it wants. None ends the stream."""
        for message in messages:
            self._messages.put_nowait(message)
        for _ in range(10 + 10 * len(messages)):
            await asyncio.sleep(0)

    async def requests(self) -> Requests:
        while message := await self._messages.get():
            self.sent += 1
            yield message


def summary(arrival: Arrival) -> tuple[int, int | None]:
    """frame_id, and replaced_by of a frame that was dropped."""
    dropped = arrival.response.HasField("dropped")
    assert dropped == (arrival.image is None)
    return arrival.response.frame_id, arrival.response.dropped.replaced_by if dropped else None


async def test_every_frame_is_handed_out():
    """With the policy of old no frame is dropped, however many wait, and none is taken before it is asked for."""
    sender = Sender()
    async with aclosing(every_frame(sender.requests())) as found:
        await sender.send(*(frame(number, "x") for number in range(5)), None)
        assert sender.sent == 0
        assert [summary(arrival) async for arrival in found] == [(number, None) for number in range(5)]


async def test_of_those_that_wait_the_newest_is_handed_out():
    """Each of the others names the frame that took its place; all come in their order."""
    sender = Sender()
    async with aclosing(latest_frame(sender.requests())) as found:
        await sender.send(frame(1, "a"))
        assert summary(await anext(found)) == (1, None)
        await sender.send(frame(2, "b"), frame(3, "c"), frame(9, "d"))
        assert [summary(await anext(found)) for _ in range(3)] == [(2, 3), (3, 9), (9, None)]
        await sender.send(frame(10, "e"), None)
        assert [summary(arrival) async for arrival in found] == [(10, None)]


async def test_dropped_frames_keep_capture_times_and_lose_images():
    """What waits of a dropped frame is its response alone, with its capture time."""
    sender = Sender()
    dated = frame(1, bytes(10_000))
    dated.frame.capture_time.seconds = 17
    async with aclosing(latest_frame(sender.requests())) as found:
        first = asyncio.ensure_future(anext(found))
        await sender.send(frame(0, "x"))
        await first
        await sender.send(dated, frame(2, "b"))
        arrival = await anext(found)
    assert (arrival.image, arrival.response.capture_time.seconds) == (None, 17)
    assert arrival.response.ByteSize() < 100


async def test_dropped_frames_are_bounded(monkeypatch):
    """When too many responses wait to be sent no more frames are taken, until some are."""
    monkeypatch.setattr(arrivals, "MAX_UNSENT", 3)
    sender = Sender()
    async with aclosing(latest_frame(sender.requests())) as found:
        first = asyncio.ensure_future(anext(found))
        await sender.send(*(frame(number, "x") for number in range(20)))
        await first
        await sender.send()
        held = sender.sent
        assert held <= 6
        await anext(found)
        await sender.send()
        assert sender.sent == held + 1


@pytest.mark.parametrize("frames", [every_frame, latest_frame])
async def test_a_message_that_is_no_frame_comes_last(frames):
    """It is refused after the frames before it have been handed out."""
    sender = Sender()
    async with aclosing(frames(sender.requests())) as found:
        await sender.send(frame(1, "a"), config(), frame(2, "b"))
        assert summary(await anext(found)) == (1, None)
        with pytest.raises(RequestInvalid, match="must be a frame"):
            await anext(found)


async def test_nothing_runs_on_when_nobody_asks_any_more():
    """Closing stops the task that takes frames."""
    sender = Sender()
    before = asyncio.all_tasks()
    async with aclosing(latest_frame(sender.requests())) as found:
        await sender.send(frame(1, "a"))
        await anext(found)
    assert asyncio.all_tasks() == before


@given(st.lists(st.integers(0, 3), max_size=8))
def test_every_frame_arrives_once_in_order(bursts):
    """Whatever the frames' rhythm: each arrives once, in order; a dropped one names its successor; the last is read."""

    async def arrive() -> list[tuple[int, int | None]]:
        sender, count, found = Sender(), 0, []
        async with aclosing(latest_frame(sender.requests())) as frames:
            for burst in bursts:
                await sender.send(*(frame(count + number, "x") for number in range(burst)))
                count += burst
                if burst:
                    found.append(summary(await anext(frames)))
            await sender.send(None)
            found.extend([summary(arrival) async for arrival in frames])
        return found

    found = asyncio.run(arrive())
    assert [number for number, _ in found] == list(range(sum(bursts)))
    assert all(replaced_by in {None, number + 1} for number, replaced_by in found)
    assert not found or found[-1][1] is None
