"""Work that nobody waits for any more, in a batcher: late or cancelled."""

from __future__ import annotations

import asyncio

import pytest

from server.errors import DeadlineExpired
from tests.server.jobs import PAGE, after, job, submitted, texts
from tests.server.messages import reached


async def test_late_images_never_reach_the_pipeline(batcher, stages):
    """An image whose deadline passes in the queue gets DeadlineExpired at once and is never prepared."""
    stages.gate.clear()
    (busy,) = await submitted(batcher, job("busy"))
    await reached(stages)
    with pytest.raises(DeadlineExpired):
        await batcher.submit(job("late"), after(0.05))
    stages.gate.set()
    await busy
    assert texts(await batcher.submit(job("next"), after(30))) == ["next"]
    assert stages.prepared == [b"busy", b"next"]


async def test_late_lines_never_reach_the_engine(batcher, stages):
    """Lines whose deadline passes between prepare and read are not read, and hold up nobody."""
    stages.gate.clear()
    (late,) = await submitted(batcher, job("late"), seconds=0.01)
    await reached(stages)
    with pytest.raises(DeadlineExpired):
        await late
    stages.gate.set()
    assert texts(await batcher.submit(job("next"), after(30))) == ["next"]
    assert stages.batches == [["next"]]


async def test_a_deadline_in_the_past_is_late(batcher, stages):
    """Work that is late on arrival is refused without being queued."""
    with pytest.raises(DeadlineExpired):
        await batcher.submit(job("late"), after(0))
    assert stages.prepared == []


async def test_cancelled_images_never_reach_the_pipeline(batcher, stages):
    """An image whose caller goes away in the queue is never prepared."""
    stages.gate.clear()
    (busy,) = await submitted(batcher, job("busy"))
    await reached(stages)
    (gone,) = await submitted(batcher, job("gone"))
    gone.cancel()
    await asyncio.wait([gone])
    stages.gate.set()
    await busy
    assert stages.prepared == [b"busy"]


async def test_cancelled_lines_never_reach_the_engine(batcher, stages):
    """Of a page whose caller goes away while it is read, the lines that are still queued are not read."""
    stages.read_gate.clear()
    (gone,) = await submitted(batcher, job("\n".join("abcdefgh"), PAGE))
    await reached(stages, 2)
    gone.cancel()
    await asyncio.wait([gone])
    stages.read_gate.set()
    assert texts(await batcher.submit(job("next"), after(30))) == ["next"]
    assert stages.batches == [["a", "b", "c", "d"], ["next"]]


async def test_a_group_that_is_cancelled_holds_nothing(batcher, stages):
    """When the caller of a group goes away, its images leave the queue and give their room back."""
    stages.gate.clear()
    (busy,) = await submitted(batcher, job("busy"))
    await reached(stages)
    group = asyncio.create_task(batcher.submit_all([job("a"), job("b")], after(30)))
    await asyncio.sleep(0)
    group.cancel()
    await asyncio.wait([group])
    stages.gate.set()
    await busy
    assert await batcher.drain(30)
    assert stages.prepared == [b"busy"]
