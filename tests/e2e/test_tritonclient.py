"""NVIDIA's tritonclient, as it comes, against the whole product."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import glyphwire
import pytest

from server.stubs import open_inference_pb2

ROOT = Path(__file__).parents[2]
IMAGES = [ROOT / "tests" / "data" / name for name in ("line_zh.jpg", "line_digits.jpg")]


@pytest.fixture(scope="module")
def expected(address: str) -> list[glyphwire.Recognition]:
    """What our own client gets for the images."""
    with glyphwire.OcrClient(address) as client:
        client.wait_ready(60)
        return [client.recognize(image, glyphwire.RecognizeOptions(mode=glyphwire.Mode.LINE)) for image in IMAGES]


@pytest.fixture(scope="module")
def report(address: str, expected: list[glyphwire.Recognition]) -> dict[str, Any]:
    """What tritonclient gets, once the server is ready."""
    command = [sys.executable, "-m", "tests.e2e.triton_calls", address, *map(str, IMAGES)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_tritonclient_knows_the_server(report):
    """Live, ready, its models too, with the metadata of server and model."""
    assert (report["live"], report["ready"], report["model_ready"]) == (True, True, [True, True, False])
    assert report["server"] == "glyphwire"
    assert report["tensors"] == ["image", "text", "lines", "confidence"]


def test_tritonclient_reads_what_our_client_reads(report, expected):
    """Files and pixels give the texts, polygons and confidences of our own service."""
    texts = [recognition.text for recognition in expected]
    assert all(texts)
    assert report["texts"] == texts
    assert report["pixel_texts"] == [[text] for text in texts]
    assert report["id"] == "7"
    for lines, recognition in zip(report["lines"], expected, strict=True):
        corners = [(vertex.x, vertex.y) for vertex in recognition.lines[0].polygon.vertices]
        assert [(vertex["x"], vertex["y"]) for vertex in lines[0]["polygon"]["vertices"]] == corners
    assert report["confidence"] == pytest.approx([expected[0].lines[0].confidence])
    assert report["not_requested"] is None


def test_tritonclient_is_told_what_went_wrong(report):
    """Errors have the status and the words of our own service."""
    assert report["undecodable"][0] == "StatusCode.INVALID_ARGUMENT"
    assert report["unknown_model"] == ["StatusCode.NOT_FOUND", "no model 'x' is loaded"]
    assert report["bad_option"] == ["StatusCode.INVALID_ARGUMENT", "decode.beam_width is 0, must be from 1 to 256"]


def test_tritonclient_streams(report, expected):
    """Each request of a stream has its answer or its error, in order."""
    first, failed, last = report["streamed"]
    assert (first, last) == ([expected[0].text], [expected[1].text])
    assert failed == report["undecodable"][1]


def test_our_messages_are_those_of_the_protocol(report):
    """Every message of ours has the fields of tritonclient's, with their names, numbers and types."""
    ours = open_inference_pb2.DESCRIPTOR.message_types_by_name
    assert {
        name: [[field.name, field.number, field.type, field.is_repeated] for field in message.fields]
        for name, message in ours.items()
    } == {name: report["shapes"][name] for name in ours}
