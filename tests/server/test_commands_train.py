"""`glyphwire train`."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from server.cli import main


def labels(folder: Path) -> Path:
    path = folder / "labels.tsv"
    for name in ("a", "b"):
        cv2.imwrite(str(folder / f"{name}.png"), np.full((32, 80, 3), 255, np.uint8))
    path.write_text("a.png\t12\nb.png\t3☃\n", encoding="utf-8")
    return path


def test_labelled_lines_become_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command trains from a checkpoint, makes the bundle that it was told to, and says what it did.

    Where no texts and fonts were built it says what that costs.
    """
    pytest.importorskip("torch", reason="needs the extra `training`")
    monkeypatch.chdir(tmp_path)
    from ocr_core.bundle import read_bundle
    from training.checkpoint import CHECKPOINT
    from training.recipe import RECIPES, read_training_recipe
    from training.run import prepare

    recipe = RECIPES / "smoke.toml"
    prepare(read_training_recipe(recipe), tmp_path)
    status = main(
        [
            *("train", "--data", str(labels(tmp_path)), "--name", "snow", "--version", "3"),
            *("--start", str(tmp_path / CHECKPOINT), "--recipe", str(recipe)),
            *("--folder", str(tmp_path / "run"), "--models-dir", str(tmp_path / "models")),
        ]
    )
    printed, complaint = capsys.readouterr()
    assert status == 0
    assert "☃" in read_bundle(tmp_path / "models" / "snow" / "3").characters
    assert "new characters: ☃" in printed
    assert "of 1 lines held back" in printed
    assert "snow/3" in printed
    assert "`python -m training.synth build`" in complaint


def test_a_bad_name_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that no model may have is refused before anything is trained."""
    pytest.importorskip("torch", reason="needs the extra `training`")
    assert main(["train", "--data", str(labels(tmp_path)), "--name", "My Model"]) == 2
    assert "My Model/1 is no name and version of a model" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where PyTorch is missing, the command names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["train", "--data", str(labels(tmp_path))]) == 2
    assert "glyphwire-server[training]" in capsys.readouterr().err
