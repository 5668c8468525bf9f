"""`glyphwire models calibrate`: the temperature of a bundle, fitted to lines and stored."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from ocr_core.errors import SetupError
from server.commands_evaluation import image_progress
from server.extras import needing
from server.settings import add_flags, load_settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from ocr_core.bundle import ModelBundle
    from ocr_core.evaluation import LineReading
    from server.settings import Settings

NAME = "calibrate"


def add_command(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Flags of the command."""
    parser = commands.add_parser(NAME, help="fit the temperature of a model's confidences to lines, and store it")
    parser.add_argument("model", metavar="NAME[/VERSION]", help="bundle to calibrate")
    parser.add_argument("--lines", type=Path, metavar="DIR", help="labelled sets of lines in or below it [drawn lines]")
    parser.add_argument(
        "--line-count", type=int, default=1500, metavar="N", help="lines to draw without --lines [1500]"
    )
    add_flags(parser, ("models_dir", "workers"))
    parser.set_defaults(run=_run)


def _run(flags: Namespace) -> int:
    with needing("eval"):
        from ocr_core.bundle import Kind, Registry, store_temperature
        from ocr_core.quality import fit

    settings = load_settings(flags)
    registry = Registry(settings.models_dir)
    bundle = registry.find(flags.model, Kind.RECOGNIZER)
    readings = _readings(flags, bundle, settings)
    if not any(reading.characters for reading in readings):
        raise SetupError(f"no characters were read in {flags.lines}")
    found = fit(readings)
    temperature = store_temperature(registry.folder(bundle), bundle.temperature * found.temperature)
    print(
        f"{bundle.name}/{bundle.version}: temperature {bundle.temperature:g} -> {temperature:g}, fitted to "
        f"{found.characters} characters\nexpected calibration error {found.error:.4f} -> {found.fitted_error:.4f}, "
        f"{found.held_out_error:.4f} on lines held out"
    )
    return 0


def _readings(flags: Namespace, bundle: ModelBundle, settings: Settings) -> list[LineReading]:
    """Labelled lines as the bundle reads them now."""
    from ocr_core.evaluation import LineSet, read_sets
    from ocr_core.types import RecognizeOptions
    from server.app import build_pipeline

    with TemporaryDirectory(prefix="glyphwire-") as scratch:
        if flags.lines is None:
            with needing("training"):
                from training.compress.lines import draw_set
            draw_set(Path(scratch), bundle.charset, flags.line_count)
        name = f"{bundle.name}/{bundle.version}"
        with closing(build_pipeline(settings.model_copy(update={"default_model": name}))) as pipeline:
            pipeline.start()
            with image_progress() as show:
                sets = list(read_sets(pipeline, flags.lines or Path(scratch), RecognizeOptions(), show))
    return [reading for each in sets if isinstance(each, LineSet) for reading in each.readings]
