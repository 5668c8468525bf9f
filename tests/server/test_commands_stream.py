"""`glyphwire stream`."""

from __future__ import annotations

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
