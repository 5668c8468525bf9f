"""`glyphwire models quantize | fuse | compare`: bundles made smaller or faster, measured before and after."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box

from ocr_core.errors import SetupError
from server.reports import table_console
from server.settings import add_flags, load_settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from training.batches import LabelledLine

Step = Callable[[Namespace, Path], tuple[Path, Any]]
"""Makes a bundle of the one in a folder; returns the new folder and a dataclass that says what was done."""

NAMES = ("quantize", "fuse", "compare")


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Flags of the commands."""
    _add_quantize(_add_step(commands, "quantize", "make a bundle that computes or stores in INT8", _quantize))
    _add_fuse(_add_step(commands, "fuse", "make a bundle whose graph has less to compute", _fuse))
    compare = commands.add_parser("compare", help="measure bundles side by side")
    compare.add_argument("models", nargs="+", metavar="NAME[/VERSION]", help="ratios are to the first")
    _add_report(compare)
    compare.set_defaults(run=_compare)


def _add_step(commands: _SubParsersAction[ArgumentParser], name: str, sentence: str, step: Step) -> ArgumentParser:
    parser = commands.add_parser(name, help=sentence)
    parser.add_argument("model", metavar="NAME[/VERSION]", help="bundle of the models folder to begin with")
    parser.add_argument("-o", "--output", required=True, metavar="NAME/VERSION", help="bundle to make")
    parser.add_argument("--lines", type=Path, metavar="DIR", help="labels.tsv and its images, to calibrate with")
    parser.add_argument("--line-count", type=int, default=600, metavar="N", help="lines that take part [600]")
    _add_report(parser)
    parser.set_defaults(run=_run_step, step=step, name=name)
    return parser


def _add_report(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR", help="labelled sets of lines to measure accuracy on")
    parser.add_argument("--rounds", type=int, default=50, metavar="N", help="how often a line is timed [50]")
    parser.add_argument("--format", choices=("table", "markdown", "json"), default="table", help="[table]")
    add_flags(parser, ("models_dir",))


def _add_quantize(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--compute", choices=("convolutions", "all", "none"), help="in INT8 [convolutions; none with --weights]"
    )
    parser.add_argument("--weights", choices=("float16", "int8"), help="how to store weights that stay float")
    parser.add_argument(
        "--max-drop", type=float, default=0.005, metavar="SHARE", help="of lines that may be lost [0.005]"
    )
    parser.add_argument("--full-range", action="store_true", help="for processors with VNNI: weights use all 8 bits")


def _add_fuse(parser: ArgumentParser) -> None:
    parser.add_argument("--logits", action="store_true", help="drop the softmax at the end")
    parser.add_argument("--head-rank", type=int, metavar="N", help="give the last layer this rank")


def _run_step(flags: Namespace) -> int:
    source = _folder(flags, flags.model)
    with _needing("compression"):
        target, details = flags.step(flags, source)
        return _report(flags, flags.name, asdict(details), (source, target))


def _compare(flags: Namespace) -> int:
    with _needing("eval"):
        return _report(flags, "compare", {}, [_folder(flags, model) for model in flags.models])


def _quantize(flags: Namespace, source: Path) -> tuple[Path, Any]:
    from training.compress.quantize import QuantizeSettings, quantize

    settings = QuantizeSettings(
        compute=flags.compute or ("none" if flags.weights else "convolutions"),
        weights=flags.weights or "float32",
        max_drop=flags.max_drop,
        full_range=flags.full_range,
    )
    lines = _lines(flags) if settings.compute != "none" else []
    return quantize(source, load_settings(flags).models_dir, flags.output, lines, settings)


def _fuse(flags: Namespace, source: Path) -> tuple[Path, Any]:
    from training.compress.fuse import FuseSettings, fuse

    lines = _lines(flags) if flags.head_rank is not None else []
    settings = FuseSettings(logits=flags.logits, head_rank=flags.head_rank)
    return fuse(source, load_settings(flags).models_dir, flags.output, lines, settings)


def _lines(flags: Namespace) -> Sequence[LabelledLine]:
    from training.compress.errors import CompressionFailed
    from training.compress.lines import folder_lines

    if flags.lines is None:
        raise CompressionFailed("lines to calibrate with are needed: --lines")
    return folder_lines(flags.lines, flags.line_count)


def _folder(flags: Namespace, model: str) -> Path:
    from ocr_core.bundle import Kind, Registry

    registry = Registry(load_settings(flags).models_dir)
    return registry.folder(registry.find(model, Kind.RECOGNIZER))


def _report(flags: Namespace, step: str, details: dict[str, Any], folders: Sequence[Path]) -> int:
    from training.compress.compare import compare
    from training.compress.report import Report, as_json, tables

    report = Report(step, details, compare(folders, flags.data, flags.rounds))
    if flags.format == "json":
        print(json.dumps(as_json(report), ensure_ascii=False, indent=2))
    else:
        console = table_console()
        for table in tables(report, box.MARKDOWN if flags.format == "markdown" else box.SIMPLE_HEAD):
            console.print(table)
    return 0


@contextmanager
def _needing(extra: str) -> Iterator[None]:
    """Says which extra has what cannot be imported."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise SetupError(f"{error.name} is not installed; pip install 'glyphwire-server[{extra}]'") from None
