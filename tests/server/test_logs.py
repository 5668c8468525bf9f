"""The structured log."""

from __future__ import annotations

import json
import logging

import grpc.aio
import structlog

from ocr_core.errors import ImageEmpty
from server.logs import configure_logs, log_our_fault
from server.settings import Settings


def test_json_logs_are_one_object_a_row(capsys):
    """With log_format json each event is one JSON object on standard error, with level and time, and none below it."""
    configure_logs(Settings(log_format="json", log_level="info"))
    log = structlog.get_logger()
    log.debug("hidden")
    log.info("seen", text="送货单")
    captured = capsys.readouterr()
    entry = json.loads(captured.err)
    assert (entry["event"], entry["level"], entry["text"]) == ("seen", "info", "送货单")
    assert "timestamp" in entry
    assert captured.out == ""


def test_console_logs_are_readable(capsys):
    """With log_format console an event is a plain row."""
    configure_logs(Settings(log_format="console"))
    structlog.get_logger().info("seen", lines=2)
    assert "seen" in capsys.readouterr().err


def test_warnings_of_libraries_are_in_the_same_form(capsys):
    """What a library says through Python's logging is a row like any other, with the library's name."""
    configure_logs(Settings(log_format="json"))
    logging.getLogger("a.library").info("hidden")
    logging.getLogger("a.library").warning("lost %d spans", 2)
    entry = json.loads(capsys.readouterr().err)
    assert (entry["event"], entry["level"], entry["logger"]) == ("lost 2 spans", "warning", "a.library")


def test_answers_that_find_their_caller_gone_are_no_news(capsys):
    """What gRPC reports when a call ends before its answer is sent stays out of the log."""
    configure_logs(Settings(log_format="json"))
    try:
        raise grpc.aio.InternalError("Failed execute_batch")
    except grpc.aio.InternalError:
        logging.getLogger("grpc").exception("raised in core")
    assert capsys.readouterr().err == ""


def test_our_faults_are_logged_with_their_traceback(capsys):
    """An unexpected error leaves its traceback in the log, a caller's mistake leaves nothing."""
    configure_logs(Settings(log_format="json"))
    log_our_fault(ImageEmpty("no bytes"))
    log_our_fault(ZeroDivisionError("a secret of ours"))
    entry = json.loads(capsys.readouterr().err)
    assert "ZeroDivisionError: a secret of ours" in entry["exception"]
