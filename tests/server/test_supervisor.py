"""Starting, replacing and stopping processes, with stub processes that load nothing."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
import structlog

from server import supervisor
from server.errors import ListenFailed, ProcessesFailed, SettingsInvalid
from server.reservation import reserved
from server.settings import Settings
from server.supervisor import supervise

STUB = Path(__file__).with_name("stub_process.py")


class Supervised:
    """A running supervisor, and what its processes wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.settings = Settings(listen="127.0.0.1:0", processes=2, workers=3, drain_timeout_s=0)
        self.settings_error: SettingsInvalid | None = None
        self.logs: list[dict] = []
        self.program = folder / "program"
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        self.refuse_processes(False)
        self.plan("serve")

    def plan(self, plan: str) -> None:
        """What processes that start from now on do."""
        (self._folder / "plan").write_text(plan, encoding="utf-8")

    def refuse_processes(self, is_refused: bool) -> None:
        """Whether the system starts none from now on, as when it is out of memory."""
        self.program.chmod(0o600 if is_refused else 0o700)

    def run(self) -> asyncio.Task[None]:
        """Start it."""
        command = (str(self.program), "-S", str(STUB), str(self._folder))
        return asyncio.create_task(supervise(self._load, command))

    async def started(self, count: int) -> list[dict]:
        """The first `count` processes, as soon as they have started."""
        path = self._folder / "started"
        while not path.exists() or len(path.read_text("utf-8").splitlines()) < count:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.01)
        return [json.loads(row) for row in path.read_text("utf-8").splitlines()]

    async def logged(self, event: str, count: int = 1) -> list[dict]:
        """Entries of the log, as soon as there are so many."""
        while len(found := [entry for entry in self.logs if entry["event"] == event]) < count:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        return found

    def _load(self) -> Settings:
        if self.settings_error:
            raise self.settings_error
        return self.settings


@pytest.fixture
def supervised(tmp_path, monkeypatch):
    """Not running yet; does not wait before it starts a child again."""
    monkeypatch.setattr(supervisor, "_FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(supervisor, "_GRACE_S", 0.5)
    with structlog.testing.capture_logs() as logs:
        found = Supervised(tmp_path)
        found.logs = logs
        yield found


def is_alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def stop() -> None:
    """The signal of an operator or service manager."""
    os.kill(os.getpid(), signal.SIGTERM)


async def test_each_process_has_its_share(supervised):
    """Workers are divided among the processes, which share a port and an agreement; all end with the supervisor."""
    running = supervised.run()
    children = await supervised.started(2)
    assert sorted(child["settings"]["workers"] for child in children) == [1, 2]
    assert len({child["settings"]["listen"][0] for child in children}) == 1
    assert not children[0]["settings"]["listen"][0].endswith(":0")
    assert {child["settings"]["processes"] for child in children} == {1}
    (agreement,) = {child["settings"]["model_agreement"] for child in children}
    assert agreement
    stop()
    await running
    assert not any(is_alive(child["pid"]) for child in children)


async def test_a_process_that_dies_is_replaced(supervised):
    """Another process takes the place of one that was killed, with the same settings; the others stay."""
    running = supervised.run()
    first, second = await supervised.started(2)
    os.kill(first["pid"], signal.SIGKILL)
    third = (await supervised.started(3))[2]
    assert third["settings"] == first["settings"]
    assert is_alive(second["pid"])
    assert (await supervised.logged("process_ended"))[0]["status"] == -signal.SIGKILL
    stop()
    await running


async def test_processes_that_cannot_start_end_the_supervisor(supervised):
    """When settings or models are of no use to a process, nobody waits for the next one."""
    supervised.plan("2")
    with pytest.raises(ProcessesFailed, match="status 2"):
        await supervised.run()


async def test_processes_that_crash_are_tried_a_few_times(supervised):
    """A process that crashes before it serves is started again five times at most, while no other serves."""
    supervised.plan("3")
    supervised.settings = supervised.settings.model_copy(update={"processes": 1})
    with pytest.raises(ProcessesFailed, match="status 3"):
        await supervised.run()
    assert len(await supervised.started(5)) == 5


async def test_while_one_serves_the_others_are_tried_on(supervised):
    """A process that cannot start any more does not end the one that serves."""
    running = supervised.run()
    first, second = await supervised.started(2)
    supervised.plan("2")
    os.kill(first["pid"], signal.SIGKILL)
    await supervised.started(9)
    assert is_alive(second["pid"])
    stop()
    await running


async def test_what_the_system_refuses_is_tried_again(supervised):
    """While it starts no process those that serve go on, and it is asked again until it does."""
    running = supervised.run()
    first, second = await supervised.started(2)
    await supervised.logged("process_started", 2)
    supervised.refuse_processes(True)
    os.kill(os.getpid(), signal.SIGHUP)
    await supervised.logged("process_not_started")
    os.kill(first["pid"], signal.SIGKILL)
    await supervised.logged("process_not_started", 3)
    assert is_alive(second["pid"])
    supervised.refuse_processes(False)
    assert (await supervised.started(3))[2]["settings"] == first["settings"]
    stop()
    await running


async def test_sighup_replaces_one_after_the_other(supervised):
    """On SIGHUP each process makes way for a new one that serves, with the settings of that moment."""
    running = supervised.run()
    await supervised.started(2)
    await supervised.logged("process_started", 2)
    supervised.settings = supervised.settings.model_copy(update={"max_queue": 300, "listen": ("127.0.0.1:1",)})
    os.kill(os.getpid(), signal.SIGHUP)
    replaced = await supervised.logged("process_replaced", 2)
    children = await supervised.started(4)
    assert {entry["process"] for entry in replaced} == {child["pid"] for child in children[:2]}
    assert {entry["by"] for entry in replaced} == {child["pid"] for child in children[2:]}
    assert {child["settings"]["max_queue"] for child in children[2:]} == {300}
    assert len({child["settings"]["listen"][0] for child in children}) == 1
    stop()
    await running
    assert [entry for entry in supervised.logs if entry["event"] == "process_ended"] == []


async def test_a_replacement_that_fails_leaves_the_old_process(supervised):
    """When a new process does not get as far as serving, the old ones go on."""
    running = supervised.run()
    children = await supervised.started(2)
    supervised.plan("2")
    os.kill(os.getpid(), signal.SIGHUP)
    assert (await supervised.logged("replacement_failed"))[0]["status"] == 2
    assert all(is_alive(child["pid"]) for child in children)
    supervised.settings_error = SettingsInvalid("a slip of the pen")
    os.kill(os.getpid(), signal.SIGHUP)
    assert (await supervised.logged("settings_invalid"))[0]["error"] == "a slip of the pen"
    assert all(is_alive(child["pid"]) for child in children)
    stop()
    await running


async def test_a_process_that_does_not_stop_is_killed(supervised):
    """A process that does not mind SIGTERM is killed after its time to drain and ten seconds, here half of one."""
    supervised.plan("hang")
    running = supervised.run()
    children = await supervised.started(2)
    stop()
    await running
    assert not any(is_alive(child["pid"]) for child in children)
    assert len(await supervised.logged("process_killed", 2)) == 2


async def test_what_the_processes_count_is_read_at_one_port(supervised):
    """The supervisor answers scrapes for its processes, which keep their counts where it looks."""
    supervised.settings = supervised.settings.model_copy(update={"metrics_listen": "127.0.0.1:0"})
    running = supervised.run()
    children = await supervised.started(2)
    folders = {child["metrics"] for child in children}
    assert len(folders) == 1
    (folder,) = map(Path, folders)
    port = (await supervised.logged("metrics"))[0]["port"]
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()
    assert {child["settings"]["metrics_listen"] for child in children} == {None}
    stop()
    await running
    assert not folder.exists()


async def test_a_taken_port_stops_the_start(supervised):
    """No process is started when another server has the port."""
    with reserved([supervised.settings.addresses[0]]) as (address,):
        supervised.settings = supervised.settings.model_copy(update={"listen": (str(address),)})
        with pytest.raises(ListenFailed, match=str(address.port)):
            await supervised.run()
    assert not [entry for entry in supervised.logs if entry["event"] == "process_started"]
