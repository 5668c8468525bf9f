"""What training minimises: CTC, and how far the network is from a teacher, timestep by timestep."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from training.batches import LineBatch


def ctc_loss(log_probs: Tensor, batch: LineBatch, blank: int, worst: float = math.inf) -> Tensor:
    """Mean over the lines of -log P(labels | line) per label, Graves et al. 2006, equation 14.

    log_probs: float32 [line, time, class]. All timesteps count, those of the padding too: the network must learn to
    emit blanks there. Lines with more labels than timesteps count as 0, and so do lines that cost more than `worst`
    nats per label: what nobody can read teaches to guess, and most of all to emit blanks.
    """
    lengths = torch.full_like(batch.target_lengths, log_probs.shape[1])
    lines = functional.ctc_loss(
        log_probs.transpose(0, 1),
        batch.targets,
        lengths,
        batch.target_lengths,
        blank=blank,
        reduction="none",
        zero_infinity=True,
    ) / batch.target_lengths.to(log_probs.device)
    return torch.where(lines <= worst, lines, 0).mean()


def distillation_loss(log_probs: Tensor, teacher_probs: Tensor, trusted: Tensor, label_counts: Tensor) -> Tensor:
    """Cross-entropy of the network against its teacher, summed over timesteps: mean over trusted lines, per label.

    log_probs, teacher_probs: float32 [line, time, class]; trusted: bool [line]; label_counts: int64 [line]. Its
    gradient is that of the Kullback-Leibler divergence. 0 when no line is trusted.
    """
    lines = -(teacher_probs * log_probs).sum((1, 2)) / label_counts.to(log_probs.device)
    return (lines * trusted).sum() / trusted.sum().clamp(min=1)


def best_paths(scores: Tensor, blank: int) -> list[list[int]]:
    """Labels of each line: the likeliest class per timestep, repeats collapsed, blanks dropped.

    scores: [line, time, class], of any kind.
    """
    paths = scores.argmax(2)
    keep = paths != blank
    keep[:, 1:] &= paths[:, 1:] != paths[:, :-1]
    return [path[kept].tolist() for path, kept in zip(paths, keep, strict=True)]


def reads_right(scores: Tensor, batch: LineBatch, blank: int) -> Tensor:
    """Whether the best path of each line is its label, bool [line]. scores: [line, time, class]."""
    wanted = [row[:length].tolist() for row, length in zip(batch.targets, batch.target_lengths, strict=True)]
    found = best_paths(scores, blank)
    right = [one == other for one, other in zip(found, wanted, strict=True)]
    return torch.tensor(right, device=scores.device)
