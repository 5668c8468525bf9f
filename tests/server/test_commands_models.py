"""`glyphwire models`."""

from __future__ import annotations

from ocr_core.errors import RecipeFailed


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


async def test_a_failed_recipe_is_status_2(glyphwire_command, monkeypatch):
    """When a recipe cannot be carried out the reason is printed."""

    def setup_models(*_, force):
        raise RecipeFailed("no network")

    monkeypatch.setattr("ocr_core.recipe.setup_models", setup_models)
    assert await glyphwire_command("models", "setup") == (2, "", "glyphwire: no network\n")
