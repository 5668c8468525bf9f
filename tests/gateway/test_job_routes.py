"""Jobs: documents in the background, from submission to result."""

from __future__ import annotations

import io
import json

import pypdfium2
import pytest
from PIL import Image as PillowImage

from gateway.jobs import Job, JobState
from gateway.options import OcrOptions
from gateway.reading import Reader
from gateway.uploads import Upload
from tests.gateway.conftest import GatewayClient
from tests.pdf_files import image_file, pdf_file, text_pdf
from tests.server.messages import until
from tests.server.page_stages import PageStages


@pytest.fixture
def stages() -> PageStages:
    """Reads in pages how large they are."""
    return PageStages()


def blank_pdf(*widths: int) -> bytes:
    """Pages without text, 100 points high."""
    return pdf_file(*(f"/MediaBox [0 0 {width} 100]".encode() for width in widths))


async def submitted(gateway: GatewayClient, content: bytes, **options) -> str:
    """Path of a new job."""
    response = await gateway.post("/api/jobs", files={"file": ("a.pdf", content)}, data={"dpi": "72"} | options)
    assert response.status_code == 202, response.text
    return response.headers["location"]


async def ended(gateway: GatewayClient, path: str) -> dict:
    """The last state of a job."""
    await gateway.get(f"{path}/events")
    body: dict = (await gateway.get(path)).json()
    return body


async def events(gateway: GatewayClient, path: str) -> list[tuple[str, dict]]:
    """Names and data of all events of a job."""
    text = (await gateway.get(f"{path}/events")).text
    rows = [dict(row.split(": ", 1) for row in event.splitlines()) for event in text.split("\n\n") if event]
    return [(row["event"], json.loads(row["data"])) for row in rows]


class NotingReader(Reader):
    """Notes what it gets, and finds no pages."""

    def __init__(self) -> None:
        self.got: list[object] = []

    async def document(self, name, content, options, position=0):
        """As Reader's."""
        self.got += [name, content.read()]
        content.close()
        for nothing in ():
            yield nothing


async def test_a_job_that_runs_has_its_document_in_a_file():
    """In memory, those of all jobs that run would fill it."""
    job, reader = Job(Upload("a.pdf", b"%PDF-"), OcrOptions(), ""), NotingReader()
    job.start(reader)
    await until(lambda: job.state is JobState.DONE)
    assert reader.got == ["a.pdf", b"%PDF-"]
    job.close()


async def test_a_document_is_read_in_the_background(gateway: GatewayClient):
    """Its state tells how far it has got, its result has each page."""
    path = await submitted(gateway, blank_pdf(200, 300))
    state = await ended(gateway, path)
    assert (state["state"], state["pages_done"], state["pages_selected"], state["file"]) == ("done", 2, 2, "a.pdf")
    results = (await gateway.get(f"{path}/result")).json()["results"]
    assert [(page["page"], page["text"][0]["text"]) for page in results] == [(1, "200x100"), (2, "300x100")]
    assert len((await gateway.get(f"{path}/result", params={"first": 1})).json()["results"]) == 1
    assert (await gateway.get(f"{path}/result", params={"format": "text"})).text.count("x100") == 2


async def test_events_tell_each_page_and_the_end(gateway: GatewayClient):
    """Whoever follows a job sees every page once, however late they come."""
    path = await submitted(gateway, blank_pdf(200, 300, 400), pages="1,3", plain="true")
    for _ in range(2):
        names, data = zip(*await events(gateway, path), strict=True)
        assert names == ("progress", "page", "page", "end")
        assert [page["text"] for page in data[1:3]] == [["200x100"], ["400x100"]]
        assert (data[2]["pages_done"], data[2]["pages_selected"], data[3]["state"]) == (2, 2, "done")


async def test_a_bad_page_stands_in_its_place(gateway: GatewayClient):
    """The others are read; formats without a place for errors are refused."""
    path = await submitted(gateway, blank_pdf(200, 13, 300))
    assert (await ended(gateway, path))["state"] == "done"
    results = (await gateway.get(f"{path}/result")).json()["results"]
    assert [page["success"] for page in results] == [True, False, True]
    assert (results[1]["page"], results[1]["error"]["reason"]) == (2, "INTERNAL")
    assert (await gateway.get(f"{path}/result", params={"format": "text"})).json()["reason"] == "INTERNAL"


async def test_a_bad_document_fails(gateway: GatewayClient):
    """State and result say why."""
    path = await submitted(gateway, b"%PDF-1.7 and no more")
    state = await ended(gateway, path)
    assert (state["state"], state["error"]["reason"]) == ("failed", "DOCUMENT_UNREADABLE")
    assert (await gateway.get(f"{path}/result")).json()["reason"] == "DOCUMENT_UNREADABLE"


async def test_a_job_can_be_cancelled(gateway: GatewayClient, stages):
    """The service stops reading, and the job is forgotten."""
    stages.gate.clear()
    path = await submitted(gateway, blank_pdf(*range(100, 120)))
    assert (await gateway.get(f"{path}/result", params={"format": "text"})).status_code == 409
    assert (await gateway.delete(path)).status_code == 204
    assert (await gateway.get(path)).json()["reason"] == "JOB_NOT_FOUND"
    stages.gate.set()
    await until(lambda: gateway.server.app.metrics.registry.get_sample_value("glyphwire_images_held") == 0)
    assert len(stages.prepared) < 20


async def test_jobs_are_few(start_gateway, stages):
    """More running jobs than are kept are refused; ended ones give way."""
    gateway = await start_gateway(http_max_jobs=1)
    stages.gate.clear()
    first = await submitted(gateway, blank_pdf(100))
    refused = await gateway.post("/api/jobs", content=blank_pdf(100))
    assert (refused.status_code, refused.json()["reason"], refused.headers["retry-after"]) == (503, "QUEUE_FULL", "5")
    stages.gate.set()
    assert (await ended(gateway, first))["state"] == "done"
    await submitted(gateway, blank_pdf(100))
    assert (await gateway.get(first)).status_code == 404


async def test_a_document_can_be_read_at_once(gateway: GatewayClient):
    """/api/ocr answers for each page of a document."""
    body = (await gateway.post("/api/ocr", content=blank_pdf(200, 300), params={"dpi": 72})).json()
    assert [(page["page"], page["page_count"]) for page in body["results"]] == [(1, 2), (2, 2)]


async def test_a_searchable_pdf_of_a_document(gateway: GatewayClient):
    """The pages that were read can be searched, whatever format the job was submitted for."""
    path = await submitted(gateway, blank_pdf(200, 300))
    await ended(gateway, path)
    written = await gateway.get(f"{path}/result", params={"format": "pdf"})
    assert written.headers["content-type"] == "application/pdf", written.text
    document = pypdfium2.PdfDocument(written.content)
    assert ["".join(page.get_textpage().get_text_range().split()) for page in document] == ["200x100", "300x100"]
    document.close()


@pytest.mark.parametrize("form", ["pdf", "tiff", "png"])
async def test_pages_have_pictures(gateway: GatewayClient, form):
    """A JPEG of each page, as it was read: with its text layer, and in its proportions."""
    size = (300, 400)
    content = text_pdf("one", "two", size=size) if form == "pdf" else image_file("one", "two", size=size, form=form)
    path = await submitted(gateway, content)
    number = 1 if form == "png" else 2
    response = await gateway.get(f"{path}/pages/{number}/picture")
    assert response.headers["content-type"] == "image/jpeg", response.text
    with PillowImage.open(io.BytesIO(response.content)) as picture:
        assert picture.height / picture.width == pytest.approx(4 / 3, abs=0.01)
        assert picture.convert("L").getextrema()[0] < 100


async def test_pictures_are_bounded(start_gateway):
    """A page of many pixels has a picture of fewer; one of more than are read has none."""
    gateway = await start_gateway(max_image_side=5000)
    path = await submitted(gateway, image_file("wide", size=(4000, 100), form="TIFF"))
    response = await gateway.get(f"{path}/pages/1/picture")
    with PillowImage.open(io.BytesIO(response.content)) as picture:
        assert picture.size == (2400, 60)
    path = await submitted(gateway, image_file("wider", size=(6000, 100), form="TIFF"))
    response = await gateway.get(f"{path}/pages/1/picture")
    assert (response.status_code, response.json()["reason"]) == (413, "IMAGE_TOO_LARGE")


@pytest.mark.parametrize(
    ("number", "status", "reason"),
    [(3, 404, "PAGE_NOT_FOUND"), (0, 400, "OPTION_INVALID"), ("x", 400, "OPTION_INVALID")],
)
async def test_pages_that_are_not_there_have_no_pictures(gateway: GatewayClient, number, status, reason):
    """The answer says so."""
    path = await submitted(gateway, blank_pdf(200, 300))
    response = await gateway.get(f"{path}/pages/{number}/picture")
    assert (response.status_code, response.json()["reason"]) == (status, reason)


async def test_damaged_documents_have_no_pictures(gateway: GatewayClient):
    """The reason is that of the service."""
    path = await submitted(gateway, b"%PDF-1.7 and no more")
    response = await gateway.get(f"{path}/pages/1/picture")
    assert (response.status_code, response.json()["reason"]) == (415, "DOCUMENT_UNREADABLE")
