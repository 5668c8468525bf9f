"""Load: what is sent when, and how its end is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import glyphwire
import pytest

from server.load import Load, Plan, Tally
from tests.server.messages import reached, until

OPTIONS = glyphwire.RecognizeOptions()


def plan(kind: str = "unary", **changes) -> Plan:
    """A short one that sends "a"."""
    return Plan(**({"kind": kind, "images": [b"a"], "options": OPTIONS, "duration_s": 0.2} | changes))


async def passed(seconds: float) -> None:
    """Let the load run for so long."""
    end = time.perf_counter() + seconds
    await until(lambda: time.perf_counter() > end)


@pytest.fixture
async def loaded(running) -> Callable[..., asyncio.Task[Tally]]:
    """Puts load on the server of `running`, in a task."""
    async with glyphwire.AsyncOcrClient(running.target, max_attempts=1) as client:
        yield lambda *arguments, **changes: asyncio.create_task(Load([client], plan(*arguments, **changes)).run())


@pytest.mark.parametrize(("kind", "batch_size"), [("unary", 1), ("batch", 3), ("stream", 1)])
@pytest.mark.parametrize("loop", [{"concurrency": 2}, {"rate": 200.0}])
async def test_every_request_is_answered(loaded, stages, kind, batch_size, loop):
    """Whatever a request is and whichever loop sends it, an idle server answers each one, and all are counted."""
    tally = await loaded(kind, batch_size=batch_size, **loop)
    assert tally.sent == len(tally.latency) == len(tally.lag) > 0
    assert tally.read == tally.in_time == tally.sent * batch_size == len(stages.prepared)
    assert (tally.unsent, tally.failed, tally.broken) == (0, {}, {})
    assert all(latency > 0 for latency in tally.latency)


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_closed_loop_keeps_its_concurrency(running, loaded, stages, kind):
    """No more requests than asked for are unanswered at once."""
    stages.gate.clear()
    load = loaded(kind, concurrency=3)
    await until(lambda: running.app._batcher._admission.images == 3)
    await passed(0.1)
    assert running.app._batcher._admission.images == 3
    stages.gate.set()
    assert (await load).failed == {}


async def test_every_stream_has_its_own_concurrency(running, loaded, stages):
    """Two streams with a concurrency of two keep four frames unanswered."""
    stages.gate.clear()
    load = loaded("stream", concurrency=2, streams=2)
    await until(lambda: running.app._batcher._admission.images == 4)
    stages.gate.set()
    tally = await load
    assert tally.sent == tally.read


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_stalled_server_cannot_hide_its_queue(start_app, stages, kind):
    """In an open loop requests are due while nothing is answered, and their latency counts from then."""
    running = await start_app(stream_window=1000)
    stages.gate.clear()
    async with glyphwire.AsyncOcrClient(running.target, max_attempts=1) as client:
        load = Load([client], plan(kind, rate=100.0))
        task = asyncio.create_task(load.run())
        await until(lambda: time.perf_counter() > load.tally.end)
        opened = time.perf_counter()
        stages.gate.set()
        tally = await task
    assert tally.sent == tally.read > 1
    assert min(tally.latency) > opened - tally.end
    assert max(tally.latency) > (opened - tally.begin) / 2


async def test_an_open_loop_holds_back_what_is_too_much(loaded, stages):
    """Beyond max_pending unanswered calls requests are not sent, but counted."""
    stages.gate.clear()
    load = loaded(rate=200.0, max_pending=2)
    await reached(stages)
    await passed(0.3)
    stages.gate.set()
    tally = await load
    assert tally.sent == tally.read == 2
    assert tally.unsent > 0


async def test_the_seed_decides_when_requests_are_due(loaded):
    """Two runs with one seed have equally many arrivals; in the mean there are as many as the rate says."""
    first, second = [await loaded(rate=300.0, seed=7, duration_s=0.5) for _ in range(2)]
    assert first.sent + first.unsent == second.sent + second.unsent
    assert 100 < first.sent + first.unsent < 200


async def test_the_warm_up_is_not_counted(loaded, stages):
    """What is due before the measured time is sent and forgotten."""
    tally = await loaded(warmup_s=0.2)
    assert tally.sent == tally.read == len(tally.latency) < len(stages.prepared)


async def test_failures_are_counted_by_code_and_reason(loaded):
    """Images that could not be read have no latency; of a batch, those that could be read count."""
    tally = await loaded(images=[b"!small"])
    assert tally.failed == {("INVALID_ARGUMENT", "IMAGE_TOO_SMALL"): tally.sent}
    assert (len(tally.latency), len(tally.refusals), tally.read) == (0, 0, 0)
    tally = await loaded("batch", images=[b"a", b"!small", b"!bug"], batch_size=3)
    assert tally.read == len(tally.latency) == tally.sent
    assert tally.failed == {
        ("INVALID_ARGUMENT", "IMAGE_TOO_SMALL"): tally.sent,
        ("INTERNAL", "INTERNAL"): tally.sent,
    }
    tally = await loaded("stream", images=[b"a", b"!small"])
    assert tally.read + tally.failed[("INVALID_ARGUMENT", "IMAGE_TOO_SMALL")] == tally.sent
    assert tally.broken == {}


async def test_refusals_are_timed(start_app, stages):
    """How soon callers of a server that is too busy are told so; other failures have no such time."""
    running = await start_app(max_queue=1, max_batch_items=1)
    stages.gate.clear()
    async with glyphwire.AsyncOcrClient(running.target, max_attempts=1) as client:
        task = asyncio.create_task(Load([client], plan(rate=100.0)).run())
        await passed(0.3)
        stages.gate.set()
        tally = await task
    assert len(tally.refusals) == tally.failed[("UNAVAILABLE", "QUEUE_FULL")] == tally.sent - tally.read > 0
    assert max(tally.refusals) < max(tally.latency)


async def test_late_answers_are_failures_of_calls_and_no_goodput_of_frames(loaded, stages):
    """A deadline ends a call; a frame that comes after it is read, but not in time."""
    stages.gate.clear()
    tally = await loaded(deadline_s=0.02, concurrency=1)
    assert {code for code, _ in tally.failed} == {"DEADLINE_EXCEEDED"}
    assert sum(tally.failed.values()) == tally.sent
    load = loaded("stream", deadline_s=0.02)
    await passed(0.1)
    stages.gate.set()
    tally = await load
    assert tally.in_time < tally.read


@pytest.mark.parametrize("kind", ["unary", "stream"])
@pytest.mark.parametrize("loop", [{"concurrency": 2}, {"rate": 200.0}])
async def test_a_server_that_stops_leaves_no_request_uncounted(running, loaded, stages, kind, loop):
    """When the server goes away, each request is read, failed or unsent, and the run ends by itself."""
    load = loaded(kind, **loop)
    await reached(stages)
    await running.app.stop()
    tally = await load
    assert tally.read + sum(tally.failed.values()) == tally.sent
    assert {code for code, _ in (tally.failed | tally.broken)} <= {"UNAVAILABLE", "CANCELLED"}
    assert (tally.failed or tally.broken or tally.unsent) != {}


async def test_connections_are_used_in_turn(running):
    """Each client gets its share of the requests."""
    async with glyphwire.AsyncOcrClient(running.target) as one, glyphwire.AsyncOcrClient("127.0.0.1:1") as other:
        tally = await Load([one, other], plan(deadline_s=0.05)).run()
    assert tally.read > 0
    assert sum(tally.failed.values()) > 0
