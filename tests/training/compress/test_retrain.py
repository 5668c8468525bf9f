"""Tests of training.compress.retrain and checkpoints: small networks on few lines, from a checkpoint to a bundle."""

import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")
pytest.importorskip("onnxruntime", reason="needs the extra `compression`")

from ocr_core.bundle import read_bundle
from tests.training.compress.test_onnx_files import onnx_file
from training.checkpoint import CHECKPOINT, load_checkpoint
from training.compress.checkpoints import fuse_checkpoint
from training.compress.compare import compare
from training.compress.errors import CompressionFailed
from training.compress.prune import PruneSettings
from training.compress.retrain import Workshop, distill, prune
from training.recipe import RECIPES, read_training_recipe
from training.run import prepare

SMOKE = read_training_recipe(RECIPES / "smoke.toml")
SETTINGS = PruneSettings(share=0.5, least=0.3, multiple=4)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small network before its first step."""
    folder = tmp_path_factory.mktemp("start")
    prepare(SMOKE, folder)
    return folder / CHECKPOINT


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    """Stops after a step or two."""
    return Workshop(tmp_path / "run", tmp_path / "models", tmp_path / "scratch", torch.device("cpu"), limit_s=0.1)


def test_a_pruned_network_is_trained_on_and_served(start: Path, shop: Workshop) -> None:
    """Before, cut and trained are bundles that load; the cut network has fewer parameters, and goes on learning."""
    stages, done = prune(start, "pruned/2", SMOKE, SETTINGS, shop)
    assert [f"{folder.parent.name}/{folder.name}" for folder in stages] == ["before/1", "cut/1", "pruned/2"]
    assert done.parameters_after < done.parameters_before
    assert done.steps >= 1
    figures = compare(stages, rounds=1)
    assert figures[1].size_mb < figures[0].size_mb
    assert math.isclose(figures[2].size_mb, figures[1].size_mb, rel_tol=0.01)
    weights = [load_checkpoint(path).weights["classifier.weight"] for path in (start, shop.folder / CHECKPOINT)]
    assert not torch.equal(*weights)


def test_a_run_is_not_overwritten(start: Path, shop: Workshop) -> None:
    """Pruning into a folder with a checkpoint is refused."""
    with pytest.raises(CompressionFailed, match="holds a run already"):
        prune(start, "pruned/2", SMOKE, SETTINGS, Workshop(start.parent, shop.models_dir, shop.scratch, shop.device))


def test_an_onnx_file_teaches(tmp_path: Path, shop: Workshop) -> None:
    """A recogniser that is nothing but an ONNX file is the teacher, and the recipe's network learns from it."""
    prepare(SMOKE, shop.folder)
    teacher = onnx_file(tmp_path / "teacher.onnx", characters="0\n1\n", classes=4)
    stages, done = distill(str(teacher), "student/1", SMOKE, shop)
    assert [read_bundle(folder).name for folder in stages] == ["teacher", "before", "student"]
    assert done.parameters_after == done.parameters_before
    assert (shop.folder / CHECKPOINT).exists()


def test_a_fused_checkpoint_agrees_with_its_onnx_file(start: Path, tmp_path: Path) -> None:
    """ONNX Runtime computes what PyTorch computes, and branches are gone."""
    onnx = tmp_path / "network.onnx"
    folders, done = fuse_checkpoint(start, tmp_path / "models", "fused/1", tmp_path / "scratch", onnx)
    assert onnx.exists()
    assert done.difference is not None
    assert done.difference < 1e-4
    assert done.modules_after < done.modules_before
    sizes = [figures.size_mb for figures in compare(folders, rounds=1)]
    assert sizes[1] < sizes[0]
