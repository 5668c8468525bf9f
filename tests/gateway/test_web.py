"""The web page in a real browser, in front of a real server: what people do, and what they see when it goes wrong."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.pdf_files import text_pdf

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "sample" / "page.jpg"
CHROMIUM = shutil.which("chromium")

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium"),
    # Chromium has to start, and reads a whole page on a machine that may be busy.
    pytest.mark.timeout(300),
]


@dataclass
class Site:
    """A running `glyphwire web`, and a browser."""

    url: str
    process: subprocess.Popen[str]
    browser: sync_api.Browser
    noise: list[str] = field(default_factory=list)

    def open(self, url: str = "", **options) -> sync_api.Page:
        """A new tab, by default with this site; errors of its scripts and its console are kept."""
        page = self.browser.new_context(**({"locale": "en-US"} | options)).new_page()
        page.set_default_timeout(90_000)
        page.on("pageerror", lambda error: self.noise.append(str(error)))
        page.on("console", lambda message: self.noise.append(message.text) if message.type == "error" else None)
        page.goto(url or self.url)
        return page


def start_site() -> tuple[str, subprocess.Popen[str]]:
    """`glyphwire web` on a free port."""
    command = [sys.executable, "-c", "import sys; from server.cli import main; sys.exit(main())"]
    arguments = ["web", "--no-browser", "--http-listen=127.0.0.1:0", "--workers=2"]
    process = subprocess.Popen(
        [*command, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout
    return process.stdout.readline().split()[-1], process


def stop_site(process: subprocess.Popen[str]) -> None:
    """As a person does: with Ctrl-C or a signal."""
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)


@pytest.fixture(scope="module")
def video(tmp_path_factory) -> Path:
    """What the fake camera sees: the sample page, as Motion JPEG."""
    path = tmp_path_factory.mktemp("camera") / "page.mjpeg"
    path.write_bytes(PAGE.read_bytes())
    return path


@pytest.fixture(scope="module")
def site(video) -> Iterator[Site]:
    """One for all tests."""
    url, process = start_site()
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *camera, f"--use-file-for-fake-video-capture={video}"]
        )
        yield Site(url, process, browser)
        browser.close()
    stop_site(process)


@pytest.fixture(scope="module")
def read_page(site) -> sync_api.Page:
    """A tab in which the sample page has been read."""
    page = site.open(viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"])
    page.set_input_files("#input", PAGE)
    page.wait_for_selector("#queue .done")
    return page


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


def test_doubtful_characters_can_be_replaced(read_page):
    """They are marked and say how sure they are; Enter opens others, which take their place in what is copied."""
    mark = read_page.locator("mark").first
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


@pytest.mark.parametrize(("name", "start"), [("hocr", b"<?xml"), ("alto", b"<?xml"), ("pdf", b"%PDF-")])
def test_the_gateway_writes_other_formats(read_page, name, start):
    """The menu has what the gateway offers."""
    read_page.select_option("#format", name)
    with read_page.expect_download() as download:
        read_page.click("#save")
    assert Path(download.value.path()).read_bytes().startswith(start)


def test_a_document_is_read_page_by_page(site, tmp_path):
    """Its pages can be turned."""
    path = tmp_path / "two.pdf"
    path.write_bytes(text_pdf("The first page has a line of text", "The second page has another line"))
    page = site.open()
    page.set_input_files("#input", path)
    page.wait_for_selector("#queue .done")
    assert "first page" in page.text_content("#lines")
    assert page.text_content("#page") == "Page 1 of 2"
    page.click("#next")
    assert "second page" in page.text_content("#lines")
    assert page.is_disabled("#next")
    assert not site.noise


def test_the_camera_reads_live(site):
    """Stable lines of what it sees are listed, with the frame rate."""
    page = site.open()
    page.click("#tab-camera")
    page.click("#start")
    page.wait_for_selector("#stable li.stable")
    assert "白鹭湾" in page.text_content("#stable")
    assert "frames per second" in page.text_content("#rate")
    assert page.locator("#stage polygon").count() > 5
    page.click("#stop")
    assert page.is_enabled("#start")
    assert not site.noise


def test_a_bad_file_is_explained(site, tmp_path):
    """In plain words, and the next file is read."""
    path = tmp_path / "notes.png"
    path.write_text("no picture", encoding="utf-8")
    page = site.open()
    page.set_input_files("#input", [path, ROOT / "tests" / "data" / "line_en.jpg"])
    page.wait_for_selector("#queue .failed")
    page.wait_for_selector("#queue .done")
    assert "no picture that the server can open" in page.text_content("#queue .failed")
    site.noise.clear()  # the browser itself reports every refused request


def test_everything_works_by_keyboard(site):
    """From the address bar to the text: views, settings, theme and language are reached with Tab alone."""
    page = site.open()
    reached = []
    for _ in range(7):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert {"tab-files", "language", "theme", "open-settings", "choose", "snap"} <= set(reached)
    page.focus("#tab-files")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-camera"
    assert page.is_visible("#start")
    page.focus("#open-settings")
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('dialog').open")
    page.keyboard.press("Escape")
    assert not page.evaluate("document.querySelector('dialog').open")


def test_it_speaks_chinese(site):
    """The browser's language is spoken, and can be changed."""
    page = site.open(locale="zh-CN")
    assert page.text_content("#choose") == "选择文件"
    page.click("#language")
    assert page.text_content("#choose") == "Choose files"
    assert page.get_attribute("html", "lang") == "en"


_CONTRASTS = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const luminance = (color) => channels(color)
    .map((value) => value / 255).map((value) => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, channel) => sum + value * [0.2126, 0.7152, 0.0722][channel], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$|transparent/.test(color)) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const bad = [];
  for (const element of document.querySelectorAll("body *")) {
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!says || !element.checkVisibility() || element.matches(":disabled")) continue;
    const [one, two] = [luminance(getComputedStyle(element).color), luminance(ground(element))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) bad.push(`${element.tagName} ${element.textContent.trim().slice(0, 20)} ${ratio.toFixed(2)}`);
  }
  return bad;
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast(read_page, theme):
    """At least 4.5 to 1 (WCAG AA) for every text on the page."""
    read_page.emulate_media(color_scheme=theme)
    assert read_page.evaluate(_CONTRASTS) == []


def test_a_gateway_that_is_gone_is_explained(site):
    """The file stays, and can be tried again."""
    url, process = start_site()
    page = site.open(url=url)
    stop_site(process)
    page.set_input_files("#input", PAGE)
    page.wait_for_selector("#queue .failed")
    assert "Is it still running?" in page.text_content("#queue .failed")
    assert page.is_visible("#queue [title^='Read again']")
    assert process.returncode == 0
    site.noise.clear()
