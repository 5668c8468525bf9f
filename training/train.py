"""The training loop: one process, on a few CPU cores or on one GPU, that can stop and go on at any time."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from training.batches import LineBatch
from training.checkpoint import CHECKPOINT, Checkpoint, Progress, halved, save_checkpoint, widened
from training.loss import Lesson, Teaches, column_loss, ctc_loss, distillation_loss, reads_right
from training.network import Crnn
from training.recipe import Distillation, TrainingRecipe
from training.sources import BatchSource

if TYPE_CHECKING:
    # Machines that only train need not have what these need.
    from ocr_core.evaluation import LineScore

BEST = "best.pt"
OPTIMISER = "optimiser.pt"
METRICS = "metrics.jsonl"

_LEAST_SHARE_OF_RATE = 0.01
_REPORT_EVERY_STEPS = 20
_LEAST_SIZE = 1e-3
"""Of a tensor whose rate is relative to its size."""

_KERNEL_AXES = 4

Module = TypeVar("Module", bound=nn.Module)

Examine = Callable[[Crnn], "LineScore"]
"""Scores a network for evaluation on lines that it was not trained on."""


class Trainer:
    """Trains the network of a checkpoint as a recipe says, and leaves checkpoints and metrics in a folder."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        recipe: TrainingRecipe,
        folder: Path,
        *,
        source: BatchSource,
        teacher: Teaches | None,
        examine: Examine,
        device: torch.device,
    ) -> None:
        self._checkpoint = checkpoint
        self._recipe = recipe
        self._folder = folder
        self._source = source
        self._teacher = teacher
        self._examine = examine
        self._device = device
        self._blank = checkpoint.blank_index
        self._network = checkpoint.spec.build()
        self._network.load_state_dict(widened(checkpoint.weights))
        laid_out(self._network.to(device), recipe)
        for part in list(self._network.backbone.children())[: recipe.optimiser.fixed_blocks]:
            part.requires_grad_(False)
        self._averaged = checkpoint.network().to(device).requires_grad_(False)
        self._optimiser = rated_optimiser(self._network, recipe)
        self._progress = checkpoint.progress
        self._best = _best_exact(folder / METRICS)
        self._warm_from = 0 if self._restore_optimiser() else self._progress.step
        self._sums: dict[str, float] = {}

    def train(self, limit_s: float = math.inf) -> Checkpoint:
        """Train until the recipe's end, or for limit_s seconds, whichever comes first. Returns the last checkpoint.

        A run that was not scored yet is scored first, so that even a short one shows what training did to it.
        """
        if self._best < 0:
            self._look()
        started, before = time.monotonic(), self._progress.seconds
        next_save = next_look = 0.0
        for batch in self._source.batches(self._progress.lines):
            self._step(batch.to(self._device))
            elapsed = time.monotonic() - started
            self._progress = Progress(
                step=self._progress.step + 1,
                lines=self._progress.lines + len(batch),
                seconds=before + elapsed,
            )
            is_over = self._share() >= 1 or elapsed >= limit_s
            if is_over or self._progress.step % _REPORT_EVERY_STEPS == 0:
                self._report()
            if is_over or elapsed >= next_look + 60 * self._recipe.validation.every_minutes:
                self._look()
                next_look = time.monotonic() - started
            if is_over or elapsed >= next_save + 60 * self._recipe.checkpoint_minutes:
                self._save()
                next_save = elapsed
            if is_over:
                break
        return self._snapshot()

    def _share(self) -> float:
        """How much of the run is over."""
        plan = self._recipe.optimiser
        return max(self._progress.seconds / (60 * plan.minutes), self._progress.step / plan.steps)

    def _rate(self) -> float:
        plan = self._recipe.optimiser
        warm = min(1.0, (self._progress.step - self._warm_from + 1) / plan.warm_up_steps)
        cosine = (1 + math.cos(math.pi * min(1.0, self._share()))) / 2
        return plan.rate * warm * max(cosine, _LEAST_SHARE_OF_RATE)

    def _teacher_weight(self, plan: Distillation) -> float:
        return plan.weight * max(0.0, 1 - self._share() / plan.until)

    def _step(self, batch: LineBatch) -> None:
        self._set_mode()
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate() * group["factor"]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._recipe.optimiser.bf16):
            pooled = self._network.pooled(batch.images)
            log_probs = self._network.log_probs(pooled)
            plan = self._recipe.distillation
            weight = self._teacher_weight(plan) if plan and self._teacher else 0.0
            lesson = self._teacher.lesson(batch, log_probs.shape[1]) if weight and self._teacher else None
        label_weights = distance = None
        if plan and lesson:
            trusted = self._trusted(plan, lesson, batch)
            label_weights = torch.where(trusted, plan.labels, 1.0)
            distance = self._distance(plan, lesson, pooled, log_probs, batch, trusted)
        loss = ctc = ctc_loss(log_probs, batch, self._blank, self._recipe.optimiser.worst, label_weights)
        if distance is not None:
            loss = ctc + weight * distance
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), self._recipe.optimiser.clip)
        if torch.isfinite(norm):
            self._optimiser.step()
            self._average()
        self._count(ctc=ctc, norm=norm, steps=1.0, lines=float(len(batch)))

    def _trusted(self, plan: Distillation, lesson: Lesson, batch: LineBatch) -> Tensor:
        """Lines of which the teacher is believed, bool [line]."""
        if plan.trusts == "right":
            return reads_right(lesson.probs, batch, self._blank)
        trusted = torch.ones(len(batch), dtype=torch.bool)
        if plan.never:
            charset = self._checkpoint.charset
            rows = zip(batch.targets.tolist(), batch.target_lengths.tolist(), strict=True)
            never = re.compile(plan.never)
            trusted = torch.tensor([never.fullmatch(charset.text(row[:length])) is None for row, length in rows])
        return trusted.to(batch.images.device)

    def _distance(
        self,
        plan: Distillation,
        lesson: Lesson,
        pooled: Tensor,
        log_probs: Tensor,
        batch: LineBatch,
        trusted: Tensor,
    ) -> Tensor:
        distance = distillation_loss(log_probs, lesson.probs, trusted, batch.target_lengths)
        self._count(distillation=distance, trusted=trusted.float().mean())
        if plan.columns and lesson.columns is not None:
            off = column_loss(pooled.float(), lesson.columns.float(), trusted)
            self._count(columns=off)
            distance = distance + plan.columns * off
        return distance

    def _set_mode(self) -> None:
        self._network.train()
        if self._recipe.optimiser.fixed_norms:
            for module in self._network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    @torch.no_grad()
    def _average(self) -> None:
        """Move the averaged weights; at first faster, so that they do not stick to the start."""
        step = self._progress.step
        decay = min(self._recipe.optimiser.averaging, (1 + step) / (10 + step))
        for averaged, current in zip(self._averaged.parameters(), self._network.parameters(), strict=True):
            averaged.lerp_(current, 1 - decay)
        for kept, statistic in zip(self._averaged.buffers(), self._network.buffers(), strict=True):
            kept.copy_(statistic)

    def _count(self, **values: Tensor | float) -> None:
        for name, value in values.items():
            number = value.detach() if isinstance(value, Tensor) else value
            self._sums[name] = self._sums.get(name, 0.0) + number  # type: ignore[assignment]

    def _report(self) -> None:
        sums, self._sums = {name: float(value) for name, value in self._sums.items()}, {}
        steps, lines = sums.pop("steps"), sums.pop("lines")
        means = {name: value / steps for name, value in sums.items()}
        self._write({**means, "rate": self._rate(), "lines_in_batch": lines / steps})

    def _look(self) -> None:
        score = self._examine(self._averaged)
        self._write({"exact": score.exact, "cer": score.cer})
        if score.exact > self._best:
            self._best = score.exact
            save_checkpoint(self._snapshot(), self._folder / BEST)

    def _write(self, values: dict[str, float]) -> None:
        row = self._progress.model_dump() | {name: round(value, 6) for name, value in values.items()}
        with (self._folder / METRICS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _snapshot(self) -> Checkpoint:
        return self._checkpoint.model_copy(
            update={
                "progress": self._progress,
                "weights": halved(self._network.state_dict()),
                "averaged": halved(self._averaged.state_dict()),
            }
        )

    def _save(self) -> None:
        save_checkpoint(self._snapshot(), self._folder / CHECKPOINT)
        state = self._optimiser.state_dict()
        state["state"] = {index: _narrowed(moments) for index, moments in state["state"].items()}
        torch.save({"step": self._progress.step, "optimiser": state}, self._folder / OPTIMISER)

    def _restore_optimiser(self) -> bool:
        """Whether what the optimiser knew at the checkpoint was found."""
        path = self._folder / OPTIMISER
        if not path.exists():
            return False
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["step"] != self._progress.step:
            return False
        self._optimiser.load_state_dict(saved["optimiser"])
        for parameter, moments in self._optimiser.state.items():
            # The fused optimiser goes through memory, whatever order the two have there.
            for name in ("exp_avg", "exp_avg_sq"):
                moments[name] = torch.empty_like(parameter).copy_(moments[name])
        return True


def laid_out(module: Module, recipe: TrainingRecipe) -> Module:
    """The module, with kernels, and so features, in the order in memory that suits its recipe.

    With channels last a step on CPU cores takes a fifth less time, but float32 gradients of layers of a few channels
    are then written where they do not belong (PyTorch 2.13 with oneDNN 3.12).
    """
    if recipe.optimiser.bf16:
        for parameter in module.parameters():
            parameter.data = _channels_last(parameter.data)
    return module


def _channels_last(values: Tensor) -> Tensor:
    return values.contiguous(memory_format=torch.channels_last) if values.ndim == _KERNEL_AXES else values


def rated_optimiser(network: Crnn, recipe: TrainingRecipe) -> torch.optim.AdamW:
    """The optimiser of a recipe, by whose rate the `factor` of each group is to be multiplied.

    Kernels and matrices decay, vectors do not.
    """
    plan = recipe.optimiser
    of_lstm = {id(parameter) for parameter in network.lstm.parameters()}
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            factor = (plan.lstm_rate if id(parameter) in of_lstm else 1.0) * (_size(parameter) if plan.relative else 1)
            groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    described = [
        {"params": parameters, "factor": factor, "weight_decay": plan.weight_decay if decays else 0.0}
        for (factor, decays), parameters in groups.items()
    ]
    return torch.optim.AdamW(described, lr=plan.rate, betas=(0.9, 0.999 if plan.relative else 0.99), fused=True)


def _size(parameter: Tensor) -> float:
    """Root mean square, but for what is nearly nothing."""
    return max(_LEAST_SIZE, float(parameter.detach().square().mean().sqrt()))


def _narrowed(moments: dict[str, Tensor]) -> dict[str, Tensor]:
    """Moments in bfloat16, which has the range of float32; load_state_dict widens them again."""
    return {name: value.bfloat16() if value.ndim else value for name, value in moments.items()}


def _best_exact(metrics: Path) -> float:
    """The best exact match that a run has reached so far, -1 before it was measured."""
    if not metrics.exists():
        return -1.0
    rows = map(json.loads, metrics.read_text(encoding="utf-8").splitlines())
    return max((row["exact"] for row in rows if "exact" in row), default=-1.0)
