"""Several processes on one port: starts them, replaces those that end, and stops them.

The kernel shares the connections among the processes that listen, so a connection stays with one of them. A worker
listens when its models are loaded, so that connections always come to one that answers.
"""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from typing import Self

import structlog

from server.addresses import TcpAddress
from server.errors import SettingsInvalid, WorkersFailed
from server.reservation import reserved
from server.settings import Settings
from server.signals import stop_signal
from server.worker_link import SupervisorLink

WORKER_FLAG = "--worker-link"
SETUP_FAILED = 2
"""Exit status of a process whose settings or models are of no use."""

_MAX_FAILURES = 5
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
_HEALTHY_S = 60.0
"""A process that served so long has not failed to start."""
_GRACE_S = 10.0
"""How long a process may take to end, after its drain_timeout_s."""

_log = structlog.get_logger(__name__)


async def supervise(load: Callable[[], Settings], command: Sequence[str]) -> None:
    """Serve with several processes until SIGTERM or SIGINT; SIGHUP replaces them one after the other.

    load: reads the settings, again for each SIGHUP. command: starts this program once more; WORKER_FLAG is added to it.
    Raises ListenFailed, and WorkersFailed when no process gets as far as serving.
    """
    stopped = stop_signal()
    settings = load()
    tcp = [address for address in settings.addresses if isinstance(address, TcpAddress)]
    with reserved(tcp) as addresses:
        listen = tuple(map(str, addresses))
        _log.info("supervising", addresses=listen, processes=settings.processes)

        def shares() -> list[Settings]:
            return _shares(load(), settings.processes, listen)

        await Supervisor(shares, command).run(stopped)
    _log.info("stopped")


def _shares(settings: Settings, processes: int, listen: tuple[str, ...]) -> list[Settings]:
    """Of each process: its part of the worker threads, at least one. Queues and limits are those of every process."""
    part, rest = divmod(settings.workers, processes)
    changes: dict[str, object] = {"listen": listen, "processes": 1}
    return [
        settings.model_copy(update=changes | {"workers": max(1, part + (place < rest))}) for place in range(processes)
    ]


class Supervisor:
    """Keeps one process running for each of the settings that shares() returns. Construct, run()."""

    def __init__(self, shares: Callable[[], list[Settings]], command: Sequence[str]) -> None:
        self._shares = shares
        self._settings = shares()
        self._command = command
        self._workers: list[_Worker] = []
        self._alive: set[_Worker] = set()
        self._changing = asyncio.Lock()

    async def run(self, stopped: asyncio.Future[None]) -> None:
        """Until `stopped` is resolved. Raises WorkersFailed."""
        for settings in self._settings:
            self._workers.append(await self._start(settings))
        tasks = [asyncio.create_task(self._keep(place)) for place in range(len(self._workers))]
        tasks.append(asyncio.create_task(self._replace_on_request()))
        try:
            done, _ = await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
        finally:
            _log.info("stopping")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*map(self._stop, tuple(self._alive)))
        for ended in done:
            ended.result()

    async def _keep(self, place: int) -> None:
        """Start another process when the one in this place ends. Raises WorkersFailed."""
        failures = 0
        while True:
            worker = self._workers[place]
            status = await worker.ended()
            if worker is not self._workers[place]:
                continue
            self._alive.discard(worker)
            failures = failures + 1 if worker.served_s < _HEALTHY_S else 1
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (failures - 1))
            _log.error("worker_ended", process=worker.pid, status=status, failures=failures, again_in_s=pause_s)
            self._check_hope(worker, status, failures)
            await asyncio.sleep(pause_s)
            async with self._changing:
                if worker is self._workers[place]:
                    self._workers[place] = await self._start(self._settings[place])

    def _check_hope(self, worker: _Worker, status: int, failures: int) -> None:
        if worker.served_s or any(other.is_serving for other in self._workers):
            return
        if status == SETUP_FAILED or failures >= _MAX_FAILURES:
            raise WorkersFailed(f"no process serves, the last one ended with status {status}")

    async def _replace_on_request(self) -> None:
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
        while await asked.wait():
            asked.clear()
            try:
                self._settings = self._shares()
            except SettingsInvalid as error:
                _log.error("settings_invalid", error=str(error))
                continue
            for place in range(len(self._workers)):
                if not await self._replace(place):
                    break

    async def _replace(self, place: int) -> bool:
        """Put a new process in a place when it serves, and only then stop the old one. Returns whether it does."""
        new = await self._start(self._settings[place])
        if not await new.serves():
            _log.error("replacement_failed", process=new.pid, status=await new.ended())
            self._alive.discard(new)
            return False
        async with self._changing:
            old, self._workers[place] = self._workers[place], new
        _log.info("worker_replaced", process=old.pid, by=new.pid)
        await self._stop(old)
        return True

    async def _start(self, settings: Settings) -> _Worker:
        worker = await _Worker.start(settings, self._command)
        self._alive.add(worker)
        _log.info("worker_started", process=worker.pid, workers=settings.workers)
        return worker

    async def _stop(self, worker: _Worker) -> None:
        await worker.stop()
        self._alive.discard(worker)


class _Worker:
    """One process."""

    def __init__(self, process: Process, link: SupervisorLink, settings: Settings) -> None:
        self._process = process
        self._link = link
        self._patience_s = settings.drain_timeout_s + _GRACE_S
        self._served_from: float | None = None
        self._ended_at: float | None = None
        self.pid = process.pid
        self._serving = asyncio.create_task(self._wait_serving())

    @classmethod
    async def start(cls, settings: Settings, command: Sequence[str]) -> Self:
        """Does not wait until it serves."""
        link = SupervisorLink()
        flag = f"{WORKER_FLAG}={link.descriptor}"
        process = await asyncio.create_subprocess_exec(*command, flag, stdin=DEVNULL, pass_fds=[link.descriptor])
        link.send_settings(settings)
        return cls(process, link, settings)

    @property
    def is_serving(self) -> bool:
        """Whether it serves now."""
        return self._served_from is not None and self._process.returncode is None

    @property
    def served_s(self) -> float:
        """For how long it served, or has been serving."""
        if self._served_from is None:
            return 0.0
        return (self._ended_at or _now()) - self._served_from

    async def serves(self) -> bool:
        """Wait until it serves: True, or has ended before: False."""
        return await asyncio.shield(self._serving)

    async def ended(self) -> int:
        """Wait for its end. Returns its exit status, or minus the signal that ended it."""
        status = await self._process.wait()
        await self.serves()
        self._ended_at = self._ended_at or _now()
        self._link.close()
        return status

    async def stop(self) -> None:
        """Let it finish its work; end it when that takes too long."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(self._patience_s):
                await self.ended()
        except TimeoutError:
            _log.error("worker_killed", process=self.pid)
            self._process.kill()
            await self.ended()

    async def _wait_serving(self) -> bool:
        if not await self._link.serving():
            return False
        self._served_from = _now()
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()
