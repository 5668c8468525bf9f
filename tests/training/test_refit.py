"""Layers fitted by least squares."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from torch import nn

from training.day_one import Block, DayOneSpec
from training.network import Sequence
from training.refit import with_refitted_blocks
from training.surgery import with_early_halving

SPEC = DayOneSpec(
    stem=8,
    blocks=(
        Block(channels=12, kernel=(3, 3)),
        Block(channels=16, kernel=(3, 3), stride=(2, 1)),
        Block(channels=16, kernel=(5, 5)),
        Block(channels=16, kernel=(5, 5), stride=(2, 1), excite=True),
    ),
    pool=(2, 2),
    sequence=Sequence(classes=9, hidden=4, layers=1, rank=6),
)


def test_refitted_blocks_come_closer_to_what_they_replace() -> None:
    """On lines that were not fitted to, features of the refitted network are nearer to the original's than before."""
    torch.manual_seed(6)
    original = SPEC.build()
    for module in original.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 0, 1)  # of both signs
            nn.init.normal_(module.bias, 0, 0.5)
    smooth = nn.AvgPool2d(3, 1, 1)
    fitted_to, others = ([smooth(3 * torch.randn(8, 3, 32, 64)) for _ in range(count)] for count in (6, 2))
    for lines in fitted_to:
        original(lines)
    original.eval()
    halved = with_early_halving(original, 1)
    refitted = with_refitted_blocks(halved, original, fitted_to, 1)

    def distance(network: nn.Module) -> float:
        return sum(float((network.backbone(one) - original.backbone(one)).square().mean().detach()) for one in others)

    assert distance(refitted) < 0.5 * distance(halved)
    torch.testing.assert_close(refitted.backbone[:2](others[0]), original.backbone[:2](others[0]))
