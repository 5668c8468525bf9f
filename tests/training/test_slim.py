"""The PP-OCRv6 tiny recogniser as a network with an LSTM."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")
onnx = pytest.importorskip("onnx", reason="needs the extra `training`")

from torch import nn

from training.network import fuse
from training.slim import PP_OCR_V6_TINY, SlimSpec, read_slim

# Of PyTorch: that another exporter is newer, which would fold batch norms.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def write_onnx(path: Path, network: nn.Module) -> None:
    """With batch norms of their own, as in the published file."""
    torch.onnx.export(
        network.eval(),
        (torch.zeros(1, 3, 48, 64),),
        str(path),
        opset_version=17,
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,
        dynamic_axes={"x": {0: "line", 3: "width"}},
        input_names=["x"],
    )


class Published(nn.Module):
    """The recogniser as it is published, without LSTM."""

    def __init__(self) -> None:
        super().__init__()
        network = PP_OCR_V6_TINY.build()
        columns = PP_OCR_V6_TINY.blocks[-1].channels
        self.backbone = network.backbone
        self.bottleneck = nn.Linear(columns, PP_OCR_V6_TINY.sequence.rank)
        self.classifier = network.classifier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        columns = self.backbone(images).squeeze(2).transpose(1, 2)
        logits: torch.Tensor = self.classifier(self.bottleneck(columns))
        return logits


@pytest.fixture
def published() -> Published:
    torch.manual_seed(2)
    network = Published().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                value.add_(0.2 * torch.rand_like(value))
    return network


def test_it_computes_what_the_recogniser_does(published: Published, tmp_path: Path) -> None:
    """Weights read from a file give its logits, fused or not."""
    write_onnx(tmp_path / "network.onnx", published)
    network = read_slim(tmp_path / "network.onnx")
    images = torch.randn(2, 3, 48, 96)
    with torch.no_grad():
        wanted = published(images)
        for one in (network, fuse(network)):
            assert wanted.shape == (2, 12, 6906)
            torch.testing.assert_close(one(images), wanted, rtol=1e-3, atol=1e-4)


def test_another_file_is_refused(tmp_path: Path) -> None:
    """A file of other layers is not taken for the recogniser."""
    write_onnx(tmp_path / "network.onnx", nn.Sequential(nn.Conv2d(3, 24, 3, bias=False), nn.BatchNorm2d(24)))
    with pytest.raises(ValueError, match="is not the PP-OCRv6 tiny recogniser"):
        read_slim(tmp_path / "network.onnx")


def test_the_lstm_is_heard_when_it_has_learnt(published: Published, tmp_path: Path) -> None:
    """At first the LSTM changes nothing; a gradient reaches the weights by which the head listens to it."""
    write_onnx(tmp_path / "network.onnx", published)
    network = read_slim(tmp_path / "network.onnx")
    images = torch.randn(1, 3, 48, 64)
    before = network(images).detach()
    nn.init.normal_(network.lstm.weight_hh_l0)
    logits = network(images)
    torch.testing.assert_close(logits.detach(), before)
    logits.logsumexp(2).mean().backward()
    gradient = network.bottleneck.weight.grad
    assert gradient is not None
    assert gradient[:, : 2 * network.lstm.hidden_size].count_nonzero() > 0


def test_a_spec_survives_a_file() -> None:
    """A network is built from its description as JSON."""
    assert SlimSpec.model_validate_json(PP_OCR_V6_TINY.model_dump_json()) == PP_OCR_V6_TINY
