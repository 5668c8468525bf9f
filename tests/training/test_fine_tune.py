"""Training on labelled lines."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.bundle import read_bundle
from ocr_core.errors import RecipeFailed
from training.checkpoint import CHECKPOINT, Progress, load_checkpoint
from training.curves import CURVES
from training.fine_tune import fine_tune
from training.recipe import RECIPES, Distillation, read_training_recipe
from training.run import prepare
from training.train import METRICS

SMOKE = read_training_recipe(RECIPES / "smoke.toml")


def labelled(folder: Path, texts: list[str]) -> Path:
    rows = []
    for number, text in enumerate(texts):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((32, 20 * len(text), 3), 200 + number, np.uint8))
        rows.append(f"{number}.png\t{text}\n")
    path = folder / "labels.tsv"
    path.write_text("".join(rows), encoding="utf-8")
    return path


def test_new_characters_join_the_charset(tmp_path: Path) -> None:
    """Characters of the labels that the start lacks come behind its own, and the bundle made of the result has them."""
    start = prepare(SMOKE, tmp_path / "start")
    path = labelled(tmp_path, ["12", "3☃", "ab", "☃c"])
    recipe = SMOKE.model_copy(update={"name": "snow", "version": "2"})
    made = fine_tune(start, path, recipe, tmp_path / "run", tmp_path / "models", device=torch.device("cpu"))
    assert made.added == ("☃",)
    assert made.before.lines == made.after.lines == 1
    bundle = read_bundle(tmp_path / "models" / "snow" / "2")
    assert bundle.characters == (*start.characters, "☃")
    assert load_checkpoint(tmp_path / "run" / CHECKPOINT).spec.sequence.classes == len(start.characters) + 2


def test_what_the_start_was_trained_for_does_not_count(tmp_path: Path) -> None:
    """A start that has had more training than the recipe gives is trained for as long as the recipe says."""
    start = prepare(SMOKE, tmp_path / "start")
    tired = start.model_copy(update={"progress": Progress(step=401, lines=9614, seconds=3600.0)})
    path = labelled(tmp_path, ["12", "34", "ab"])
    fine_tune(tired, path, SMOKE, tmp_path / "run", tmp_path / "models", device=torch.device("cpu"))
    assert load_checkpoint(tmp_path / "run" / CHECKPOINT).progress.step == SMOKE.optimiser.steps


def test_the_start_is_the_teacher(tmp_path: Path) -> None:
    """With a distillation in the recipe lines also teach what the start reads in them, and curves are drawn."""
    start = prepare(SMOKE, tmp_path / "start")
    teaching = Distillation(teacher="start", weight=1.0, until=math.inf, trusts="all")
    recipe = SMOKE.model_copy(update={"distillation": teaching})
    path = labelled(tmp_path, ["12", "3☃", "ab"])
    fine_tune(start, path, recipe, tmp_path / "run", tmp_path / "models", device=torch.device("cpu"))
    rows = map(json.loads, (tmp_path / "run" / METRICS).read_text().splitlines())
    assert [row["trusted"] for row in rows if "distillation" in row] == [1]
    assert (tmp_path / "run" / CURVES).exists()


def test_a_missing_image_is_told_at_once(tmp_path: Path) -> None:
    """A row whose image is not there is named before anything is trained."""
    start = prepare(SMOKE, tmp_path / "start")
    path = labelled(tmp_path, ["12", "34", "ab"])
    (tmp_path / "1.png").unlink()
    with pytest.raises(RecipeFailed, match=r"names 1 images that are not there, the first is .*1\.png"):
        fine_tune(start, path, SMOKE, tmp_path / "run", tmp_path / "models", device=torch.device("cpu"))
    assert not (tmp_path / "run").exists()


def test_one_line_is_too_few(tmp_path: Path) -> None:
    """Nothing is trained when no line could be held back."""
    start = prepare(SMOKE, tmp_path / "start")
    with pytest.raises(RecipeFailed, match="1 labelled lines are too few"):
        fine_tune(start, labelled(tmp_path, ["1"]), SMOKE, tmp_path, tmp_path, device=torch.device("cpu"))
