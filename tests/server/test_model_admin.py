"""Changes of the models beside their callers and other processes."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from structlog.testing import capture_logs

from ocr_core.errors import ModelRejected
from ocr_core.model_status import ModelState
from server.batcher import Batcher
from server.errors import Draining
from server.model_admin import ModelAdmin
from server.settings import Settings
from tests.server.messages import until
from tests.server.shelf_stages import ShelfStages, put_bundle


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """The agreement is looked at all the time."""
    monkeypatch.setattr("server.model_admin._FOLLOW_EVERY_S", 0)
    monkeypatch.setattr("server.file_watch._LOOK_EVERY_S", 0)


@pytest.fixture
async def start(tmp_path):
    """Starts the models of one more process; `changes` counts what its listener heard."""
    put_bundle(tmp_path / "models", "1", "¹")
    closing = []

    async def start_one() -> ModelAdmin:
        agreement = tmp_path / "agreed.json"
        stages = ShelfStages(models_dir=tmp_path / "models", agreement=agreement)
        batcher = Batcher(stages, Settings(workers=1))
        changes = []

        async def note() -> None:
            changes.append(stages.models())

        admin = ModelAdmin(batcher, stages.shelf, note, agreement)
        admin.stages, admin.batcher, admin.changes = stages, batcher, changes
        closing.append(admin)
        await batcher.start()
        admin.start()
        return admin

    yield start_one
    for admin in closing:
        admin.stages.may_load.set()
        admin.close()
        admin.batcher.close()


def versions(admin: ModelAdmin) -> list[str]:
    """Those that requests can name."""
    return [info.version for info in admin.shelf.infos()]


async def test_processes_follow_each_other(start, tmp_path):
    """What one process is told the other does by itself, and its listener hears of it."""
    one, other = await start(), await start()
    put_bundle(tmp_path / "models", "2", "²")
    await one.change(partial(one.shelf.load, "tiny/2"))
    await one.change(partial(one.shelf.unload, "tiny/1"))
    await until(lambda: versions(other) == ["2"] and other.changes and other.changes[-1] == other.shelf.infos())


async def test_a_broken_agreement_is_logged(start, tmp_path):
    """A file that cannot be understood changes nothing, and the next one is followed."""
    one, other = await start(), await start()
    with capture_logs() as logs:
        (tmp_path / "agreed.json").write_text("{}", encoding="utf-8")
        await until(lambda: any(entry["event"] == "internal_error" for entry in logs))
    (tmp_path / "agreed.json").unlink()
    put_bundle(tmp_path / "models", "2", "²")
    await one.change(partial(one.shelf.load, "tiny/2"))
    await until(lambda: versions(other) == ["1", "2"])


async def test_a_change_is_carried_out_without_its_caller(start, tmp_path):
    """Who goes away while a model is loaded does not stop it half way."""
    admin = await start()
    put_bundle(tmp_path / "models", "2", "²")
    admin.stages.may_load.clear()
    admin.stages.loading.clear()
    calling = asyncio.create_task(admin.change(partial(admin.shelf.load, "tiny/2")))
    assert await asyncio.to_thread(admin.stages.loading.wait, 30)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    assert [status.state for status in await admin.states()] == [ModelState.READY, ModelState.LOADING]
    admin.stages.may_load.set()
    await until(lambda: admin.changes)
    assert versions(admin) == ["1", "2"]


async def test_what_went_wrong_is_logged(start, tmp_path):
    """After each change the log says which models there are, and why others are not."""
    admin = await start()
    put_bundle(tmp_path / "models", "2", "²", broken=True)
    with capture_logs() as logs, pytest.raises(ModelRejected):
        await admin.change(partial(admin.shelf.load, "tiny/2"))
    (entry,) = (entry for entry in logs if entry["event"] == "models")
    assert (entry["ready"], entry["default"]) == (["tiny/1"], "tiny/1")
    assert entry["failed"] == {"tiny/2": "it reads nothing"}


async def test_a_server_that_stops_changes_nothing(start):
    """Once it drains, neither changes nor questions are answered."""
    admin = await start()
    await admin.batcher.drain(0)
    for call in (admin.change(admin.shelf.reload), admin.states()):
        with pytest.raises(Draining):
            await call
