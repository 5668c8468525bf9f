"""`glyphwire models list | setup`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

import glyphwire
from rich import box
from rich.table import Table

from ocr_core.types import ModelInfo
from server.connections import add_connection, connect
from server.reports import table_console
from server.settings import add_flags, load_settings

_RECIPES = Path(__file__).resolve().parent.parent / "models" / "recipes"
_SETTINGS = ("models_dir", "default_model")


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the two commands."""
    commands = parser.add_subparsers(required=True, metavar="list|setup")
    listing = commands.add_parser("list", help="name the models that requests can name")
    add_connection(listing, "ask it; default: look into the models folder")
    add_flags(listing, _SETTINGS)
    listing.set_defaults(run=_list)
    setup = commands.add_parser("setup", help="make the model bundles that are not there yet")
    setup.add_argument("--recipes", type=Path, default=_RECIPES, metavar="DIR", help=f"[{_RECIPES}]")
    setup.add_argument("--force", action="store_true", help="make all of them again")
    add_flags(setup, ("models_dir",))
    setup.set_defaults(run=_setup)


def _list(flags: Namespace) -> int:
    table = Table("Model", "Version", "Default", "Characters", "Height", "Licence", "Origin", box=box.SIMPLE_HEAD)
    for model in _served(flags) if flags.server else _installed(flags):
        table.add_row(
            model.name,
            model.version,
            "yes" if model.is_default else "",
            str(model.charset_size),
            str(model.input_height),
            model.licence,
            model.origin,
        )
    table_console().print(table)
    return 0


def _served(flags: Namespace) -> tuple[glyphwire.Model, ...]:
    with connect(glyphwire.OcrClient, flags) as client:
        return client.list_models()


def _installed(flags: Namespace) -> tuple[ModelInfo, ...]:
    from ocr_core.bundle import Kind, Registry

    settings = load_settings(flags)
    registry = Registry(settings.models_dir)
    default = registry.find(settings.default_model, Kind.RECOGNIZER)
    return tuple(bundle.info(is_default=bundle == default) for bundle in registry.of_kind(Kind.RECOGNIZER))


def _setup(flags: Namespace) -> int:
    from ocr_core.recipe import setup_models

    for sentence in setup_models(load_settings(flags).models_dir, flags.recipes, force=flags.force):
        print(sentence, flush=True)
    return 0
