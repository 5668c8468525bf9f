"""A pipeline in a process of its own: what it answers, what it forgets, and what becomes of callers when it ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from contextlib import closing

import pytest
import structlog

from ocr_core import errors
from ocr_core.types import PixelFormat, RawImage, RecognizeOptions
from server.batcher import Batcher
from server.errors import EngineLost, ProcessesFailed
from server.metrics import Metrics
from server.remote_stages import RemoteStages
from server.request import Job
from server.settings import Settings
from tests.server.shelf_stages import put_bundle

OPTIONS = RecognizeOptions()


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
def unstarted(models_dir, metrics):
    """Two workers may read at once."""
    command = (sys.executable, "-m", "tests.server.engine_program", str(models_dir))
    with closing(RemoteStages(Settings(workers=2), command, metrics)) as stages:
        yield stages


@pytest.fixture
def remote(unstarted) -> RemoteStages:
    """Started."""
    unstarted.start()
    return unstarted


def read(stages: RemoteStages, image: bytes | RawImage, options: RecognizeOptions = OPTIONS) -> list[str]:
    """Texts of the lines of an image."""
    prepared = stages.prepare(image, options)
    lines = [stages.read_lines([crop], [options])[0] for crop in prepared.crops]
    return [line.text for line in stages.assemble(prepared, lines, options).lines]


def pid_of(stages: RemoteStages) -> int:
    """Of the process."""
    return stages._engine.pid


def test_it_reads_as_a_pipeline_in_this_process(remote):
    """Files, raw pixels in whatever buffer, images without lines, and options, which travel with each image."""
    assert read(remote, b"one\ntwo") == ["onea", "twoa"]
    assert read(remote, b"\n") == []
    for pixels in (b"raw", memoryview(b"raw")):
        assert read(remote, RawImage(pixels, 1, 1, PixelFormat.RGB24)) == ["rawa"]
    assert read(remote, b"faint\nclear", RecognizeOptions(min_confidence=0.5)) == ["cleara"]
    large = b"x" * 5_000_000
    assert read(remote, large) == [large.decode() + "a"]


def test_lines_of_several_images_share_a_batch(remote):
    """Each image is complete with the last of its lines, wherever that stands in its batch."""
    first, second = remote.prepare(b"a\nb", OPTIONS), remote.prepare(b"c", OPTIONS)
    crops = [*first.crops, *second.crops]
    assert len({remote.batch_key(crop, OPTIONS) for crop in crops}) == 1
    assert [crop.nbytes for crop in crops] == [1, 1, 1]
    early = remote.read_lines(crops[1:], [OPTIONS] * 2)
    late = remote.read_lines(crops[:1], [OPTIONS])
    texts = [line.text for line in remote.assemble(first, [*late, early[0]], OPTIONS).lines]
    assert texts == ["aa", "ba"]
    assert [line.text for line in remote.assemble(second, early[1:], OPTIONS).lines] == ["ca"]


def test_errors_come_back_as_they_are(remote):
    """A caller's fault with its field; a bug with the traceback of the other process in its notes."""
    with pytest.raises(errors.ImageUndecodable) as wrong:
        remote.prepare(b"!undecodable", OPTIONS)
    assert (wrong.value.field, wrong.value.message) == ("image.encoded", "no image")
    with pytest.raises(ZeroDivisionError) as bug:
        remote.prepare(b"!bug", OPTIONS)
    assert "engine_program" in bug.value.__notes__[0]
    with pytest.raises(errors.ImageEmpty):
        remote.prepare(b"", OPTIONS)


def test_a_sketch_and_rules_are_those_of_the_pipeline(remote):
    """A frame is loaded in the other process, rules are compiled in this one."""
    assert remote.sketch(b"row\nanother", OPTIONS).tobytes() == b"row"
    assert remote.rules(OPTIONS.rules) is None


def test_models_change_in_the_other_process(remote, models_dir):
    """Changes and what is wrong with them come through, and models() follows."""
    put_bundle(models_dir, "2", "b")
    put_bundle(models_dir, "3", "c", broken=True)
    remote.shelf.load("tiny/2")
    assert [model.version for model in remote.models()] == ["1", "2"]
    with pytest.raises(errors.ModelRejected, match="reads nothing"):
        remote.shelf.load("tiny/3")
    with pytest.raises(errors.ModelNotFound):
        remote.shelf.unload("tiny/4")
    remote.shelf.set_default("tiny/2")
    assert read(remote, b"x") == ["xb"]
    remote.shelf.unload("tiny/1")
    assert [(status.version, status.state.value) for status in remote.shelf.statuses()][-2:] == [
        ("2", "ready"),
        ("3", "failed"),
    ]


def test_an_image_that_nobody_waits_for_is_forgotten(remote):
    """It keeps no model from being unloaded, although it was never read."""
    prepared = remote.prepare(b"x\ny", OPTIONS)
    remote.read_lines(prepared.crops[:1], [OPTIONS])
    assert remote.shelf.statuses()[0].images > 0
    del prepared
    gc.collect()
    deadline = time.monotonic() + 30
    while remote.shelf.statuses()[0].images:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_another_process_takes_the_place_of_one_that_ends(remote, models_dir, metrics):
    """What was being read is lost, and said to be; what comes next is read by the models that were there last."""
    put_bundle(models_dir, "2", "b")
    remote.shelf.load("tiny/2")
    remote.shelf.set_default("tiny/2")
    prepared = remote.prepare(b"x", OPTIONS)
    with structlog.testing.capture_logs() as logs:
        os.kill(pid_of(remote), signal.SIGKILL)
        with pytest.raises(EngineLost):
            remote.read_lines(prepared.crops, [OPTIONS])
    assert [(entry["event"], entry["status"]) for entry in logs] == [("engine_lost", -signal.SIGKILL)]
    with pytest.raises(EngineLost):
        remote.read_lines(prepared.crops, [OPTIONS])
    assert read(remote, b"x") == ["xb"]
    assert metrics.registry.get_sample_value("glyphwire_engine_losses_total") == 1


def test_another_process_starts_before_anybody_calls(remote):
    """The end is noticed when it comes, and who calls then is answered."""
    lost = pid_of(remote)
    os.kill(lost, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while getattr(remote._engine, "pid", lost) == lost:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert read(remote, b"x") == ["xa"]


def test_a_process_that_cannot_be_replaced_is_tried_again(remote, models_dir):
    """With every call, until it starts."""
    (models_dir / "broken").touch()
    for _ in range(2):
        with pytest.raises(EngineLost):
            remote.prepare(b"!die", OPTIONS)
    (models_dir / "broken").unlink()
    with pytest.raises(EngineLost):
        remote.prepare(b"x", OPTIONS)
    assert read(remote, b"x") == ["xa"]


def test_a_start_that_fails_is_told(models_dir):
    """What the pipeline says, or that the process has ended; neither leaves a process behind."""
    (models_dir / "broken").touch()
    command = (sys.executable, "-m", "tests.server.engine_program", str(models_dir))
    with closing(RemoteStages(Settings(), command, Metrics())) as stages, pytest.raises(errors.BundleInvalid):
        stages.start()
    with closing(RemoteStages(Settings(), ("false",), Metrics())) as stages, pytest.raises(ProcessesFailed):
        stages.start()


def test_signals_of_the_terminal_do_not_end_it(remote):
    """Ctrl+C reaches every process of a terminal; the server decides when reading ends."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(pid_of(remote), each)
    assert read(remote, b"x") == ["xa"]


def test_it_stands_back_behind_others(remote):
    """All of its threads, so that calls are answered while it reads."""
    read(remote, b"x")
    threads = os.listdir(f"/proc/{pid_of(remote)}/task")
    assert {os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in threads} == {5}


async def test_callers_of_a_batcher_survive_the_end_of_the_process(unstarted):
    """Who was being read is told to try again, and who waits in the queue is answered by the next process."""
    batcher = Batcher(unstarted, Settings(workers=1))
    try:
        await batcher.start()
        jobs = [Job(image, OPTIONS) for image in (b"one", b"!die", b"two\nthree")]
        deadline = time.monotonic() + 60
        outcomes = await asyncio.gather(*(batcher.submit(job, deadline) for job in jobs), return_exceptions=True)
        assert isinstance(outcomes[1], EngineLost)
        again = await batcher.submit(Job(b"one", OPTIONS), deadline)
        assert [line.text for line in again.lines] == ["onea"]
        assert [line.text for line in outcomes[2].lines] == ["twoa", "threea"]
        poisoned = await asyncio.gather(
            *(batcher.submit(Job(image, OPTIONS), deadline) for image in (b"poison", b"fine")), return_exceptions=True
        )
        assert isinstance(poisoned[0], ZeroDivisionError)
        assert [line.text for line in poisoned[1].lines] == ["finea"]
    finally:
        await asyncio.to_thread(batcher.close)
