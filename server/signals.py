"""Signals as events of asyncio."""

from __future__ import annotations

import asyncio
import signal


def stop_signal() -> asyncio.Future[None]:
    """Resolved by the first SIGTERM or SIGINT; later ones change nothing."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            stopped.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopped
