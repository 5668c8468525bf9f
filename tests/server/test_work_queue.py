"""Which work runs next. Time is an argument, so nothing here waits."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from ocr_core.types import LineCrop, Polygon, RecognizeOptions
from server.work_queue import Job, LineTask, PrepareTask, WorkQueue

LATER = 100.0


def image(deadline: float = LATER) -> PrepareTask:
    """An image to prepare."""
    return PrepareTask(asyncio.get_running_loop().create_future(), deadline, 0.0, 0.0, Job(b"", RecognizeOptions()))


def line(key: str = "key", deadline: float = LATER, queued_at: float = 0.0) -> LineTask:
    """A line to read."""
    crop = LineCrop(np.zeros((1, 1, 3), np.uint8), Polygon(()))
    done = asyncio.get_running_loop().create_future()
    return LineTask(done, deadline, queued_at, queued_at, crop, RecognizeOptions(), key)


@pytest.fixture
def queue() -> WorkQueue:
    """Batches of up to 3 lines, images until 6 lines wait, no waiting for company."""
    return WorkQueue(max_batch_size=3, max_ahead=6, max_wait_s=0.0)


async def test_an_empty_queue_has_no_work(queue):
    """An empty queue gives None."""
    assert queue.take(0.0, 1) is None


async def test_a_batch_has_one_key_and_a_limited_size(queue):
    """Lines share a batch with those of their key alone, at most max_batch_size of them."""
    a, b = [line("a") for _ in range(4)], [line("b") for _ in range(2)]
    queue.push_lines([a[0], b[0], a[1], a[2], b[1], a[3]])
    assert [queue.take(0.0, 1) for _ in range(4)] == [a[:3], b, a[3:], None]


async def test_the_earliest_deadline_goes_first(queue):
    """Of images, and of keys, the one with the earliest deadline is next; equal deadlines keep their order."""
    late, soon, soon_too = image(9.0), image(5.0), image(5.0)
    for task in (late, soon, soon_too):
        queue.push_image(task)
    assert [queue.take(0.0, 1) for _ in range(3)] == [[soon], [soon_too], [late]]
    patient, urgent = line("a", 9.0), line("b", 5.0)
    queue.push_lines([patient, urgent])
    assert queue.take(0.0, 1) == [urgent]


async def test_images_come_before_lines_until_a_batch_is_full(queue):
    """While images wait, lines wait for company; a full batch goes first."""
    images = [image() for _ in range(3)]
    lines = [line() for _ in range(3)]
    for task in images:
        queue.push_image(task)
    queue.push_lines(lines[:2])
    assert queue.take(0.0, 1) == images[:1]
    queue.push_lines(lines[2:])
    assert queue.take(0.0, 1) == lines
    assert queue.take(0.0, 1) == images[1:2]


async def test_many_waiting_lines_come_before_images(queue):
    """Once max_ahead lines of any keys wait, no more images are prepared."""
    lines = [line(str(number)) for number in range(6)]
    queue.push_image(image())
    queue.push_lines(lines)
    assert queue.take(0.0, 1) == lines[:1]


async def test_images_in_a_row_cannot_starve_a_line(queue):
    """After max_ahead images in a row a lonely line is read although more images wait."""
    lonely = line()
    queue.push_lines([lonely])
    for _ in range(10):
        queue.push_image(image())
    taken = [queue.take(0.0, 1) for _ in range(7)]
    assert taken.index([lonely]) == 6


async def test_lines_are_shared_out_among_free_workers(queue):
    """With several workers free, each gets its share of the lines instead of one all of them."""
    lines = [line() for _ in range(3)]
    queue.push_lines(lines)
    assert queue.take(0.0, 2) == lines[:2]
    assert queue.take(0.0, 1) == lines[2:]


async def test_expired_work_is_dropped(queue):
    """Images and lines whose deadline has passed are never handed out."""
    queue.push_image(image(5.0))
    queue.push_lines([line("a", 5.0), line("b", 5.0)])
    assert queue.take(5.0, 1) is None
    assert len(queue) == 0


async def test_cancelled_work_is_dropped(queue):
    """Work whose caller has gone is never handed out, and drop_done frees it at once."""
    gone, stays, image_gone = line(), line(), image()
    queue.push_lines([gone, stays])
    queue.push_image(image_gone)
    gone.done.cancel()
    image_gone.done.cancel()
    queue.drop_done()
    assert len(queue) == 1
    assert queue.take(0.0, 1) == [stays]


async def test_lines_wait_for_company_only_when_asked_to():
    """With max_wait_s a batch that is not full is read when its oldest line has waited that long; without, at once."""
    patient = WorkQueue(max_batch_size=3, max_ahead=6, max_wait_s=2.0)
    first, second = line(queued_at=1.0), line(queued_at=2.5)
    patient.push_lines([first, second])
    assert patient.next_ripe_at() == 3.0
    assert patient.take(2.9, 1) is None
    assert patient.take(3.0, 1) == [first, second]
    assert patient.next_ripe_at() is None


async def test_a_full_batch_does_not_wait_for_company():
    """With max_wait_s a full batch is read at once."""
    patient = WorkQueue(max_batch_size=2, max_ahead=6, max_wait_s=2.0)
    lines = [line(), line()]
    patient.push_lines(lines)
    assert patient.take(0.0, 1) == lines


async def test_an_urgent_image_comes_before_lines_that_have_time() -> None:
    """A page in hand does not hold up a caller whose deadline is nearer; lines still get their turns."""
    queue = WorkQueue(max_batch_size=1, max_ahead=2, max_wait_s=0.0)
    lines = [line(str(number), deadline=30.0) for number in range(6)]
    urgent = [image(deadline=2.0) for _ in range(3)]
    queue.push_lines(lines)
    for task in urgent:
        queue.push_image(task)
    assert [queue.take(0.0, 1) for _ in range(4)] == [[urgent[0]], [urgent[1]], [lines[0]], [urgent[2]]]
