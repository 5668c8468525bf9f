"""Documents through the whole product with its real models: server, Python client, searchable PDF, command line."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import glyphwire
import pypdfium2 as pdfium
import pytest

from ocr_core.evaluation import normalise
from ocr_core.image_limits import ImageLimits
from ocr_core.searchable_pdf import SearchablePdf
from tests.pdf_files import scanned_pdf, text_pdf

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
TRUTH = [line for line in (DATA / "page_small.txt").read_text(encoding="utf-8").split("\n") if line]
IMAGE = (DATA / "page_small.jpg").read_bytes()


@pytest.fixture(scope="module")
def scan() -> bytes:
    """Two pages, both the sample page as an image."""
    with pdfium.PdfDocument.new() as empty, io.BytesIO(IMAGE) as file:
        image = pdfium.PdfImage.new(empty)
        image.load_jpeg(file)
        width, height = image.get_px_size()
    return scanned_pdf(IMAGE, IMAGE, size=(width, height))


def test_a_scan_is_read_and_made_searchable(address: str, scan: bytes) -> None:
    """Each page is read as its image would be, and in the searchable PDF each line is found where it was read."""
    options = glyphwire.RecognizeOptions(include_characters=True)
    with glyphwire.OcrClient(address) as client:
        pages = list(client.recognize_document(scan, options, document_options=glyphwire.DocumentOptions(dpi=72)))
    assert [page.source for page in pages] == [glyphwire.PageSource.OCR] * 2
    made, out = SearchablePdf(ImageLimits()), io.BytesIO()
    for page in pages:
        assert isinstance(page.outcome, glyphwire.Recognition)
        assert [normalise(line.text) for line in page.outcome.lines] == [normalise(line) for line in TRUTH]
        made.add(io.BytesIO(scan), page.page_number, page.outcome)
    made.save(out)
    searchable = pdfium.PdfDocument(out.getvalue())
    for page in pages:
        text_page = searchable[page.page_number - 1].get_textpage()
        height = searchable[page.page_number - 1].get_height()
        for line in page.outcome.lines:
            xs, ys = ([getattr(vertex, axis) for vertex in line.polygon.vertices] for axis in "xy")
            found = text_page.get_text_bounded(min(xs) - 1, height - max(ys) - 1, max(xs) + 1, height - min(ys) + 1)
            assert normalise(line.text) in normalise(found)


def test_the_command_streams_pages_of_each_kind(address: str, scan: bytes, tmp_path: Path) -> None:
    """`glyphwire recognize --server` prints the pages of a scan and of a text layer, and their titles."""
    (tmp_path / "a.pdf").write_bytes(scan)
    (tmp_path / "b.pdf").write_bytes(text_pdf("The text layer of this page"))
    command = [sys.executable, "-c", "import sys; from server.cli import main; sys.exit(main())", "recognize"]
    run = subprocess.run(
        [*command, "--server", address, "--pages", "-1", tmp_path], capture_output=True, text=True, check=True, cwd=ROOT
    )
    rows = run.stdout.splitlines()
    assert rows[0] == f"==> {tmp_path}/a.pdf#page=2 <=="
    assert [normalise(row) for row in rows[1 : 1 + len(TRUTH)]] == [normalise(line) for line in TRUTH]
    assert rows[-2:] == [f"==> {tmp_path}/b.pdf <==", "The text layer of this page"]


def test_hostile_documents_leave_the_server_well(address: str, scan: bytes) -> None:
    """Damaged, cut and absurd documents get errors of their own, and a good one is read after them."""
    absurd = text_pdf("x", size=(7_200_000, 7_200_000))
    hostile = {
        b"%PDF-1.7\n" + bytes(1000): "DOCUMENT_UNREADABLE",
        scan[: len(scan) // 2]: None,
        absurd: "IMAGE_TOO_LARGE",
    }
    with glyphwire.OcrClient(address) as client:
        for content, reason in hostile.items():
            try:
                outcomes = [page.outcome for page in client.recognize_document(content)]
            except glyphwire.OcrError as error:
                outcomes = [error]
            reasons = {outcome.reason.name for outcome in outcomes if isinstance(outcome, glyphwire.OcrError)}
            assert reason is None or reasons == {reason}
        (page,) = client.recognize_document(scan, document_options=glyphwire.DocumentOptions(pages="1"))
        assert isinstance(page.outcome, glyphwire.Recognition)
        assert len(page.outcome.lines) == len(TRUTH)
