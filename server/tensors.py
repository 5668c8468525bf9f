"""Tensors of the Open Inference Protocol: images come in one, and what was read goes out in others."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ocr_core.errors import RawImageInvalid
from ocr_core.types import PixelFormat, RawImage, Recognition
from server.errors import RequestInvalid
from server.stubs.open_inference_pb2 import (
    InferTensorContents,
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataResponse,
)

_TensorMetadata = ModelMetadataResponse.TensorMetadata

_IMAGE = "image"
_FILES = "BYTES"
_FLOATS = "FP32"
_CHANNELS = 3
_LENGTH = struct.Struct("<I")
_MAX_NUMBERS = 2**20
"""Pixels that are not raw come as a list of numbers, which the event loop goes through one by one."""
_NOT_SUPPORTED = ("shared_memory_region", "classification")


@dataclass(frozen=True, slots=True)
class ImageTensor:
    """The input of a request. count: its images. raw: the elements as bytes; None when `contents` has them."""

    datatype: str
    shape: tuple[int, ...]
    count: int
    raw: bytes | None
    contents: InferTensorContents

    def images(self) -> list[bytes] | list[RawImage]:
        """Image files, or pixels that stay where they are. Raises RequestInvalid or RawImageInvalid."""
        return self._files() if self.datatype == _FILES else self._raw_images()

    def _files(self) -> list[bytes]:
        files = list(self.contents.bytes_contents) if self.raw is None else _elements(self.raw, self.count)
        if len(files) != self.count:
            raise _misfit(self, f"{len(files)} elements")
        return files

    def _raw_images(self) -> list[RawImage]:
        height, width = self.shape[-3:-1]
        size = height * width * _CHANNELS
        pixels = memoryview(self._pixels())
        if len(pixels) != self.count * size:
            raise _misfit(self, f"{len(pixels)} elements")
        starts = range(0, len(pixels), size)
        return [RawImage(pixels[start : start + size], width, height, PixelFormat.RGB24) for start in starts]

    def _pixels(self) -> bytes:
        if self.raw is not None:
            return self.raw
        numbers = self.contents.uint_contents
        if len(numbers) > _MAX_NUMBERS:
            raise RequestInvalid(
                f"image has {len(numbers)} elements in contents, at most {_MAX_NUMBERS} are accepted there: "
                "raw_input_contents takes more",
                "inputs.contents",
            )
        try:
            return bytes(numbers)
        except ValueError:
            raise RawImageInvalid("image has elements above 255", "inputs.contents") from None


def image_tensor(request: ModelInferRequest) -> ImageTensor:
    """The one input, as far as it can be judged without its elements. Raises RequestInvalid."""
    if [tensor.name for tensor in request.inputs] != [_IMAGE]:
        raise RequestInvalid(f"a request has one input, {_IMAGE!r}", "inputs")
    (tensor,) = request.inputs
    _check_parameters(tensor)
    if len(request.raw_input_contents) > 1 or (request.raw_input_contents and tensor.HasField("contents")):
        raise RequestInvalid("the elements of the one input must be in one place", "raw_input_contents")
    shape = tuple(tensor.shape)
    raw = request.raw_input_contents[0] if request.raw_input_contents else None
    return ImageTensor(tensor.datatype, shape, _count(tensor.datatype, shape), raw, tensor.contents)


def requested_outputs(request: ModelInferRequest) -> list[str]:
    """Names of outputs in the order in which the caller wants them. Raises RequestInvalid."""
    names = [tensor.name for tensor in request.outputs]
    if len(set(names)) != len(names) or not set(names) <= set(_OUTPUTS):
        raise RequestInvalid(f"outputs can be {', '.join(_OUTPUTS)}, each of them once", "outputs")
    for tensor in request.outputs:
        _check_parameters(tensor)
    return names or list(_OUTPUTS)


def response(
    request: ModelInferRequest, outputs: Sequence[str], recognitions: Sequence[Recognition]
) -> ModelInferResponse:
    """One element per image in each output; raw if the request is."""
    first = recognitions[0]
    answer = ModelInferResponse(model_name=first.model_name, model_version=first.model_version, id=request.id)
    for name in outputs:
        datatype, element = _OUTPUTS[name]
        values = [element(recognition) for recognition in recognitions]
        tensor = answer.outputs.add(name=name, datatype=datatype, shape=[len(values)])
        if request.raw_input_contents:
            answer.raw_output_contents.append(_raw(datatype, values))
        elif datatype == _FLOATS:
            tensor.contents.fp32_contents.extend(values)
        else:
            tensor.contents.bytes_contents.extend(values)
    return answer


def input_metadata() -> list[_TensorMetadata]:
    """The form that has the same shape for all images."""
    return [_TensorMetadata(name=_IMAGE, datatype=_FILES, shape=[-1])]


def output_metadata() -> list[_TensorMetadata]:
    """All outputs."""
    return [_TensorMetadata(name=name, datatype=datatype, shape=[-1]) for name, (datatype, _) in _OUTPUTS.items()]


def _check_parameters(
    tensor: ModelInferRequest.InferInputTensor | ModelInferRequest.InferRequestedOutputTensor,
) -> None:
    for name in _NOT_SUPPORTED:
        if name in tensor.parameters:
            raise RequestInvalid(f"tensor {tensor.name!r} has {name}, which this server does not support", name)


def _count(datatype: str, shape: tuple[int, ...]) -> int:
    """Images in a tensor."""
    match datatype, shape:
        case ("BYTES", (count,) | (count, 1)) | ("UINT8", (count, _, _, 3)) if min(shape) > 0:
            return count
        case ("UINT8", (_, _, 3)) if min(shape) > 0:
            return 1
    raise RequestInvalid(
        f"image is {datatype} {list(shape)}, must be BYTES [n] or [n, 1], or UINT8 [height, width, 3] or "
        "[n, height, width, 3]",
        "inputs.shape",
    )


def _elements(raw: bytes, most: int) -> list[bytes]:
    """Of a BYTES tensor: each stands behind its length. No more than `most` and one are looked at."""
    elements: list[bytes] = []
    start = 0
    while start < len(raw) and len(elements) <= most:
        end = start + _LENGTH.size
        if end <= len(raw):
            start, end = end, end + _LENGTH.unpack_from(raw, start)[0]
        if end > len(raw):
            raise RequestInvalid("raw_input_contents ends within an element", "raw_input_contents")
        elements.append(raw[start:end])
        start = end
    return elements


def _raw(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == _FLOATS:
        return struct.pack(f"<{len(values)}f", *values)
    return b"".join(_LENGTH.pack(len(value)) + value for value in values)


def _misfit(tensor: ImageTensor, found: str) -> RequestInvalid:
    return RequestInvalid(f"image has {found}, which is not what its shape {list(tensor.shape)} says", "inputs")


def _text(recognition: Recognition) -> bytes:
    return "\n".join(line.text for line in recognition.lines).encode()


def _lines(recognition: Recognition) -> bytes:
    return json.dumps([asdict(line) for line in recognition.lines], ensure_ascii=False).encode()


def _confidence(recognition: Recognition) -> float:
    return sum(line.confidence for line in recognition.lines) / max(len(recognition.lines), 1)


_OUTPUTS: dict[str, tuple[str, Callable[[Recognition], Any]]] = {
    "text": (_FILES, _text),
    "lines": (_FILES, _lines),
    "confidence": (_FLOATS, _confidence),
}
"""Datatype, and how an element is made: bytes of BYTES, float of FP32."""
