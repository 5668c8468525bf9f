"""`glyphwire demo`: server process, health, client, output, stop; only the pipeline is fake."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from server import cli, commands_demo
from server.commands_demo import ServerProcess

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _fake_server(monkeypatch):
    """The demo's server is the command with the fake pipeline."""
    command = ServerProcess._command
    module = ["-m", "tests.e2e.fake_glyphwire", "serve"]
    monkeypatch.setattr(ServerProcess, "_command", lambda self: [sys.executable, *module, *command(self)[3:]])
    monkeypatch.chdir(ROOT)


@pytest.fixture
def page(tmp_path):
    """Writes an image and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "page.jpg"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_the_demo_reads_a_page(page, capsys):
    """The demo prints every line with its confidence, the model and the stages, stops its server and returns 0."""
    assert cli.main(["demo", page("送货单\nfaint")]) == 0
    out = capsys.readouterr().out
    assert "Server ready at 127.0.0.1:" in out
    assert "  75.0%  送货单\n" in out
    assert "  25.0%  faint\n" in out
    assert "read by fake/1" in out
    assert "1.0 ms  load image\n" in out
    assert out.endswith("Server stopped.\n")
    assert "\x1b" not in out


def test_the_demo_fails_without_text(page):
    """A page without text is status 1."""
    assert cli.main(["demo", page("\n")]) == 1


def test_the_demo_fails_when_the_server_refuses(page, capsys):
    """An image that cannot be read is status 1, with the server's words."""
    assert cli.main(["demo", page("!undecodable")]) == 1
    assert "IMAGE_UNDECODABLE" in capsys.readouterr().err


def test_the_demo_shows_why_the_server_did_not_start(page, capsys, monkeypatch):
    """When the server ends at once, its last words are printed and the status is 2."""
    script = "import sys; print('no weights', file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr(ServerProcess, "_command", lambda self: [sys.executable, "-c", script])
    assert cli.main(["demo", page("a")]) == 2
    assert "no weights" in capsys.readouterr().err


def test_the_sample_is_there():
    """The page that the demo reads by itself is part of the repository."""
    assert commands_demo.SAMPLE.is_file()
