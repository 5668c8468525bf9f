"""`glyphwire models`."""

from __future__ import annotations

import pytest

from ocr_core.bundle import read_bundle
from ocr_core.errors import RecipeFailed
from tests.ocr_core.test_bundle import make_bundle
from tests.server.messages import put_tokens
from tests.server.shelf_stages import ShelfStages, put_bundle


async def test_the_models_of_a_server_are_listed(glyphwire_command, running):
    """With --server, models list prints what the server has."""
    status, out, _ = await glyphwire_command("models", "list", "--server", running.target)
    rows = [row.split() for row in out.splitlines() if row.strip()]
    assert status == 0
    assert rows[0] == ["Model", "Version", "Default", "Characters", "Height", "Licence", "Origin"]
    assert rows[2:] == [
        ["fake", "1", "yes", "95", "48", "Apache-2.0", "nowhere"],
        ["other", "2", "10", "32", "MIT", "elsewhere"],
    ]


async def test_a_missing_model_says_what_to_do(glyphwire_command, tmp_path):
    """Without bundles, models list names the command that makes them."""
    status, _, err = await glyphwire_command("models", "list", "--models-dir", tmp_path)
    assert status == 2
    assert "glyphwire models setup" in err


async def test_setup_prints_what_it_did(glyphwire_command, monkeypatch, tmp_path):
    """The recipes are carried out into the models folder, with a sentence for each bundle."""
    asked = []

    def setup_models(models_dir, recipes_dir, *, force):
        asked.append((models_dir, recipes_dir, force))
        yield "m/1: made"

    monkeypatch.setattr("ocr_core.recipe.setup_models", setup_models)
    flags = ["--models-dir", tmp_path / "models", "--recipes", tmp_path / "recipes", "--force"]
    assert await glyphwire_command("models", "setup", *flags) == (0, "m/1: made\n", "")
    assert asked == [(tmp_path / "models", tmp_path / "recipes", True)]


async def test_second_gives_a_model_a_second_opinion(glyphwire_command, tmp_path):
    """The other bundle is copied into the model's folder; a limit that is no probability is status 2."""
    for name in ("first", "other"):
        make_bundle(tmp_path, name)
    flags = ["models", "second", "first", "other/1", "--models-dir", tmp_path]
    assert (await glyphwire_command(*flags, "--below", "0.8"))[0] == 0
    assert read_bundle(tmp_path / "first" / "1").second_opinion == 0.8
    assert read_bundle(tmp_path / "first" / "1").judge is None
    status, _, err = await glyphwire_command(*flags, "--below", "8")
    assert (status, "second_opinion" in err) == (2, True)
    (tmp_path / "text.lm").write_bytes(b"a model")
    assert (await glyphwire_command(*flags, "--language", tmp_path / "text.lm"))[0] == 0
    assert read_bundle(tmp_path / "first" / "1").judge is not None


async def test_a_failed_recipe_is_status_2(glyphwire_command, monkeypatch):
    """When a recipe cannot be carried out the reason is printed."""

    def setup_models(*_, force):
        raise RecipeFailed("no network")

    monkeypatch.setattr("ocr_core.recipe.setup_models", setup_models)
    assert await glyphwire_command("models", "setup") == (2, "", "glyphwire: no network\n")


class TestRunningServer:
    """Changes of the models of a server."""

    @pytest.fixture
    def stages(self, tmp_path) -> ShelfStages:
        """With version 1 of one model."""
        put_bundle(tmp_path / "models", "1", "¹")
        return ShelfStages(models_dir=tmp_path / "models")

    @pytest.fixture
    async def models(self, start_app, tmp_path, glyphwire_command):
        """Runs `glyphwire models ...` with an admin's token; returns status and rows, or the error."""
        running = await start_app(token_file=put_tokens(tmp_path, operator="admin = true"))
        token = tmp_path / "operator"
        token.write_text("operator's\n", encoding="utf-8")

        async def run(*arguments: str):
            flags = ("--server", running.target, "--token", token)
            status, out, err = await glyphwire_command("models", *arguments, *flags)
            return status, [row.split() for row in out.splitlines() if row.strip()][2:], err

        return run

    async def test_models_are_changed(self, models, stages):
        """load, default, unload, reload and status print what there is afterwards."""
        one, two = ["tiny", "1", "ready"], ["tiny", "2", "ready"]
        assert await models("status") == (0, [[*one, "yes", "0"]], "")
        put_bundle(stages.models_dir, "2", "²")
        assert await models("load", "tiny/2") == (0, [[*one, "0"], [*two, "yes", "0"]], "")
        assert await models("default", "tiny/1") == (0, [[*one, "yes", "0"], [*two, "0"]], "")
        status, rows, _ = await models("unload", "tiny/2")
        assert (status, rows[0]) == (0, [*one, "yes", "0"])
        assert await models("reload") == (0, [[*one, "yes", "0"], [*two, "0"]], "")

    async def test_what_cannot_be_loaded_is_status_1(self, models, stages):
        """Load prints the server's error, reload the reason in its row; the old version is still there."""
        put_bundle(stages.models_dir, "2", "²", broken=True)
        status, _, err = await models("load", "tiny/2")
        assert (status, "it reads nothing" in err) == (1, True)
        status, rows, _ = await models("reload")
        assert status == 1
        assert rows == [["tiny", "1", "ready", "yes", "0"], ["tiny", "2", "failed", "0", "it", "reads", "nothing"]]

    async def test_an_admins_token_is_needed(self, models, tmp_path):
        """With a token that the server does not know, it says so."""
        (tmp_path / "operator").write_text("somebody's", encoding="utf-8")
        status, _, err = await models("reload")
        assert (status, "TOKEN_INVALID" in err) == (1, True)


async def test_a_server_without_an_admin_changes_no_models(glyphwire_command, running):
    """What is missing is said, where gRPC says that there is no such method."""
    status, _, err = await glyphwire_command("models", "status", "--server", running.target)
    assert (status, "its token file has no admin" in err) == (1, True)


async def test_a_bad_name_is_refused_before_the_work(glyphwire_command, capsys, tmp_path):
    """Whether a bundle can be called so is said at once, not after minutes."""
    with pytest.raises(SystemExit):
        await glyphwire_command("models", "quantize", "fake", "-o", tmp_path / "2")
    assert "a bundle is called NAME/VERSION" in capsys.readouterr().err
