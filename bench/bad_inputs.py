"""Bad requests, and the answers that ocr.proto documents for them; sent by bench.faults."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from glyphwire.v1 import ocr_pb2

_ROOT = Path(__file__).resolve().parent.parent
_PAGE = _ROOT / "docs" / "sample" / "page.jpg"
_TEXT = _ROOT / "docs" / "sample" / "page.txt"


@dataclass(frozen=True, slots=True)
class Answer:
    """Names of status and ErrorReason. Of a batch, reason has the text or the reason of each item."""

    status: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BadInput:
    """What is sent, and the documented answer."""

    name: str
    request: ocr_pb2.RecognizeRequest | ocr_pb2.BatchRecognizeRequest
    expected: Answer


def bad_inputs(line: bytes, text: str) -> tuple[BadInput, ...]:
    """One of every kind. line: a good line image; text: what it says."""
    good = ocr_pb2.Image(encoded=line)
    nothing = ocr_pb2.DecodeOptions(decoder=ocr_pb2.DECODER_PREFIX_BEAM, beam_width=0)
    return (
        _bad_file("empty image", b"", "IMAGE_EMPTY"),
        _bad_file("text file", _TEXT.read_bytes(), "IMAGE_UNDECODABLE"),
        _bad_file("JPEG cut in half", _PAGE.read_bytes()[: _PAGE.stat().st_size // 2], "IMAGE_UNDECODABLE"),
        _bad_file("PNG of 1 x 1", _png(1, 1), "IMAGE_TOO_SMALL"),
        _bad_file("PNG header of 20000 x 20000", _png(20_000, 20_000), "IMAGE_TOO_LARGE"),
        _bad_raw("raw pixels, a byte short", 48 * 32 * 3 - 1, ocr_pb2.PIXEL_FORMAT_RGB24),
        _bad_raw("raw pixels, format unspecified", 48 * 32 * 3, ocr_pb2.PIXEL_FORMAT_UNSPECIFIED),
        _bad_options("min_confidence NaN", good, ocr_pb2.RecognizeOptions(min_confidence=math.nan)),
        _bad_options("beam_width 0", good, ocr_pb2.RecognizeOptions(decode=nothing)),
        BadInput(
            "unknown model",
            ocr_pb2.RecognizeRequest(image=good, options=ocr_pb2.RecognizeOptions(model="no-such-model")),
            Answer("NOT_FOUND", "MODEL_NOT_FOUND"),
        ),
        _bad_item(line, text),
    )


def _bad_file(name: str, image_bytes: bytes, reason: str) -> BadInput:
    image = ocr_pb2.Image(encoded=image_bytes)
    return BadInput(name, ocr_pb2.RecognizeRequest(image=image), Answer("INVALID_ARGUMENT", reason))


def _bad_raw(name: str, size: int, pixel_format: ocr_pb2.PixelFormat.ValueType) -> BadInput:
    raw = ocr_pb2.RawImage(pixels=bytes(size), width=48, height=32, pixel_format=pixel_format)
    request = ocr_pb2.RecognizeRequest(image=ocr_pb2.Image(raw=raw))
    return BadInput(name, request, Answer("INVALID_ARGUMENT", "RAW_IMAGE_INVALID"))


def _bad_options(name: str, image: ocr_pb2.Image, options: ocr_pb2.RecognizeOptions) -> BadInput:
    request = ocr_pb2.RecognizeRequest(image=image, options=options)
    return BadInput(name, request, Answer("INVALID_ARGUMENT", "OPTION_INVALID"))


def _bad_item(line: bytes, text: str) -> BadInput:
    options = ocr_pb2.RecognizeOptions(mode=ocr_pb2.MODE_LINE)
    items = [
        ocr_pb2.RecognizeRequest(image=ocr_pb2.Image(encoded=image), options=options)
        for image in (line, _TEXT.read_bytes(), line)
    ]
    request = ocr_pb2.BatchRecognizeRequest(requests=items)
    return BadInput("batch, second of three bad", request, Answer("OK", f"{text}; IMAGE_UNDECODABLE; {text}"))


def _png(width: int, height: int) -> bytes:
    """A PNG file whose header claims a size; it has the pixels of one grey row of at most one pixel."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0\x80")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
