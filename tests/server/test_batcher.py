"""Requests of many callers through worker threads."""

from __future__ import annotations

import asyncio
import time
import weakref
from dataclasses import replace

import pytest

from ocr_core.errors import ImageTooSmall, ImageUndecodable, OptionInvalid
from ocr_core.types import DecodeMethod, DecodeOptions, Mode, PixelFormat, RawImage, RecognizeOptions
from server.errors import DeadlineExpired, Draining, QueueFull
from server.metrics import Metrics
from server.request import Job, Priority, Stage
from tests.server.jobs import PAGE, after, job, submitted, texts
from tests.server.messages import reached


async def test_lines_come_back_in_reading_order(start_batcher, stages):
    """The lines of an image are complete and in order, however they were spread over batches and workers."""
    batcher = await start_batcher(workers=3)
    rows = [f"line {number}" * (1 + number % 3 * 20) for number in range(20)]
    assert texts(await batcher.submit(job("\n".join(rows), PAGE), after(30))) == rows
    assert len(stages.batches) >= 5


async def test_an_image_without_lines_is_answered(batcher, stages):
    """An image on which no line was found yields an empty recognition and no batch."""
    assert texts(await batcher.submit(job("\n"), after(30))) == []
    assert stages.batches == []


async def test_concurrent_callers_share_a_batch(start_batcher, stages):
    """Lines that wait while the worker is busy are read in one batch, whoever sent them."""
    batcher = await start_batcher(max_batch_size=3)
    stages.gate.clear()
    busy = await submitted(batcher, job("busy"))
    await reached(stages)
    others = await submitted(batcher, *map(job, "abcd"))
    stages.gate.set()
    assert [texts(await task) for task in others] == [["a"], ["b"], ["c"], ["d"]]
    await asyncio.gather(*busy)
    assert stages.batches == [["busy"], ["a", "b", "c"], ["d"]]


async def test_lines_of_unlike_width_are_read_one_after_the_other(batcher, stages):
    """Images that a worker takes together are read in as many batches as they have keys."""
    stages.gate.clear()
    (busy,) = await submitted(batcher, job("busy"))
    await reached(stages)
    long = 200 * "long "
    tasks = await submitted(batcher, job("a"), job(long), job("b"), job("!small"))
    stages.gate.set()
    outcomes = await asyncio.gather(busy, *tasks, return_exceptions=True)
    assert [texts(outcome) for outcome in outcomes[1:4]] == [["a"], [long], ["b"]]
    assert isinstance(outcomes[4], ImageTooSmall)
    assert stages.batches == [["busy"], ["a", "b"], [long]]


async def test_options_travel_with_their_line(batcher, stages):
    """Callers that share a batch get what each of them asked for."""
    stages.gate.clear()
    wide = RecognizeOptions(mode=Mode.LINE, decode=DecodeOptions(DecodeMethod.PREFIX_BEAM, alternatives=2))
    tasks = await submitted(
        batcher, job("a", wide), job("b", RecognizeOptions(mode=Mode.LINE, include_characters=True)), job("c")
    )
    stages.gate.set()
    a, b, c = [(await task).lines[0] for task in tasks]
    assert ["a", "b", "c"] in stages.batches
    assert [(len(line.alternatives), len(line.characters)) for line in (a, b, c)] == [(2, 0), (0, 1), (0, 0)]


@pytest.mark.parametrize("broken", ["poison", "shortfall"])
async def test_a_bad_line_hurts_only_its_owner(batcher, stages, broken):
    """When a batch fails or loses lines, its lines are read one by one, and only the bad one's caller is told."""
    stages.gate.clear()
    good, bad, also_good = await submitted(batcher, job("a"), job(broken), job("b"))
    stages.gate.set()
    outcomes = await asyncio.gather(good, bad, also_good, return_exceptions=True)
    assert ["a", broken, "b"] in stages.batches
    assert [texts(outcomes[0]), texts(outcomes[2])] == [["a"], ["b"]]
    assert isinstance(outcomes[1], ZeroDivisionError if broken == "poison" else RuntimeError)


async def test_a_page_with_a_bad_line_fails_once(batcher):
    """Two bad lines on a page yield one error, and the batcher goes on."""
    with pytest.raises(ZeroDivisionError):
        await batcher.submit(job("a\npoison\nb\npoison"), after(30))
    assert texts(await batcher.submit(job("next"), after(30))) == ["next"]


async def test_errors_of_the_pipeline_reach_the_caller(batcher):
    """What prepare raises is raised to the caller."""
    with pytest.raises(ImageUndecodable):
        await batcher.submit(job("!undecodable"), after(30))


async def test_a_full_queue_refuses(start_batcher, stages):
    """Beyond max_queue images callers get QueueFull, with a time to try again; room comes free with answers."""
    batcher = await start_batcher(max_queue=1, max_batch_items=1)
    stages.gate.clear()
    tasks = await submitted(batcher, job("a"))
    with pytest.raises(QueueFull) as caught:
        await batcher.submit(job("c"), after(30))
    assert caught.value.retry_after_s > 0
    stages.gate.set()
    await asyncio.gather(*tasks)
    assert texts(await batcher.submit(job("c"), after(30))) == ["c"]


async def test_a_group_has_one_outcome_each(batcher):
    """submit_all returns results and errors in the order of the jobs."""
    first, second, third = await batcher.submit_all([job("a"), job("!small"), job("c")], after(30))
    assert (texts(first), type(second).__name__, texts(third)) == (["a"], "ImageTooSmall", ["c"])


async def test_streams_wait_for_room(start_batcher, stages):
    """submit_in_turn waits while the queue is full instead of failing, until its deadline."""
    batcher = await start_batcher(max_queue=1, max_batch_items=1)
    stages.gate.clear()
    (busy,) = await submitted(batcher, job("busy"))
    waiting = asyncio.create_task(batcher.submit_in_turn(job("frame"), after(30)))
    with pytest.raises(DeadlineExpired):
        await batcher.submit_in_turn(job("late"), after(0.01))
    stages.gate.set()
    assert texts(await (await waiting)) == ["frame"]
    await busy


async def test_pixels_are_let_go_of_once_lines_are_found(batcher, stages):
    """While the lines of an image wait nobody holds its pixels, and who sent it in turn has been told so."""
    stages.read_gate.clear()
    prepared = asyncio.Event()
    pixels = memoryview(b"line")
    held = weakref.ref(pixels)
    frame = Job(RawImage(pixels, 4, 1, PixelFormat.GRAY8), PAGE)
    answer = await batcher.submit_in_turn(frame, after(30), prepared=prepared.set)
    del pixels, frame
    await prepared.wait()
    assert held() is None
    stages.read_gate.set()
    assert texts(await answer) == ["line"]


async def test_work_before_the_start_waits(start_batcher):
    """Work that comes while the models are loaded is queued and done afterwards."""
    batcher = await start_batcher(warm=False)
    (early,) = await submitted(batcher, job("early"))
    await batcher.start()
    assert texts(await early) == ["early"]


async def test_drain_finishes_what_was_admitted(batcher, stages):
    """After drain() new work gets Draining and admitted work is finished."""
    stages.gate.clear()
    (admitted,) = await submitted(batcher, job("admitted"))
    drain = asyncio.create_task(batcher.drain(30))
    await asyncio.sleep(0)
    with pytest.raises(Draining):
        await batcher.submit(job("new"), after(30))
    with pytest.raises(Draining):
        await batcher.models()
    stages.gate.set()
    assert await drain
    assert texts(await admitted) == ["admitted"]


async def test_drain_gives_up_after_its_time(batcher, stages):
    """drain() returns False when admitted work takes longer than it may."""
    stages.gate.clear()
    (stuck,) = await submitted(batcher, job("stuck"))
    assert not await batcher.drain(0.01)
    stuck.cancel()
    await asyncio.wait([stuck])


async def test_a_deadline_that_the_queue_will_not_meet_is_refused_at_once(batcher, stages):
    """When the estimate says that the work would be late, the caller gets QueueFull without being queued."""
    batcher._queue.image_costs.learn(Stage.LINE_IMAGE, 10.0)
    stages.gate.clear()
    tasks = await submitted(batcher, job("busy"), job("queued"), seconds=9)
    await reached(stages)
    with pytest.raises(QueueFull) as caught:
        await batcher.submit(job("hasty"), after(9))
    assert caught.value.retry_after_s > 9
    stages.gate.set()
    await asyncio.gather(*tasks)
    assert stages.prepared == [b"busy", b"queued"]


async def test_a_clients_flood_does_not_delay_another(batcher, stages):
    """The image of a client that has nothing else waiting is next, however many another client has."""
    stages.gate.clear()
    flood = await submitted(batcher, job("flood"))
    await reached(stages)
    flood += await submitted(batcher, *[job(f"flood {number}") for number in range(20)])
    quiet = asyncio.create_task(batcher.submit(job("quiet"), after(30), "quiet"))
    await asyncio.sleep(0)
    stages.gate.set()
    await asyncio.gather(quiet, *flood)
    assert stages.prepared.index(b"quiet") == 1


async def test_bulk_work_waits_for_interactive_work(batcher, stages):
    """An interactive image that comes later is prepared before bulk images of the same client."""
    stages.gate.clear()
    bulk = await submitted(batcher, replace(job("0"), priority=Priority.BULK))
    await reached(stages)
    bulk += await submitted(batcher, *[replace(job(str(number)), priority=Priority.BULK) for number in (1, 2)])
    (urgent,) = await submitted(batcher, job("urgent"))
    stages.gate.set()
    await asyncio.gather(urgent, *bulk)
    assert stages.prepared == [b"0", b"urgent", b"1", b"2"]


async def test_the_waits_of_frames_begin_with_their_arrival(start_batcher, stages):
    """queue_ms of a frame has the time it waited for room in the queue."""
    batcher = await start_batcher(max_queue=1, max_batch_items=1)
    stages.gate.clear()
    (busy,) = await submitted(batcher, job("busy"))
    waiting = asyncio.create_task(batcher.submit_in_turn(job("frame"), after(30)))
    await asyncio.sleep(0)
    began = time.monotonic()
    await reached(stages)
    at_least_ms = 1e3 * (time.monotonic() - began)
    stages.gate.set()
    assert (await (await waiting)).timings.queue_ms >= at_least_ms
    await busy


async def test_what_was_done_is_counted(start_batcher, stages):
    """The queue, busy workers, and what was given up, are in the metrics; late work never starts."""
    metrics = Metrics()
    batcher = await start_batcher(metrics=metrics)
    count = metrics.registry.get_sample_value
    stages.gate.clear()
    (busy,) = await submitted(batcher, job("busy"))
    await reached(stages)
    gone, *fine = await submitted(batcher, job("gone"), job("a"), job("b"), job("!small"))
    with pytest.raises(DeadlineExpired):
        await batcher.submit(job("late"), after(0.05))
    gone.cancel()
    await asyncio.wait([gone])
    held, waiting, working = "glyphwire_images_held", "glyphwire_images_waiting", "glyphwire_workers_busy"
    assert [count(name) for name in (held, waiting, working)] == [4, 3, 1]
    stages.gate.set()
    await asyncio.gather(busy, *fine, return_exceptions=True)
    await asyncio.sleep(0)
    assert [count(name) for name in (held, waiting, "glyphwire_lines_waiting")] == [0, 0, 0]
    dropped = [{"cause": cause, "before": "prepare"} for cause in ("expired", "cancelled")]
    assert [count("glyphwire_images_dropped_total", labels) for labels in dropped] == [1, 1]
    assert count("glyphwire_batch_lines_sum") == 3
    assert count("glyphwire_late_starts_total") == 0


async def test_timings_have_the_waits(batcher, stages):
    """queue_ms holds the time in the queue, and no more than total_ms."""
    stages.gate.clear()
    (busy,) = await submitted(batcher, job("busy"))
    await reached(stages)
    (second,) = await submitted(batcher, job("a\nb"))
    stages.gate.set()
    await busy
    timings = (await second).timings
    assert 0 < timings.queue_ms <= timings.total_ms


async def test_a_bad_model_in_batch_key_is_the_callers_error(batcher, stages, monkeypatch):
    """What batch_key raises reaches the caller and leaves nothing admitted."""

    def refuse(*_):
        raise OptionInvalid("no", "options.model")

    monkeypatch.setattr(stages, "batch_key", refuse)
    with pytest.raises(OptionInvalid):
        await batcher.submit(job("a"), after(30))
    assert await batcher.drain(30)


async def test_closing_leaves_what_is_queued(start_batcher, stages):
    """close() waits for the batch that is being worked on and starts nothing more."""
    batcher = await start_batcher()
    stages.gate.clear()
    (busy,) = await submitted(batcher, job("busy"))
    await reached(stages)
    (queued,) = await submitted(batcher, job("queued"))
    stages.gate.set()
    batcher.close()
    await asyncio.sleep(0)
    assert stages.prepared == [b"busy"]
    for task in (busy, queued):
        task.cancel()
    await asyncio.wait([busy, queued])
