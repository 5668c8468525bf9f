"""Losses and best paths."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from ext.ctc import best_path
from training.batches import LineBatch
from training.loss import best_paths, column_loss, ctc_loss, distillation_loss, reads_right

BLANK = 1


def batch_of(*targets: list[int]) -> LineBatch:
    longest = max(map(len, targets))
    padded = [target + [BLANK] * (longest - len(target)) for target in targets]
    images = torch.zeros(len(targets), 3, 32, 16)
    lengths = torch.tensor([len(target) for target in targets])
    return LineBatch(images, lengths, torch.tensor(padded), lengths)


def random_log_probs(lines: int, timesteps: int, classes: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return (2 * torch.randn(lines, timesteps, classes, generator=generator)).log_softmax(2)


def test_ctc_is_the_sum_over_alignments() -> None:
    """The loss is the mean over lines of -log of the summed probability of all alignments, per label."""
    log_probs = random_log_probs(2, 4, 3)
    targets = [[0, 0], [2]]
    expected = 0.0
    for line, target in zip(log_probs, targets, strict=True):
        total = 0.0
        for path in itertools.product(range(3), repeat=4):
            collapsed = [label for label, _ in itertools.groupby(path) if label != BLANK]
            if collapsed == target:
                total += float(np.exp(sum(float(line[t, label]) for t, label in enumerate(path))))
        expected -= np.log(total) / len(target) / len(targets)
    assert float(ctc_loss(log_probs, batch_of(*targets), BLANK)) == pytest.approx(expected, rel=1e-5)


def test_what_nobody_can_read_teaches_nothing() -> None:
    """Lines above the worst cost per label count as 0 and give no gradient; those below count as ever."""
    logits = torch.zeros(2, 3, 3)
    logits[0, :, 0], logits[1, :, BLANK] = 9, 9
    log_probs = logits.log_softmax(2).requires_grad_()
    batch = batch_of([0], [2])
    both, easy = ctc_loss(log_probs, batch, BLANK), ctc_loss(log_probs, batch, BLANK, worst=2)
    assert float(both.detach()) > 2
    assert 0 <= float(easy.detach()) < 0.1
    easy.backward()
    assert log_probs.grad is not None
    assert float(log_probs.grad[1].abs().sum()) == 0


def test_labels_count_by_line() -> None:
    """A line of weight 0 adds nothing to the loss and gives no gradient."""
    log_probs = random_log_probs(2, 4, 3).requires_grad_()
    batch = batch_of([0], [2])
    both, second = (
        ctc_loss(log_probs, batch, BLANK, weights=torch.tensor(weights)) for weights in ((1.0, 1.0), (0.0, 1.0))
    )
    assert 0 < float(second.detach()) < float(both.detach())
    second.backward()
    assert log_probs.grad is not None
    assert [bool(line.any()) for line in log_probs.grad] == [False, True]


def test_columns_are_compared_channel_by_channel() -> None:
    """What is off by one standard deviation costs 1, however large the channel's numbers; untrusted lines cost 0."""
    wanted = torch.randn(3, 2, 1, 500, generator=torch.Generator().manual_seed(3)) * torch.tensor([1.0, 50.0]).view(
        2, 1, 1
    )
    off = wanted.clone()
    off[0] += torch.tensor([1.0, 50.0]).view(2, 1, 1)
    off[2] = 1000
    first, both = torch.tensor([True, False, False]), torch.tensor([True, True, False])
    assert float(column_loss(off, wanted, first)) == pytest.approx(1, rel=0.1)
    assert float(column_loss(off, wanted, both)) == pytest.approx(0.5, rel=0.1)


def test_best_paths_are_those_of_the_server() -> None:
    """Labels are those that the compiled best path decoder finds."""
    log_probs = random_log_probs(20, 12, 4)
    for line, labels in zip(log_probs, best_paths(log_probs, BLANK), strict=True):
        assert labels == best_path(line.numpy(), BLANK, kind="log_probs").labels.tolist()


def test_lines_are_right_when_all_labels_are() -> None:
    """A line is read right when its best path is its label, whatever its padding."""
    log_probs = torch.full((2, 3, 3), -5.0)
    log_probs[:, [0, 1, 2], [0, BLANK, 0]] = 0
    assert reads_right(log_probs, batch_of([0, 0], [0]), BLANK).tolist() == [True, False]


def test_distillation_leads_to_the_teacher_on_trusted_lines_alone() -> None:
    """The gradient vanishes where the network agrees with its teacher, and on lines that the teacher misreads."""
    logits = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(2)).requires_grad_()
    teacher = torch.softmax(logits.detach(), 2)
    teacher[1] = teacher[1].roll(1, dims=1)
    counts = torch.tensor([2, 3])
    for trusted, moves in (([True, False], [False, False]), ([True, True], [False, True])):
        (gradient,) = torch.autograd.grad(
            distillation_loss(logits.log_softmax(2), teacher, torch.tensor(trusted), counts), logits
        )
        assert [bool(line.abs().max() > 1e-6) for line in gradient] == moves
    assert float(distillation_loss(logits.log_softmax(2), teacher, torch.tensor([False, False]), counts).detach()) == 0
