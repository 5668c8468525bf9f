"""Requests and answers of the Open Inference Protocol."""

from __future__ import annotations

import struct

from server.stubs import open_inference_pb2 as pb2

NAME = "inference.GRPCInferenceService"
Input = pb2.ModelInferRequest.InferInputTensor
Output = pb2.ModelInferRequest.InferRequestedOutputTensor
Parameter = pb2.InferParameter


def raw_elements(*elements: bytes) -> bytes:
    """A BYTES tensor as raw contents."""
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def infer(*images: bytes, **fields) -> pb2.ModelInferRequest:
    """Image files to read, raw."""
    files = Input(name="image", datatype="BYTES", shape=[len(images)])
    return pb2.ModelInferRequest(**{"inputs": [files], "raw_input_contents": [raw_elements(*images)]} | fields)


def wanted(*names: str) -> list[Output]:
    """Outputs to request."""
    return [Output(name=name) for name in names]


def pixels(shape: list[int], content: bytes) -> pb2.ModelInferRequest:
    """Pixels to read, raw."""
    tensor = Input(name="image", datatype="UINT8", shape=shape)
    return infer(inputs=[tensor], raw_input_contents=[content])


def listed(datatype: str, shape: list[int], **contents) -> pb2.ModelInferRequest:
    """Images to read, in contents."""
    tensor = Input(name="image", datatype=datatype, shape=shape, contents=pb2.InferTensorContents(**contents))
    return pb2.ModelInferRequest(inputs=[tensor])


def elements(response: pb2.ModelInferResponse, name: str) -> list:
    """Elements of a raw output."""
    index = [output.name for output in response.outputs].index(name)
    raw, (count,) = response.raw_output_contents[index], response.outputs[index].shape
    if response.outputs[index].datatype == "FP32":
        return list(struct.unpack(f"<{count}f", raw))
    found, at = [], 0
    while at < len(raw):
        (length,) = struct.unpack_from("<I", raw, at)
        found.append(raw[at + 4 : at + 4 + length].decode())
        at += 4 + length
    assert len(found) == count
    return found
