"""`glyphwire serve` as a process: only the pipeline is fake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import glyphwire
import pytest

ROOT = Path(__file__).parents[2]
THREADS = ["--engine-process", "false"]
SERVE = [sys.executable, "-m", "tests.e2e.fake_glyphwire", "serve", "--listen", "127.0.0.1:0", "--workers", "2"]


@pytest.mark.parametrize("more", [[], THREADS], ids=["engine process", "threads"])
def test_serve_until_sigterm(more):
    """The server logs its port, answers, and ends with status 0 on SIGTERM; its log is JSON throughout."""
    with subprocess.Popen([*SERVE, *more], stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
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


def test_the_engine_process_is_replaced_under_load():
    """SIGKILL of the process that reads: a client that tries again loses nothing, and metrics tell of it."""
    command = [*SERVE, "--metrics-listen", "127.0.0.1:0", "--log-level", "info"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        entries = map(json.loads, iter(process.stderr.readline, ""))
        port = next(entry["port"] for entry in entries if entry["event"] == "metrics")
        target = next(entry["addresses"][0] for entry in entries if entry["event"] == "listening")
        log = threading.Thread(target=lambda: list(entries))
        log.start()
        try:
            with glyphwire.OcrClient(target, max_attempts=8) as client, ThreadPoolExecutor(4) as pool:
                client.wait_ready()
                (engine,) = engine_processes(process.pid)
                reading = [pool.submit(client.recognize, f"line {number}".encode()) for number in range(200)]
                reading[20].result()
                os.kill(engine, signal.SIGKILL)
                texts = [each.result().text for each in reading]
            assert texts == [f"line {number}" for number in range(200)]
            (successor,) = engine_processes(process.pid)
            assert successor != engine
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
                samples = response.read().decode()
            assert "glyphwire_engine_losses_total 1.0" in samples
            assert "glyphwire_engine_process_resident_memory_bytes" in samples
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            log.join()
    assert not Path(f"/proc/{successor}").exists()


def test_the_engine_process_ends_with_its_server():
    """However that ends."""
    with subprocess.Popen(SERVE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        rows = iter(process.stderr.readline, "")
        next(entry for entry in map(json.loads, rows) if entry["event"] == "serving")
        (engine,) = engine_processes(process.pid)
        process.kill()
        # The pipe ends when its last writer does.
        assert list(rows) == []
    assert not Path(f"/proc/{engine}").exists() or "Z" in Path(f"/proc/{engine}/stat").read_text().split()[2]


def engine_processes(server: int) -> list[int]:
    """Children of a server, whichever of its threads has started them."""
    tasks = Path(f"/proc/{server}/task").glob("*/children")
    return [int(pid) for path in tasks for pid in path.read_text().split()]
