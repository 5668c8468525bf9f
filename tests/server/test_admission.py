"""How much work is held."""

from __future__ import annotations

import asyncio

import pytest

from server.admission import Admission
from server.errors import Draining, QueueFull


async def started(coroutine) -> asyncio.Task:
    """A task that has run up to its first wait."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


async def test_images_are_admitted_together_or_not_at_all():
    """A group that does not fit is refused as a whole and takes no room."""
    admission = Admission(max_images=3, max_bytes=100)
    admission.take([1, 1])
    with pytest.raises(QueueFull):
        admission.take([1, 1])
    admission.take([1])
    assert admission.images == 3


async def test_bytes_are_limited():
    """Images that are few but large are refused as well."""
    admission = Admission(max_images=10, max_bytes=100)
    admission.take([60])
    with pytest.raises(QueueFull):
        admission.take([41])
    admission.take([40])


async def test_waiting_ends_when_there_is_room():
    """Those that wait are admitted in their order as room comes free."""
    admission = Admission(max_images=1, max_bytes=100)
    admission.take([1])
    first, second = await started(admission.wait(1)), await started(admission.wait(1))
    admission.release([1])
    await first
    assert not second.done()
    admission.release([1])
    await second


async def test_those_that_wait_keep_their_order():
    """A smaller frame that would fit does not overtake one that waits."""
    admission = Admission(max_images=10, max_bytes=100)
    admission.take([60])
    first, second = await started(admission.wait(50)), await started(admission.wait(1))
    assert not second.done()
    admission.release([60])
    await first
    await second


async def test_streams_leave_a_quarter_of_the_room_to_others():
    """However many frames wait, a unary call is admitted, and a frame larger than the share gets in alone."""
    admission = Admission(max_images=4, max_bytes=100)
    inside = [await started(admission.wait(10)) for _ in range(3)]
    waiting = await started(admission.wait(10))
    assert [frame.done() for frame in (*inside, waiting)] == [True, True, True, False]
    admission.take([10])
    with pytest.raises(QueueFull):
        admission.take([10])
    admission.release([10] * 4)
    await waiting
    admission.release([10])
    await admission.wait(90)


async def test_who_stops_waiting_holds_no_room():
    """A waiter that is cancelled, before or just after its turn has come, leaves nothing admitted."""
    admission = Admission(max_images=1, max_bytes=100)
    admission.take([1])
    early, late = await started(admission.wait(1)), await started(admission.wait(1))
    early.cancel()
    admission.release([1])
    late.cancel()
    await asyncio.gather(early, late, return_exceptions=True)
    assert admission.images == 0
    await admission.wait(1)


async def test_after_closing_nothing_is_admitted():
    """After close(), new work and waiting work get Draining with a time to try again."""
    admission = Admission(max_images=1, max_bytes=100)
    admission.take([1])
    waiting = await started(admission.wait(1))
    admission.close()
    with pytest.raises(Draining) as caught:
        await waiting
    assert caught.value.retry_after_s > 0
    with pytest.raises(Draining):
        admission.take([1])
    with pytest.raises(Draining):
        await admission.wait(1)


async def test_idle_waits_for_the_last_release():
    """idle() returns when everything admitted has been released, and at once when nothing is."""
    admission = Admission(max_images=2, max_bytes=100)
    await admission.idle()
    admission.take([1, 1])
    idle = await started(admission.idle())
    admission.release([1])
    await asyncio.sleep(0)
    assert not idle.done()
    admission.release([1])
    await idle
