"""Files in the web page: what people do with them, and what they see when it goes wrong."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from tests.gateway.web.site import LINE, SAMPLE, apply_settings, start_site, stop_site
from tests.pdf_files import image_file, text_pdf

# Chromium has to start, and reads a whole page on a machine that may be busy.
pytestmark = pytest.mark.timeout(300)


def test_a_picture_is_read(site, read_page):
    """Each line has a polygon and a text; pointing at one marks the other, both ways."""
    count = read_page.locator("#lines li").count()
    assert count > 20
    assert read_page.locator("#sheet polygon").count() == count
    assert "白鹭湾纸品有限公司" in read_page.text_content("#lines")
    read_page.hover("#lines li:nth-child(4)")
    assert read_page.get_attribute("#sheet polygon.marked", "data-line") == "3"
    read_page.locator("#sheet polygon[data-line='6']").dispatch_event("pointerenter")
    assert read_page.get_attribute("#lines li.marked", "data-line") == "6"
    read_page.locator("#sheet polygon[data-line='2']").dispatch_event("click")
    assert read_page.evaluate("document.activeElement.closest('li').dataset.line") == "2"
    assert not site.noise


def test_nothing_comes_from_elsewhere(site):
    """Everything that the page loads is the gateway's, so it works where there is no internet."""
    page = site.open(url="about:blank")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.url)
    page.wait_for_selector("#choose:not(:empty)")
    assert len(asked) > 5
    assert all(url.startswith((site.url, "data:")) for url in asked)


def test_doubtful_characters_can_be_replaced(read_page):
    """They are marked and say how sure they are; the mouse or Enter opens others, which take their place."""
    mark = read_page.locator("mark").first
    mark.hover()
    read_page.wait_for_selector("#alternatives")
    assert read_page.evaluate("document.activeElement.closest('#alternatives')") is None
    read_page.hover("#lines li:nth-child(1) .text", position={"x": 3, "y": 6})
    read_page.wait_for_selector("#alternatives", state="detached")
    assert re.search(r"\d+ % sure", mark.get_attribute("aria-label"))
    mark.focus()
    read_page.keyboard.press("Enter")
    items = read_page.locator("#alternatives [role=menuitem]")
    assert items.count() >= 1
    read_page.keyboard.press("Escape")
    assert read_page.locator("#alternatives").count() == 0
    line = read_page.locator("mark").first.evaluate("mark => mark.closest('li').dataset.line")
    before = read_page.text_content(f"#lines [data-line='{line}'] .text")
    read_page.locator("mark").first.click()
    chosen = items.last.locator("b").text_content()
    items.last.click()
    after = read_page.text_content(f"#lines [data-line='{line}'] .text")
    assert len(after) == len(before)
    assert chosen in {*after, "␣"}


def test_text_can_be_edited_copied_and_saved(read_page):
    """What was changed is in the clipboard and in every file."""
    read_page.check("#edit")
    line = read_page.locator("#lines li").nth(0).locator(".text")
    line.fill("corrected by hand")
    read_page.uncheck("#edit")
    read_page.click("#copy")
    assert read_page.evaluate("navigator.clipboard.readText()").startswith("corrected by hand\n")
    for name, ending in (("text", ".txt"), ("json", ".json"), ("tsv", ".tsv")):
        read_page.select_option("#format", name)
        with read_page.expect_download() as download:
            read_page.click("#save")
        assert download.value.suggested_filename == f"page{ending}"
        content = Path(download.value.path()).read_text(encoding="utf-8")
        assert "corrected by hand" in content
        if name == "json":
            assert json.loads(content)["text"][0]["text"] == "corrected by hand"


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("hocr", b"<?xml"),
        ("alto", b"<?xml"),
        ("pdf", b"%PDF-"),
        ("markdown", "白鹭湾".encode()),
        ("html", b"<!DOCTYPE html>"),
    ],
)
def test_the_gateway_writes_other_formats(read_page, name, start):
    """The menu has what the gateway offers."""
    read_page.select_option("#format", name)
    with read_page.expect_download() as download:
        read_page.click("#save")
    assert Path(download.value.path()).read_bytes().startswith(start)


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_files_are_dropped_and_pasted(site, way):
    """Anywhere on the page, several at once."""
    page = site.open()
    page.evaluate(
        """([way, bytes]) => {
            const data = new DataTransfer();
            const content = Uint8Array.from(bytes);
            for (const name of ["a.jpg", "b.jpg"]) data.items.add(new File([content], name, { type: "image/jpeg" }));
            const event = way === "drop"
                ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
                : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
            document.body.dispatchEvent(event);
        }""",
        [way, list(LINE.read_bytes())],
    )
    page.locator("#queue .done").nth(1).wait_for()
    assert page.locator("#queue .name").all_text_contents() == ["a.jpg", "b.jpg"]


_PICTURE_RATIO = """async () => {
    const picture = await (await fetch(document.querySelector("#sheet image").href.baseVal)).blob();
    const { width, height } = await createImageBitmap(picture);
    return width / height;
}"""


@pytest.mark.parametrize("form", ["pdf", "tiff"])
def test_a_document_is_read_page_by_page(site, tmp_path, form):
    """Its pages have pictures with polygons that can be clicked, and can be turned; removed, the gateway forgets it."""
    path = tmp_path / f"two.{form}"
    texts = ("The first page has a line of text", "The second page has another line")
    path.write_bytes(text_pdf(*texts) if form == "pdf" else image_file(*texts, form="TIFF"))
    page = site.open()
    with page.expect_response("**/api/jobs") as submitted:
        page.set_input_files("#input", path)
    page.wait_for_selector("#queue .done")
    assert "first page" in page.text_content("#lines")
    assert page.text_content("#page") == "Page 1 of 2"
    page.wait_for_selector("#sheet image")
    width, height = map(float, page.get_attribute("#sheet svg", "viewBox").split()[2:])
    assert page.evaluate(_PICTURE_RATIO) == pytest.approx(width / height, rel=0.01)
    page.locator("#sheet polygon").first.dispatch_event("click")
    assert page.evaluate("document.activeElement.closest('li').dataset.line") == "0"
    page.click("#next")
    assert "second page" in page.text_content("#lines")
    page.wait_for_selector("#sheet image")
    assert page.is_disabled("#next")
    with page.expect_response("**/api/jobs/*") as removed:
        page.click("#queue [title='Remove']")
    assert removed.value.url.endswith(submitted.value.json()["id"])
    assert removed.value.status == 204
    assert page.is_hidden("#results")
    assert not site.noise


def test_a_document_becomes_a_searchable_pdf(site, tmp_path):
    """Out of what was read: it is not read again."""
    path = tmp_path / "scan.tif"
    path.write_bytes(image_file("A line that was scanned", form="TIFF"))
    page = site.open()
    page.set_input_files("#input", path)
    page.wait_for_selector("#queue .done")
    requests = []
    page.on("request", lambda request: requests.append((request.method, request.url)))
    page.select_option("#format", "pdf")
    with page.expect_download() as download:
        page.click("#save")
    document = pypdfium2.PdfDocument(Path(download.value.path()))
    text = document[0].get_textpage().get_text_range()
    document.close()
    assert "scanned" in text
    # One may be for the picture of the page.
    assert {method for method, _ in requests} == {"GET"}
    assert sum("/result?format=pdf" in url for _, url in requests) == 1


def table_file() -> bytes:
    """A ruled table of two rows and two columns below a line of text, as a PNG."""
    image = PillowImage.new("L", (700, 420), 255)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(32)
    draw.text((60, 40), "Stock of the shop", fill=0, font=font)
    for x in (60, 360, 640):
        draw.line([(x, 120), (x, 320)], fill=0, width=3)
    for y in (120, 220, 320):
        draw.line([(60, y), (640, y)], fill=0, width=3)
    for number, text in enumerate(("Goods", "Number", "Pencils", "4711")):
        draw.text((90 + 300 * (number % 2), 150 + 100 * (number // 2)), text, fill=0, font=font)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_tables_are_shown(site, tmp_path):
    """Beside the lines there are paragraphs and tables; pointing at a cell marks its line on the picture."""
    path = tmp_path / "table.png"
    path.write_bytes(table_file())
    page = site.open(viewport={"width": 1280, "height": 900})
    page.set_input_files("#input", path)
    page.wait_for_selector("#queue .done")
    page.click("#view-structure")
    assert page.is_hidden("#lines")
    rows = page.locator("#structure tr")
    assert [row.locator("td").all_text_contents() for row in rows.all()] == [["Goods", "Number"], ["Pencils", "4711"]]
    assert "Stock" in page.text_content("#structure p")
    page.hover("#structure td >> text=4711")
    marked = page.get_attribute("#sheet polygon.marked", "data-line")
    page.locator(f"#sheet polygon[data-line='{marked}']").dispatch_event("click")
    assert page.is_visible("#lines")
    assert "4711" in page.text_content(f"#lines [data-line='{marked}']")
    assert not site.noise


def test_rules_find_fields(site):
    """What they found is listed and marks its line on the picture."""
    page = site.open(viewport={"width": 1280, "height": 900})
    page.click("#open-settings")
    page.check("[name=type-date]")
    page.fill("[name=extractors]", "number=BLW-[0-9-]+")
    apply_settings(page)
    page.set_input_files("#input", SAMPLE)
    page.wait_for_selector("#queue .done")
    assert page.locator("#fields dt").all_text_contents() == ["number", "Date"]
    number, date = page.locator("#fields dd").all_text_contents()
    assert number.startswith("BLW-2024")
    assert "2024" in date
    page.hover("#fields dl > div >> nth=1")
    marked = page.get_attribute("#sheet polygon.marked", "data-line")
    assert date in page.text_content(f"#lines [data-line='{marked}'] .text")
    assert not site.noise


def test_a_bad_file_is_explained(site, tmp_path):
    """In plain words, and the next file is read."""
    path = tmp_path / "notes.png"
    path.write_text("no picture", encoding="utf-8")
    page = site.open()
    page.set_input_files("#input", [path, LINE])
    page.wait_for_selector("#queue .failed")
    page.wait_for_selector("#queue .done")
    assert "no picture that the server can open" in page.text_content("#queue .failed")


def test_a_gateway_that_is_gone_is_explained(site):
    """The file stays, and can be tried again."""
    url, process = start_site()
    page = site.open(url=url)
    stop_site(process)
    page.set_input_files("#input", SAMPLE)
    page.wait_for_selector("#queue .failed")
    assert "Is it still running?" in page.text_content("#queue .failed")
    assert page.is_visible("#queue [title^='Read again']")
    assert process.returncode == 0
