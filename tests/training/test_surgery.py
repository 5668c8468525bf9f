"""Changes of shape."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from training.day_one import Block, DayOneSpec
from training.network import Crnn, NetworkSpec, Sequence, Stage
from training.slim import SlimBlock, SlimSpec
from training.surgery import with_characters, with_early_halving, with_rank

SEQUENCE = Sequence(classes=9, hidden=4, layers=1, rank=6)
SPEC = DayOneSpec(
    stem=8,
    blocks=(
        Block(channels=8, kernel=(3, 3)),
        Block(channels=16, kernel=(3, 3), stride=(2, 1)),
        Block(channels=16, kernel=(5, 5)),
        Block(channels=16, kernel=(5, 5), stride=(2, 1), excite=True),
    ),
    pool=(2, 2),
    sequence=SEQUENCE,
)


SLIM = SlimSpec(
    stem=(8, 16),
    blocks=(
        SlimBlock(channels=16, excite=True),
        SlimBlock(channels=16, stride=(2, 1)),
        SlimBlock(channels=16, excite=True),
        SlimBlock(channels=16, stride=(2, 1)),
    ),
    pool=(2, 2),
    sequence=SEQUENCE,
)


@pytest.fixture
def network() -> Crnn:
    torch.manual_seed(3)
    return SPEC.build().eval()


def test_the_full_rank_changes_no_result(network: Crnn) -> None:
    """A head of the rank that it had, or more than its matrix has, computes the same; a lower one comes close."""
    lines = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(with_rank(network, 6)(lines), network(lines), rtol=1e-4, atol=1e-5)
    errors = [float((with_rank(network, rank)(lines) - network(lines)).norm().detach()) for rank in (1, 3, 5)]
    assert errors == sorted(errors, reverse=True)


def test_new_characters_disturb_nothing(network: Crnn) -> None:
    """Known classes keep their logits, new ones come behind them and are never the likeliest at first."""
    lines = torch.randn(2, 3, 32, 32)
    longer = with_characters(network, 3)
    assert longer.spec.sequence.classes == 12
    logits = longer(lines)
    torch.testing.assert_close(logits[..., :9], network(lines))
    assert int(logits.argmax(2).max()) < 9


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("spec", [SPEC, SLIM], ids=["day-one", "slim"])
def test_early_halving_changes_nothing_where_columns_are_alike(spec: DayOneSpec | SlimSpec, position: int) -> None:
    """Halved earlier, lines whose columns are all alike are read as before, away from their ends, in as many steps."""
    torch.manual_seed(3)
    network = spec.build().eval()
    lines = torch.randn(2, 3, 32, 1).expand(2, 3, 32, 96)
    halved = with_early_halving(network, position)
    before, after = (one.backbone(lines)[..., 8:-8] for one in (network, halved))
    assert before.shape == after.shape
    # Excitation sees the ends too.
    torch.testing.assert_close(after, before, rtol=0.02, atol=0.02)


def test_other_networks_are_not_halved() -> None:
    """A network without pooled columns is refused."""
    spec = NetworkSpec(stages=(Stage(channels=8, blocks=1, stride=(2, 2)),), sequence=SEQUENCE)
    with pytest.raises(ValueError, match="warm-started"):
        with_early_halving(spec.build(), 0)
