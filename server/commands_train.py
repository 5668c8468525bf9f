"""`glyphwire train`: a recogniser trained further on labelled lines."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from server.extras import needing
from server.settings import add_flags, load_settings

if TYPE_CHECKING:
    from ocr_core.evaluation import LineScore

_RUNS = Path("build/training")
_FEW_WORDS = (
    "lines are drawn of the few words that come with the code, so what the model knows besides your lines, Chinese "
    "above all, will be forgotten; `python -m training.synth build` brings texts and fonts, once"
)


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the command."""
    parser.add_argument(
        "--data", type=Path, required=True, metavar="labels.tsv", help='rows of "path<TAB>text", one per line image'
    )
    parser.add_argument("--name", default="own", help="name of the model to make [own]")
    parser.add_argument("--version", default="1", help="its version [1]")
    parser.add_argument(
        "--start", type=Path, metavar="FILE", help="checkpoint to start from [that of the default model]"
    )
    parser.add_argument("--minutes", type=float, help="how long to train [20]")
    parser.add_argument("--share", type=float, default=0.5, help="share of labelled lines among drawn ones [0.5]")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="how to train [training/recipes/fine-tune.toml]")
    parser.add_argument("--folder", type=Path, help=f"where checkpoints and metrics go [{_RUNS}/NAME]")
    add_flags(parser, ("models_dir", "default_model"))
    parser.set_defaults(run=run)


def run(flags: Namespace) -> int:
    """Train, export, say how well held-back lines are read; returns 0."""
    with needing("training"):
        import torch

        from training.fine_tune import fine_tune
    from ocr_core.bundle import Kind, Registry, is_name_and_version
    from ocr_core.errors import RecipeFailed
    from training.checkpoint import load_checkpoint
    from training.recipe import RECIPES, read_training_recipe
    from training.start import checkpoint_of
    from training.synth.samples import BUILT, is_built

    if not is_name_and_version(f"{flags.name}/{flags.version}"):
        raise RecipeFailed(f"{flags.name}/{flags.version} is no name and version of a model: small letters and digits")
    settings = load_settings(flags)
    recipe = read_training_recipe(flags.recipe or RECIPES / "fine-tune.toml")
    changes: dict[str, object] = {"name": flags.name, "version": flags.version}
    if flags.minutes is not None:
        changes["optimiser"] = recipe.optimiser.model_copy(update={"minutes": flags.minutes})
    if recipe.data.root is None and is_built():
        changes["data"] = recipe.data.model_copy(update={"root": BUILT})
    elif recipe.data.root is None:
        print(_FEW_WORDS, file=sys.stderr)
    if flags.start:
        start = load_checkpoint(flags.start)
    else:
        bundle = Registry(settings.models_dir).find(settings.default_model, Kind.RECOGNIZER)
        start = checkpoint_of(bundle, settings.models_dir)
    result = fine_tune(
        start,
        flags.data,
        recipe.model_copy(update=changes),
        flags.folder or _RUNS / flags.name,
        settings.models_dir,
        share=flags.share,
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    if result.added:
        print(f"new characters: {''.join(result.added)}")
    print(_sentence("before", result.before))
    print(_sentence("after", result.after))
    print(f"made {result.folder}; try it with --default-model {flags.name}/{flags.version}")
    return 0


def _sentence(when: str, score: LineScore) -> str:
    return f"{when}: {score.exact:.1%} of {score.lines} lines held back read exactly, CER {score.cer:.1%}"
