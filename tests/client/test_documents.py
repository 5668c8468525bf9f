"""recognize_document of both clients."""

from __future__ import annotations

import io

import grpc
import pytest
from glyphwire import DocumentOptions, ErrorReason, OcrError, PageSource, RecognizeOptions, TextLayer

from ocr_core import document
from tests.pdf_files import pdf_file, text_pdf
from tests.server.messages import until
from tests.server.page_stages import PageStages

LONG = "A line that is long enough"
BLANK = pdf_file(b"/MediaBox [0 0 100 100]", b"/MediaBox [0 0 7200000 100]", b"/MediaBox [0 0 200 100]")
COARSE = DocumentOptions(dpi=72)


@pytest.fixture
def stages() -> PageStages:
    """The pipeline behind `running`."""
    return PageStages()


async def test_pages_arrive_as_dataclasses(client):
    """Each page has its number, its source and what was read; one that cannot be read has an OcrError in its place."""
    first, bad, last = await client.document(BLANK, document_options=COARSE)
    assert (first.page_number, first.page_count, first.pages_done, first.pages_selected) == (1, 3, 1, 3)
    assert (first.dpi, first.source, first.outcome.text) == (72.0, PageSource.OCR, "100x100")
    assert (bad.source, bad.outcome.reason, bad.outcome.code) == (
        None,
        ErrorReason.IMAGE_TOO_LARGE,
        grpc.StatusCode.INVALID_ARGUMENT,
    )
    assert (last.page_number, last.outcome.text) == (3, "200x100")


async def test_documents_come_in_many_forms(client, tmp_path):
    """A path, a str, bytes-like objects and open files are documents; all are sent in parts."""
    path = tmp_path / "document.pdf"
    content = text_pdf(LONG) + bytes(3 * 2**20)
    path.write_bytes(content)
    for source in (path, str(path), content, bytearray(content), memoryview(content), io.BytesIO(content)):
        (page,) = await client.document(source)
        assert (page.source, page.outcome.text) == (PageSource.TEXT_LAYER, LONG)


async def test_options_reach_the_server(client, stages):
    """Pages, resolution and what becomes of the text layer are the caller's choice, as are the options of each page."""
    chosen = DocumentOptions(pages="2", dpi=100, text_layer=TextLayer.IGNORE)
    options = RecognizeOptions(min_confidence=0.5)
    (page,) = await client.document(text_pdf(LONG, LONG), options, document_options=chosen)
    assert (page.page_number, page.dpi, page.source) == (2, 100.0, PageSource.OCR)
    assert stages.options[0].min_confidence == 0.5


async def test_defaults_are_the_servers(client):
    """Without options the resolution is that of the contract."""
    (page,) = await client.document(pdf_file(b"/MediaBox [0 0 72 72]"))
    assert page.dpi == document.DocumentOptions().dpi


@pytest.mark.parametrize(
    ("content", "chosen", "reason"),
    [
        (b"hello", {}, ErrorReason.DOCUMENT_UNREADABLE),
        (BLANK, {"pages": "4"}, ErrorReason.OPTION_INVALID),
        (BLANK, {"dpi": 2**40}, ErrorReason.OPTION_INVALID),
    ],
)
async def test_a_bad_document_raises(client, content, chosen, reason):
    """What is wrong with the document as a whole is raised."""
    with pytest.raises(OcrError) as caught:
        await client.document(content, document_options=DocumentOptions(**chosen))
    assert caught.value.reason is reason


async def test_a_file_that_cannot_be_read_is_the_usual_error(client, tmp_path):
    """A path that is not there, and a file that breaks off with an error, raise that error."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise BlockingIOError("broken")

    with pytest.raises(FileNotFoundError):
        await client.document(tmp_path / "nothing.pdf")
    with pytest.raises(BlockingIOError, match="broken"):
        await client.document(Broken())


async def test_leaving_the_iterator_cancels_the_rest(client, running, stages):
    """After the first page of many nothing is held any more."""
    many = pdf_file(*[b"/MediaBox [0 0 100 100]"] * 50)
    (first,) = await client.take(1, many, method="recognize_document", document_options=COARSE)
    assert first.pages_selected == 50
    await until(lambda: running.app._batcher._admission.images == 0)
    assert len(stages.prepared) < 50


async def test_the_password_is_not_shown():
    """Options can be logged."""
    assert "secret" not in repr(DocumentOptions(password="secret"))
    assert "secret" not in repr(document.DocumentOptions(password="secret"))
