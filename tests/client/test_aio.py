"""What only AsyncOcrClient does."""

from __future__ import annotations

import asyncio

import glyphwire
import pytest

from tests.server.messages import until


async def test_frames_may_come_from_an_async_iterator(running):
    """stream() takes an asynchronous iterator of frames, and sends while it receives."""
    sent: asyncio.Queue[bytes] = asyncio.Queue()

    async def frames():
        while image := await sent.get():
            yield image

    async with glyphwire.AsyncOcrClient(running.target) as client:
        results = client.stream(frames())
        for text in ("a", "b"):
            sent.put_nowait(text.encode())
            assert (await anext(results)).outcome.text == text
        sent.put_nowait(b"")
        assert [result async for result in results] == []


async def test_cancelling_a_call_drops_its_work(running, stages):
    """When the task of a call is cancelled, the server forgets its image."""
    stages.gate.clear()
    admission = running.app._batcher._admission
    async with glyphwire.AsyncOcrClient(running.target) as client:
        task = asyncio.create_task(client.recognize(b"a"))
        await until(lambda: admission.images == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await admission.idle()
