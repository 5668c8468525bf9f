"""What training minimises: CTC, and how far the network is from a teacher, timestep by timestep."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from training.batches import LineBatch


class Lesson(NamedTuple):
    """What a teacher says of a batch.

    probs: float32 [line, time, class]; columns: what the convolutions of the network shall make of the lines, [line,
    channel, row, time], None where the teacher has nothing to say of that.
    """

    probs: Tensor
    columns: Tensor | None = None


class Teaches(Protocol):
    """A teacher."""

    def lesson(self, batch: LineBatch, timesteps: int) -> Lesson:
        """What it says of a batch, on the device of the batch, in so many timesteps."""


_LEAST_VARIANCE = 1e-6
"""Channels that say nothing in a batch are not divided by nothing."""


def ctc_loss(
    log_probs: Tensor, batch: LineBatch, blank: int, worst: float = math.inf, weights: Tensor | None = None
) -> Tensor:
    """Mean over the lines of -log P(labels | line) per label, Graves et al. 2006, equation 14.

    log_probs: float32 [line, time, class]. All timesteps count, those of the padding too: the network must learn to
    emit blanks there. Lines with more labels than timesteps count as 0, and so do lines that cost more than `worst`
    nats per label: what nobody can read teaches to guess, and most of all to emit blanks. weights: of the lines,
    float32 [line], None for 1.
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
    counted = torch.where(lines <= worst, lines, 0)
    return (counted if weights is None else counted * weights).mean()


def distillation_loss(log_probs: Tensor, teacher_probs: Tensor, trusted: Tensor, label_counts: Tensor) -> Tensor:
    """Cross-entropy of the network against its teacher, summed over timesteps: mean over trusted lines, per label.

    log_probs, teacher_probs: float32 [line, time, class]; trusted: bool [line]; label_counts: int64 [line]. Its
    gradient is that of the Kullback-Leibler divergence. 0 when no line is trusted.
    """
    lines = -(teacher_probs * log_probs).sum((1, 2)) / label_counts.to(log_probs.device)
    return (lines * trusted).sum() / trusted.sum().clamp(min=1)


def column_loss(columns: Tensor, wanted: Tensor, trusted: Tensor) -> Tensor:
    """Mean square of what columns differ by over trusted lines, each channel in units of its variance in the batch.

    columns, wanted: [line, channel, row, time]; trusted: bool [line].
    """
    variances = wanted.var((0, 2, 3), keepdim=True).clamp(min=_LEAST_VARIANCE)
    lines = ((columns - wanted).square() / variances).mean((1, 2, 3))
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
