"""The web page in a real browser, in front of a real server."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "docs" / "sample" / "page.jpg"
LINE = ROOT / "tests" / "data" / "line_en.jpg"


@dataclass
class Site:
    """A running `glyphwire web`, and a browser. noise: errors of scripts and console since the last tab was opened."""

    url: str
    process: subprocess.Popen[str]
    browser: Browser
    noise: list[str] = field(default_factory=list)

    def open(self, path: str = "", url: str = "", **options) -> Page:
        """A new tab, by default with this site."""
        self.noise.clear()
        page = self.browser.new_context(**({"locale": "en-US"} | options)).new_page()
        page.set_default_timeout(90_000)
        page.on("pageerror", lambda error: self.noise.append(str(error)))
        page.on("console", lambda message: self.noise.append(message.text) if message.type == "error" else None)
        page.goto((url or self.url) + path)
        return page


def apply_settings(page: Page) -> None:
    """Press Apply in the dialog, and wait until the page has heard of it, which is after the click."""
    page.evaluate(
        "window.applied = new Promise((hear) => {"
        " document.getElementById('settings').addEventListener('close', hear, { once: true }) }); null"
    )
    page.click("#settings [value=save]")
    page.evaluate("applied.then(() => null)")


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
