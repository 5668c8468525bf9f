"""Whole runs, small: started, resumed, exported, served."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.bundle import Kind, Registry, read_bundle
from ocr_core.language_dir import LanguageDir
from ocr_core.preprocess import whole_image
from ocr_core.recognizer import load_recognizer
from ocr_core.types import RecognizeOptions
from training.batches import LabelledLine, Labeller, make_line_batch
from training.checkpoint import CHECKPOINT, load_checkpoint
from training.curves import draw_curves
from training.export import export
from training.network import fuse
from training.recipe import RECIPES, TrainingRecipe, find_recipe, read_training_recipe
from training.run import TEACHER, prepare, run
from training.synth.atlas.glyphs import build_atlas
from training.synth.atlas.stream import save_lines
from training.synth.fonts import load_fonts
from training.train import BEST, METRICS

SMOKE = read_training_recipe(RECIPES / "smoke.toml")
CPU = torch.device("cpu")


def with_steps(steps: int) -> TrainingRecipe:
    return SMOKE.model_copy(update={"optimiser": SMOKE.optimiser.model_copy(update={"steps": steps})})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run(SMOKE, folder, device=CPU)
    return folder


def rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(row) for row in (folder / METRICS).read_text().splitlines()]


def test_a_run_ends_where_its_recipe_says(trained: Path) -> None:
    """A run makes the recipe's steps and leaves its last and its best checkpoint, metrics and curves."""
    checkpoint = load_checkpoint(trained / CHECKPOINT)
    assert checkpoint.progress.step == SMOKE.optimiser.steps
    assert checkpoint.progress.lines >= SMOKE.optimiser.steps
    assert load_checkpoint(trained / BEST).spec == checkpoint.spec
    assert [row["step"] for row in rows(trained) if "exact" in row][-1] == SMOKE.optimiser.steps
    assert draw_curves(trained).read_text().startswith("<?xml")


def test_losses_and_scores_are_written_and_drawn(trained: Path) -> None:
    """Metrics have the loss, and exact match and CER of before and after; the picture has all three."""
    assert all(row["ctc"] > 0 for row in rows(trained) if "rate" in row)
    looks = [(row["step"], 0 <= row["exact"] <= 1, row["cer"] > 0) for row in rows(trained) if "exact" in row]
    assert looks == [(0, True, True), (SMOKE.optimiser.steps, True, True)]
    picture = draw_curves(trained).read_text()
    assert {name for name in ("ctc", "exact", "cer") if f"<!-- {name} -->" in picture} == {"ctc", "exact", "cer"}


def test_a_resumed_run_goes_on(tmp_path: Path) -> None:
    """A run that was stopped goes on at its step, with lines that it has not seen and what its optimiser knew."""
    first = run(with_steps(2), tmp_path, device=CPU)
    second = run(with_steps(4), tmp_path, device=CPU)
    assert (first.progress.step, second.progress.step) == (2, 4)
    assert second.progress.lines > first.progress.lines
    assert second.progress.seconds > first.progress.seconds
    moved = [
        not torch.equal(second.weights[name], first.weights[name])
        for name in ("classifier.weight", "lstm.weight_hh_l0")
    ]
    assert all(moved)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a tiny atlas of the fonts that come along."""
    characters = tuple(" 0123456789ABCDEFGHIJabcdefghij")
    folder = tmp_path / "atlas"
    folder.mkdir()
    build_atlas(load_fonts(None, characters).faces[:2], characters).save(folder / "atlas.npz")
    save_lines(folder / "lines.xz", ["a 2.50 bad deed", "head 12 feed", "ace 99 cab"])
    return tmp_path


def small(recipe: TrainingRecipe, **data: object) -> TrainingRecipe:
    """A recipe with little of everything."""
    return recipe.model_copy(
        update={
            "start": recipe.start.model_copy(update={"refit_lines": 12}),
            "data": recipe.data.model_copy(update={"columns": 1024, "workers": 0, **data}),
            "optimiser": recipe.optimiser.model_copy(update={"steps": 2, "bf16": False}),
            "validation": recipe.validation.model_copy(update={"lines": 4}),
        }
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_network_made_of_the_small_recogniser_learns_from_it(root: Path, tmp_path: Path) -> None:
    """Its recipes start on one machine and go on on another, which has the folder alone and composes its lines."""
    folder = tmp_path / "run"
    prepare(small(find_recipe("cpu-small"), root=None), folder)
    begun = load_checkpoint(folder / CHECKPOINT)
    after = run(small(find_recipe("gpu-small"), root=root), folder, device=CPU)
    assert after.progress.step == 2
    (row,) = (row for row in rows(folder) if "columns" in row)
    assert row["trusted"] == 1
    assert row["distillation"] > 0
    assert 0 < row["columns"] < 2
    assert not torch.equal(after.weights["classifier.weight"], begun.weights["classifier.weight"])
    assert {(folder / name).stat().st_size < 16 * 2**20 for name in (CHECKPOINT, TEACHER)} == {True}


def test_an_exported_checkpoint_is_served_as_it_was_trained(trained: Path, tmp_path: Path) -> None:
    """The bundle of a checkpoint loads, and emits the probabilities of the averaged network."""
    folder = export(trained / CHECKPOINT, tmp_path, "smoke", "1")
    bundle = Registry(tmp_path).find("smoke", Kind.RECOGNIZER)
    assert read_bundle(folder) == bundle
    recognizer = load_recognizer(bundle, folder, LanguageDir(tmp_path), workers=1, precision="f32", backend="compiled")
    pixels = np.random.default_rng(7).integers(0, 256, (32, 90, 3), np.uint8)
    (read,) = recognizer.read([whole_image(pixels)], [RecognizeOptions()])
    checkpoint = load_checkpoint(trained / CHECKPOINT)
    batch = make_line_batch([LabelledLine(pixels, "1")], Labeller(checkpoint.charset), checkpoint.input)
    with torch.no_grad():
        probs = fuse(checkpoint.network())(batch.images).softmax(2)
    expected = recognizer.decoders.find(RecognizeOptions().decode.language).best_path(probs.numpy())[0][0]
    assert read.line.text == expected.text
    assert read.line.confidence == pytest.approx(expected.confidence, abs=1e-3)
