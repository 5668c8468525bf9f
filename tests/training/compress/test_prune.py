"""Tests of training.compress.prune."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from training.compress.errors import CompressionFailed
from training.compress.prune import PruneSettings, pruned
from training.day_one import Block, DayOneSpec, Excite
from training.network import Crnn, NetworkSpec, RepConv, Sequence, Stage, fuse
from training.slim import PP_OCR_V6_TINY

SEQUENCE = Sequence(classes=5, hidden=4, layers=1, rank=3)
OURS = NetworkSpec(
    stages=(
        Stage(channels=16, blocks=1, stride=(2, 2)),
        Stage(channels=32, blocks=3, stride=(2, 2)),
        Stage(channels=24, blocks=2, stride=(1, 1)),
        Stage(channels=24, blocks=1, stride=(1, 1)),
    ),
    sequence=SEQUENCE,
)
DAY_ONE = DayOneSpec(
    stem=16,
    blocks=(
        Block(channels=24, kernel=(3, 3)),
        Block(channels=48, kernel=(5, 5), stride=(2, 1), excite=True),
        Block(channels=32, kernel=(3, 3), excite=True),
    ),
    pool=(2, 2),
    sequence=SEQUENCE,
)


@pytest.fixture(params=[OURS, DAY_ONE], ids=["ours", "day-one"])
def network(request) -> Crnn:
    """With statistics as after training."""
    torch.manual_seed(5)
    network = request.param.build()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.uniform_(module.bias, -1, 1)
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return network.eval()


def silence(network: Crnn) -> None:
    """Let every third channel, and in excitements every third one in between, be 0 whatever is read."""
    for module in network.backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data[::3] = 0
            module.bias.data[::3] = 0
        if isinstance(module, Excite):
            module.reduce.weight.data[::3] = 0
            module.reduce.bias.data[::3] = 0


def widths(network: Crnn) -> list[int]:
    """Channels that every convolution of the spec emits."""
    spec = network.spec
    if isinstance(spec, DayOneSpec):
        return [spec.stem, *(block.channels for block in spec.blocks)]
    return [stage.channels for stage in spec.stages]


def size(network: Crnn) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def test_channels_that_are_always_0_can_be_cut(network: Crnn) -> None:
    """Without them the same is computed: branches, channel-wise kernels, excitements and the LSTM fit each other."""
    silence(network)
    images = torch.rand(2, 3, 32, 64)
    made = pruned(network, PruneSettings(share=0.3, multiple=1))
    assert size(made) < 0.8 * size(network)
    assert torch.allclose(made(images), network(images), atol=1e-5)


def test_the_network_that_is_given_stays(network: Crnn) -> None:
    """Pruning makes another one."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pruned(network, PruneSettings())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_counts_of_channels_are_multiples(network: Crnn) -> None:
    """Every layer keeps its least share, and a multiple, of channels."""
    made = pruned(network, PruneSettings(share=0.9, least=0.5, multiple=8))
    counts = list(zip(widths(made), widths(network), strict=True))
    assert all(new % 8 == 0 and new >= old / 2 for new, old in counts)
    assert any(new < old for new, old in counts)


@torch.no_grad()
def test_stages_that_have_become_equally_wide_get_an_empty_identity() -> None:
    """The branch that comes with equal widths adds nothing, also when branches are fused."""
    spec = NetworkSpec(
        stages=(Stage(channels=16, blocks=1, stride=(2, 2)), Stage(channels=8, blocks=1, stride=(1, 1))),
        sequence=SEQUENCE,
    )
    torch.manual_seed(5)
    network = spec.build().eval()
    first, second = (module for module in network.modules() if isinstance(module, RepConv))
    for norm in (first.wide_norm, first.point_norm):
        norm.weight.data[::2] = 0
    images = torch.rand(1, 3, 32, 64)
    made = pruned(network, PruneSettings(share=0.3, least=0.1, multiple=8))
    assert second.identity_norm is None
    assert [module.identity_norm is None for module in made.modules() if isinstance(module, RepConv)] == [True, False]
    assert torch.allclose(made(images), network(images), atol=1e-5)
    assert torch.allclose(fuse(made)(images), network(images), atol=1e-4)


def test_a_network_without_batch_norms_is_refused() -> None:
    """Networks of PP-OCRv6's family, such as the default's first, are refused in words."""
    with pytest.raises(CompressionFailed, match="a network of SlimSpec has none"):
        pruned(PP_OCR_V6_TINY.build(), PruneSettings())
