"""Structured log on standard error: one JSON object, or one readable row, per event."""

from __future__ import annotations

import logging
import sys

import structlog

from server.errors import is_our_fault
from server.settings import Settings

_log = structlog.get_logger(__name__)


def configure_logs(settings: Settings) -> None:
    """Set up structlog for this process."""
    log_format = settings.log_format or ("console" if sys.stderr.isatty() else "json")
    renderer: list[structlog.types.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if log_format == "console"
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.log_level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def count_lines(lines: int) -> None:
    """Put the number of lines that a call has read so far into its access log."""
    structlog.contextvars.bind_contextvars(lines=lines)


def log_our_fault(error: BaseException) -> None:
    """Log an error with its traceback when the caller is told no more than "internal error"."""
    if is_our_fault(error):
        _log.error("internal_error", exc_info=error)
