"""A pipeline in a process of its own: what it answers, what it forgets, and what becomes of callers when it ends."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from functools import partial

import pytest
import structlog

from ocr_core import errors
from ocr_core.shared_pixels import SharedPixels
from ocr_core.types import Mode, PixelFormat, RawImage, RecognizeOptions
from server.batcher import Batcher
from server.errors import EngineLost, ProcessesFailed
from server.metrics import Metrics
from server.remote_stages import RemoteCrop, RemoteImage, RemoteStages
from server.request import Job
from server.settings import Settings
from tests.server.messages import until
from tests.server.shelf_stages import put_bundle

OPTIONS = RecognizeOptions()
LINE = RecognizeOptions(mode=Mode.LINE)


@pytest.fixture
def models_dir(tmp_path):
    """One model, which signs what it reads with an "a"."""
    put_bundle(tmp_path, "1", "a")
    return tmp_path


@pytest.fixture
def metrics() -> Metrics:
    """Of `remote`."""
    return Metrics()


@pytest.fixture
def remote(models_dir, metrics) -> RemoteStages:
    """For two workers, not started."""
    command = (sys.executable, "-m", "tests.server.engine_program", str(models_dir))
    return RemoteStages(Settings(workers=2), command, metrics)


@pytest.fixture
async def batcher(remote, metrics) -> AsyncIterator[Batcher]:
    """In front of it, started."""
    batcher = Batcher(remote, Settings(workers=2), metrics)
    try:
        await batcher.start()
        yield batcher
    finally:
        batcher.close()


async def read(batcher: Batcher, image: bytes | RawImage, options: RecognizeOptions = OPTIONS) -> list[str]:
    """Texts of the lines of an image."""
    recognition = await batcher.submit(Job(image, options), time.monotonic() + 60)
    return [line.text for line in recognition.lines]


def pid_of(stages: RemoteStages) -> int:
    """Of the process."""
    return stages.engine().pid


async def changed(batcher: Batcher, change: Callable[..., None], *arguments: str) -> None:
    """A change of models."""
    await batcher.change_models(partial(change, *arguments))


async def test_it_reads_as_a_pipeline_in_this_process(batcher):
    """Files, raw pixels in whatever buffer, images without lines, and options, which travel with each image."""
    assert await read(batcher, b"one\ntwo") == ["onea", "twoa"]
    assert await read(batcher, b"\n") == []
    for pixels in (b"raw", memoryview(b"raw")):
        assert await read(batcher, RawImage(pixels, 1, 1, PixelFormat.RGB24)) == ["rawa"]
    drawn = SharedPixels.allocated(3)
    os.write(drawn.descriptor, b"raw")
    assert await read(batcher, RawImage(drawn, 1, 1, PixelFormat.RGB24)) == ["rawa"]
    assert await read(batcher, b"faint\nclear", RecognizeOptions(min_confidence=0.5)) == ["cleara"]
    large = b"x" * 5_000_000
    assert await read(batcher, large) == [large.decode() + "a"]


async def test_many_at_once_are_answered_each_with_its_own(batcher, metrics):
    """In batches, by two threads, with bad ones among them; what is done is counted."""
    rows = [f"{number}\n" * (1 + number % 3) for number in range(60)]
    jobs = [Job(row.encode(), OPTIONS) for row in rows] + [Job(b"poison\nx", OPTIONS), Job(b"!bug", OPTIONS)]
    outcomes = await batcher.submit_all(jobs, time.monotonic() + 60)
    assert [isinstance(outcome, ZeroDivisionError) for outcome in outcomes] == [False] * 60 + [True] * 2
    texts = [[line.text for line in outcome.lines] for outcome in outcomes[:60]]
    assert texts == [[line + "a" for line in row.split()] for row in rows]
    sample = metrics.registry.get_sample_value
    assert sample("glyphwire_batch_lines_sum") >= 120
    assert sample("glyphwire_batch_lines_count") < 120
    assert sample("glyphwire_late_starts_total") == 0
    before = sample("glyphwire_batch_lines_count")
    assert await read(batcher, b"alone") == ["alonea"]
    assert sample("glyphwire_batch_lines_count") == before + 1


async def test_errors_come_back_as_they_are(batcher):
    """A caller's fault with its field; a bug with the traceback of the other process in its notes."""
    with pytest.raises(errors.ImageUndecodable) as wrong:
        await read(batcher, b"!undecodable")
    assert (wrong.value.field, wrong.value.message) == ("image.encoded", "no image")
    with pytest.raises(ZeroDivisionError) as bug:
        await read(batcher, b"!bug")
    assert "engine_program" in bug.value.__notes__[0]
    with pytest.raises(errors.ImageEmpty):
        await read(batcher, b"")


async def test_a_sketch_and_rules_are_those_of_the_pipeline(batcher):
    """A frame is loaded in the other process, rules are compiled in this one."""
    assert (await batcher.sketch(Job(b"row\nanother", OPTIONS))).tobytes() == b"row"
    assert batcher.rules(OPTIONS.rules) is None


async def test_models_change_in_the_other_process(batcher, remote, models_dir):
    """Changes and what is wrong with them come through, and models() follows."""
    put_bundle(models_dir, "2", "b")
    put_bundle(models_dir, "3", "c", broken=True)
    await changed(batcher, remote.shelf.load, "tiny/2")
    assert [model.version for model in await batcher.models()] == ["1", "2"]
    with pytest.raises(errors.ModelRejected, match="reads nothing"):
        await changed(batcher, remote.shelf.load, "tiny/3")
    with pytest.raises(errors.ModelNotFound):
        await changed(batcher, remote.shelf.unload, "tiny/4")
    await changed(batcher, remote.shelf.set_default, "tiny/2")
    assert await read(batcher, b"x") == ["xb"]
    await changed(batcher, remote.shelf.unload, "tiny/1")
    assert [(status.version, status.state.value) for status in remote.statuses()][-2:] == [
        ("2", "ready"),
        ("3", "failed"),
    ]


async def test_what_the_system_refuses_the_process_does_not_end_it(models_dir, tmp_path_factory, metrics):
    """A file that it cannot write, on a full disk, say: the change fails with that, and reading goes on."""
    agreement = tmp_path_factory.mktemp("agreement") / "models.json"
    agreement.with_name("models.json.draft").mkdir()
    put_bundle(models_dir, "2", "b")
    command = (sys.executable, "-m", "tests.server.engine_program", str(models_dir))
    remote = RemoteStages(Settings(workers=2, model_agreement=agreement), command, metrics)
    with closing(Batcher(remote, Settings(workers=2), metrics)) as batcher:
        await batcher.start()
        first = pid_of(remote)
        with pytest.raises(IsADirectoryError):
            await changed(batcher, remote.shelf.unload, "tiny/1")
        assert pid_of(remote) == first
        assert metrics.registry.get_sample_value("glyphwire_engine_losses_total") == 0


async def test_an_image_that_nobody_waits_for_is_forgotten(batcher, remote):
    """It keeps no model from being unloaded, although it was never read."""
    engine = remote.engine()
    options = pickle.dumps(OPTIONS)
    prepared = engine.call("prepare", 1_000_000, None, options, math.inf, content=b"x\ny")
    crops = tuple(RemoteCrop(place, size) for place, size in enumerate(prepared.sizes))
    image = RemoteImage(1_000_000, crops, None, engine, is_kept=True)
    assert remote.statuses()[0].images > 0
    del image
    await until(lambda: remote.statuses()[0].images == 0)


async def test_what_is_cancelled_on_its_way_is_not_begun(batcher, remote, metrics):
    """Work that waits in the socket of the process: images of lines and a page."""
    images = [Job(b"first", LINE), Job(b"page", OPTIONS), Job(b"second", LINE), Job(b"third", LINE)]
    os.kill(pid_of(remote), signal.SIGSTOP)
    try:
        tasks = [asyncio.create_task(batcher.submit(job, time.monotonic() + 60)) for job in images]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    finally:
        os.kill(pid_of(remote), signal.SIGCONT)
    assert await read(batcher, b"next") == ["nexta"]
    sample = metrics.registry.get_sample_value
    assert sample("glyphwire_batch_lines_sum") == 1
    assert sample("glyphwire_late_starts_total") == 0


async def test_another_process_takes_the_place_of_one_that_ends(batcher, remote, models_dir, metrics):
    """At once, before anybody calls; what comes then is read by the models that were there last."""
    put_bundle(models_dir, "2", "b")
    await changed(batcher, remote.shelf.load, "tiny/2")
    await changed(batcher, remote.shelf.set_default, "tiny/2")
    assert await read(batcher, b"x") == ["xb"]
    lost = pid_of(remote)
    with structlog.testing.capture_logs() as logs:
        os.kill(lost, signal.SIGKILL)
        await until(lambda: metrics.registry.get_sample_value("glyphwire_engine_losses_total") == 1)
        for _ in range(2):
            # The event loop hears of the end by itself, in a turn that begins after it.
            await asyncio.sleep(0)
        assert await read(batcher, b"x") == ["xb"]
    assert [(entry["event"], entry["status"]) for entry in logs] == [("engine_lost", -signal.SIGKILL)]
    assert metrics.registry.get_sample_value("glyphwire_engine_losses_total") == 1
    assert pid_of(remote) != lost


async def test_a_process_that_cannot_be_replaced_is_tried_again(batcher, models_dir):
    """With every call, until it starts; those who wait meanwhile are told."""
    (models_dir / "broken").touch()
    for _ in range(2):
        with pytest.raises(EngineLost):
            await read(batcher, b"!die")
    (models_dir / "broken").unlink()
    assert await read(batcher, b"x") == ["xa"]


async def test_a_process_that_the_system_refuses_is_tried_again(tmp_path, models_dir):
    """As one that cannot load its models: out of memory, a system starts no process."""
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    program.chmod(0o700)
    remote = RemoteStages(
        Settings(workers=2), (str(program), "-m", "tests.server.engine_program", str(models_dir)), Metrics()
    )
    with closing(Batcher(remote, Settings(workers=2))) as batcher:
        await batcher.start()
        program.chmod(0o600)
        for image in (b"!die", b"x"):
            with pytest.raises(EngineLost):
                await read(batcher, image)
        program.chmod(0o700)
        assert await read(batcher, b"x") == ["xa"]


def test_a_start_that_fails_is_told(models_dir):
    """What the pipeline says, that the process has ended, or that there is none; nothing is left behind."""
    (models_dir / "broken").touch()
    command = (sys.executable, "-m", "tests.server.engine_program", str(models_dir))
    with closing(RemoteStages(Settings(), command, Metrics())) as stages, pytest.raises(errors.BundleInvalid):
        stages.start()
    for program in ("false", "/nowhere/python"):
        with closing(RemoteStages(Settings(), (program,), Metrics())) as stages, pytest.raises(ProcessesFailed):
            stages.start()


def test_a_start_that_the_system_refuses_names_the_file(models_dir):
    """Instead of saying that the process has ended, which it has not."""
    command = (sys.executable, "-m", "tests.server.engine_program", str(models_dir))
    settings = Settings(model_agreement=models_dir / "nowhere" / "models.json")
    with closing(RemoteStages(settings, command, Metrics())) as stages, pytest.raises(ProcessesFailed, match="nowhere"):
        stages.start()


async def test_signals_of_the_terminal_do_not_end_it(batcher, remote):
    """Ctrl+C reaches every process of a terminal; the server decides when reading ends."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid_of(remote), each)
    assert await read(batcher, b"x") == ["xa"]


async def test_it_stands_back_behind_others(batcher, remote):
    """All of its threads, so that calls are answered while it reads."""
    threads = os.listdir(f"/proc/{pid_of(remote)}/task")
    assert {os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in threads} == {2}


async def test_callers_survive_the_end_of_the_process(batcher):
    """Who was being read is told to try again, and who waits in the queue is answered by the next process."""
    images = [b"!die", *(b"%d\n%d" % (number, number) for number in range(20))]
    outcomes = await batcher.submit_all([Job(image, OPTIONS) for image in images], time.monotonic() + 60)
    assert isinstance(outcomes[0], EngineLost)
    answered = [outcome for outcome in outcomes if not isinstance(outcome, EngineLost)]
    assert len(answered) > 10
    assert {len(outcome.lines) for outcome in answered} == {2}
