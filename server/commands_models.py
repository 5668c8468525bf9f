"""`glyphwire models`: bundles of the models folder, calibration, compression, changes of a running server's models."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import glyphwire
import grpc
from rich import box
from rich.table import Table

from ocr_core.types import ModelInfo
from server import commands_calibration, commands_compression
from server.connections import add_connection, connect, connect_admin
from server.reports import table_console
from server.settings import Settings, add_flags, load_settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

_RECIPES = Path(__file__).resolve().parent.parent / "models" / "recipes"
_SETTINGS = ("models_dir", "default_model")
_CHANGES: dict[str, tuple[str, Callable[..., tuple[glyphwire.ModelStatus, ...]]]] = {
    "load": ("load a bundle of its models folder", glyphwire.AdminClient.load_model),
    "unload": ("unload a model", glyphwire.AdminClient.unload_model),
    "default": ("choose the model of requests that name none", glyphwire.AdminClient.set_default_model),
}
_QUESTIONS = {
    "reload": ("load what is new in its models folder, unload what is gone", glyphwire.AdminClient.reload_models),
    "status": ("say what becomes of its models", glyphwire.AdminClient.list_model_states),
}


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the commands."""
    names = ("list", "setup", "second", *_CHANGES, *_QUESTIONS, commands_calibration.NAME, *commands_compression.NAMES)
    commands = parser.add_subparsers(required=True, metavar="|".join(names))
    listing = commands.add_parser("list", help="name the models that requests can name")
    add_connection(listing, "ask it; default: look into the models folder")
    add_flags(listing, _SETTINGS)
    listing.set_defaults(run=_list)
    setup = commands.add_parser("setup", help="make the model bundles that are not there yet")
    setup.add_argument("--recipes", type=Path, default=_RECIPES, metavar="DIR", help=f"[{_RECIPES}]")
    setup.add_argument("--force", action="store_true", help="make all of them again")
    add_flags(setup, ("models_dir",))
    setup.set_defaults(run=_setup)
    second = commands.add_parser("second", help="let another recogniser read what a model reads with doubt")
    second.add_argument("model", metavar="NAME[/VERSION]", help="bundle that gets a copy of the other one")
    second.add_argument("other", metavar="OTHER[/VERSION]")
    second.add_argument(
        "--below", type=float, default=0.95, metavar="P", help="sureness of lines that both read [0.95]"
    )
    add_flags(second, ("models_dir",))
    second.add_argument(
        "--language",
        type=Path,
        metavar="FILE",
        help="character model to judge between both with [the surer one is right]",
    )
    second.set_defaults(run=_second)
    for name, (sentence, call) in _CHANGES.items():
        _add_admin(commands, name, sentence, call).add_argument("model", nargs=1, metavar="NAME[/VERSION]")
    for name, (sentence, call) in _QUESTIONS.items():
        _add_admin(commands, name, sentence, call).set_defaults(model=())
    commands_calibration.add_command(commands)
    commands_compression.add_commands(commands)


def _add_admin(
    commands: _SubParsersAction[ArgumentParser],
    name: str,
    sentence: str,
    call: Callable[..., tuple[glyphwire.ModelStatus, ...]],
) -> ArgumentParser:
    parser = commands.add_parser(name, help=f"with an admin's token, let a running server {sentence}")
    (listen,) = Settings.model_fields["listen"].default
    add_connection(parser, f"its models are meant [{listen}]", listen)
    parser.set_defaults(run=_administer, call=call)
    return parser


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


def _second(flags: Namespace) -> int:
    from ocr_core.bundle import Kind, Registry, add_second_opinion

    registry = Registry(load_settings(flags).models_dir)
    bundle, other = (registry.find(name, Kind.RECOGNIZER) for name in (flags.model, flags.other))
    add_second_opinion(registry.folder(bundle), registry.folder(other), flags.below, flags.language)
    return 0


def _administer(flags: Namespace) -> int:
    """Returns 1 when a bundle could not be loaded."""
    with connect_admin(flags) as client:
        try:
            models = flags.call(client, *flags.model)
        except glyphwire.OcrError as error:
            if error.code is grpc.StatusCode.UNIMPLEMENTED:
                message = f"the models of {flags.server} are not to be changed: its token file has no admin"
                raise glyphwire.OcrError(error.code, error.reason, message) from error
            raise
    table = Table("Model", "Version", "State", "Default", "Images", "Reason", box=box.SIMPLE_HEAD)
    for model in models:
        is_default = "yes" if model.is_default else ""
        table.add_row(model.name, model.version, model.state.name.lower(), is_default, str(model.images), model.reason)
    table_console().print(table)
    return int(any(model.state is glyphwire.ModelState.FAILED for model in models))


def _setup(flags: Namespace) -> int:
    from ocr_core.recipe import setup_models

    for sentence in setup_models(load_settings(flags).models_dir, flags.recipes, force=flags.force):
        print(sentence, flush=True)
    return 0
