"""The page itself: settings, languages, keyboard, colours, and the live camera."""

from __future__ import annotations

import json

import pytest
from glyphwire import ErrorReason, FieldType, Step

from tests.gateway.web.site import LINE, SAMPLE, apply_settings
from tests.pdf_files import encrypted_pdf

pytestmark = pytest.mark.timeout(300)

NOT_OF_THE_PAGE = {
    ErrorReason.UNSPECIFIED,
    ErrorReason.RAW_IMAGE_INVALID,
    ErrorReason.MODEL_REJECTED,
    ErrorReason.MODEL_IS_DEFAULT,
}
"""Reasons of calls that the page does not make."""


_NOTE_FIELDS = """() => {
    const { send } = XMLHttpRequest.prototype;
    XMLHttpRequest.prototype.send = function (form) {
        window.sent = Object.fromEntries([...form].filter(([, value]) => typeof value === "string"));
        send.call(this, form);
    };
}"""


def test_settings_are_options_of_the_gateway(site):
    """What is chosen goes with every file, is kept when the page is opened again, and live pictures follow it too."""
    page = site.open()
    page.click("#open-settings")
    page.fill("[name=hot_words]", "reading\ninvoice=-2")
    page.fill("[name=lexicon]", "reading\nwriting")
    page.select_option("[name=prepare]", "off")
    page.click("summary")
    page.select_option("[name=step-deskew]", "on")
    page.select_option("[name=decoder]", "best_path")
    page.uncheck("[name=structure]")
    apply_settings(page)
    page.reload()
    page.evaluate(_NOTE_FIELDS)
    page.set_input_files("#input", LINE)
    page.wait_for_selector("#queue .done")
    assert page.evaluate("sent") == {
        "hot_words": "reading=3\ninvoice=-2",
        "lexicon": "reading\nwriting",
        "prepare": "off,deskew=on",
        "decoder": "prefix_beam",
        "character_alternatives": "4",
        "characters": "true",
        "mode": "page",
    }
    page.click("#tab-camera")
    sent = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.extend([frame])))
    page.click("#start")
    page.wait_for_selector("#rate:not(:empty)")
    assert json.loads(sent[0])["options"].keys() == {"hot_words", "lexicon", "prepare", "mode"}
    assert not site.noise


def test_what_is_not_applied_is_forgotten(site, read_page):
    """Escape and Cancel leave the settings as they were; what is applied is seen at once."""
    marked = read_page.locator("mark").count()
    for leave, doubt, kept in (
        ("save", "100", "100"),
        ("Escape", "0", "100"),
        ("cancel", "0", "100"),
        ("save", "80", "80"),
    ):
        read_page.click("#open-settings")
        read_page.fill("[name=doubt]", doubt)
        if leave == "Escape":
            read_page.keyboard.press("Escape")
        elif leave == "save":
            apply_settings(read_page)
        else:
            read_page.click("#settings [value=cancel]")
        read_page.click("#open-settings")
        assert read_page.input_value("[name=doubt]") == kept
        read_page.keyboard.press("Escape")
        assert (read_page.locator("mark").count() > marked) == (kept == "100")


def test_secrets_are_not_kept(site):
    """Token and password are gone with the tab."""
    page = site.open()
    page.click("#open-settings")
    page.fill("[name=token]", "my token")
    page.fill("[name=password]", "my password")
    apply_settings(page)
    assert page.evaluate("sessionStorage.getItem('token')") == "my token"
    assert "my" not in page.evaluate("JSON.stringify(localStorage)")
    with page.expect_request("**/api/models") as asked:
        page.click("#open-settings")
    assert asked.value.headers["authorization"] == "Bearer my token"
    assert page.input_value("[name=password]") == "my password"


_MARK_CONTROLS = """() => {
    const controls = "a[href], button, input, select, textarea, summary, [tabindex='0']";
    const scope = document.querySelector("dialog[open]") ?? document;
    const seen = [...scope.querySelectorAll(controls)].filter(
        (each) => each.checkVisibility() && !each.disabled && each.tabIndex >= 0);
    seen.forEach((each, number) => (each.dataset.control = number));
    return seen.length;
}"""
_CONTROL = """() => {
    const at = document.activeElement;
    const isSeen = getComputedStyle(at).outlineStyle !== "none" || at.matches("body, dialog");
    return [Number(at.dataset.control ?? -1), isSeen];
}"""


@pytest.mark.parametrize("where", ["page", "dialog"])
def test_every_control_is_reached_by_keyboard(site, where):
    """With Tab alone, and where the keyboard is can be seen."""
    page = site.open()
    page.set_input_files("#input", [LINE])
    page.wait_for_selector("#queue .done")
    if where == "dialog":
        page.focus("#open-settings")
        page.keyboard.press("Enter")
        page.locator("summary").press("Enter")
    count = page.evaluate(_MARK_CONTROLS)
    assert count > (12 if where == "page" else 25)
    reached = set()
    for _ in range(count + 5):
        page.keyboard.press("Tab")
        control, is_seen = page.evaluate(_CONTROL)
        assert is_seen
        reached.add(control)
    assert set(range(count)) <= reached
    page.keyboard.press("Escape")
    assert not page.evaluate("document.querySelector('dialog').open")


_NOTE_CHOICE = """() => {
    document.getElementById("input").addEventListener("click", (event) => {
        event.preventDefault();
        window.asked = true;
    }, { once: true });
}"""


def test_a_file_is_read_corrected_and_saved_by_keyboard(site):
    """No mouse is needed from the choice of a file to the file with its text."""
    page = site.open()
    page.evaluate(_NOTE_CHOICE)
    page.focus("#choose")
    page.keyboard.press("Enter")
    assert page.evaluate("asked")
    page.set_input_files("#input", SAMPLE)
    page.wait_for_selector("#queue .done")
    page.focus("#edit")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "copy"
    mark = page.locator("mark").first
    mark.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    chosen = page.text_content("#alternatives :focus b")
    page.keyboard.press("Enter")
    assert page.locator("#alternatives").count() == 0
    page.focus("#save")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "page.txt"
    assert chosen


def test_views_are_changed_by_arrows(site):
    """As tabs are."""
    page = site.open()
    page.focus("#tab-files")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-camera"
    assert page.is_visible("#start")


@pytest.mark.parametrize(
    ("path", "locale", "first", "other"),
    [
        ("", "zh-CN", "选择文件", "Choose files"),
        ("?lang=en", "zh-CN", "Choose files", "选择文件"),
        ("?lang=zh", "en-US", "选择文件", "Choose files"),
    ],
)
def test_it_speaks_the_language_that_is_asked_for(site, path, locale, first, other):
    """That of the address, else of the browser; it can be changed, and stays so."""
    page = site.open(path, locale=locale)
    assert page.text_content("#choose") == first
    page.click("#language")
    assert page.text_content("#choose") == other
    page.reload()
    assert page.text_content("#choose") == other
    assert page.get_attribute("html", "lang") == ("en" if other.isascii() else "zh-CN")


_LEAVES = """async () => {
    const { LANGUAGES } = await import("/texts.js");
    const leaves = (value, path) => typeof value === "object"
        ? Object.entries(value).flatMap(([name, each]) => leaves(each, `${path}.${name}`))
        : [[path, typeof value === "function" ? String(value(7, 7)) : value]];
    return Object.fromEntries(Object.entries(LANGUAGES).map(([name, texts]) => [name, leaves(texts, "")]));
}"""


def test_both_languages_say_everything(site):
    """They have the same texts, none is empty, Chinese ones are Chinese; no reason of the service lacks words."""
    page = site.open()
    english, chinese = map(dict, page.evaluate(_LEAVES).values())
    assert english.keys() == chinese.keys()
    assert all(english.values())
    assert [name for name, text in chinese.items() if text.isascii()] == []
    assert [text for text in english.values() if not all(ord(letter) < 0x2E80 for letter in text)] == []
    reasons = {f".problems.{reason.name}" for reason in ErrorReason if reason not in NOT_OF_THE_PAGE}
    assert reasons <= english.keys()
    wanted = page.evaluate("[...document.querySelectorAll('[data-text]')].map((each) => each.textContent)")
    assert "undefined" not in wanted
    assert all(wanted)


def test_every_step_and_type_of_field_can_be_chosen(site):
    """The page knows those of the contract."""
    page = site.open()
    names = page.evaluate("[...document.querySelector('#settings form').elements].map((each) => each.name)")
    assert {name.removeprefix("step-") for name in names if name.startswith("step-")} == {step.value for step in Step}
    types = {name.removeprefix("type-") for name in names if name.startswith("type-")}
    assert types == {kind.value for kind in FieldType}


def test_an_encrypted_document_asks_for_its_password(site, tmp_path):
    """With the password in the settings it is read again, and its pages have pictures."""
    path = tmp_path / "secret.pdf"
    path.write_bytes(encrypted_pdf("Only for those who know the word", "open sesame"))
    page = site.open()
    page.set_input_files("#input", path)
    page.wait_for_selector("#queue .failed")
    assert "needs a password" in page.text_content("#queue .failed")
    page.click("#open-settings")
    page.fill("[name=password]", "open sesame")
    apply_settings(page)
    page.click("#queue [title^='Read again']")
    page.wait_for_selector("#queue .done")
    assert "Only for those" in page.text_content("#lines")
    page.wait_for_selector("#sheet image")


def test_the_camera_reads_live(site):
    """Stable lines of what it sees are listed, with the frame rate; a picture of it can be read like a file."""
    page = site.open()
    page.click("#tab-camera")
    page.click("#start")
    page.wait_for_selector("#stable li.stable")
    assert "白鹭湾" in page.text_content("#stable")
    assert "frames per second" in page.text_content("#rate")
    assert page.locator("#stage polygon").count() > 5
    page.click("#keep")
    page.wait_for_selector("#queue .done")
    assert "Live camera" in page.text_content("#queue .name")
    assert "白鹭湾" in page.text_content("#lines")
    page.click("#tab-camera")
    assert page.is_enabled("#start")
    assert not site.noise


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
