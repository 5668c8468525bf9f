"""A recogniser trained further on labelled lines, with drawn lines in between so that it forgets nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import torch

from ocr_core.errors import RecipeFailed
from ocr_core.evaluation import LABELS, LineScore
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from training.batches import LabelledLine, Labeller, LineBatch, bucketed
from training.checkpoint import CHECKPOINT, Checkpoint, Progress, save_checkpoint
from training.curves import draw_curves
from training.export import export
from training.loss import Lesson
from training.network import Crnn
from training.recipe import TrainingRecipe
from training.scores import score
from training.sources import DrawnLines, synth_lines
from training.start import with_new_characters
from training.synth.degrade import degrade
from training.synth.rolls import Rolls
from training.synth.samples import SynthLines
from training.train import METRICS, Trainer

_HELD_BACK = 10
"""One in so many labelled lines is not trained on: by these the result is judged."""

_ODDS = {"uneven": 0.1, "low_contrast": 0.1, "blur": 0.1, "motion": 0.05, "noise": 0.1, "grey": 0.1, "jpeg": 0.15}
"""What happens to labelled lines, so that few of them are not learnt by heart."""

Row = tuple[Path, str]


@dataclass(frozen=True, slots=True)
class FineTuned:
    """What came out. folder: of the bundle; added: characters that are new; before, after: on lines held back."""

    folder: Path
    added: tuple[str, ...]
    before: LineScore
    after: LineScore


@dataclass(frozen=True, slots=True)
class MixedLines:
    """Labelled lines, altered a little, and among them drawn ones. share: of the labelled."""

    rows: Sequence[Row]
    drawn: SynthLines
    seed: int
    share: float

    def sample(self, index: int) -> LabelledLine:
        """The line of an index, always the same."""
        rolls = Rolls.of(self.seed, index).with_odds(_ODDS, 1.0)
        if not rolls.happens(self.share):
            return self.drawn.sample(index)
        line = _load(rolls.dice.choice(self.rows))
        return LabelledLine(degrade(line.image, rolls), line.text)


class _AsItWas:
    """The network that is trained further, as it was before, as its own teacher."""

    def __init__(self, network: Crnn, device: torch.device) -> None:
        self._network = network.to(device).eval()

    @torch.no_grad()
    def lesson(self, batch: LineBatch, timesteps: int) -> Lesson:  # noqa: ARG002 - it has as many
        """As Teaches."""
        return Lesson(self._network(batch.images).float().softmax(2))


def fine_tune(
    start: Checkpoint,
    labels: Path,
    recipe: TrainingRecipe,
    folder: Path,
    models_dir: Path,
    *,
    share: float = 0.5,
    device: torch.device,
) -> FineTuned:
    """Train on the lines of a labels.tsv ("path<TAB>text", paths from where it lies) and export the result.

    recipe.name and recipe.version name the bundle in models_dir; folder gets checkpoints and metrics. Characters that
    the charset lacks are added to it. With a distillation in the recipe the start is the teacher. Raises RecipeFailed
    when there are fewer than two lines, or an image is missing.
    """
    training, held_back = _split(_rows(labels), recipe.data.seed)
    added = tuple(sorted(Labeller(start.charset).missing("".join(text for _, text in (*training, *held_back)))))
    # What the start has been trained for is no part of this run: its rate would start low, or the run be over at once.
    checkpoint = with_new_characters(start, added).model_copy(update={"progress": Progress()})
    labeller = Labeller(checkpoint.charset)
    data = recipe.data
    batches = list(
        bucketed(map(_load, held_back), labeller, checkpoint.input, columns=data.columns, max_width=data.max_width)
    )
    examine = partial(score, batches=batches, charset=checkpoint.charset)
    lines = MixedLines(training, synth_lines(checkpoint.charset, data, data.seed), data.seed, share)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / METRICS).unlink(missing_ok=True)
    trainer = Trainer(
        checkpoint,
        recipe,
        folder,
        source=DrawnLines(lines.sample, labeller, checkpoint.input, data),
        teacher=_AsItWas(checkpoint.network(), device) if recipe.distillation else None,
        examine=examine,
        device=device,
    )
    before = examine(checkpoint.network())
    trained = trainer.train()
    save_checkpoint(trained, folder / CHECKPOINT)
    bundle = export(folder / CHECKPOINT, models_dir, recipe.name, recipe.version)
    draw_curves(folder)
    return FineTuned(bundle, added, before, examine(trained.network()))


def _rows(labels: Path) -> list[Row]:
    path = labels / LABELS if labels.is_dir() else labels
    split = (row.partition("\t") for row in path.read_text(encoding="utf-8").split("\n") if row)
    rows = [(path.parent / name, text) for name, _, text in split if text]
    missing = [str(image) for image, _ in rows if not image.is_file()]
    if missing:
        raise RecipeFailed(f"{path} names {len(missing)} images that are not there, the first is {missing[0]}")
    return rows


def _split(rows: list[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """Lines to train on, and lines held back."""
    if len(rows) < 2:
        raise RecipeFailed(f"{len(rows)} labelled lines are too few: one to train on and one to judge by, at least")
    shuffled = Random(seed).sample(rows, len(rows))  # noqa: S311 - no secret
    count = max(1, len(rows) // _HELD_BACK)
    return shuffled[count:], shuffled[:count]


def _load(row: Row) -> LabelledLine:
    path, text = row
    return LabelledLine(load_image(path.read_bytes(), ImageLimits()), text)
