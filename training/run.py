"""Carries out a training recipe, from its start or from where it was left.

Run: python -m training.run RECIPE FOLDER [--device cpu | cuda] [--threads N] [--limit-s SECONDS]

RECIPE: a TOML file, or the name of one in training/recipes. FOLDER gets checkpoint.pt and optimiser.pt, from which the
same command goes on, best.pt, metrics.jsonl and curves.svg.
"""

from __future__ import annotations

import math
from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from ocr_core.bundle import Kind, Registry
from training.batches import Labeller, bucketed
from training.checkpoint import CHECKPOINT, Checkpoint, halved, load_checkpoint, save_checkpoint, widened
from training.command import run_command
from training.curves import draw_curves
from training.loss import Teaches
from training.original import Original
from training.recipe import MODELS, TrainingRecipe, find_recipe
from training.scores import score
from training.sources import AtlasBatches, BatchSource, DrawnLines, atlas_batches, synth_lines
from training.train import Examine, Trainer, laid_out

TEACHER = "teacher.pt"
"""The recogniser that a network was made of and is taught by, for machines that only train."""


def run(
    recipe: TrainingRecipe, folder: Path, *, device: torch.device, models_dir: Path = MODELS, limit_s: float = math.inf
) -> Checkpoint:
    """Train in a folder until the recipe's end or for limit_s seconds. Returns the last checkpoint.

    models_dir: where the teacher is, when the recipe does not say.
    """
    checkpoint = prepare(recipe, folder)
    source = batch_source(recipe, checkpoint, device)
    trainer = Trainer(
        checkpoint,
        recipe,
        folder,
        source=source,
        teacher=teacher_of(recipe, checkpoint, folder, models_dir, device),
        examine=_examine(recipe, checkpoint, source),
        device=device,
    )
    return trainer.train(limit_s)


def prepare(recipe: TrainingRecipe, folder: Path) -> Checkpoint:
    """The checkpoint of a folder. A folder without gets the one that the recipe starts with."""
    path = folder / CHECKPOINT
    if not path.exists():
        # Needs OpenVINO and other recognisers; a machine that only goes on does not.
        from training.start import starting_checkpoint

        folder.mkdir(parents=True, exist_ok=True)
        save_checkpoint(starting_checkpoint(recipe), path)
    if _has_original(recipe) and not (folder / TEACHER).exists():
        from training.start import SMALL, TEACHER_BUNDLES, small_recogniser

        _, original = small_recogniser(Registry(TEACHER_BUNDLES).find(SMALL, Kind.RECOGNIZER))
        torch.save(halved(original.state_dict()), folder / TEACHER)
    return load_checkpoint(path)


def _has_original(recipe: TrainingRecipe) -> bool:
    """Whether a network is taught by what it was made of."""
    return recipe.distillation is not None and recipe.distillation.columns > 0


def batch_source(recipe: TrainingRecipe, checkpoint: Checkpoint, device: torch.device) -> BatchSource:
    """Lines to train on, as the recipe says."""
    if recipe.data.source == "atlas":
        return atlas_batches(checkpoint.charset, checkpoint.input, recipe.data, device)
    lines = synth_lines(checkpoint.charset, recipe.data, recipe.data.seed)
    return DrawnLines(lines.sample, Labeller(checkpoint.charset), checkpoint.input, recipe.data)


def teacher_of(
    recipe: TrainingRecipe, checkpoint: Checkpoint, folder: Path, models_dir: Path, device: torch.device
) -> Teaches | None:
    """Who teaches the recipe's network, None for nobody. folder: of the run, with what `prepare` put there."""
    if recipe.distillation is None:
        return None
    if _has_original(recipe):
        original = Original().of_classes(torch.arange(checkpoint.charset.class_count))
        original.load_state_dict(widened(torch.load(folder / TEACHER, map_location="cpu", weights_only=True)))
        return laid_out(original.eval().to(device), recipe)
    from training.teacher import load_teacher

    plan = recipe.distillation
    bundles, threads = plan.bundles or models_dir, torch.get_num_threads()
    return load_teacher(bundles, plan.teacher, checkpoint.input, checkpoint.charset, threads=threads)


def _examine(recipe: TrainingRecipe, checkpoint: Checkpoint, source: BatchSource) -> Examine:
    """Scores on the first lines of the validation seed, drawn once."""
    plan, data = recipe.validation, recipe.data
    if isinstance(source, AtlasBatches):
        return partial(score, batches=source.some(plan.seed, plan.lines), charset=checkpoint.charset)
    lines = synth_lines(checkpoint.charset, data, plan.seed)
    batches = list(
        bucketed(
            map(lines.sample, range(plan.lines)),
            Labeller(checkpoint.charset),
            checkpoint.input,
            columns=data.columns,
            max_width=data.max_width,
        )
    )
    return partial(score, batches=batches, charset=checkpoint.charset)


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0."""
    parser = ArgumentParser("python -m training.run", description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--limit-s", type=float, default=math.inf, help="stop after so many seconds [the recipe's end]")
    parser.add_argument("--prepare", action="store_true", help="only write the checkpoint to start from")
    parser.add_argument("--data-root", type=Path, help="folder of texts and fonts, or of the atlas [the recipe's]")
    parser.add_argument("--models-dir", type=Path, default=MODELS)
    flags = parser.parse_args(arguments)
    torch.set_num_threads(flags.threads)
    recipe = find_recipe(flags.recipe)
    if flags.data_root:
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"root": flags.data_root})})
    if flags.prepare:
        prepare(recipe, flags.folder)
        return 0
    device = torch.device(flags.device)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    checkpoint = run(recipe, flags.folder, device=device, models_dir=flags.models_dir, limit_s=flags.limit_s)
    draw_curves(flags.folder)
    print(checkpoint.progress)
    return 0


if __name__ == "__main__":
    run_command(main)
