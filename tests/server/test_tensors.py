"""Images and answers as tensors of the Open Inference Protocol."""

from __future__ import annotations

import grpc
import pytest

from tests.server.infer_requests import (
    Input,
    Output,
    Parameter,
    elements,
    infer,
    listed,
    pixels,
    raw_elements,
    wanted,
)
from tests.server.messages import failure


async def test_answers_have_the_form_of_the_request(inference):
    """A request with typed contents gets typed contents, in any of the shapes for files."""
    answer = await inference.ModelInfer(listed("BYTES", [2, 1], bytes_contents=[b"a", "乙".encode()]))
    text, _, confidence = answer.outputs
    assert list(text.contents.bytes_contents) == [b"a", "乙".encode()]
    assert list(confidence.contents.fp32_contents) == [0.75, 0.75]
    assert (list(text.shape), list(answer.raw_output_contents)) == ([2], [])


@pytest.mark.parametrize(
    ("message", "images"),
    [
        (pixels([1, 2, 3], b"abcdef"), [b"abcdef"]),
        (pixels([2, 1, 1, 3], b"abcdef"), [b"abc", b"def"]),
        (listed("UINT8", [1, 1, 3], uint_contents=b"abc"), [b"abc"]),
    ],
)
async def test_pixels_are_read(inference, stages, message, images):
    """RGB pixels come as one image or several of one size, raw or as numbers."""
    await inference.ModelInfer(message)
    assert sorted(stages.prepared) == images


async def test_only_requested_outputs_come_back(inference):
    """Outputs have the order in which they were requested."""
    answer = await inference.ModelInfer(infer(b"a", outputs=wanted("confidence", "text")))
    assert [output.name for output in answer.outputs] == ["confidence", "text"]
    assert (elements(answer, "text"), len(answer.raw_output_contents)) == (["a"], 2)


CLASSES = {"classification": Parameter(int64_param=2)}
SHARED = {"shared_memory_region": Parameter(string_param="x")}
PIXEL = Input(name="image", datatype="UINT8", shape=[1, 1, 3])


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (infer(inputs=[]), "one input, 'image'"),
        (infer(inputs=[Input(name="picture", datatype="BYTES", shape=[1])]), "one input, 'image'"),
        (infer(b"a", inputs=[PIXEL, PIXEL]), "one input, 'image'"),
        (infer(b"a", inputs=[Input(name="image", datatype="FP32", shape=[1])]), "image is FP32 [1]"),
        (infer(), "image is BYTES [0]"),
        (pixels([1, 3], b"abc"), "image is UINT8 [1, 3]"),
        (pixels([1, 1, 4], b"abcd"), "image is UINT8 [1, 1, 4]"),
        (pixels([-1, -1, 3], b"abc"), "image is UINT8 [-1, -1, 3]"),
        (pixels([2, 1, 3], b"abc"), "3 elements"),
        (pixels([1, 1, 1, 3], b"abcdef"), "6 elements"),
        (infer(b"a", raw_input_contents=[raw_elements(b"a", b"b", b"c")]), "2 elements"),
        (infer(b"a", b"b", raw_input_contents=[raw_elements(b"a")]), "1 elements"),
        (infer(b"a", raw_input_contents=[]), "0 elements"),
        (infer(b"a", raw_input_contents=[raw_elements(b"abc")[:-1]]), "ends within an element"),
        (infer(b"a", raw_input_contents=[b"\1\0"]), "ends within an element"),
        (infer(b"a", raw_input_contents=[b"", b""]), "one place"),
        (infer(inputs=listed("BYTES", [1], bytes_contents=[b"a"]).inputs), "one place"),
        (listed("BYTES", [2], bytes_contents=[b"a"]), "1 elements"),
        (listed("UINT8", [1, 1, 3], uint_contents=[1, 2, 256]), "above 255"),
        (listed("UINT8", [1, 1, 3], uint_contents=bytes(2**20 + 1)), "raw_input_contents takes more"),
        (infer(b"a", outputs=wanted("text", "boxes")), "can be text, lines, confidence"),
        (infer(b"a", outputs=wanted("text", "text")), "each of them once"),
        (infer(inputs=[Input(name="image", datatype="BYTES", shape=[1], parameters=SHARED)]), "does not support"),
        (infer(b"a", outputs=[Output(name="text", parameters=CLASSES)]), "does not support"),
    ],
)
async def test_bad_tensors_are_refused(inference, stages, message, words):
    """A tensor that does not fit is the caller's fault, says why, and nothing is read."""
    failed = await failure(inference.ModelInfer(message))
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    assert words in failed.message
    assert stages.prepared == []
