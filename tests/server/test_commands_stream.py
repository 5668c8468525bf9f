"""`glyphwire stream`."""

from __future__ import annotations

import asyncio
import json

import pytest


async def test_a_folder_becomes_a_stream(glyphwire_command, running, tmp_path):
    """The images of a folder are sent in the order of their names; a bad one is named, and the status is 1."""
    for name, text in {"1.png": "one", "2.png": "!small", "3.png": "three"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    status, out, err = await glyphwire_command("stream", "--server", running.target, tmp_path)
    assert status == 1
    assert out == f"==> {tmp_path}/1.png <==\none\n==> {tmp_path}/3.png <==\nthree\n"
    assert err.startswith(f"{tmp_path}/2.png: INVALID_ARGUMENT, IMAGE_TOO_SMALL")


async def test_raw_frames_are_cut_from_a_file(glyphwire_command, running, tmp_path):
    """With --raw a file is cut into frames of that size; what is left over is named."""
    path = tmp_path / "frames.raw"
    path.write_bytes(b"frame1" + b"frame2" + b"x")
    flags = ["--raw", "2x1", "--pixel-format", "RGB24", "--format", "json", "--timings"]
    status, out, err = await glyphwire_command("stream", "--server", running.target, *flags, path)
    found = [json.loads(row) for row in out.splitlines()]
    assert status == 0
    assert [(frame["source"], frame["lines"][0]["text"]) for frame in found] == [
        (f"{path}:0", "frame1"),
        (f"{path}:1", "frame2"),
    ]
    assert f"{path}: 1 bytes at the end are no whole frame" in err
    assert f"{path}:1: queue" in err


async def test_unchanged_frames_are_named(glyphwire_command, running, stages, tmp_path):
    """With --skip-unchanged a frame that looks like the last one is not read; its text is that of the one it names."""
    for name, text in {"1.png": "a\n1", "2.png": "a\n2", "3.png": "z"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    status, out, err = await glyphwire_command("stream", "--server", running.target, "--skip-unchanged", tmp_path)
    assert (status, err) == (0, f"{tmp_path}/2.png: unchanged from {tmp_path}/1.png\n")
    assert out.splitlines() == [
        *(f"==> {tmp_path}/1.png <==", "a", "1"),
        *(f"==> {tmp_path}/2.png <==", "a", "1"),
        *(f"==> {tmp_path}/3.png <==", "z"),
    ]
    assert stages.prepared == [b"a\n1", b"z"]


async def test_a_threshold_is_passed_on(glyphwire_command, running, stages, tmp_path):
    """With --unchanged-threshold frames that differ more look alike too."""
    (tmp_path / "1.png").write_text("a")
    (tmp_path / "2.png").write_text("z")
    flags = ["--skip-unchanged", "--unchanged-threshold", "30"]
    await glyphwire_command("stream", "--server", running.target, *flags, tmp_path)
    assert stages.prepared == [b"a"]


async def test_dropped_frames_are_named(glyphwire_command, running, stages, taken, tmp_path):
    """With --policy latest frames that come while one is read are dropped, which is told and no failure."""
    for name in "abc":
        (tmp_path / name).with_suffix(".png").write_text(name)
    stages.gate.clear()
    flags = ["--server", running.target, "--policy", "latest"]
    command = asyncio.ensure_future(glyphwire_command("stream", *flags, tmp_path))
    for _ in range(3):
        await taken.acquire()
    stages.gate.set()
    status, _, err = await command
    assert (status, err) == (0, f"{tmp_path}/b.png: dropped for {tmp_path}/c.png\n")
    assert stages.prepared == [b"a", b"c"]


async def test_merged_lines_are_printed(glyphwire_command, running, tmp_path):
    """With --vote the lines merged over frames take the place of each frame's own; JSON has both."""
    for number in range(3):
        (tmp_path / f"{number}.png").write_text("total")
    flags = ["--server", running.target, "--vote"]
    _, out, _ = await glyphwire_command("stream", *flags, tmp_path)
    assert [row for row in out.splitlines() if "==" not in row] == [
        *["1\tnew\t0.50\ttotal"] * 2,
        "1\tstable\t0.50\ttotal",
    ]
    _, out, _ = await glyphwire_command("stream", *flags, "--format", "json", tmp_path)
    last = json.loads(out.splitlines()[-1])
    assert last["lines"][0]["text"] == "total"
    assert (last["stable_lines"][0]["track_id"], last["stable_lines"][0]["frames_seen"]) == (1, 3)


@pytest.mark.parametrize("size", ["2", "0x1", "axb"])
async def test_a_bad_size_is_refused(glyphwire_command, size, capsys):
    """--raw wants WIDTHxHEIGHT."""
    with pytest.raises(SystemExit) as caught:
        await glyphwire_command("stream", "--raw", size, "-")
    assert caught.value.code == 2
    assert "WIDTHxHEIGHT" in capsys.readouterr().err


async def test_a_stream_that_fails_is_status_1(glyphwire_command, running, tmp_path):
    """When the stream as a whole fails, what the server said is printed."""
    (tmp_path / "a.png").write_bytes(b"a")
    status, _, err = await glyphwire_command("stream", "--server", running.target, "--model", "nobody", tmp_path)
    assert (status, err) == (1, "glyphwire: NOT_FOUND, MODEL_NOT_FOUND: no model 'nobody' is loaded (options.model)\n")
