"""Image files as documents."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image as PillowImage

from ocr_core.document import DocumentLimits, DocumentOptions, FailedPage, Page, PageSource
from ocr_core.document_file import check_size, document_of
from ocr_core.errors import DocumentTooLarge, DocumentUnreadable, ImageTooLarge, ImageUndecodable
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.types import RawImage
from tests.pdf_files import image_file

LIMITS = DocumentLimits(image=ImageLimits(max_pixels=1_000_000, max_side=2000), max_bytes=4_000_000)


def opened(content: bytes):
    """The document and the number of its pages."""
    document = document_of(io.BytesIO(content), DocumentOptions(), LIMITS)
    return document, document.open()


def tiff(*sizes: tuple[int, int]) -> bytes:
    """A TIFF with a grey frame of each size, each brighter than the one before."""
    frames = [PillowImage.new("L", size, 10 * number) for number, size in enumerate(sizes, 1)]
    out = io.BytesIO()
    frames[0].save(out, "TIFF", save_all=True, append_images=frames[1:], dpi=(150, 150))
    return out.getvalue()


def test_each_frame_of_a_tiff_is_a_page():
    """Frames come as pixels, in any order, with their own size and resolution."""
    document, count = opened(tiff((20, 10), (30, 40), (50, 60)))
    pages = list(document.pages([3, 1]))
    assert count == 3
    assert [page.number for page in pages] == [3, 1]
    images = [load_image(page.image, LIMITS.image) for page in pages]
    assert [image.shape for image in images] == [(60, 50, 3), (10, 20, 3)]
    assert [int(image[0, 0, 0]) for image in images] == [30, 10]
    assert {(page.dpi, page.source) for page in pages} == {(150.0, PageSource.OCR)}
    document.close()


def test_the_orientation_of_a_frame_is_heeded():
    """A frame with an EXIF orientation is turned, and the next one is not."""
    upright, turned = PillowImage.new("L", (20, 10)), PillowImage.new("L", (20, 10))
    exif = turned.getexif()
    exif[0x0112] = 6
    out = io.BytesIO()
    turned.save(out, "TIFF", save_all=True, append_images=[upright], exif=exif)
    document, _ = opened(out.getvalue())
    assert load_image(next(iter(document.pages([1]))).image, LIMITS.image).shape == (20, 10, 3)
    document.close()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "AVIF"])
def test_any_image_file_is_a_document_of_one_page(form):
    """An image file is handed on as it is; of an animation that is its first frame."""
    content = (
        image_file("one", "two", size=(64, 64), form=form)
        if form == "GIF"
        else image_file("a", size=(64, 64), form=form)
    )
    document, count = opened(content)
    (page,) = document.pages([1])
    assert (count, page.image) == (1, content)
    document.close()


def test_a_damaged_frame_spoils_no_other():
    """A frame whose pixels are not there, or are too many, is a failed page; those around it are loaded."""
    content = bytearray(tiff((20, 10), (20, 10), (20, 10)))
    good = PillowImage.open(io.BytesIO(content))
    good.seek(1)
    (offset,) = good.tag_v2[273]
    entry = bytes(content).index(struct.pack("<HHII", 273, 4, 1, offset))
    content[entry + 8 : entry + 12] = struct.pack("<I", 2**31)
    document, _ = opened(bytes(content))
    first, second, third = document.pages([1, 2, 3])
    assert isinstance(first, Page)
    assert isinstance(second, FailedPage)
    assert isinstance(second.error, ImageUndecodable)
    assert isinstance(third, Page)
    document.close()


def bare_tiff(*sizes: tuple[int, int]) -> bytes:
    """A TIFF whose frames claim these sizes, and have a single grey pixel each."""
    out = bytearray(b"II*\0" + struct.pack("<I", 8))
    for number, (width, height) in enumerate(sizes, 1):
        entries = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 0, 277: 1, 278: height, 279: 1}
        out += struct.pack("<H", len(entries))
        out += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries.items())
        out += struct.pack("<I", len(out) + 4 if number < len(sizes) else 0)
    return bytes(out)


def test_a_frame_of_huge_dimensions_is_refused_from_its_header():
    """Width and height are checked before pixels are decoded; other frames are loaded."""
    document, count = opened(bare_tiff((1_500_000, 10), (4, 4)))
    page = next(iter(document.pages([1])))
    assert count == 2
    assert isinstance(page, FailedPage)
    assert isinstance(page.error, ImageTooLarge)
    assert "1500000 x 10" in page.error.message
    document.close()


def test_a_tiff_that_claims_a_bomb_is_refused():
    """A frame of 10^10 pixels is refused by its header."""
    with pytest.raises(ImageTooLarge):
        opened(bare_tiff((100_000, 100_000)))


def test_a_tiff_of_endless_frames_is_refused():
    """Counting frames ends at a limit."""
    with pytest.raises(DocumentTooLarge, match="10000"):
        opened(bare_tiff(*[(4, 4)] * 10_001))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("content", [b"hello", b"II*\0\x08\0\0\0", image_file("x")[:10]])
def test_what_is_no_document_says_so(content):
    """Bytes that are neither a PDF nor an image are an unreadable document."""
    with pytest.raises(DocumentUnreadable, match="no PDF"):
        opened(content)


def test_limits_on_bytes_hold_before_anything_is_read():
    """An empty file and one that is too large are refused by their size."""
    check_size(4_000_000, LIMITS)
    with pytest.raises(DocumentUnreadable, match="no bytes"):
        check_size(0, LIMITS)
    with pytest.raises(DocumentTooLarge, match="4000000"):
        check_size(4_000_001, LIMITS)


def test_pixels_of_a_frame_are_not_copied_twice():
    """A frame travels as a view of its pixels, of which there are width times height times three."""
    document, _ = opened(tiff((20, 10), (30, 40)))
    image = next(iter(document.pages([2]))).image
    assert isinstance(image, RawImage)
    assert isinstance(image.pixels, memoryview)
    assert len(image.pixels) == 30 * 40 * 3
    assert np.frombuffer(image.pixels, np.uint8).max() == 20
    document.close()
