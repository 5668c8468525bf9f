"""Networks that are trained on: after channels were cut, or by a stronger teacher. Each stage is left as a bundle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch

from ocr_core.bundle import Kind, Registry
from training.checkpoint import CHECKPOINT, Checkpoint, Progress, halved, load_checkpoint, save_checkpoint
from training.compress.errors import CompressionFailed
from training.compress.onnx_files import bundle_of
from training.compress.prune import PruneSettings, pruned
from training.export import export
from training.recipe import Distillation, TrainingRecipe
from training.run import prepare, run

Stages = tuple[Path, ...]
"""Bundles in the order in which they came to be; the last one is the result."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Where a network is trained on.

    folder: of the run, with its checkpoints; models_dir: for the result; scratch: for bundles of earlier stages and of
    teachers; limit_s: seconds after which training stops, if the recipe does not end it before.
    """

    folder: Path
    models_dir: Path
    scratch: Path
    device: torch.device
    limit_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Retrained:
    """parameters: numbers that the network has, at first and in the end. steps, lines, seconds: of training."""

    parameters_before: int
    parameters_after: int
    steps: int
    lines: int
    seconds: float


def prune(
    source: Path, model: str, recipe: TrainingRecipe, settings: PruneSettings, shop: Workshop
) -> tuple[Stages, Retrained]:
    """Cut channels of the network of a checkpoint, train what is left, and make bundle `model` ("name/version") of it.

    Returns bundles of before the cut, after it, and after training. Raises CompressionFailed when the folder holds a
    run already.
    """
    if (shop.folder / CHECKPOINT).exists():
        raise CompressionFailed(f"{shop.folder} holds a run already; python -m training.run goes on with it")
    before = load_checkpoint(source)
    shop.folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(_cut(before, settings), shop.folder / CHECKPOINT)
    stages = (export(source, shop.scratch, "before", "1"), export(shop.folder / CHECKPOINT, shop.scratch, "cut", "1"))
    result, done = _trained(before, model, recipe, shop.models_dir, shop)
    return (*stages, result), done


def distill(teacher: str, model: str, recipe: TrainingRecipe, shop: Workshop) -> tuple[Stages, Retrained]:
    """Train the network of a recipe by a teacher, and make bundle `model` ("name/version") of it.

    teacher: name of a bundle, or path of the ONNX file of a recogniser. Returns bundles of the teacher, and of the
    network before and after.
    """
    path = Path(teacher)
    folder = bundle_of(path, shop.scratch, "teacher") if path.suffix == ".onnx" else _find(teacher, shop.models_dir)
    before = prepare(recipe, shop.folder)
    stages = (folder, export(shop.folder / CHECKPOINT, shop.scratch, "before", "1"))
    plan = recipe.distillation or Distillation(teacher="", weight=1.0, until=1.0)
    plan = plan.model_copy(update={"teacher": f"{folder.parent.name}/{folder.name}"})
    taught = recipe.model_copy(update={"distillation": plan})
    result, done = _trained(before, model, taught, folder.parent.parent, shop)
    return (*stages, result), done


def _find(model: str, models_dir: Path) -> Path:
    registry = Registry(models_dir)
    return registry.folder(registry.find(model, Kind.RECOGNIZER))


def _cut(checkpoint: Checkpoint, settings: PruneSettings) -> Checkpoint:
    """The averaged network with fewer channels, as a start."""
    network = pruned(checkpoint.network(), settings)
    weights = halved(network.state_dict())
    changes = {"spec": network.spec, "weights": weights, "averaged": weights, "progress": Progress()}
    return checkpoint.model_copy(update=changes | {"source": f"{checkpoint.source}; channels pruned"})


def _trained(
    before: Checkpoint, model: str, recipe: TrainingRecipe, teachers: Path, shop: Workshop
) -> tuple[Path, Retrained]:
    """Carry out a recipe in the folder and export what came of it. teachers: folder of models for the recipe's."""
    checkpoint = run(recipe, shop.folder, device=shop.device, models_dir=teachers, limit_s=shop.limit_s)
    name, _, version = model.partition("/")
    result = export(shop.folder / CHECKPOINT, shop.models_dir, name, version)
    progress = checkpoint.progress
    sizes = (_size(before), _size(checkpoint))
    return result, Retrained(*sizes, progress.step, progress.lines, progress.seconds)


def _size(checkpoint: Checkpoint) -> int:
    return sum(parameter.numel() for parameter in checkpoint.network().parameters())
