"""`glyphwire serve` as a process: only the pipeline is fake."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import glyphwire
import pytest

ROOT = Path(__file__).parents[2]
SERVE = [sys.executable, "-m", "tests.e2e.fake_glyphwire", "serve", "--listen", "127.0.0.1:0", "--workers", "2"]


def test_serve_until_sigterm():
    """The server logs its port, answers, and ends with status 0 on SIGTERM; its log is JSON throughout."""
    with subprocess.Popen(SERVE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        rows = iter(process.stderr.readline, "")
        target = next(entry["addresses"][0] for entry in map(json.loads, rows) if entry["event"] == "listening")
        with glyphwire.OcrClient(target) as client:
            client.wait_ready()
            assert client.recognize(b"first\nsecond").text == "first\nsecond"
        process.send_signal(signal.SIGTERM)
        events = [json.loads(row)["event"] for row in rows]
        assert process.wait(30) == 0
    assert events == ["serving", "call", "stopping", "stopped"]


def test_sigterm_ends_open_streams():
    """A stream that is kept open gets DRAINING on SIGTERM, once its frames are answered, and holds up nobody."""
    end = threading.Event()

    def frames():
        yield b"first"
        end.wait(30)

    with subprocess.Popen(SERVE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        rows = iter(process.stderr.readline, "")
        target = next(entry["addresses"][0] for entry in map(json.loads, rows) if entry["event"] == "listening")
        with glyphwire.OcrClient(target) as client:
            client.wait_ready()
            results = client.stream(frames())
            assert next(results).outcome.text == "first"
            process.send_signal(signal.SIGTERM)
            with pytest.raises(glyphwire.OcrError) as caught:
                next(results)
            end.set()
        (call,) = [entry for entry in map(json.loads, rows) if entry["event"] == "call"]
        assert process.wait(30) == 0
    assert caught.value.reason is glyphwire.ErrorReason.DRAINING
    assert (call["code"], call["images"], call["lines"]) == ("UNAVAILABLE", 1, 1)
