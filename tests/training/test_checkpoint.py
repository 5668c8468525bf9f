"""Checkpoints."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.bundle import InputFormat
from training.checkpoint import Checkpoint, CheckpointInvalid, Progress, halved, load_checkpoint, save_checkpoint
from training.network import NetworkSpec, Sequence, Stage

SPEC = NetworkSpec(
    stages=(Stage(channels=8, blocks=2, stride=(2, 2)),), sequence=Sequence(classes=4, hidden=3, layers=1, rank=2)
)


def test_a_checkpoint_brings_back_all_that_it_holds(tmp_path: Path) -> None:
    """A saved checkpoint has the same description and, but for rounding, the same weights; vectors are exact."""
    network = SPEC.build().eval()
    weights = halved(network.state_dict())
    saved = Checkpoint(
        spec=SPEC,
        characters=("a", " ", "é"),
        blank_index=0,
        input=InputFormat(height=32, channels="BGR", mean=(0.5,) * 3, std=(0.5,) * 3),
        progress=Progress(step=3, lines=40, seconds=1.5),
        source="somewhere",
        weights=weights,
        averaged=weights,
    )
    save_checkpoint(saved, tmp_path / "a.pt")
    loaded = load_checkpoint(tmp_path / "a.pt")
    tensors = {"weights", "averaged"}
    assert loaded.model_dump(exclude=tensors) == saved.model_dump(exclude=tensors)
    for name, tensor in loaded.network().state_dict().items():
        rounding = {"rtol": 1e-3, "atol": 1e-6} if tensor.ndim > 1 else {"rtol": 0, "atol": 0}
        torch.testing.assert_close(tensor, network.state_dict()[name], **rounding)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_weights_that_are_averaged_already_are_written_once(tmp_path: Path) -> None:
    """A checkpoint to start from, whose two sets of weights are the same tensors, takes half the room."""
    spec = SPEC.model_copy(update={"sequence": SPEC.sequence.model_copy(update={"classes": 9000, "rank": 40})})
    weights = halved(spec.build().state_dict())
    one = Checkpoint(
        spec=spec,
        characters=("a",),
        blank_index=0,
        input=InputFormat(height=32, channels="BGR", mean=(0.5,) * 3, std=(0.5,) * 3),
        source="",
        weights=weights,
        averaged=weights,
    )
    save_checkpoint(one, tmp_path / "one.pt")
    moved = {name: tensor + 1 for name, tensor in weights.items()}
    save_checkpoint(one.model_copy(update={"weights": moved}), tmp_path / "two.pt")
    sizes = [(tmp_path / name).stat().st_size for name in ("one.pt", "two.pt")]
    assert sizes[0] < 0.6 * sizes[1]
    assert torch.equal(load_checkpoint(tmp_path / "two.pt").weights["classifier.bias"], moved["classifier.bias"])


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 nor this"])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, content: bytes) -> None:
    """Whatever else the file holds, its name is in the message."""
    path = tmp_path / "other.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointInvalid, match=r"other\.pt is no checkpoint"):
        load_checkpoint(path)


def test_other_content_is_no_checkpoint(tmp_path: Path) -> None:
    """Tensors alone are none either."""
    torch.save({"weights": {}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointInvalid):
        load_checkpoint(tmp_path / "other.pt")
