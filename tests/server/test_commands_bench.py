"""`glyphwire bench`."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest

SHORT = ("--duration", 0.1, "--warmup", 0)


@pytest.fixture
def image(tmp_path):
    """A file that the fake pipeline reads as one line."""
    path = tmp_path / "a.png"
    path.write_bytes(b"a")
    return path


async def test_json_has_the_plan_and_every_figure(glyphwire_command, running, image):
    """With --json there is one object: the plan, counts, rates, percentiles, failures, and what the processes took."""
    flags = ["--kind", "batch", "--batch-size", 2, "--concurrency", 2, "--deadline-ms", 30000, "--connections", 2]
    status, out, _ = await glyphwire_command(
        "bench", "--server", running.target, *SHORT, *flags, "--server-pid", os.getpid(), "--json", image
    )
    found = json.loads(out)
    assert status == 0
    assert found["plan"].items() >= {"rate": None, "concurrency": 2, "batch_size": 2, "deadline_s": 30}.items()
    assert (found["kind"], found["loop"]) == ("batch", "closed")
    assert found["images_read"] == 2 * found["requests_answered"] == 2 * found["requests_sent"] > 0
    assert found["goodput_per_s"] == found["images_per_s"] > 0
    assert set(found["latency_ms"]) == {"p50", "p90", "p95", "p99", "max", "mean"}
    assert found["server_rss_mib"] > 0
    assert (found["failures"], found["send_lag_ms"]) == ([], None)


async def test_a_table_is_for_people(glyphwire_command, running, image):
    """Without --json there is a table; an open loop says how late the sender was."""
    status, out, _ = await glyphwire_command("bench", "--server", running.target, *SHORT, "--rate", 100, image)
    assert status == 0
    assert "│ loop " in out
    assert "send lag ms" in out
    assert "p99" in out


async def test_nothing_read_is_status_1(glyphwire_command, running, stages, tmp_path):
    """When no image could be read, the failures are shown and the status is 1."""
    (tmp_path / "bad.png").write_bytes(b"!small")
    status, out, _ = await glyphwire_command("bench", "--server", running.target, *SHORT, tmp_path)
    assert status == 1
    assert "INVALID_ARGUMENT IMAGE_TOO_SMALL" in out
    assert set(stages.prepared) == {b"!small"}


async def test_raw_payloads_are_pixels(glyphwire_command, running, stages, tmp_path):
    """With --payload raw the file is decoded once here, and its RGB pixels are sent."""
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 5, 3), 65, np.uint8))
    status, _, _ = await glyphwire_command("bench", "--server", running.target, *SHORT, "--payload", "raw", tmp_path)
    assert status == 0
    assert set(stages.prepared) == {b"A" * 60}


async def test_a_server_that_is_not_there_is_named(glyphwire_command, image, monkeypatch):
    """When the server does not get ready there is no run, and the status is 1."""
    monkeypatch.setattr("server.commands_bench._READY_S", 0.2)
    status, out, err = await glyphwire_command("bench", "--server", "127.0.0.1:1", image)
    assert (status, out) == (1, "")
    assert "DEADLINE_EXCEEDED" in err


@pytest.mark.parametrize(
    "flags",
    [
        ("--rate", "0"),
        ("--rate", "nan"),
        ("--rate", "5", "--concurrency", "2"),
        ("--concurrency", "0"),
        ("--duration", "-1"),
        ("--warmup", "-1"),
        ("--kind", "other"),
    ],
)
async def test_bad_flags_are_refused(glyphwire_command, flags):
    """Numbers out of their range, and flags that exclude each other, are refused."""
    with pytest.raises(SystemExit) as caught:
        await glyphwire_command("bench", *flags)
    assert caught.value.code == 2
