"""RecognizeDocument: pages, their order and sources, bad documents and pages, read-ahead, end."""

from __future__ import annotations

import asyncio
import signal

import grpc
import pytest
from glyphwire.v1 import ocr_pb2

from ocr_core.pdf_document import PdfDocument
from tests.pdf_files import image_file, pdf_file, text_pdf
from tests.server.messages import answers, failure, reached, texts, until
from tests.server.page_stages import PageStages

LONG = "A line that is long enough"


@pytest.fixture
def stages() -> PageStages:
    """The pipeline behind `start_app` and `running`."""
    return PageStages()


@pytest.fixture
def documents(monkeypatch) -> list[PdfDocument]:
    """Every PDF that was opened."""
    made: list[PdfDocument] = []
    start = PdfDocument.open

    def opened(document: PdfDocument) -> int:
        made.append(document)
        return start(document)

    monkeypatch.setattr(PdfDocument, "open", opened)
    return made


def blank_pdf(*widths: int) -> bytes:
    """Pages without text, 100 points high."""
    return pdf_file(*(f"/MediaBox [0 0 {width} 100]".encode() for width in widths))


def messages(content: bytes, options: dict | None = None, chunk: int = 1000, **config):
    """A whole call: at 72 dpi unless `config` says otherwise."""
    recognize = ocr_pb2.RecognizeOptions(**options or {})
    chosen = ocr_pb2.DocumentConfig(**{"options": recognize, "dpi": 72} | config)
    yield ocr_pb2.RecognizeDocumentRequest(config=chosen)
    for start in range(0, len(content), chunk):
        yield ocr_pb2.RecognizeDocumentRequest(chunk=content[start : start + chunk])


async def pages(running, *arguments, **options) -> list[ocr_pb2.RecognizeDocumentResponse]:
    """All responses of a call."""
    return await answers(running.stub.RecognizeDocument(messages(*arguments, **options)))


async def test_each_page_has_a_response(running):
    """Pages come in their order with their numbers, how far it has got, their size and what was read."""
    responses = await pages(running, blank_pdf(100, 200, 300))
    assert [(page.page_number, page.page_count) for page in responses] == [(1, 3), (2, 3), (3, 3)]
    assert [(page.pages_done, page.pages_selected) for page in responses] == [(1, 3), (2, 3), (3, 3)]
    assert [texts(page.recognition) for page in responses] == [["100x100"], ["200x100"], ["300x100"]]
    assert {(page.source, page.dpi) for page in responses} == {(ocr_pb2.PAGE_SOURCE_OCR, 72.0)}
    assert all(page.recognition.timings.load_image_ms > 1 for page in responses)


async def test_a_text_layer_is_answered_without_reading(running, stages):
    """A page with real text has its lines from there, and no model; the engine has no work."""
    (page,) = await pages(running, text_pdf(f"{LONG}\nsecond"), {"include_characters": True})
    assert page.source == ocr_pb2.PAGE_SOURCE_TEXT_LAYER
    assert texts(page.recognition) == [LONG, "second"]
    assert (page.recognition.image_width, page.recognition.image_height) == (595, 842)
    assert (page.recognition.model_name, page.recognition.lines[0].confidence) == ("", 1.0)
    assert "".join(each.text for each in page.recognition.lines[0].characters) == LONG
    assert stages.prepared == []


async def test_characters_of_a_text_layer_are_left_out(running):
    """Characters come with include_characters alone."""
    (page,) = await pages(running, text_pdf(LONG))
    assert not page.recognition.lines[0].characters


async def test_a_text_layer_has_structure_when_it_is_asked_for(running):
    """Its lines form paragraphs that name them by their numbers."""
    content = text_pdf("The first row of a paragraph\nand its second row")
    (page,) = await pages(running, content, {"include_structure": True})
    (paragraph,) = page.recognition.structure.paragraphs
    assert (paragraph.text, list(paragraph.lines)) == ("The first row of a paragraph and its second row", [0, 1])


async def test_rules_hold_for_a_text_layer(running):
    """What is searched for is found there too, and a bad rule is the page's error."""
    rules = {"extractors": [{"name": "number", "pattern": r"no\. (\d+)"}]}
    content = text_pdf("A letter about order no. 123")
    (page,) = await pages(running, content, {"rules": rules})
    assert [(field.name, field.value) for field in page.recognition.fields] == [("number", "123")]
    assert not page.recognition.lines[0].characters
    (page,) = await pages(running, content, {"rules": {"profile": "none"}})
    assert page.error.field == "options.rules.profile"


async def test_a_text_layer_can_be_ignored(running):
    """With TEXT_LAYER_POLICY_IGNORE the page is rendered and read."""
    (page,) = await pages(running, text_pdf(LONG), text_layer=ocr_pb2.TEXT_LAYER_POLICY_IGNORE)
    assert (page.source, texts(page.recognition)) == (ocr_pb2.PAGE_SOURCE_OCR, ["595x842"])


async def test_pages_and_resolution_can_be_chosen(running):
    """Only the pages that are asked for are rendered, at the resolution that is asked for."""
    first, second = await pages(running, blank_pdf(100, 200, 300), pages="-1,1", dpi=144)
    assert [(page.page_number, page.pages_selected) for page in (first, second)] == [(3, 2), (1, 2)]
    assert texts(first.recognition) == ["600x200"]


async def test_image_files_are_documents(running):
    """The frames of a TIFF are pages, and so is any other image, in however many parts it comes."""
    tiff = await pages(running, image_file("a", "b", size=(64, 48), form="TIFF"), chunk=100)
    assert [texts(page.recognition) for page in tiff] == [["64x48"], ["64x48"]]
    (png,) = await pages(running, image_file("a", size=(64, 48), form="PNG"))
    assert (texts(png.recognition), png.page_count) == (["file"], 1)


async def test_a_bad_page_does_not_end_the_document(running):
    """A page that is too large and one on which reading fails have an error in their place, the others are answered."""
    large, bug, good = await pages(running, blank_pdf(7_200_000, 13, 100))
    assert ocr_pb2.ErrorReason.Name(large.error.reason) == "ERROR_REASON_IMAGE_TOO_LARGE"
    assert (large.page_number, large.source, large.dpi) == (1, ocr_pb2.PAGE_SOURCE_UNSPECIFIED, 0)
    assert ocr_pb2.ErrorReason.Name(bug.error.reason) == "ERROR_REASON_INTERNAL"
    assert bug.error.message == "internal error"
    assert texts(good.recognition) == ["100x100"]


@pytest.mark.parametrize(
    ("content", "config", "reason", "field"),
    [
        (b"", {}, "DOCUMENT_UNREADABLE", "document"),
        (b"hello", {}, "DOCUMENT_UNREADABLE", "document"),
        (b"%PDF-1.4 hello", {}, "DOCUMENT_UNREADABLE", "document"),
        (blank_pdf(100)[:-300], {}, "DOCUMENT_UNREADABLE", "document"),
        (bytes(20_001), {}, "DOCUMENT_TOO_LARGE", "document"),
        (blank_pdf(*[100] * 6), {}, "DOCUMENT_TOO_LARGE", "config.pages"),
        (blank_pdf(100), {"pages": "2"}, "OPTION_INVALID", "config.pages"),
        (blank_pdf(100), {"pages": "one"}, "OPTION_INVALID", "config.pages"),
        (blank_pdf(100), {"dpi": 49}, "OPTION_INVALID", "config.dpi"),
        (blank_pdf(100), {"text_layer": 9}, "OPTION_INVALID", "config.text_layer"),
        (blank_pdf(100), {"options": {"min_confidence": 2}}, "OPTION_INVALID", "options.min_confidence"),
    ],
)
async def test_a_bad_document_ends_the_call(start_app, content, config, reason, field):
    """What is wrong with the document as a whole is the status of the call, with its reason and field."""
    running = await start_app(max_document_bytes=20_000, max_document_pages=5)
    failed = await failure(pages(running, content, **config))
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (failed.info.reason, failed.info.metadata["field"]) == (f"ERROR_REASON_{reason}", field)


async def test_an_unknown_model_ends_the_call(running):
    """The model is looked for before the document is, even if no page needs it."""
    failed = await failure(pages(running, text_pdf(LONG), {"model": "nobody"}))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.NOT_FOUND, "ERROR_REASON_MODEL_NOT_FOUND")


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [ocr_pb2.RecognizeDocumentRequest(chunk=b"x")],
        [ocr_pb2.RecognizeDocumentRequest(config=ocr_pb2.DocumentConfig())] * 2,
    ],
    ids=["nothing", "chunk first", "two configurations"],
)
async def test_messages_must_be_in_order(running, wrong):
    """First the configuration, then the file."""
    failed = await failure(answers(running.stub.RecognizeDocument(iter(wrong))))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_INVALID")


async def test_the_first_page_does_not_wait_for_the_others(running, stages):
    """A page is answered while a later one is still being read."""
    responses = aiter(running.stub.RecognizeDocument(messages(blank_pdf(100, 17, 300))))
    assert texts((await anext(responses)).recognition) == ["100x100"]
    stages.may_read_narrow.set()
    assert [response.pages_done async for response in responses] == [2, 3]


async def test_read_ahead_is_bounded(start_app, stages, monkeypatch):
    """However many pages there are, one is held until it is answered, and from then on two."""
    running = await start_app(workers=1)
    stages.gate.clear()
    responses = aiter(running.stub.RecognizeDocument(messages(blank_pdf(*[100] * 20))))
    await reached(stages)
    held = running.app._batcher._admission
    assert held.images == 1
    prepare, held_then = stages.prepare, []

    def prepare_and_count(image, options):
        held_then.append(held.images)
        return prepare(image, options)

    monkeypatch.setattr(stages, "prepare", prepare_and_count)
    stages.gate.set()
    async for _ in responses:
        held_then.append(held.images)
    assert 1 <= max(held_then) <= 2


async def test_cancelling_ends_the_process(start_app, stages, documents):
    """A call that is given up leaves no process and nothing in the queue."""
    running = await start_app()
    stages.gate.clear()
    call = running.stub.RecognizeDocument(messages(blank_pdf(*[100] * 20)))
    await reached(stages)
    call.cancel()
    process = documents[0]._renderer._process
    await until(lambda: process.returncode is not None)
    assert process.returncode == -signal.SIGKILL
    stages.gate.set()
    await until(lambda: running.app._batcher._admission.images == 0)


async def test_the_deadline_ends_the_process(start_app, stages, documents):
    """A call whose deadline passes ends as one that is given up."""
    running = await start_app()
    stages.gate.clear()
    call = running.stub.RecognizeDocument(messages(blank_pdf(*[100] * 20)), timeout=3)
    failed = await failure(call.read())
    assert failed.code is grpc.StatusCode.DEADLINE_EXCEEDED
    if documents and documents[0]._renderer:
        process = documents[0]._renderer._process
        await until(lambda: process.returncode is not None)
    stages.gate.set()


async def test_draining_answers_what_was_rendered(start_app, stages):
    """A server that stops answers the page it holds, then says that it is draining."""
    running = await start_app()
    stages.gate.clear()
    call = running.stub.RecognizeDocument(messages(blank_pdf(*[100] * 20)))
    await reached(stages)
    stopping = asyncio.create_task(running.app.stop())
    await until(running.app._batcher.draining.done)
    stages.gate.set()
    assert (await call.read()).pages_done == 1
    failed = await failure(call.read())
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_DRAINING")
    await stopping


async def test_documents_wait_for_each_other(start_app):
    """More documents than may be open at once are read one after the other."""
    running = await start_app(max_documents=1)
    calls = [pages(running, blank_pdf(100 + number)) for number in range(5)]
    read = [texts(responses[0].recognition) for responses in await asyncio.gather(*calls)]
    assert read == [[f"{100 + number}x100"] for number in range(5)]


async def test_a_full_disk_is_a_full_queue(start_app):
    """A document for which there is no room is refused, to be tried again later."""
    running = await start_app(max_document_bytes=1000, max_spool_bytes=1000)
    running.app._batcher.documents.take_bytes(900)
    failed = await failure(pages(running, blank_pdf(100)))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_QUEUE_FULL")
    assert failed.has_retry


async def test_pages_are_counted_as_items(running):
    """Metrics have what became of each page."""
    await pages(running, blank_pdf(7_200_000, 100))
    count = running.app.metrics.registry.get_sample_value
    labels = {"method": "RecognizeDocument"}
    assert count("glyphwire_items_total", labels | {"outcome": "OK"}) == 1
    assert count("glyphwire_items_total", labels | {"outcome": "ERROR_REASON_IMAGE_TOO_LARGE"}) == 1
