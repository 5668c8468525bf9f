"""Training recipes: training/recipes/*.toml -> what is trained, on what, and how."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from ocr_core.bundle import InputFormat
from ocr_core.errors import RecipeFailed
from training.network import FrozenSpec, Stage
from training.slim import Activation

RECIPES = Path(__file__).resolve().parent / "recipes"
MODELS = RECIPES.parent.parent / "models"


class DayOneStart(FrozenSpec):
    """The weights of the PP-OCRv2 recogniser.

    bundles: the folder of bundles that it is in; rank: of the head; halve_at: of with_early_halving; None for as it is.
    refit_lines: drawn lines to which the halved blocks are fitted by least squares, about 6 MB of memory each.
    """

    kind: Literal["day-one"]
    bundles: Path
    rank: int | None = None
    halve_at: int | None = None
    refit_lines: int = Field(0, ge=0)


class SlimStart(FrozenSpec):
    """The weights of a PP-OCRv6 recogniser, the tiny or the small one.

    bundles: the folder of bundles that it is in; between, halve_at, activation: of shrunk; refit_lines: drawn lines
    that layers are fitted to, about 3 MB of memory each; 0 for the tiny one as it is.
    """

    kind: Literal["slim"]
    of: Literal["tiny", "small"] = "tiny"
    bundles: Path
    between: tuple[int, ...] | None = None
    halve_at: int | None = None
    activation: Activation = "gelu"
    refit_lines: int = Field(0, ge=0)


class RandomStart(FrozenSpec):
    """A network of our own family without weights.

    like: name of the recogniser bundle whose characters and input format it has; bundles: the folder that this is in.
    The rest is as in NetworkSpec.
    """

    kind: Literal["random"]
    like: str
    bundles: Path = MODELS
    stages: tuple[Stage, ...]
    hidden: int
    layers: int
    rank: int


class CheckpointStart(FrozenSpec):
    """A checkpoint that is named when training starts."""

    kind: Literal["checkpoint"]


class Data(FrozenSpec):
    """Lines to train on.

    source: "synth" draws them on the CPU, "atlas" on the device that trains; root: folder of texts and fonts that
    `python -m training.synth build` wrote, None for the few that come with the code; columns: of pixels in a batch,
    padding included; max_width: wider lines are left out; workers: processes that draw besides the one that trains;
    shares: of the scenes of "synth", by name, in place of their own; severity: of "synth", factor on all odds.
    """

    source: Literal["synth", "atlas"]
    root: Path | None = None
    seed: int
    columns: int = Field(ge=32)
    max_width: int = Field(ge=32)
    workers: int = Field(0, ge=0)
    shares: dict[str, float] = Field(default_factory=dict)
    severity: float = Field(1.0, ge=0)


class Optimiser(FrozenSpec):
    """AdamW behind a warm-up, its rate falling with a half cosine to a hundredth.

    rate: highest; warm_up_steps: linear; minutes, steps: length of the whole run, whichever ends first; clip: largest
    norm of a gradient; averaging: decay of the moving average of the weights per step; fixed_norms: batch norms keep
    their statistics, as they must in small batches; lstm_rate: factor on the rate of the LSTM; relative: each kernel,
    matrix and vector has the rate in units of its own root mean square; fixed_blocks: parts of
    the backbone, from the first on, that are not trained; bf16: convolutions and matrices are multiplied in bfloat16,
    which the processor must have; worst: of ctc_loss.
    """

    rate: float = Field(gt=0)
    warm_up_steps: int = Field(ge=1)
    minutes: float = Field(gt=0)
    steps: int = Field(10**9, ge=1)
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(5.0, gt=0)
    averaging: float = Field(0.999, ge=0, lt=1)
    fixed_norms: bool = False
    lstm_rate: float = Field(1.0, gt=0)
    relative: bool = False
    fixed_blocks: int = Field(0, ge=0)
    bf16: bool = False
    worst: float = Field(math.inf, gt=0)


class Distillation(FrozenSpec):
    """How much a teacher counts besides the labels.

    teacher: the name of a recogniser bundle, which `glyphwire train` leaves aside: its teacher is the network that it
    starts from; bundles: the folder of bundles that it is in, None for models; weight: at
    first, falling to 0 at the share `until` of the run, never where that is inf. trusts: lines that the teacher
    reads right, or all; never: regular expression of labels of lines that are not trusted whatever is said of them;
    labels: how much the labels of trusted lines count. columns: how much more it counts what convolutions make of the
    lines, which only a teacher that the network was made of knows.
    """

    teacher: str
    bundles: Path | None = None
    weight: float = Field(gt=0)
    until: float = Field(1.0, gt=0)
    trusts: Literal["right", "all"] = "right"
    never: str | None = None
    labels: float = Field(1.0, ge=0)
    columns: float = Field(0.0, ge=0)


class Validation(FrozenSpec):
    """How often and on how many lines it is measured. Their seed is never one that is trained on."""

    lines: int = Field(ge=1)
    every_minutes: float = Field(gt=0)
    seed: int


class TrainingRecipe(FrozenSpec):
    """A whole run. name, version: of the bundle that it leads to; extra: characters that the charset gets besides."""

    name: str
    version: str
    start: DayOneStart | SlimStart | RandomStart | CheckpointStart = Field(discriminator="kind")
    extra: Literal["", "traditional"] = ""
    input: InputFormat | None = None
    data: Data
    optimiser: Optimiser
    distillation: Distillation | None = None
    validation: Validation
    checkpoint_minutes: float = Field(10.0, gt=0)


def find_recipe(name: str) -> TrainingRecipe:
    """The recipe in a TOML file, or that of a name in training/recipes. Raises RecipeFailed when it is malformed."""
    path = Path(name)
    return read_training_recipe(path if path.suffix else RECIPES / f"{name}.toml")


def read_training_recipe(path: Path) -> TrainingRecipe:
    """Read a recipe. Raises RecipeFailed when it is malformed."""
    try:
        return TrainingRecipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise RecipeFailed(f"{path}: {error}") from error
