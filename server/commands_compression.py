"""`glyphwire models quantize | fuse | prune | distill | compare`: smaller or faster models, measured."""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich import box

from ocr_core.bundle import is_name_and_version
from server.extras import needing
from server.reports import table_console
from server.settings import add_flags, load_settings

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from training.batches import LabelledLine
    from training.compress.retrain import Workshop
    from training.recipe import TrainingRecipe

Step = Callable[[Namespace, Path], tuple[Sequence[Path], Any]]
"""Makes a bundle; is given a folder for what is in between. Returns the folders of what it was made of, of stages in
between and of the new one, and a dataclass that says what was done."""

NAMES = ("quantize", "fuse", "prune", "distill", "compare")

_CHECKPOINT = ".pt"


def add_commands(commands: _SubParsersAction[ArgumentParser]) -> None:
    """Flags of the commands."""
    _add_quantize(commands)
    _add_fuse(commands)
    _add_prune(commands)
    _add_distill(commands)
    compare = commands.add_parser("compare", help="measure bundles side by side")
    compare.add_argument("models", nargs="+", metavar="NAME[/VERSION]", help="ratios are to the first")
    _add_report(compare)
    compare.set_defaults(run=_compare)


def _add_step(commands: _SubParsersAction[ArgumentParser], name: str, sentence: str, step: Step) -> ArgumentParser:
    parser = commands.add_parser(name, help=sentence)
    parser.add_argument("-o", "--output", required=True, type=_new, metavar="NAME/VERSION", help="bundle to make")
    _add_report(parser)
    parser.set_defaults(run=_run_step, step=step, name=name)
    return parser


def _new(text: str) -> str:
    """Checked before minutes of work, not after."""
    if not is_name_and_version(text):
        raise ArgumentTypeError("a bundle is called NAME/VERSION, its name in small letters")
    return text


def _add_report(parser: ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="DIR", help="labelled sets of lines to measure accuracy on")
    parser.add_argument("--rounds", type=int, default=50, metavar="N", help="how often a line is timed [50]")
    parser.add_argument("--format", choices=("table", "markdown", "json"), default="table", help="[table]")
    add_flags(parser, ("models_dir",))


def _add_quantize(commands: _SubParsersAction[ArgumentParser]) -> None:
    parser = _add_step(commands, "quantize", "make a bundle that computes or stores in INT8", _quantize)
    parser.add_argument("model", metavar="NAME[/VERSION]", help="bundle to quantise")
    parser.add_argument(
        "--compute", choices=("dense", "convolutions", "all", "none"), help="in INT8 [dense; none with --weights]"
    )
    parser.add_argument("--weights", choices=("float16", "int8"), help="how to store weights that stay float")
    parser.add_argument(
        "--max-drop", type=float, default=0.005, metavar="SHARE", help="of lines that may be lost [0.005]"
    )
    parser.add_argument("--half-range", action="store_true", help="weights use 7 bits, for processors without VNNI")
    _add_lines(parser)


def _add_fuse(commands: _SubParsersAction[ArgumentParser]) -> None:
    parser = _add_step(commands, "fuse", "make a bundle whose graph has less to compute", _fuse)
    parser.add_argument("model", metavar="NAME[/VERSION]|CHECKPOINT.pt", help="bundle, or network in training")
    parser.add_argument("--logits", action="store_true", help="drop the softmax at the end")
    parser.add_argument("--head-rank", type=int, metavar="N", help="give the last layer this rank")
    parser.add_argument("--onnx", type=Path, metavar="FILE", help="of a checkpoint: also write and check an ONNX file")
    _add_lines(parser)


def _add_lines(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--lines", type=Path, metavar="DIR", help="labels.tsv and its images to calibrate with [drawn lines]"
    )
    parser.add_argument("--line-count", type=int, default=400, metavar="N", help="lines that take part [400]")


def _add_prune(commands: _SubParsersAction[ArgumentParser]) -> None:
    parser = _add_step(commands, "prune", "cut channels of a network and train what is left", _prune)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT.pt", help="network in training")
    parser.add_argument("--share", type=float, default=0.3, help="of all channels, to be cut [0.3]")
    parser.add_argument("--least", type=float, default=0.25, metavar="SHARE", help="that every layer keeps [0.25]")
    _add_training(parser)


def _add_distill(commands: _SubParsersAction[ArgumentParser]) -> None:
    parser = _add_step(commands, "distill", "train a network by a stronger one", _distill)
    parser.add_argument("teacher", metavar="NAME[/VERSION]|FILE.onnx", help="a recogniser")
    _add_training(parser)


def _add_training(parser: ArgumentParser) -> None:
    parser.add_argument("--recipe", required=True, help="how to train: a TOML file, or one of training/recipes by name")
    parser.add_argument("--folder", type=Path, required=True, metavar="DIR", help="for checkpoints and metrics")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"), help="[cpu]")
    parser.add_argument("--limit-s", type=float, default=math.inf, metavar="S", help="stop then [the recipe's end]")


def _run_step(flags: Namespace) -> int:
    with needing("compression"), TemporaryDirectory(prefix="glyphwire-") as scratch:
        folders, details = flags.step(flags, Path(scratch))
        return _report(flags, flags.name, asdict(details), folders)


def _compare(flags: Namespace) -> int:
    with needing("eval"):
        return _report(flags, "compare", {}, [_folder(flags, model) for model in flags.models])


def _quantize(flags: Namespace, _: Path) -> tuple[Sequence[Path], Any]:
    from training.compress.quantize import QuantizeSettings, quantize

    source = _folder(flags, flags.model)
    settings = QuantizeSettings(
        compute=flags.compute or ("none" if flags.weights else "dense"),
        weights=flags.weights or "float32",
        max_drop=flags.max_drop,
        half_range=flags.half_range,
    )
    lines = _lines(flags, source) if settings.compute != "none" else []
    target, details = quantize(source, load_settings(flags).models_dir, flags.output, lines, settings)
    return (source, target), details


def _fuse(flags: Namespace, scratch: Path) -> tuple[Sequence[Path], Any]:
    from training.compress.checkpoints import fuse_checkpoint
    from training.compress.fuse import FuseSettings, fuse

    models_dir = load_settings(flags).models_dir
    if Path(flags.model).suffix == _CHECKPOINT:
        return fuse_checkpoint(Path(flags.model), models_dir, flags.output, scratch, flags.onnx)
    source = _folder(flags, flags.model)
    lines = _lines(flags, source) if flags.head_rank is not None else []
    settings = FuseSettings(logits=flags.logits, head_rank=flags.head_rank)
    target, details = fuse(source, models_dir, flags.output, lines, settings)
    return (source, target), details


def _prune(flags: Namespace, scratch: Path) -> tuple[Sequence[Path], Any]:
    from training.compress.prune import PruneSettings
    from training.compress.retrain import prune

    settings = PruneSettings(share=flags.share, least=flags.least)
    return prune(flags.checkpoint, flags.output, _recipe(flags), settings, _workshop(flags, scratch))


def _distill(flags: Namespace, scratch: Path) -> tuple[Sequence[Path], Any]:
    from training.compress.retrain import distill

    return distill(flags.teacher, flags.output, _recipe(flags), _workshop(flags, scratch))


def _recipe(flags: Namespace) -> TrainingRecipe:
    from training.recipe import find_recipe

    return find_recipe(flags.recipe)


def _workshop(flags: Namespace, scratch: Path) -> Workshop:
    import torch

    from training.compress.retrain import Workshop

    models_dir = load_settings(flags).models_dir
    return Workshop(flags.folder, models_dir, scratch, torch.device(flags.device), flags.limit_s)


def _lines(flags: Namespace, source: Path) -> Sequence[LabelledLine]:
    from ocr_core.bundle import read_bundle
    from training.compress.lines import drawn_lines, folder_lines

    if flags.lines is None:
        return drawn_lines(read_bundle(source).charset, flags.line_count)
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
