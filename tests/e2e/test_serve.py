"""`glyphwire serve` as a process: only the pipeline is fake."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import glyphwire

ROOT = Path(__file__).parents[2]


def test_serve_until_sigterm():
    """The server logs its port, answers, and ends with status 0 on SIGTERM; its log is JSON throughout."""
    command = [sys.executable, "-m", "tests.e2e.fake_glyphwire", "serve", "--listen", "127.0.0.1:0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        rows = iter(process.stderr.readline, "")
        target = next(entry["addresses"][0] for entry in map(json.loads, rows) if entry["event"] == "listening")
        with glyphwire.OcrClient(target) as client:
            client.wait_ready()
            assert client.recognize(b"first\nsecond").text == "first\nsecond"
        process.send_signal(signal.SIGTERM)
        events = [json.loads(row)["event"] for row in rows]
        assert process.wait(30) == 0
    assert events == ["serving", "call", "stopping", "stopped"]
