"""How much work is held."""

from __future__ import annotations

import asyncio

import pytest

from server.admission import Admission
from server.errors import Draining, QueueFull
from server.metrics import Metrics
from server.settings import Settings


def admission(**limits) -> Admission:
    """One with these settings."""
    limits = {"max_batch_items": 1, "max_image_bytes": 1, "max_message_bytes": 1} | limits
    return Admission(Settings(**limits), Metrics())


def take(held: Admission, client: str, *sizes: int, ready_in_s: float = 0.0, left_s: float = 30.0) -> None:
    """Admit images of these sizes."""
    held.take(client, list(sizes), ready_in_s, left_s)


def fill(held: Admission, client: str) -> int:
    """Admit small images of one client until it is refused; returns how many."""
    for count in range(1000):
        try:
            take(held, client, 1)
        except QueueFull:
            return count
    raise AssertionError("never full")


async def started(coroutine) -> asyncio.Task:
    """A task that has run up to its first wait."""
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    return task


async def test_images_are_admitted_together_or_not_at_all():
    """A group that does not fit is refused as a whole and takes no room."""
    held = admission(max_queue=3)
    take(held, "a", 1, 1)
    with pytest.raises(QueueFull):
        take(held, "b", 1, 1)
    take(held, "b", 1)
    assert held.images == 3


async def test_bytes_are_limited():
    """Images that are few but large are refused as well."""
    held = admission(max_queue_bytes=100)
    take(held, "a", 60)
    with pytest.raises(QueueFull):
        take(held, "b", 41)
    take(held, "b", 40)


async def test_one_client_leaves_room_for_others():
    """A client alone fills three quarters of the queue; others who come then get in, each with less than the last."""
    held = admission(max_queue=400)
    assert fill(held, "flood") == 300
    assert fill(held, "second") == 75
    assert fill(held, "third") == 18
    assert fill(held, "fourth") >= 1


async def test_who_holds_nothing_may_use_all_that_is_free():
    """A group as large as the queue is admitted when the queue is empty."""
    held = admission(max_queue=4, max_batch_items=4)
    take(held, "a", 1, 1, 1, 1)
    assert held.images == 4


async def test_work_that_would_be_late_is_refused_at_once():
    """When the estimate fills the time that is left but for two fifths, the caller is told to come back after it."""
    held = admission()
    take(held, "a", 1, ready_in_s=0.59, left_s=1.0)
    with pytest.raises(QueueFull) as caught:
        take(held, "a", 1, ready_in_s=0.61, left_s=1.0)
    assert caught.value.retry_after_s == 0.61


async def test_refusals_are_counted_by_reason():
    """What is refused for want of room, or as too late, or as one stream too many, is counted."""
    metrics = Metrics()
    held = Admission(Settings(max_queue=1, max_batch_items=1, max_streams=1), metrics)
    take(held, "a", 1)
    with pytest.raises(QueueFull):
        take(held, "b", 1)
    held.release("a", 1)
    with pytest.raises(QueueFull):
        take(held, "b", 1, ready_in_s=99.0)
    with held.stream("a"), pytest.raises(QueueFull), held.stream("b"):
        pass
    count = metrics.registry.get_sample_value
    assert [count("glyphwire_refusals_total", {"cause": cause}) for cause in ("room", "late", "streams")] == [1, 1, 1]


async def test_streams_are_limited_in_all_and_for_each_client():
    """One stream too many is refused; when one ends there is room for another."""
    held = admission(max_streams=3, max_client_streams=2)
    with held.stream("a"), held.stream("a"):
        with pytest.raises(QueueFull) as caught, held.stream("a"):
            pass
        assert caught.value.retry_after_s > 0
        with held.stream("b"), pytest.raises(QueueFull), held.stream("c"):
            pass
    with held.stream("a"), held.stream("b"), held.stream("c"):
        pass


async def test_waiting_ends_when_there_is_room():
    """Those that wait are admitted in their order as room comes free."""
    held = admission(max_queue=1)
    take(held, "a", 1)
    first, second = await started(held.wait("b", 1)), await started(held.wait("c", 1))
    held.release("a", 1)
    await first
    assert not second.done()
    held.release("b", 1)
    await second


async def test_those_that_wait_keep_the_order_of_their_client():
    """A smaller frame that would fit does not overtake one of the same client, but one of another client."""
    held = admission(max_queue_bytes=100)
    take(held, "a", 60)
    first, second = await started(held.wait("b", 50)), await started(held.wait("b", 1))
    assert not second.done()
    await held.wait("c", 1)
    held.release("a", 60)
    await first
    await second


async def test_a_client_at_its_share_does_not_block_others():
    """When room comes free, frames of a client that holds its share already stay behind those of others."""
    held = admission(max_queue=8)
    for _ in range(6):
        await held.wait("flood", 1)
    take(held, "x", 1)
    take(held, "y", 1)
    more = await started(held.wait("flood", 1))
    other = await started(held.wait("z", 1))
    held.release("x", 1)
    await other
    assert not more.done()


async def test_frames_that_wait_are_limited_in_bytes():
    """Beyond max_queue_bytes of waiting frames the next one is refused; one alone may always wait."""
    held = admission(max_queue_bytes=100)
    take(held, "a", 100)
    waiting = await started(held.wait("b", 90))
    with pytest.raises(QueueFull):
        await held.wait("c", 11)
    assert not waiting.done()
    waiting.cancel()


async def test_who_stops_waiting_holds_no_room():
    """A waiter that is cancelled, before or just after its turn has come, leaves nothing admitted."""
    held = admission(max_queue=1)
    take(held, "a", 1)
    early, late = await started(held.wait("b", 1)), await started(held.wait("c", 1))
    early.cancel()
    held.release("a", 1)
    late.cancel()
    await asyncio.gather(early, late, return_exceptions=True)
    assert held.images == 0
    await held.wait("d", 1)


async def test_after_closing_nothing_is_admitted():
    """After close(), new work, new streams and waiting work get Draining with a time to try again."""
    held = admission(max_queue=1)
    take(held, "a", 1)
    waiting = await started(held.wait("b", 1))
    held.close()
    with pytest.raises(Draining) as caught:
        await waiting
    assert caught.value.retry_after_s > 0
    with pytest.raises(Draining):
        take(held, "a", 1)
    with pytest.raises(Draining):
        await held.wait("a", 1)
    with pytest.raises(Draining), held.stream("a"):
        pass


async def test_idle_waits_for_the_last_release():
    """idle() returns when everything admitted has been released, and at once when nothing is."""
    held = admission(max_queue=9)
    await held.idle()
    take(held, "a", 1, 1)
    idle = await started(held.idle())
    held.release("a", 1)
    await asyncio.sleep(0)
    assert not idle.done()
    held.release("a", 1)
    await idle


async def test_clients_that_hold_nothing_are_forgotten():
    """Neither refused nor finished clients leave anything behind."""
    held = admission(max_queue=1)
    take(held, "a", 1)
    with pytest.raises(QueueFull):
        take(held, "b", 1)
    held.release("a", 1)
    assert held._clients == {}
