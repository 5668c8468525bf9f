"""`glyphwire serve`: a server and the process that reads for it, or a supervisor and several of both."""

from __future__ import annotations

import asyncio
import os
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Sequence

import structlog

from server.allocator import keep_large_blocks, share_arenas, trim_often
from server.engine_link import ENGINE_FLAG, ServerEnd
from server.process_link import ProcessLink
from server.settings import Settings, add_flags, load_settings
from server.supervisor import LINK_FLAG, supervise


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the command."""
    add_flags(parser)
    for flag in (LINK_FLAG, ENGINE_FLAG):
        parser.add_argument(flag, type=int, help=SUPPRESS)
    parser.set_defaults(run=run)


def run(flags: Namespace) -> int:
    """Serve until SIGTERM. Raises OcrError when the server cannot start."""
    # The same program with the same arguments: both kinds of children get their settings from who starts them.
    command = (sys.executable, *sys.orig_argv[1:])
    if flags.engine_link is not None:
        _read(ServerEnd(flags.engine_link))
    elif flags.process_link is not None:
        link = ProcessLink(flags.process_link)
        structlog.contextvars.bind_contextvars(process=os.getpid())
        _serve(link.settings(), link, command)
    elif (settings := load_settings(flags)).processes > 1:
        asyncio.run(supervise(lambda: load_settings(flags), command))
    else:
        _serve(settings, None, command)
    return 0


def _serve(settings: Settings, link: ProcessLink | None, command: Sequence[str]) -> None:
    # Here and not above: the supervisor does not need them.
    from server import app
    from server.metrics import Metrics
    from server.remote_stages import RemoteStages

    _set_allocator()
    metrics = Metrics()
    stages = RemoteStages(settings, command, metrics) if settings.engine_process else app.build_pipeline(settings)
    asyncio.run(app.run(settings, stages, link, metrics))


def _read(link: ServerEnd) -> None:
    """Read for a server until it has gone."""
    # Here and not above: nobody else needs the engine.
    from server import app
    from server.engine_process import EngineHost, serve

    _set_allocator()
    serve(EngineHost(lambda settings: app.build_pipeline(Settings.model_validate_json(settings))), link)


def _set_allocator() -> None:
    keep_large_blocks()
    share_arenas()
    trim_often()
