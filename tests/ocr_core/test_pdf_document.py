"""PDFs as documents, with the process that renders them."""

from __future__ import annotations

import os
import re
import signal
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ocr_core import pdf_document
from ocr_core.document import DocumentLimits, DocumentOptions, FailedPage, Page, PageSource, TextLayer
from ocr_core.document_file import document_of
from ocr_core.errors import DocumentEncrypted, DocumentUnreadable, ImageTooLarge, PageUnreadable
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from tests.pdf_files import assembled, encrypted_pdf, image_file, pdf_file, scanned_pdf, stream, text_pdf

LIMITS = DocumentLimits(image=ImageLimits(max_pixels=4_000_000, max_side=4000))
LONG = "A line that is long enough"


@contextmanager
def opened(content: bytes, limits: DocumentLimits = LIMITS, **options):
    """The document and the number of its pages."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        document = document_of(file, DocumentOptions(**options), limits)
        try:
            yield document, document.open()
        finally:
            document.close()


def pages(content: bytes, *numbers: int, limits: DocumentLimits = LIMITS, **options) -> list[Page | FailedPage]:
    """These pages of a document."""
    with opened(content, limits, **options) as (document, _):
        return list(document.pages(numbers))


def inked(page: Page) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is not white."""
    image = load_image(page.image, LIMITS.image)
    ys, xs = np.nonzero(image.min(axis=2) < 128)
    return int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())


def test_a_text_layer_is_taken():
    """A page with text is not rendered: its lines have their text and their places in pixels at the resolution."""
    (page,) = pages(text_pdf(f"{LONG}\nsecond"), 1, dpi=144)
    assert (page.source, page.width, page.height, page.dpi) == (PageSource.TEXT_LAYER, 1190, 1684, 144)
    assert [line.text for line in page.lines] == [LONG, "second"]
    first = page.lines[0].polygon.vertices
    assert first[0].x == pytest.approx(144, abs=3)
    assert first[0].y < 2 * 100 < first[2].y
    assert page.lines[0].confidence == 1.0
    starts = [character.x_start for character in page.lines[0].characters]
    assert "".join(character.text for character in page.lines[0].characters) == LONG
    assert starts == sorted(starts)


def test_a_text_layer_lies_where_the_page_shows_it():
    """The polygon of a line is where its ink is on the rendered page, however the page is turned."""
    for turn in (0, 90, 180, 270):
        content = text_pdf(LONG, rotate=turn)
        (taken,) = pages(content, 1, dpi=100)
        (shown,) = pages(content, 1, dpi=100, text_layer=TextLayer.IGNORE)
        xs, ys = zip(*((vertex.x, vertex.y) for vertex in taken.lines[0].polygon.vertices), strict=True)
        left, top, right, bottom = inked(shown)
        assert min(xs) - 2 <= left < right <= max(xs) + 2
        assert min(ys) - 2 <= top < bottom <= max(ys) + 2


@pytest.mark.parametrize(
    "content",
    [
        text_pdf("few"),
        scanned_pdf(image_file("a scan"), text="Page 3 of 17, printed on Tuesday"),
        pdf_file(b"/MediaBox [0 0 200 200]"),
        text_pdf("Beside the page, where nobody sees it", size=(50, 200)),
        pdf_file(
            b"/MediaBox [0 0 400 200] /Contents @c@ /Resources << /Font << /F1 @f@ >> >>",
            extra={
                "c": stream(b"BT /F1 12 Tf 20 100 Td (" + bytes(range(1, 8)) + bytes(range(14, 28)) + b") Tj ET"),
                "f": b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            },
        ),
    ],
    ids=["few characters", "page number on a scan", "blank", "outside", "no Unicode"],
)
def test_text_that_is_not_real_is_not_believed(content):
    """A page whose text is little, beside it or no Unicode is rendered."""
    (page,) = pages(content, 1, dpi=72)
    assert page.source is PageSource.OCR


def test_much_text_on_a_scan_is_believed():
    """A scan with a whole page of text has been read before."""
    (page,) = pages(scanned_pdf(image_file("a scan"), text="\n".join(["many words on a row"] * 20)), 1)
    assert page.source is PageSource.TEXT_LAYER


def test_words_far_apart_are_lines_of_their_own():
    """Cells of a table row do not become one line."""
    row = stream(b"BT /F1 12 Tf 20 100 Td (First cell) Tj 150 0 Td (Second cell) Tj ET")
    content = pdf_file(
        b"/MediaBox [0 0 400 200] /Contents @row@ /Resources << /Font << /F1 3 0 R >> >>", extra={"row": row}
    )
    (page,) = pages(content, 1)
    assert [line.text for line in page.lines] == ["First cell", "Second cell"]


def test_pages_are_rendered_at_the_chosen_resolution():
    """A page of an image comes as RGB pixels; twice the resolution is twice the size."""
    content = scanned_pdf(image_file("HELLO"), size=(300, 400))
    sizes = {dpi: load_image(pages(content, 1, dpi=dpi)[0].image, LIMITS.image).shape for dpi in (72, 144)}
    assert sizes == {72: (400, 300, 3), 144: (800, 600, 3)}


def test_colours_are_not_swapped():
    """What is red on the page is red in the image."""
    content = pdf_file(b"/MediaBox [0 0 100 100] /Contents @c@", extra={"c": stream(b"1 0 0 rg 0 0 100 100 re f")})
    (page,) = pages(content, 1, dpi=72)
    assert load_image(page.image, LIMITS.image)[50, 50].tolist() == [255, 0, 0]


def test_a_large_page_is_rendered_with_fewer_pixels():
    """A poster gets the resolution that its limits allow, and says so."""
    (page,) = pages(pdf_file(b"/MediaBox [0 0 2880 1440]"), 1, dpi=200)
    assert 50 <= page.dpi < 200
    height, width = load_image(page.image, LIMITS.image).shape[:2]
    assert width == pytest.approx(2 * height, abs=2)
    assert width * height <= LIMITS.image.max_pixels


def test_a_large_page_is_rendered_with_fewer_bytes():
    """A page whose pixels would be more bytes than an image may have gets fewer of them, and can be read."""
    limits = replace(LIMITS, image=ImageLimits(max_bytes=4_000_001))
    (page,) = pages(pdf_file(b"/MediaBox [0 0 1201 1600]"), 1, dpi=200, limits=limits)
    assert load_image(page.image, limits.image).nbytes == pytest.approx(4_000_001, rel=0.05)


def test_what_was_filled_into_a_form_is_on_the_page():
    """Values of form fields are part of the text."""
    field = (
        b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V (Ada Lovelace, London) /Rect [20 20 300 60] /F 4"
        b" /AP << /N @look@ >> >>"
    )
    look = stream(
        b"BT /F1 18 Tf 2 10 Td (Ada Lovelace, London) Tj ET",
        b"/Type /XObject /Subtype /Form /BBox [0 0 280 40] /Resources << /Font << /F1 3 0 R >> >>",
    )
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [5 0 R] >> >>",
        b"<< /Type /Pages /Kids [4 0 R] /Count 1 >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 200] /Annots [5 0 R] >>",
        field.replace(b"@look@", b"6 0 R"),
        look,
    ]
    (page,) = pages(assembled(objects), 1)
    assert [line.text for line in page.lines] == ["Ada Lovelace, London"]


def test_pages_come_in_the_order_asked_for():
    """Pages are given as their numbers are, and none but these are loaded."""
    texts = [f"{LONG} {number}" for number in range(1, 6)]
    taken = pages(text_pdf(*texts), 4, 2)
    assert [(page.number, page.lines[0].text) for page in taken] == [(4, texts[3]), (2, texts[1])]


def test_each_page_has_pixels_of_its_own():
    """Those of a page stay as they are while later ones are rendered, and after the document is closed."""
    kinds = [b"/MediaBox [0 0 20 20] /Contents @%d@" % shade for shade in (0, 1)]
    content = pdf_file(*kinds, extra={str(shade): stream(b"%d g 0 0 20 20 re f" % shade) for shade in (0, 1)})
    black, white = (load_image(page.image, LIMITS.image) for page in pages(content, 1, 2, dpi=72))
    assert (black.max(), white.min()) == (0, 255)


@pytest.mark.parametrize(
    "content",
    [b"%PDF-1.7\nnonsense", text_pdf(LONG)[:300], b"%PDF-1.7\n" + bytes(100_000), assembled([b"<< /Type /Catalog >>"])],
    ids=["nonsense", "cut short", "zeros", "no pages"],
)
def test_a_damaged_file_says_so(content):
    """A PDF that cannot be opened, or has no pages, is an unreadable document."""
    with pytest.raises(DocumentUnreadable, match=r"the PDF (is damaged|has no pages)"), opened(content):
        pass


def test_an_encrypted_file_needs_its_password():
    """Without the password and with another one it is told apart from a damaged file; with it the pages are there."""
    content = encrypted_pdf(LONG, "secret")
    for password, message in (("", "needs a password"), ("wrong", "not open with this password")):
        with pytest.raises(DocumentEncrypted, match=message), opened(content, password=password):
            pass
    (page,) = pages(content, 1, password="secret")
    assert page.lines[0].text == LONG


def test_a_page_of_miles_is_refused():
    """A page that is too large even at the least resolution is a failed page; the next one is loaded."""
    huge = b"/MediaBox [0 0 7200000 7200000]"
    first, second = pages(pdf_file(huge, b"/MediaBox [0 0 100 100]"), 1, 2)
    assert isinstance(first.error, ImageTooLarge)
    assert "1e+05 x 1e+05 inches" in first.error.message
    assert isinstance(second, Page)


def test_a_hundred_thousand_pages_are_only_counted():
    """Opening costs no page: of a document with very many, the last one is loaded at once."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [" + b"3 0 R " * 100_000 + b"] /Count 100000 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 100 100] >>",
    ]
    with opened(assembled(objects)) as (document, count):
        (page,) = document.pages([100_000])
    assert (count, page.number) == (100_000, 100_000)
    assert isinstance(page, Page)


def test_a_page_that_takes_too_long_is_given_up():
    """A page that is drawn for ever ends the process when its time is up; the next page is rendered by a new one."""
    rings = b"0 0 m 600 600 l 600 0 l 0 600 l h f* " * 40
    bomb = stream(b"/P Do " * 50)
    levels = {
        f"x{level}": stream(
            (b"/X Do " * 50) if level else rings,
            b"/Type /XObject /Subtype /Form /BBox [0 0 600 600] "
            + (f"/Resources << /XObject << /X @x{level - 1}@ >> >>".encode() if level else b""),
        )
        for level in range(5)
    }
    page = b"/MediaBox [0 0 600 600] /Contents @bomb@ /Resources << /XObject << /P @x4@ >> >>"
    content = pdf_file(page, b"/MediaBox [0 0 100 100]", extra={"bomb": bomb, **levels})
    first, second = pages(
        content, 1, 2, limits=replace(LIMITS, max_page_cpu_s=0.5), dpi=72, text_layer=TextLayer.IGNORE
    )
    assert isinstance(first.error, PageUnreadable)
    assert "0.5 s of processor time" in first.error.message
    assert isinstance(second, Page)


def test_a_page_that_fills_the_memory_is_given_up():
    """A page beyond the memory of the process is a failed page; the next one is rendered by a new process."""
    squeezed = zlib.compressobj(1)
    spaces = b"".join([*(squeezed.compress(b" " * 2**20) for _ in range(200)), squeezed.flush()])
    bomb = stream(spaces, b"/Filter /FlateDecode")
    content = pdf_file(b"/MediaBox [0 0 600 600] /Contents @bomb@", b"/MediaBox [0 0 100 100]", extra={"bomb": bomb})
    first, second = pages(content, 1, 2, limits=replace(LIMITS, max_memory_bytes=100 * 2**20), dpi=72)
    assert isinstance(first, FailedPage)
    assert isinstance(first.error, PageUnreadable)
    assert "100 MiB" in first.error.message
    assert isinstance(second, Page)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is looked up in /proc")
def test_what_was_read_of_a_file_does_not_stay_in_memory():
    """Forty pages of a megabyte each take no more memory than the first ten, as the file is opened anew."""
    noise = np.random.default_rng(1).integers(65, 91, 2**20, np.uint8).tobytes()
    kinds = [b"/MediaBox [0 0 50 50] /Contents @%d@" % number for number in range(40)]
    content = pdf_file(*kinds, extra={str(number): stream(b"%" + noise) for number in range(40)})
    with opened(content, dpi=72) as (document, count):
        taken = document.pages(range(1, count + 1))
        sizes = [anonymous_bytes(document) for _ in taken]
    assert len(sizes) == 40
    assert max(sizes[10:]) < max(sizes[:10]) + 4 * 2**20


def anonymous_bytes(document) -> int:
    """Memory of the process that renders, without libraries and the file."""
    status = Path(f"/proc/{document._renderer._process.pid}/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", status).group(1))


@contextmanager
def fatal_pages(monkeypatch, *numbers: int) -> Iterator[None]:
    """The process is killed when one of these pages is waited for, as if PDFium had crashed."""
    render = pdf_document._Renderer.page

    def page(renderer, number):
        rendered = render(renderer, number)
        if number not in numbers:
            return rendered
        renderer.kill()
        renderer.wait()
        return None

    monkeypatch.setattr(pdf_document._Renderer, "page", page)
    yield


def test_a_crash_costs_its_page_alone(monkeypatch):
    """When the process dies, the page it was at has failed and those after it are rendered by another process."""
    with fatal_pages(monkeypatch, 2):
        first, second, third = pages(text_pdf(*[LONG] * 3), 1, 2, 3)
    assert isinstance(second.error, PageUnreadable)
    assert "damaged" in second.error.message
    assert [page.lines[0].text for page in (first, third)] == [LONG, LONG]


def test_a_document_of_crashes_is_given_up(monkeypatch):
    """The third page that ends the process ends the document."""
    with fatal_pages(monkeypatch, 1, 2, 3, 4), opened(text_pdf(*[LONG] * 4)) as (document, _):
        taken = document.pages([1, 2, 3, 4])
        assert [isinstance(next(iter(taken)), FailedPage) for _ in range(2)] == [True, True]
        with pytest.raises(PageUnreadable, match="page 3"):
            next(iter(taken))


def test_stopping_ends_what_waits_for_a_page():
    """A thread that waits for a page gets no more pages as soon as the document is stopped, and the process is gone."""
    with opened(scanned_pdf(*[image_file("x")] * 3)) as (document, _):
        process = document._renderer._process
        os.kill(process.pid, signal.SIGSTOP)
        taken: list[object] = []
        thread = threading.Thread(target=lambda: taken.extend(document.pages([1, 2, 3])))
        thread.start()
        document.stop()
        thread.join(30)
        assert (thread.is_alive(), taken) == (False, [])
        document.close()
        assert process.returncode == -signal.SIGKILL


def test_a_document_whose_file_is_closed_leaves_nothing_open():
    """When it is given up while another thread is about to prepare it, no descriptor is left behind."""
    with tempfile.TemporaryFile() as file:
        file.write(b"%PDF-")
        file.flush()
        document = document_of(file, DocumentOptions(), LIMITS)
    before = len(os.listdir("/proc/self/fd"))
    try:
        document.prepare()
    except ValueError:
        # What the failed frame has opened is kept open until the traceback goes, unless it was closed.
        assert len(os.listdir("/proc/self/fd")) == before
    else:
        pytest.fail("a process was started for a file that is closed")


def test_a_document_closed_before_it_is_open_leaves_no_process():
    """When it is closed while another thread is about to open it, the process that this one starts is gone at once."""
    with tempfile.TemporaryFile() as file:
        file.write(text_pdf(LONG))
        file.flush()
        document = document_of(file, DocumentOptions(), LIMITS)
        document.close()
        with pytest.raises(DocumentUnreadable, match="given up"):
            document.open()
        assert document._renderer._process.returncode == -signal.SIGKILL


def test_the_process_may_start_before_the_file_is_there():
    """A document that was prepared while its file was coming is opened by the process that was started then."""
    with tempfile.TemporaryFile() as file:
        content = text_pdf(LONG)
        file.write(content[:100])
        file.flush()
        document = document_of(file, DocumentOptions(), LIMITS)
        document.prepare()
        process = document._renderer._process
        file.seek(0, os.SEEK_END)
        file.write(content[100:])
        file.flush()
        assert document.open() == 1
        assert document._renderer._process is process
        assert next(iter(document.pages([1]))).lines[0].text == LONG
        document.close()


def test_a_prepared_document_can_be_given_up():
    """Its process, which has nothing to do yet, is gone when the document is closed."""
    with tempfile.TemporaryFile() as file:
        file.write(b"%PDF-")
        file.flush()
        document = document_of(file, DocumentOptions(), LIMITS)
        document.prepare()
        document.close()
        assert document._renderer._process.returncode == -signal.SIGKILL
        with pytest.raises(DocumentUnreadable, match="given up"):
            document.open()


def test_without_pdfium_it_is_said_what_is_missing(monkeypatch):
    """Where pypdfium2 is not installed, a PDF is refused with the name of the extra."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DocumentUnreadable, match=r"glyphwire-server\[documents\]"), opened(text_pdf(LONG)):
        pass
