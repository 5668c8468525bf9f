"""Slim networks with less to compute."""

from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from torch import Tensor, nn

from training.network import Crnn, NetworkSpec, Sequence, Stage
from training.shrink import shrunk
from training.slim import Mixer, SlimBlock, SlimSpec

SEQUENCE = Sequence(classes=9, hidden=4, layers=1, rank=6)
SPEC = SlimSpec(
    stem=(8, 16),
    blocks=(
        SlimBlock(channels=16, excite=True),
        SlimBlock(channels=16, stride=(2, 1)),
        SlimBlock(channels=16, excite=True),
        SlimBlock(channels=24, stride=(2, 1)),
    ),
    pool=(2, 2),
    sequence=SEQUENCE,
)


@pytest.fixture
def network() -> Crnn:
    torch.manual_seed(8)
    return SPEC.build().eval()


def smooth_lines(count: int) -> list[Tensor]:
    smooth = nn.AvgPool2d(3, 1, 1)
    return [smooth(3 * torch.randn(8, 3, 32, 64)) for _ in range(count)]


def distance(one: Crnn, other: Crnn, lines: list[Tensor]) -> float:
    """Mean square of what pooled columns differ by, in units of their variance."""
    with torch.no_grad():
        pairs = [(one.pooled(line), other.pooled(line)) for line in lines]
    return float(sum((a - b).square().mean() / b.var() for a, b in pairs)) / len(pairs)


def test_nothing_changes_where_nothing_is_asked_for(network: Crnn) -> None:
    """With all channels and the activation that it had, a network computes what it did."""
    lines = smooth_lines(4)
    assert distance(shrunk(network, lines), network, smooth_lines(2)) < 1e-3


@pytest.mark.parametrize(
    ("shrink", "limit"),
    [
        (lambda network, lines: shrunk(network, lines, activation="hardswish"), 0.02),
        (lambda network, lines: shrunk(network, lines, between=[24, 24, 24, 24]), 0.1),
        (lambda network, lines: shrunk(network, lines, halve_at=1), 0.3),
    ],
    ids=["activation", "channels", "columns"],
)
def test_a_shrunk_network_comes_close(
    network: Crnn, shrink: Callable[[Crnn, list[Tensor]], Crnn], limit: float
) -> None:
    """On lines that were not fitted to, a smaller network emits nearly what the larger one does."""
    small = shrink(network, smooth_lines(6))
    assert distance(small, network, smooth_lines(2)) < limit
    assert small(torch.zeros(1, 3, 32, 64)).shape == network(torch.zeros(1, 3, 32, 64)).shape


def test_channels_that_say_nothing_of_their_own_go_first(network: Crnn) -> None:
    """Half the channels of a block repeat the other half: without half of them it computes what it did."""
    block = next(part for part in network.backbone if isinstance(part, Mixer))
    first = block.channels[0]
    with torch.no_grad():
        first.weight[16:], first.bias[16:] = first.weight[:16], first.bias[:16]
    small = shrunk(network, smooth_lines(6), between=[16, 32, 32, 32])
    assert distance(small, network, smooth_lines(2)) < 1e-3


def test_other_networks_are_refused(network: Crnn) -> None:
    """A network of another family, one that was shrunk already and a wrong number of blocks are errors."""
    other = NetworkSpec(stages=(Stage(channels=8, blocks=1, stride=(2, 2)),), sequence=SEQUENCE).build()
    lines = smooth_lines(1)
    for unfit in (other, shrunk(network, lines, activation="hardswish")):
        with pytest.raises(ValueError, match="only slim networks"):
            shrunk(unfit, lines)
    with pytest.raises(ValueError, match="shorter"):
        shrunk(network, lines, between=[8])
