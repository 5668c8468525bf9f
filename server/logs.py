"""Structured log on standard error: one JSON object, or one readable row, per event."""

from __future__ import annotations

import logging
import sys

import grpc.aio
import structlog

from server.faults import is_our_fault
from server.settings import Settings

_log = structlog.get_logger(__name__)


def configure_logs(settings: Settings) -> None:
    """Set up structlog for this process, and with it the warnings of libraries, which use Python's own logging."""
    log_format = settings.log_format or ("console" if sys.stderr.isatty() else "json")
    renderer: list[structlog.types.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if log_format == "console"
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    stamped: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*stamped, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        # In one write each, so that the rows of several processes do not mix.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    _configure_libraries(stamped, renderer)


def _configure_libraries(stamped: list[structlog.types.Processor], renderer: list[structlog.types.Processor]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*stamped, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    handler.addFilter(_is_news)
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def _is_news(record: logging.LogRecord) -> bool:
    """An answer that finds its caller gone is an error to gRPC; our access log has that call already."""
    return not (record.exc_info and isinstance(record.exc_info[1], grpc.aio.InternalError))


def log_our_fault(error: BaseException) -> None:
    """Log an error with its traceback when the caller is told no more than "internal error"."""
    if is_our_fault(error):
        _log.error("internal_error", exc_info=error)
