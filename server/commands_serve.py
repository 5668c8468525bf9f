"""`glyphwire serve`: a server, or a supervisor and several of them."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace

import structlog

from server.allocator import keep_large_blocks, share_arenas, trim_often
from server.process_link import ProcessLink
from server.settings import Settings, add_flags, load_settings
from server.supervisor import LINK_FLAG, supervise


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the command."""
    add_flags(parser)
    parser.add_argument(LINK_FLAG, type=int, help=SUPPRESS)
    parser.set_defaults(run=run)


def run(flags: Namespace) -> int:
    """Serve until SIGTERM. Raises OcrError when the server cannot start."""
    if flags.process_link is not None:
        link = ProcessLink(flags.process_link)
        structlog.contextvars.bind_contextvars(process=os.getpid())
        _serve(link.settings(), link)
    elif (settings := load_settings(flags)).processes > 1:
        # The same program with the same arguments: each child gets its settings from the supervisor.
        command = (sys.executable, *sys.orig_argv[1:])
        asyncio.run(supervise(lambda: load_settings(flags), command))
    else:
        _serve(settings, None)
    return 0


def _serve(settings: Settings, link: ProcessLink | None) -> None:
    # Here and not above: the supervisor does not need them.
    from server import app
    from server.metrics import Metrics
    from server.remote_stages import ENGINE_PROGRAM, RemoteStages

    keep_large_blocks()
    share_arenas()
    trim_often()
    metrics = Metrics()
    stages = (
        RemoteStages(settings, ENGINE_PROGRAM, metrics) if settings.engine_process else app.build_pipeline(settings)
    )
    asyncio.run(app.run(settings, stages, link, metrics))
