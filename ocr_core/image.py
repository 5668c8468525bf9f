"""Encoded bytes or raw pixels -> RGB image, within byte, pixel and side limits."""

from __future__ import annotations

import importlib.util
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import ImageOps, UnidentifiedImageError

from ocr_core.errors import ImageEmpty, ImageTooLarge, ImageTooSmall, ImageUndecodable, RawImageInvalid
from ocr_core.image_limits import ImageLimits
from ocr_core.shared_pixels import SharedPixels
from ocr_core.types import Image, RawImage

FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"]
"""Names that Pillow has for what is read; HEIF, which iPhones write, with the extra `heif`."""

if importlib.util.find_spec("pillow_heif"):
    from pillow_heif import register_heif_opener

    register_heif_opener()
    FORMATS.append("HEIF")

# What Pillow's plugins raise on malformed files; their authors name these in the fuzzing notes.
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    RuntimeError,
    struct.error,
    zlib.error,
)

_OPAQUE = 255

_SEEN_ON_WHITE = 175
"""The lightest grey that counts as seen on white; what is lighter, black shows twice as well."""

_LEAST_SEEN = 2000
"""One of so many visible pixels is enough to be seen: a line on a page of white paper has two."""

_TO_RGB = {
    "L": cv2.COLOR_GRAY2RGB,
    "BGR": cv2.COLOR_BGR2RGB,
    "RGBA": cv2.COLOR_RGBA2RGB,
    "BGRA": cv2.COLOR_BGRA2RGB,
}

_START_OF_SCAN = b"\xff\xda"
_JPEG_FRAMES = (b"\xff\xc0", b"\xff\xc1", b"\xff\xc2")
"""Headers of what OpenCV reads: baseline, extended and progressive, with codes of Huffman's."""

_JPEG_TABLES = (b"\xff\xc4", b"\xff\xdb", b"\xff\xdd", b"\xff\xe0", b"\xff\xfe")
"""Codes, quantisation, restart interval, JFIF's header, comment."""

_MOST_JPEG_SEGMENTS = 64
"""Before the pixels; who sends more of them may wait for Pillow to look at them."""


def load_image(image: bytes | RawImage, limits: ImageLimits, *, apply_exif_orientation: bool = True) -> Image:
    """Decode a file or convert raw pixels.

    Returns RGB, uint8 [height, width, 3]. Transparent pixels show white, or black where all else is too light for
    white; 16-bit samples keep their upper 8 bits, CMYK and palettes are converted; of a multi-page file the first page
    is taken.

    Raises:
        ImageEmpty: no bytes.
        ImageTooLarge, ImageTooSmall: outside `limits`; found from the header, before pixels are decoded.
        ImageUndecodable: unknown format, damaged or cut short.
        RawImageInvalid: raw pixels that do not match their description.
    """
    if isinstance(image, RawImage):
        return _from_raw(image, limits)
    return _from_file(image, limits, apply_exif_orientation)


def _from_file(image_bytes: bytes, limits: ImageLimits, apply_exif_orientation: bool) -> Image:
    _check_bytes(len(image_bytes), limits)
    if image_bytes.startswith(b"%PDF-"):
        raise ImageUndecodable("the bytes are a PDF, which is read as a document", "image.encoded")
    if size := _plain_jpeg_size(image_bytes):
        _check_size(*size, limits)
        # The same pixels in half the time, nearly all of it without the interpreter, which other threads wait for.
        pixels = cv2.imdecode(np.frombuffer(image_bytes, np.uint8), cv2.IMREAD_COLOR_RGB)
        if pixels is not None:
            return np.asarray(pixels, np.uint8)
    with pillow_errors(limits), open_image(io.BytesIO(image_bytes)) as opened:
        return load_frame(opened, limits, apply_exif_orientation=apply_exif_orientation)


def _plain_jpeg_size(image_bytes: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG file in grey or colour without metadata, which could say how it is to be turned.

    None for any other file: what it is, or what is wrong with it, Pillow finds out.
    """
    size, place = None, 2
    if not image_bytes.startswith(b"\xff\xd8"):
        return None
    for _ in range(_MOST_JPEG_SEGMENTS):
        marker, length, frame = image_bytes[place : place + 2], image_bytes[place + 2 : place + 4], place + 4
        if marker == _START_OF_SCAN:
            return size
        if marker in _JPEG_FRAMES:
            bits, height, width, channels = struct.unpack(">BHHB", image_bytes[frame : frame + 6].ljust(6, b"\0"))
            if bits != 8 or channels not in {1, 3}:
                return None
            size = width, height
        elif marker not in _JPEG_TABLES:
            return None
        place += 2 + int.from_bytes(length)
    return None


def open_image(file: BinaryIO) -> PillowImage.Image:
    """An image file, of which the header is read. To be called and used inside pillow_errors."""
    return PillowImage.open(file, formats=FORMATS)


@contextmanager
def pillow_errors(limits: ImageLimits) -> Iterator[None]:
    """What Pillow raises inside, of a file that is no image or a bad one, is raised as what load_image raises."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise ImageUndecodable(f"the bytes are no {', '.join(FORMATS)} that can be read", "image.encoded") from error
    except (PillowImage.DecompressionBombError, PillowImage.DecompressionBombWarning) as error:
        raise ImageTooLarge(f"the image has more than {limits.max_pixels} pixels", "image.encoded") from error
    except _DECODER_ERRORS as error:
        raise ImageUndecodable(f"the image is damaged or cut short: {error}", "image.encoded") from error


def load_frame(opened: PillowImage.Image, limits: ImageLimits, *, apply_exif_orientation: bool) -> Image:
    """Decode the frame at which an image file is, inside pillow_errors. Returns and raises what load_image does."""
    _check_size(opened.width, opened.height, limits)
    opened.load()
    if apply_exif_orientation:
        ImageOps.exif_transpose(opened, in_place=True)
    return _to_rgb(opened)


def _to_rgb(image: PillowImage.Image) -> Image:
    if image.mode.startswith("I;16"):
        return _gray_to_rgb((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in {"I", "F"}:
        return _gray_to_rgb(_wide_samples(np.asarray(image)))
    if image.has_transparency_data:
        return _channels_to_rgb(np.asarray(image.convert("RGBA")), "RGBA")
    # Converting an RGB image would copy it.
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _wide_samples(samples: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """32-bit integers hold 16-bit values, floats 0 to 1, by the habit of the programs that write them."""
    scale = 255.0 / 65535.0 if np.issubdtype(samples.dtype, np.integer) else 255.0
    finite = np.nan_to_num(samples.astype(np.float32) * scale)
    narrow: npt.NDArray[np.uint8] = np.clip(finite, 0, 255).astype(np.uint8)
    return narrow


def _gray_to_rgb(gray: npt.NDArray[np.uint8]) -> Image:
    return np.repeat(gray[:, :, None], 3, axis=2)


def _from_raw(raw: RawImage, limits: ImageLimits) -> Image:
    pixel_bytes = raw.pixel_format.bytes_per_pixel
    if raw.width < 1 or raw.height < 1:
        raise RawImageInvalid(f"width and height are {raw.width} and {raw.height}, must be positive", "image.raw")
    _check_size(raw.width, raw.height, limits)
    row_bytes = raw.width * pixel_bytes
    stride = raw.stride or row_bytes
    if stride < row_bytes:
        raise RawImageInvalid(f"stride is {stride}, a row has {row_bytes} bytes", "image.raw.stride")
    pixels = np.frombuffer(raw.pixels.view() if isinstance(raw.pixels, SharedPixels) else raw.pixels, np.uint8)
    _check_bytes(pixels.size, limits)
    least, most = stride * (raw.height - 1) + row_bytes, stride * raw.height
    if not least <= pixels.size <= most:
        raise RawImageInvalid(
            f"{pixels.size} bytes of pixels, but {raw.width} x {raw.height} {raw.pixel_format.name} "
            f"with stride {stride} needs {most}",
            "image.raw.pixels",
        )
    rows = np.lib.stride_tricks.as_strided(
        pixels, (raw.height, raw.width, pixel_bytes), (stride, pixel_bytes, 1), writeable=False
    )
    return _channels_to_rgb(rows, raw.pixel_format.value)


def _channels_to_rgb(rows: npt.NDArray[np.uint8], channels: str) -> Image:
    """OpenCV reorders 1 MB in 0.03 ms, NumPy's indexing takes 2.3 ms. RGB stays where it is, padding and all."""
    if channels == "RGB":
        return rows
    color: Image = np.asarray(cv2.cvtColor(rows, _TO_RGB[channels]), np.uint8)
    return _on_paper(color, rows[:, :, 3]) if "A" in channels else color


def _on_paper(color: Image, alpha: npt.NDArray[np.uint8]) -> Image:
    """What shows through is white, or black for light things that nobody would see on white. alpha: [height, width]."""
    if alpha.min() == _OPAQUE:
        return color
    cover = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
    on_black = cv2.multiply(color, cover, scale=1 / _OPAQUE)
    on_white = cv2.add(on_black, cv2.bitwise_not(cover))
    shown = on_white if _is_seen(on_white, alpha) or not _is_light(on_black, on_white) else on_black
    return np.asarray(shown, np.uint8)


def _is_seen(on_white: cv2.typing.MatLike, alpha: npt.NDArray[np.uint8]) -> bool:
    seen = np.count_nonzero(_luminance(on_white) <= _SEEN_ON_WHITE)
    return bool(seen * _LEAST_SEEN >= np.count_nonzero(alpha))


def _is_light(on_black: cv2.typing.MatLike, on_white: cv2.typing.MatLike) -> bool:
    """Whether what is visible is nearer to white than to black, by and large."""
    return bool(_luminance(on_black).sum() > cv2.bitwise_not(_luminance(on_white)).sum())


def _luminance(color: cv2.typing.MatLike) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY), np.uint8)


def _check_bytes(size: int, limits: ImageLimits) -> None:
    if size == 0:
        raise ImageEmpty("the image has no bytes", "image")
    if size > limits.max_bytes:
        raise ImageTooLarge(f"the image has {size} bytes, at most {limits.max_bytes} are accepted", "image")


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    if max(width, height) > limits.max_side or width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"the image is {width} x {height}, at most {limits.max_pixels} pixels "
            f"and {limits.max_side} per side are accepted",
            "image",
        )
    if min(width, height) < limits.min_side:
        raise ImageTooSmall(f"the image is {width} x {height}, each side needs {limits.min_side} pixels", "image")
