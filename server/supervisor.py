"""Several processes on one port: starts them, replaces those that end, and stops them.

The kernel shares the connections among the processes that listen, so a connection stays with one of them. A process
listens when its models are loaded, so that connections always come to one that answers.
"""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import structlog
from prometheus_client.multiprocess import mark_process_dead

from server.addresses import TcpAddress
from server.environment import child_environment
from server.errors import ProcessesFailed, SettingsInvalid
from server.metrics import metrics_port, registry_of_processes
from server.process_link import SupervisorLink
from server.reservation import reserved
from server.settings import Settings
from server.signals import stop_signal

LINK_FLAG = "--process-link"
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

    load: reads the settings, again for each SIGHUP. command: starts this program once more; LINK_FLAG is added to it.
    Raises ListenFailed, and ProcessesFailed when no process gets as far as serving.
    """
    stopped = stop_signal()
    settings = load()
    tcp = [address for address in settings.addresses if isinstance(address, TcpAddress)]
    with (
        reserved(tcp) as addresses,
        _metrics_of_all(settings.metrics_listen) as folder,
        TemporaryDirectory(prefix="glyphwire-") as shared,
    ):
        listen = tuple(map(str, addresses))
        _log.info("supervising", addresses=listen, processes=settings.processes)

        def shares() -> list[Settings]:
            return _shares(load(), settings.processes, listen, Path(shared) / "models.json")

        await Supervisor(shares, command, folder).run(stopped)
    _log.info("stopped")


def _shares(settings: Settings, processes: int, listen: tuple[str, ...], agreement: Path) -> list[Settings]:
    """Of each process: its part of the worker threads, at least one. Queues and limits are those of every process.

    agreement: where they agree on their models, when the settings name no other file.
    """
    part, rest = divmod(settings.workers, processes)
    changes: dict[str, object] = {
        "listen": listen,
        "processes": 1,
        "metrics_listen": None,
        "model_agreement": settings.model_agreement or agreement,
    }
    return [
        settings.model_copy(update=changes | {"workers": max(1, part + (place < rest))}) for place in range(processes)
    ]


@contextmanager
def _metrics_of_all(listen: str | None) -> Iterator[Path | None]:
    """A port where Prometheus reads what all processes have counted, and the folder for their counts."""
    if listen is None:
        yield None
        return
    with TemporaryDirectory(prefix="glyphwire-") as name:
        folder = Path(name)
        with metrics_port(listen, registry_of_processes(folder)) as port:
            _log.info("metrics", listen=listen, port=port)
            yield folder


class Supervisor:
    """Keeps one process running for each of the settings that shares() returns. Construct, run().

    metrics_folder: where the processes keep what they count.
    """

    def __init__(
        self, shares: Callable[[], list[Settings]], command: Sequence[str], metrics_folder: Path | None
    ) -> None:
        self._shares = shares
        self._metrics_folder = metrics_folder
        self._settings = shares()
        self._command = command
        self._children: list[_Child] = []
        self._alive: set[_Child] = set()
        self._starting: set[asyncio.Task[_Child]] = set()
        self._changing = asyncio.Lock()

    async def run(self, stopped: asyncio.Future[None]) -> None:
        """Until `stopped` is resolved. Raises ProcessesFailed."""
        tasks: list[asyncio.Task[None]] = []
        try:
            for settings in self._settings:
                self._children.append(await self._start(settings))
            tasks += [asyncio.create_task(self._keep(place)) for place in range(len(self._children))]
            tasks.append(asyncio.create_task(self._replace_on_request()))
            done, _ = await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
        finally:
            _log.info("stopping")
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, *self._starting, return_exceptions=True)
            await asyncio.gather(*map(self._stop, tuple(self._alive)))
        for ended in done:
            ended.result()

    async def _keep(self, place: int) -> None:
        """Start another process when the one in this place ends. Raises ProcessesFailed."""
        failures = 0
        while True:
            child = self._children[place]
            status = await child.ended()
            if child is not self._children[place]:
                continue
            self._forget(child)
            failures = failures + 1 if child.served_s < _HEALTHY_S else 1
            pause_s = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (failures - 1))
            _log.error("process_ended", process=child.pid, status=status, failures=failures, again_in_s=pause_s)
            self._check_hope(child, status, failures)
            await asyncio.sleep(pause_s)
            async with self._changing:
                if child is self._children[place] and (new := await self._try_start(self._settings[place])):
                    self._children[place] = new

    def _check_hope(self, child: _Child, status: int, failures: int) -> None:
        if child.served_s or any(other.is_serving for other in self._children):
            return
        if status == SETUP_FAILED or failures >= _MAX_FAILURES:
            raise ProcessesFailed(f"no process serves, the last one ended with status {status}")

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
            for place in range(len(self._children)):
                if not await self._replace(place):
                    break

    async def _replace(self, place: int) -> bool:
        """Put a new process in a place when it serves, and only then stop the old one. Returns whether it does."""
        new = await self._try_start(self._settings[place])
        if new is None:
            return False
        if not await new.serves():
            _log.error("replacement_failed", process=new.pid, status=await new.ended())
            self._forget(new)
            return False
        async with self._changing:
            old, self._children[place] = self._children[place], new
        _log.info("process_replaced", process=old.pid, by=new.pid)
        await self._stop(old)
        return True

    async def _try_start(self, settings: Settings) -> _Child | None:
        """None when the system starts no process now: those that serve go on."""
        try:
            return await self._start(settings)
        except OSError as error:
            _log.error("process_not_started", error=str(error))
            return None

    async def _start(self, settings: Settings) -> _Child:
        """In a task of its own: when the supervisor stops meanwhile, the process is there and has to be stopped too."""
        starting = asyncio.create_task(self._start_alive(settings))
        self._starting.add(starting)
        starting.add_done_callback(self._starting.discard)
        return await asyncio.shield(starting)

    async def _start_alive(self, settings: Settings) -> _Child:
        more = {"PROMETHEUS_MULTIPROC_DIR": str(self._metrics_folder)} if self._metrics_folder else {}
        child = await _Child.start(settings, self._command, child_environment(**more))
        self._alive.add(child)
        _log.info("process_started", process=child.pid, workers=settings.workers)
        return child

    async def _stop(self, child: _Child) -> None:
        await child.stop()
        self._forget(child)

    def _forget(self, child: _Child) -> None:
        self._alive.discard(child)
        if self._metrics_folder:
            mark_process_dead(child.pid, str(self._metrics_folder))  # type: ignore[no-untyped-call]


class _Child:
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
    async def start(cls, settings: Settings, command: Sequence[str], environment: Mapping[str, str]) -> Self:
        """Does not wait until it serves. Raises OSError for no process."""
        link = SupervisorLink()
        flag = f"{LINK_FLAG}={link.descriptor}"
        try:
            process = await asyncio.create_subprocess_exec(
                *command, flag, stdin=DEVNULL, env=environment, pass_fds=[link.descriptor]
            )
        except OSError:
            link.close()
            raise
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
            _log.error("process_killed", process=self.pid)
            self._process.kill()
            await self.ended()

    async def _wait_serving(self) -> bool:
        if not await self._link.serving():
            return False
        self._served_from = _now()
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()
