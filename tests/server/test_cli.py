"""The command as a whole."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest

from server import cli


@pytest.mark.parametrize(
    "command", ["", "serve", "recognize", "stream", "models", "models setup", "lm", "lm build", "eval", "demo"]
)
def test_every_command_explains_itself(command, capsys):
    """--help of every command names its arguments."""
    with pytest.raises(SystemExit) as caught:
        cli.main([*command.split(), "--help"])
    assert caught.value.code == 0
    assert "usage: glyphwire" in capsys.readouterr().out


def test_the_version_is_that_of_the_distribution(capsys):
    """--version names it, and nothing else is done."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"glyphwire {version('glyphwire-server')}\n"


def test_a_bad_setting_is_status_2(capsys):
    """A setting out of range ends any command with its name."""
    assert cli.main(["serve", "--workers", "0"]) == 2
    assert capsys.readouterr().err.startswith("glyphwire: workers: ")


def test_a_misspelt_variable_is_in_the_log(capsys, monkeypatch):
    """Any command says so at its start, and goes on."""
    monkeypatch.setenv("GLYPHWIRE_WORKER", "3")
    monkeypatch.setenv("GLYPHWIRE_LOG_FORMAT", "json")
    assert cli.main(["recognize", "nowhere.png", "--server", "127.0.0.1:1"]) == 1
    row = json.loads(capsys.readouterr().err.splitlines()[0])
    assert (row["level"], row["name"], row["meant"]) == ("warning", "GLYPHWIRE_WORKER", "GLYPHWIRE_WORKERS")


def test_ctrl_c_is_status_130(monkeypatch):
    """An interrupted command ends quietly."""

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load_settings", interrupted)
    assert cli.main(["serve"]) == 130


async def test_a_server_that_is_not_there_is_named(glyphwire_command):
    """When the server cannot be reached, the status is 1 and the message says UNAVAILABLE."""
    status, _, err = await glyphwire_command("models", "list", "--server", "127.0.0.1:1")
    assert status == 1
    assert err.startswith("glyphwire: UNAVAILABLE")
