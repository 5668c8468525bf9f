"""Our network and its fusion."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from torch import nn

from training.network import Crnn, NetworkSpec, RepConv, Sequence, Stage, fuse

SPEC = NetworkSpec(
    stages=(Stage(channels=8, blocks=2, stride=(2, 2)), Stage(channels=12, blocks=2, stride=(2, 1))),
    sequence=Sequence(classes=11, hidden=5, layers=2, rank=4),
)


def trained(spec: NetworkSpec) -> Crnn:
    """A network whose batch norms have statistics and weights unlike those of a new one."""
    torch.manual_seed(0)
    network = spec.build()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    for _ in range(20):
        network(torch.randn(4, 3, 32, 40))
    return network.eval()


def test_columns_become_timesteps() -> None:
    """Logits have a timestep for each stride of columns, whatever the height, and all classes."""
    network = SPEC.build().eval()
    assert network(torch.zeros(2, 3, 32, 64)).shape == (2, 32, 11)
    assert network(torch.zeros(1, 3, 48, 30)).shape == (1, 15, 11)


def test_fusion_changes_no_result() -> None:
    """A fused network is plain convolutions and computes what the unfused one does."""
    network = trained(SPEC)
    fused = fuse(network)
    lines = torch.randn(3, 3, 32, 64)
    torch.testing.assert_close(fused(lines), network(lines), rtol=1e-4, atol=1e-5)
    kinds = {type(module) for module in fused.modules()}
    assert not kinds & {RepConv, nn.BatchNorm2d}
    assert any(isinstance(module, RepConv) for module in network.modules()), "the given network has been changed"


def test_descriptions_survive_json() -> None:
    """A spec read back from JSON builds a network that takes the weights of the first."""
    copied = NetworkSpec.model_validate_json(SPEC.model_dump_json())
    copied.build().load_state_dict(SPEC.build().state_dict())
    assert copied == SPEC
