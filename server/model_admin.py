"""Models that change while the server runs: in a thread, one change at a time, seen by health and in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import structlog

from ocr_core.model_status import ModelState, ModelStatus
from ocr_core.stages import ModelChanges
from server.batcher import Batcher
from server.file_watch import FileWatch
from server.logs import log_our_fault

_FOLLOW_EVERY_S = 1.0

_log = structlog.get_logger(__name__)


class ModelAdmin:
    """Changes the models of a server. Construct, start() when they are loaded, close().

    on_change: told after each change. agreement: the file by which several processes agree; None for one process.
    """

    def __init__(
        self, batcher: Batcher, shelf: ModelChanges, on_change: Callable[[], Awaitable[None]], agreement: Path | None
    ) -> None:
        self.shelf = shelf
        self._batcher = batcher
        self._on_change = on_change
        self._agreement = FileWatch([agreement]) if agreement else None
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Do from now on what other processes do."""
        if self._agreement:
            self._run(self._follow(self._agreement))

    def close(self) -> None:
        """Wait for nothing any more."""
        for running in self._running:
            running.cancel()

    async def states(self) -> tuple[ModelStatus, ...]:
        """Of every model, as soon as they are loaded. Raises Draining."""
        await self._batcher.models()
        return await self._batcher.aside(self.shelf.statuses)

    async def change(self, change: Callable[[], None]) -> tuple[ModelStatus, ...]:
        """Carry out a change of the shelf, even when the caller goes away meanwhile. Returns the states after it.

        Raises Draining, and what the change raises.
        """
        await asyncio.shield(self._run(self._change(change)))
        return await self._batcher.aside(self.shelf.statuses)

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        running = asyncio.create_task(coroutine)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return running

    async def _follow(self, agreement: FileWatch) -> None:
        while True:
            await asyncio.sleep(_FOLLOW_EVERY_S)
            if agreement.has_changed():
                try:
                    await self._change(self.shelf.follow)
                except Exception as error:  # noqa: BLE001 - what is wrong with the file may be right the next time
                    log_our_fault(error)

    async def _change(self, change: Callable[[], None]) -> None:
        await self._batcher.models()
        try:
            await self._batcher.change_models(change)
        finally:
            await self._on_change()
            await self._log_models()

    async def _log_models(self) -> None:
        models = await self._batcher.aside(self.shelf.statuses)
        default = next(model for model in models if model.is_default)
        _log.info(
            "models",
            ready=[f"{model.name}/{model.version}" for model in models if model.state is ModelState.READY],
            default=f"{default.name}/{default.version}",
            failed={f"{model.name}/{model.version}": model.reason for model in models if model.reason},
        )
