"""Labelled lines made up from text, fonts and scenes: endless, and any of them reproducible by seed and index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType

import cv2

from ocr_core.charset import Charset
from ocr_core.types import Image
from training.batches import LabelledLine
from training.synth.corpus import load_corpus
from training.synth.cut import cut_line
from training.synth.degrade import degrade
from training.synth.fonts import load_fonts
from training.synth.pen import STROKES, load_strokes
from training.synth.render import render_line
from training.synth.rolls import Rolls
from training.synth.scenes import SCENES, Scene
from training.synth.text import LineText

BUILT = Path("build/training")
_ATTEMPTS = 50
_LEAST_SPREAD = 6.0  # standard deviation of brightness below which nobody can read a line
_FEWEST_PIXELS = 7  # height


@dataclass(frozen=True, slots=True)
class SynthSettings:
    """What lines to make.

    root: folder that `python -m training.synth build` wrote, None: few bundled words in DejaVu; longest_em: longest
    text, in widths of a Han character; severity: factor on the odds of all that happens to lines; clean_share: lines
    that are only drawn and cut; shares: of scenes, by name, in place of their own.
    """

    root: Path | None = BUILT
    longest_em: float = 32.0
    severity: float = 1.0
    clean_share: float = 0.12
    shares: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        unknown = self.shares.keys() - {scene.name for scene in SCENES}
        if unknown:
            raise ValueError(f"no scenes {sorted(unknown)}, known are {[scene.name for scene in SCENES]}")


def is_built() -> bool:
    """Whether `python -m training.synth build` was run from this folder."""
    return (BUILT / STROKES).exists()


class SynthLines:
    """Makes lines for a charset. Raises FileNotFoundError when settings.root has not been built."""

    def __init__(self, charset: Charset, settings: SynthSettings, seed: int) -> None:
        cv2.setNumThreads(1)  # lines are small and workers many
        self.settings, self.seed = settings, seed
        root = settings.root
        self.fonts = load_fonts(root and root / "fonts", frozenset(charset.characters))
        self.text = LineText(charset, load_corpus(root and root / "text"), self.fonts.characters, settings.longest_em)
        self._strokes = load_strokes(root / STROKES) if root else None
        self._shares = tuple(accumulate(settings.shares.get(scene.name, scene.share) for scene in SCENES))

    def sample(self, index: int) -> LabelledLine:
        """The line of an index. It depends on seed, index, settings and what was built alone."""
        rolls = Rolls.of(self.seed, index)
        for _ in range(_ATTEMPTS):
            scene, text, rolls = self._plan(rolls)
            image = self._picture(scene, text, rolls)
            if image is not None and _is_readable(image):
                return LabelledLine(image, text)
        raise RuntimeError(f"no readable line in {_ATTEMPTS} attempts: seed {self.seed}, index {index}")

    def plan(self, index: int) -> tuple[Scene, str]:
        """Scene and text of an index as first planned, without drawing it; quick, for statistics."""
        scene, text, _ = self._plan(Rolls.of(self.seed, index))
        return scene, text

    def _plan(self, rolls: Rolls) -> tuple[Scene, str, Rolls]:
        scene = rolls.dice.choices(SCENES, cum_weights=self._shares)[0]
        severity = 0.0 if rolls.happens(self.settings.clean_share) else self.settings.severity
        return scene, self.text.sample(rolls.dice, scene.kinds), rolls.with_odds(scene.odds, severity)

    def _picture(self, scene: Scene, text: str, rolls: Rolls) -> Image | None:
        shown = _on_plate(text, rolls) if scene.name == "plate" else text
        drawn = render_line(self.fonts.choose(shown, scene.styles, rolls.dice), scene, rolls, self._strokes)
        return None if drawn is None else degrade(cut_line(drawn, rolls), rolls)


def _on_plate(text: str, rolls: Rolls) -> str:
    """As it is stamped: a dot, which is not read, in front of the number, and ones that are bars, as there is no I."""
    if rolls.happens(0.6):
        text = text.replace("1", "I")
    return f"{text[:2]}·{text[2:]}" if rolls.happens(0.7) else text


def _is_readable(image: Image) -> bool:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return image.shape[0] >= _FEWEST_PIXELS and float(cv2.meanStdDev(grey)[1][0, 0]) >= _LEAST_SPREAD
