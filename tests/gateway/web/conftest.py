"""A site for each module: its browser and the event loops of other tests do not go together."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.gateway.web.site import SAMPLE, Site, start_site, stop_site


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    """With a fake camera that sees the sample page."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium")
    video = tmp_path_factory.mktemp("camera") / "page.mjpeg"
    video.write_bytes(SAMPLE.read_bytes())
    camera = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    url, process = start_site()
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", *camera, f"--use-file-for-fake-video-capture={video}"]
        )
        yield Site(url, process, browser)
        browser.close()
    stop_site(process)


@pytest.fixture(scope="module")
def read_page(site):
    """A tab in which the sample page has been read."""
    page = site.open(viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"])
    page.set_input_files("#input", SAMPLE)
    page.wait_for_selector("#queue .done")
    return page
