"""`glyphwire recognize` with documents and with formats of whole files."""

from __future__ import annotations

import io
import json
import re
import sys
from xml.etree import ElementTree

import pypdfium2 as pdfium
import pytest

from ocr_core.types import PreparedImage, RawImage, RecognizeOptions
from tests.pdf_files import image_file, pdf_file, text_pdf
from tests.server.page_stages import PageStages

LONG = "A line that is long enough"
BLANK = pdf_file(b"/MediaBox [0 0 100 100]", b"/MediaBox [0 0 7200000 100]", b"/MediaBox [0 0 200 100]")


@pytest.fixture
def stages() -> PageStages:
    """The pipeline behind `running` and `fake_pipeline`."""
    return PageStages()


@pytest.fixture
def scan(tmp_path):
    """A PDF of three pages, of which the second cannot be rendered."""
    path = tmp_path / "scan.pdf"
    path.write_bytes(BLANK)
    return path


@pytest.mark.parametrize("remote", [False, True])
async def test_each_page_is_printed(glyphwire_command, running, fake_pipeline, scan, remote):
    """In this process or through a server: pages have titles, a bad one is named and makes the status 1."""
    server = ["--server", running.target] if remote else []
    status, out, err = await glyphwire_command("recognize", *server, "--dpi", 72, scan)
    assert status == 1
    assert out == f"==> {scan}#page=1 <==\n100x100\n==> {scan}#page=3 <==\n200x100\n"
    assert err.startswith(f"{scan}#page=2: ")
    assert "inches" in err


@pytest.mark.parametrize("remote", [False, True])
async def test_json_says_which_page_it_is(glyphwire_command, running, fake_pipeline, scan, tmp_path, remote):
    """Pages that are asked for come as rows with their number, resolution and source."""
    server = ["--server", running.target] if remote else []
    (tmp_path / "text.pdf").write_bytes(text_pdf(LONG))
    arguments = [*server, "--format", "json", "--dpi", 144, "--pages", "-1", scan, tmp_path / "text.pdf"]
    status, out, _ = await glyphwire_command("recognize", *arguments)
    last, text = map(json.loads, out.splitlines())
    assert status == 0
    assert [last[name] for name in ("source", "page_number", "page_count", "dpi", "page_source")] == [
        f"{scan}#page=3",
        3,
        3,
        144,
        "ocr",
    ]
    assert (text["source"], text["page_source"], text["lines"][0]["text"]) == (
        f"{tmp_path}/text.pdf",
        "text_layer",
        LONG,
    )


async def test_a_tiff_has_all_its_pages_read(glyphwire_command, fake_pipeline, tmp_path):
    """Of a TIFF of several pages no longer the first one alone."""
    (tmp_path / "fax.tif").write_bytes(image_file("a", "b", size=(64, 48), form="TIFF"))
    _, out, _ = await glyphwire_command("recognize", "--format", "tsv", tmp_path)
    assert [row.split("\t")[0] for row in out.splitlines()[1:]] == [
        f"{tmp_path}/fax.tif#page={page}" for page in (1, 2)
    ]


async def test_whoever_has_read_enough_ends_the_command(glyphwire_command, fake_pipeline, monkeypatch, scan):
    """When standard output is closed amid a document, as by `head`, the rest is given up, and nobody complains."""

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    assert await glyphwire_command("recognize", "--dpi", 72, scan) == (1, "", "")
    sys.stdout.close()  # what the command has put in its place


@pytest.mark.parametrize("remote", [False, True])
async def test_an_image_has_one_page(glyphwire_command, running, fake_pipeline, tmp_path, remote):
    """--pages holds for images too: a range that has their page reads it, any other page is said not to be there."""
    server = ["--server", running.target] if remote else []
    image = tmp_path / "a.png"
    image.write_bytes(image_file("a", size=(64, 48), form="PNG"))
    status, out, _ = await glyphwire_command("recognize", *server, "--pages", "1-3", image)
    assert (status, out) == (0, "file\n")
    status, out, err = await glyphwire_command("recognize", *server, "--pages", "2", image)
    assert (status, out) == (1, "")
    assert err.startswith(f"{image}: ")
    assert re.search(r"pages has 2, the document has 1 page\b", err)


async def test_folders_may_have_documents_among_images(glyphwire_command, fake_pipeline, scan, tmp_path):
    """Results come in the order of the files, whatever they are."""
    for name in ("a.png", "z.png"):
        (tmp_path / name).write_bytes(b"x")
    _, out, _ = await glyphwire_command("recognize", "--format", "tsv", "--dpi", 72, tmp_path)
    rows = [row.split("\t")[0].removeprefix(f"{tmp_path}/") for row in out.splitlines()[1:]]
    assert rows == ["a.png", "scan.pdf#page=1", "scan.pdf#page=3", "z.png"]


@pytest.mark.parametrize(("content", "read"), [(text_pdf(LONG), LONG), (b"an image", "file")])
async def test_standard_input_may_be_a_document(glyphwire_command, fake_pipeline, monkeypatch, content, read):
    """What comes through a pipe is looked at before it is read."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert await glyphwire_command("recognize", "-") == (0, f"{read}\n", "")


async def test_a_bad_document_is_named(glyphwire_command, fake_pipeline, tmp_path):
    """A document that cannot be opened, or has no such page, is an error of its own and spoils no other."""
    (tmp_path / "bad.pdf").write_bytes(b"%PDF-1.7 nonsense")
    (tmp_path / "good.pdf").write_bytes(text_pdf(LONG))
    status, out, err = await glyphwire_command("recognize", tmp_path)
    assert status == 1
    assert LONG in out
    assert err.startswith(f"{tmp_path}/bad.pdf: the PDF is damaged")


async def test_hocr_has_the_pages_of_all_files(glyphwire_command, fake_pipeline, scan, tmp_path):
    """An image is a page, too; the file is well-formed, whatever could not be read."""
    (tmp_path / "a.png").write_bytes(image_file("a", size=(64, 48), form="PNG"))
    _, out, _ = await glyphwire_command("recognize", "--format", "hocr", "--dpi", 72, tmp_path / "a.png", scan)
    root = ElementTree.fromstring(out)  # noqa: S314 - ours
    pages = [each for each in root.iter() if each.get("class") == "ocr_page"]
    assert [page.get("id") for page in pages] == ["page_1", "page_2", "page_3"]
    assert [page.get("title", "").rpartition("ppageno ")[2][0] for page in pages] == ["0", "0", "2"]
    assert ["".join(page.itertext()).strip() for page in pages] == ["file", "100x100", "200x100"]


async def test_alto_goes_to_a_file(glyphwire_command, fake_pipeline, scan, tmp_path):
    """With --output nothing is printed."""
    path = tmp_path / "read.xml"
    _, out, _ = await glyphwire_command("recognize", "--format", "alto", "--dpi", 72, "--output", path, scan)
    found = [each.get("CONTENT") for each in ElementTree.parse(path).iter() if each.get("CONTENT")]  # noqa: S314 - ours
    assert (out, found) == ("", ["100x100", "200x100"])


class ShownStages(PageStages):
    """Reads "送货单" in the middle of any image."""

    def prepare(self, image: bytes | RawImage, options: RecognizeOptions) -> PreparedImage:
        """One crop in an image of 100 x 50."""
        return super(PageStages, self).prepare("送货单".encode(), options)


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("stages", [ShownStages()])
async def test_a_searchable_pdf_has_the_text_of_every_page(
    glyphwire_command, running, fake_pipeline, scan, tmp_path, remote
):
    """Pages that were read can be searched; those with text of their own, or without any, stay as they are."""
    server = ["--server", running.target] if remote else []
    (tmp_path / "a.png").write_bytes(image_file("a", size=(200, 100), form="PNG"))
    (tmp_path / "text.pdf").write_bytes(text_pdf(LONG))
    made = tmp_path / "made.pdf"
    files = [tmp_path / "a.png", scan, tmp_path / "text.pdf"]
    await glyphwire_command("recognize", *server, "--format", "pdf", "--output", made, *files)
    texts = [page.get_textpage().get_text_range().strip() for page in pdfium.PdfDocument(made)]
    assert texts == ["送货单", "送货单", "", "送货单", LONG]


async def test_no_pdf_is_written_of_no_page(glyphwire_command, fake_pipeline, scan, tmp_path):
    """What could not be read leaves no file that looks like a result."""
    made = tmp_path / "made.pdf"
    status, _, err = await glyphwire_command("recognize", "--format", "pdf", "--pages", "9", "--output", made, scan)
    assert status == 1
    assert "pages has 9" in err
    assert not made.exists()


async def test_a_pdf_that_cannot_be_written_is_known_before_its_pages_are_read(
    glyphwire_command, fake_pipeline, scan, tmp_path
):
    """Not after an hour of reading."""
    made = tmp_path / "nowhere" / "made.pdf"
    status, _, err = await glyphwire_command("recognize", "--format", "pdf", "--output", made, scan)
    assert (status, str(made) in err) == (1, True)
    assert not fake_pipeline.prepared


async def test_a_pdf_may_take_the_place_of_its_source(glyphwire_command, fake_pipeline, scan):
    """All of it has been taken before the file is written."""
    await glyphwire_command("recognize", "--format", "pdf", "--pages", "1,3", "--output", scan, scan)
    assert [page.get_size() for page in pdfium.PdfDocument(scan)] == [(100, 100), (200, 100)]


async def test_other_formats_do_not_empty_their_source(glyphwire_command, fake_pipeline, scan, tmp_path):
    """They are written while files are read; under whatever name."""
    before = scan.read_bytes()
    link = tmp_path / "link.html"
    link.symlink_to(scan)
    status, _, err = await glyphwire_command("recognize", "--format", "hocr", "--output", link, scan.parent)
    assert (status, scan.read_bytes()) == (2, before)
    assert "is one of the files to read" in err


async def test_a_pdf_does_not_go_to_a_terminal(glyphwire_command, fake_pipeline, scan, monkeypatch):
    """Without --output a terminal would get bytes."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    status, _, err = await glyphwire_command("recognize", "--format", "pdf", scan)
    assert status == 2
    assert "--output" in err


async def test_a_pdf_needs_its_extra(glyphwire_command, fake_pipeline, scan, tmp_path, monkeypatch):
    """Without it the command names the extra to install, before anything is read."""
    monkeypatch.setitem(sys.modules, "ocr_core.searchable_pdf", None)
    status, _, err = await glyphwire_command("recognize", "--format", "pdf", "--output", tmp_path / "made.pdf", scan)
    assert status == 2
    assert "install glyphwire-server[documents]" in err
