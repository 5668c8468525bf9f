"""The training loop."""

import itertools
import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.bundle import InputFormat
from ocr_core.charset import Charset
from training.batches import LabelledLine, Labeller, LineBatch, make_line_batch
from training.checkpoint import Checkpoint, halved
from training.loss import Lesson, best_paths
from training.network import NetworkSpec, Sequence, Stage
from training.recipe import RECIPES, Distillation, read_training_recipe
from training.scores import score
from training.train import METRICS, Trainer, rated_optimiser

CHARSET = Charset(tuple("0123456789"), blank_index=0)
WANTED = InputFormat(height=16, min_width=64, channels="RGB", mean=(0.5,) * 3, std=(0.5,) * 3)
SPEC = NetworkSpec(
    stages=(Stage(channels=16, blocks=1, stride=(2, 2)), Stage(channels=32, blocks=1, stride=(2, 2))),
    sequence=Sequence(classes=11, hidden=24, layers=1, rank=8),
)
SMOKE = read_training_recipe(RECIPES / "smoke.toml")


def drawn(text: str) -> LabelledLine:
    image = np.full((24, 16 * len(text) + 8, 3), 255, np.uint8)
    cv2.putText(image, text, (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.75, (0, 0, 0), 2)
    return LabelledLine(image, text)


class Repeated:
    """The same batch again and again."""

    def __init__(self, texts: list[str]) -> None:
        self.batch = make_line_batch([drawn(text) for text in texts], Labeller(CHARSET), WANTED)

    def batches(self, first_line: int) -> Iterator[LineBatch]:
        return itertools.repeat(self.batch)


class Oracle:
    """A teacher that knows the labels, one per timestep and blanks behind them, but for one line."""

    def lesson(self, batch: LineBatch, timesteps: int) -> Lesson:
        probs = torch.zeros(len(batch), timesteps, CHARSET.class_count)
        for line, (target, length) in enumerate(zip(batch.targets, batch.target_lengths, strict=True)):
            path = [0] * timesteps
            if line:
                path[1 : 2 * int(length) : 2] = target[:length].tolist()
            probs[line, range(timesteps), path] = 1
        return Lesson(probs)


PLAN = Distillation(teacher="oracle", weight=1.0)


def trainer(
    folder: Path, source: Repeated, steps: int, teacher: Oracle | None = None, distillation: Distillation = PLAN
) -> Trainer:
    torch.manual_seed(4)
    weights = halved(SPEC.build().state_dict())
    start = Checkpoint(
        spec=SPEC,
        characters=CHARSET.characters,
        blank_index=0,
        input=WANTED,
        source="",
        weights=weights,
        averaged=weights,
    )
    plan = SMOKE.optimiser.model_copy(update={"steps": steps, "rate": 0.01, "averaging": 0.9})
    recipe = SMOKE.model_copy(update={"optimiser": plan, "distillation": distillation if teacher else None})
    examine = partial(score, batches=[source.batch], charset=CHARSET)
    return Trainer(start, recipe, folder, source=source, teacher=teacher, examine=examine, device=torch.device("cpu"))


def test_a_network_learns_to_read(tmp_path: Path) -> None:
    """Trained on four lines, a network that read none of them reads all, and the metrics show it."""
    source = Repeated(["012", "345", "6789", "11"])
    before = trainer(tmp_path, source, 1).train()
    after = trainer(tmp_path, source, 400).train()
    assert score(before.network(), batches=[source.batch], charset=CHARSET).exact == 0
    assert score(after.network(), batches=[source.batch], charset=CHARSET).exact == 1
    rows = [json.loads(row) for row in (tmp_path / METRICS).read_text().splitlines()]
    losses = [row["ctc"] for row in rows if "ctc" in row]
    assert losses[-1] < 0.1 * losses[0]


def test_only_what_the_teacher_reads_right_is_learnt_from_it(tmp_path: Path) -> None:
    """The share of lines that a teacher reads right is counted, and they alone make up the distance to it."""
    trainer(tmp_path, Repeated(["01", "23", "45", "67"]), 20, Oracle()).train()
    (row,) = (row for row in map(json.loads, (tmp_path / METRICS).read_text().splitlines()) if "trusted" in row)
    assert row["trusted"] == 0.75
    assert row["distillation"] > 0


def test_a_teacher_may_be_believed_whatever_it_reads(tmp_path: Path) -> None:
    """Where all lines are trusted, those whose label is named never are, and the others' labels need not count."""
    plan = Distillation(teacher="oracle", weight=1.0, until=math.inf, trusts="all", never="[67]+", labels=0.0)
    source = Repeated(["01", "23", "45", "67"])
    after = trainer(tmp_path, source, 300, Oracle(), plan).train()
    rows = [row for row in map(json.loads, (tmp_path / METRICS).read_text().splitlines()) if "trusted" in row]
    assert {row["trusted"] for row in rows} == {0.75}
    # Of the first line the oracle says nothing, of the last one the label alone does.
    batch = source.batch
    with torch.no_grad():
        read = best_paths(after.network()(batch.images), 0)
    assert [CHARSET.text(labels) for labels in read] == ["", "23", "45", "67"]


def test_rates_can_be_relative(tmp_path: Path) -> None:
    """A matrix with weights ten times as large moves ten times as far in the first step."""
    moved = []
    for scale in (1.0, 10.0):
        torch.manual_seed(4)
        network = SPEC.build()
        with torch.no_grad():
            network.classifier.weight.mul_(scale)
        plan = SMOKE.optimiser.model_copy(update={"relative": True, "rate": 0.01, "weight_decay": 0.0})
        optimiser = rated_optimiser(network, SMOKE.model_copy(update={"optimiser": plan}))
        before = network.classifier.weight.detach().clone()
        network(torch.randn(1, 3, 16, 64)).square().mean().backward()
        for group in optimiser.param_groups:
            group["lr"] = 0.01 * group["factor"]
        optimiser.step()
        moved.append(float((network.classifier.weight.detach() - before).abs().max()))
    assert moved[1] == pytest.approx(10 * moved[0], rel=0.01)
