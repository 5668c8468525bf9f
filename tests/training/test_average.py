"""Means of checkpoints."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.bundle import InputFormat
from ocr_core.errors import SetupError
from training.average import averaged, main
from training.checkpoint import Checkpoint, halved, load_checkpoint, save_checkpoint
from training.network import NetworkSpec, Sequence, Stage


def checkpoint(channels: int, seed: int) -> Checkpoint:
    torch.manual_seed(seed)
    stages = (Stage(channels=channels, blocks=1, stride=(2, 2)),)
    spec = NetworkSpec(stages=stages, sequence=Sequence(classes=4, hidden=3, layers=1, rank=2))
    weights = halved(spec.build().state_dict())
    wanted = InputFormat(height=32, channels="BGR", mean=(0.5,) * 3, std=(0.5,) * 3)
    return Checkpoint(
        spec=spec, characters=("a", "b", "c"), blank_index=0, input=wanted, source="", weights=weights, averaged=weights
    )


def test_weights_are_means(tmp_path: Path) -> None:
    """Each weight is the weighted mean, and the file holds it once."""
    one, other = checkpoint(8, 1), checkpoint(8, 2)
    save_checkpoint(one, tmp_path / "one.pt")
    save_checkpoint(other, tmp_path / "other.pt")
    main([str(tmp_path / "mean.pt"), "3", str(tmp_path / "one.pt"), "1", str(tmp_path / "other.pt")])
    mean = load_checkpoint(tmp_path / "mean.pt")
    name = "backbone.0.wide.weight"
    expected = 0.75 * one.averaged[name].float() + 0.25 * other.averaged[name].float()
    torch.testing.assert_close(mean.averaged[name].float(), expected, rtol=1e-3, atol=1e-4)


def test_different_networks_have_no_mean() -> None:
    """Checkpoints of networks of other shapes are refused."""
    with pytest.raises(SetupError, match="different networks"):
        averaged([(1.0, checkpoint(8, 1)), (1.0, checkpoint(16, 1))])


@pytest.mark.parametrize("arguments", [["out.pt"], ["out.pt", "1"], ["out.pt", "much", "one.pt"]])
def test_weights_and_checkpoints_come_in_pairs(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Anything else is refused with a line about how the command is used."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m training.average" in capsys.readouterr().err
