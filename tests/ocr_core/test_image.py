"""Tests of ocr_core.image."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as PillowImage

from ocr_core.errors import ImageEmpty, ImageTooLarge, ImageTooSmall, ImageUndecodable, RawImageInvalid
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.types import PixelFormat, RawImage

LIMITS = ImageLimits(max_bytes=1_000_000, max_pixels=100_000, max_side=1000, min_side=4)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: PillowImage.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def four_colors() -> PillowImage.Image:
    """20 x 10: red and green above blue and white."""
    image = PillowImage.new("RGB", (20, 10))
    for box, color in [((0, 0), RED), ((10, 0), GREEN), ((0, 5), BLUE), ((10, 5), WHITE)]:
        image.paste(color, (*box, box[0] + 10, box[1] + 5))
    return image


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds one row's worth of nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "GIF", "JPEG", "WEBP"])
def test_reads_each_format(file_format: str) -> None:
    """Every promised format decodes to the same RGB pixels, up to the losses of the format."""
    options = {"lossless": True} if file_format == "WEBP" else {"quality": 100, "subsampling": 0}
    pixels = load_image(encoded(four_colors(), file_format, **options), LIMITS)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - np.asarray(four_colors()).astype(int)).max() <= 8


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("1", WHITE),
        ("L", (200, 200, 200)),
        ("P", RED),
        ("CMYK", RED),
        ("LA", (157, 157, 157)),
        ("RGBA", (255, 127, 127)),
    ],
)
def test_converts_each_pixel_mode(mode: str, expected: tuple[int, int, int]) -> None:
    """Palettes, CMYK, grey and alpha become RGB; what is half transparent lies over white."""
    colors = {"1": 1, "L": 200, "LA": (60, 128), "RGBA": (*RED, 128), "CMYK": (0, 255, 255, 0)}
    image = PillowImage.new(mode, (8, 8), colors[mode]) if mode in colors else four_colors().convert("P")
    data = encoded(image, "TIFF" if mode == "CMYK" else "PNG")
    assert np.abs(load_image(data, LIMITS)[2, 2].astype(int) - expected).max() <= 1


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_keeps_the_upper_byte_of_16_bit_samples(file_format: str) -> None:
    """A 16-bit scan keeps its tones instead of turning white."""
    samples = np.full((8, 8), 0x40FF, np.uint16)
    pixels = load_image(encoded(PillowImage.fromarray(samples), file_format), LIMITS)
    assert (pixels == 0x40).all()


def test_float_samples_span_0_to_1() -> None:
    """A float TIFF from 0 to 1 uses the whole range; NaN is black."""
    samples = np.full((8, 8), 0.5, np.float32)
    samples[0, 0] = np.nan
    pixels = load_image(encoded(PillowImage.fromarray(samples), "TIFF"), LIMITS)
    assert pixels[4, 4, 0] == 127
    assert pixels[0, 0, 0] == 0


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_exif_orientation_turns_the_image_unless_told_not_to(file_format: str) -> None:
    """Orientation 6 means that the top of the picture is at the right of the pixels."""
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    data = encoded(four_colors(), file_format, exif=exif, quality=100, subsampling=0)
    turned, as_stored = load_image(data, LIMITS), load_image(data, LIMITS, apply_exif_orientation=False)
    assert np.abs(turned[1, 1].astype(int) - BLUE).max() <= 8
    assert np.abs(as_stored[1, 1].astype(int) - RED).max() <= 8


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize(
    "options",
    [{}, {"progressive": True}, {"subsampling": 2}, {"comment": b"a line"}, {"restart_marker_blocks": 1}],
    ids=str,
)
def test_jpeg_files_are_decoded_as_pillow_does(mode: str, options: dict[str, object]) -> None:
    """With or without what is left to Pillow, the pixels are the same to the bit."""
    noise = np.random.default_rng(1).integers(0, 256, (9, 11, 3), np.uint8)
    image = PillowImage.fromarray(noise).resize((45, 37)).convert(mode)
    data = encoded(image, "JPEG", quality=80, **options)
    expected = np.asarray(PillowImage.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(load_image(data, LIMITS), expected)
    assert np.array_equal(load_image(bytearray(data), LIMITS), expected)  # as MOSEC hands them over


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", ImageEmpty),
        (b"dear server, please read me", ImageUndecodable),
        (encoded(four_colors(), "ICO"), ImageUndecodable),
        (encoded(four_colors(), "JPEG")[:-200], ImageUndecodable),
        (encoded(four_colors(), "JPEG")[:170], ImageUndecodable),
        (b"\xff\xd8" + b"\xff\xfe\x00\x02" * 9999, ImageUndecodable),
        (encoded(PillowImage.new("RGB", (1001, 4)), "JPEG"), ImageTooLarge),
        (encoded(four_colors(), "PNG")[:60], ImageUndecodable),
        (encoded(PillowImage.new("RGB", (1, 1)), "PNG"), ImageTooSmall),
        (encoded(PillowImage.new("RGB", (1001, 4)), "PNG"), ImageTooLarge),
        (encoded(PillowImage.new("RGB", (400, 400)), "PNG"), ImageTooLarge),
        (b"\xff" * 1_000_001, ImageTooLarge),
        (png_header(20_000, 20_000), ImageTooLarge),
        (png_header(300, 300), ImageUndecodable),
    ],
    ids=[
        "empty",
        "text",
        "icon",
        "cut jpeg",
        "cut jpeg header",
        "endless jpeg header",
        "long side of a jpeg",
        "cut png",
        "1x1",
        "long side",
        "pixels",
        "bytes",
        "bomb header",
        "lying header",
    ],
)
def test_refuses_bad_files(data: bytes, error: type[Exception]) -> None:
    """Each kind of bad file has its own error."""
    with pytest.raises(error):
        load_image(data, LIMITS)


def test_a_pdf_is_called_so() -> None:
    """Who sends a document for an image is told what it is."""
    with pytest.raises(ImageUndecodable, match="PDF, which is read as a document"):
        load_image(b"%PDF-1.7\n", LIMITS)


@pytest.mark.parametrize("pixel_format", list(PixelFormat))
def test_converts_each_raw_format(pixel_format: PixelFormat) -> None:
    """Raw pixels of every format give the picture they describe, row padding left out."""
    image = four_colors().convert("L").convert("RGB") if pixel_format is PixelFormat.GRAY8 else four_colors()
    bands = dict(zip("RGBAL", [*image.split(), PillowImage.new("L", image.size, 255), image.convert("L")], strict=True))
    rows = np.dstack([np.asarray(bands[channel]) for channel in pixel_format.value])
    padded = np.zeros((10, 20 * len(pixel_format.value) + 3), np.uint8)
    padded[:, :-3] = rows.reshape(10, -1)
    raw = RawImage(padded.tobytes(), 20, 10, pixel_format, stride=padded.shape[1])
    assert np.array_equal(load_image(raw, LIMITS), np.asarray(image))
    without_last_padding = RawImage(padded.tobytes()[:-3], 20, 10, pixel_format, stride=padded.shape[1])
    assert np.array_equal(load_image(without_last_padding, LIMITS), np.asarray(image))


def test_raw_rgb_is_not_copied() -> None:
    """An image of raw RGB is those very pixels, also where rows are padded."""
    pixels = bytes(5 * 16)
    image = load_image(RawImage(pixels, 5, 5, PixelFormat.RGB24, stride=16), LIMITS)
    assert np.shares_memory(image, np.frombuffer(pixels, np.uint8))


def test_transparent_raw_pixels_show_white() -> None:
    """Alpha is composed over white paper."""
    raw = RawImage(bytes([10, 20, 30, 0]) * 16, 4, 4, PixelFormat.RGBA32)
    assert (load_image(raw, LIMITS) == 255).all()


def lettering(color: tuple[int, ...], paper: tuple[int, ...] = (0, 0, 0, 0)) -> PillowImage.Image:
    """100 x 40 RGBA: strokes with soft edges in the middle of transparent margins, or of paper with such margins."""
    image = PillowImage.new("RGBA", (100, 40), (*color[:3], 0))
    image.paste(paper if paper[3] else (*color[:3], 0), (10, 5, 90, 35))
    for left in range(20, 80, 10):
        image.paste((*color[:3], color[3] // 2) if not paper[3] else color, (left, 10, left + 4, 30))
        image.paste(color, (left + 1, 10, left + 3, 30))
    return image


@pytest.mark.parametrize(
    ("image", "around"),
    [
        (lettering((255, 255, 255, 255)), 0),
        (lettering((255, 240, 150, 255)), 0),
        (lettering((255, 255, 255, 90)), 0),
        (lettering((0, 0, 0, 255)), 255),
        (lettering((0, 0, 0, 90)), 255),
        (lettering((220, 40, 40, 255)), 255),
        (lettering((20, 20, 20, 255), paper=(250, 250, 250, 255)), 255),
        (lettering((255, 255, 255, 255), paper=(30, 60, 120, 255)), 255),
    ],
    ids=["white", "yellow", "faint white", "black", "faint black", "red", "black on white", "white on blue"],
)
def test_what_is_transparent_shows_what_lies_on_it(image: PillowImage.Image, around: int) -> None:
    """Black when all that is visible is light, which white would hide, and white otherwise; as a file or as pixels."""
    raw = RawImage(image.tobytes(), *image.size, PixelFormat.RGBA32)
    data = [encoded(image, "PNG"), encoded(image, "WEBP", lossless=True), raw]
    expected = PillowImage.alpha_composite(PillowImage.new("RGBA", image.size, (around, around, around, 255)), image)
    for each in data:
        assert np.array_equal(load_image(each, LIMITS), np.asarray(expected.convert("RGB")))


@pytest.mark.parametrize(
    ("raw", "error", "field"),
    [
        (RawImage(b"x" * 47, 4, 4, PixelFormat.RGB24), RawImageInvalid, "image.raw.pixels"),
        (RawImage(b"x" * 49, 4, 4, PixelFormat.RGB24), RawImageInvalid, "image.raw.pixels"),
        (RawImage(b"x" * 48, 4, 4, PixelFormat.RGB24, stride=11), RawImageInvalid, "image.raw.stride"),
        (RawImage(b"x" * 48, 4, 4, PixelFormat.RGB24, stride=-12), RawImageInvalid, "image.raw.stride"),
        (RawImage(b"x" * 48, -4, -4, PixelFormat.RGB24), RawImageInvalid, "image.raw"),
        (RawImage(b"", 4, 4, PixelFormat.GRAY8), ImageEmpty, "image"),
        (RawImage(b"x", 2**31 - 1, 2**31 - 1, PixelFormat.GRAY8), ImageTooLarge, "image"),
    ],
)
def test_refuses_bad_raw_pixels(raw: RawImage, error: type[RawImageInvalid], field: str) -> None:
    """Sizes that do not fit are refused before memory is touched, and the field at fault is named."""
    with pytest.raises(error) as caught:
        load_image(raw, LIMITS)
    assert caught.value.field == field
