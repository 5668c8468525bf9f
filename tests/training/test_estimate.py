"""What a step of a run is counted to take."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from training.checkpoint import load_checkpoint
from training.estimate import Cost, Gpu, composing_cost, drawn_out, training_cost
from training.recipe import find_recipe
from training.run import prepare


def test_the_slowest_part_decides() -> None:
    """Work takes as long as its operations, its bytes or starting its kernels, whichever is longest."""
    gpu = Gpu(flops=100, bytes=10, launch_s=0.5)
    assert Cost(flops=500, bytes=20, kernels=4).seconds_on(gpu) == 5
    assert Cost(flops=500, bytes=60, kernels=4).seconds_on(gpu) == 6
    assert Cost(flops=500, bytes=60, kernels=14).seconds_on(gpu) == 7


def test_what_grows_with_the_batch_is_drawn_out() -> None:
    """Of two sizes the constant part stays and the rest grows; kernels are as many in a batch of any size."""
    small = Cost(columns=100, lines=1, flops=7 + 100, bytes=10, kernels=9)
    large = Cost(columns=200, lines=2, flops=7 + 200, bytes=20, kernels=10)
    assert drawn_out(small, large, 1000) == Cost(1000, 10, 7 + 1000, 100, 10)


def test_a_step_is_counted(tmp_path: Path) -> None:
    """Of each batch its lines and what training on it takes; the run is left as it was."""
    recipe = find_recipe("smoke")
    before = prepare(recipe, tmp_path)
    made, trained = composing_cost(recipe, before), training_cost(recipe, tmp_path, 512)
    assert made.lines >= 1
    assert made.columns > trained.columns
    assert trained.lines >= 1
    assert trained.flops > 1e6
    assert trained.bytes > 1e6
    assert trained.kernels > 100
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert load_checkpoint(tmp_path / "checkpoint.pt").progress == before.progress
