"""Which of the readings that two networks give of a line is right, by what both and a character model think of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from ext.automaton import Float64
from ocr_core.bundle import LANGUAGE, JudgeWeights
from ocr_core.ngram import CharacterModel

_LEAST = -30.0
"""Nats by which a network can be against a reading: what it cannot spell, the other one may have seen."""


@dataclass(frozen=True, slots=True)
class Judge:
    """A log-linear combination, as of speech recognisers: Och and Ney, "Discriminative Training", 2002, equation 4."""

    language: CharacterModel
    weights: JudgeWeights

    @classmethod
    def load(cls, folder: Path, weights: JudgeWeights) -> Self:
        """Of a bundle's folder. Raises LanguageInvalid."""
        return cls(CharacterModel.load(folder / LANGUAGE), weights)

    def best(self, texts: Sequence[str], of_first: Float64, of_second: Float64) -> int:
        """Index of the likeliest text. of_first, of_second: nats of each text by a network, some of them finite."""
        weights = self.weights
        each = np.array([1.0, weights.second, weights.language, weights.character])
        return int(np.argmax(self.terms(texts, of_first, of_second) @ each))

    def terms(self, texts: Sequence[str], of_first: Float64, of_second: Float64) -> Float64:
        """float64 [text, 4]: what the weights of first, second, language and character are multiplied by."""
        lengths = [float(len(text)) for text in texts]
        behind = (_behind_best(of_first), _behind_best(of_second))
        return np.stack([*behind, self.language.line_log_probs(texts), np.array(lengths)], axis=1)


def _behind_best(log_probs: Float64) -> Float64:
    behind: Float64 = np.maximum(log_probs - log_probs.max(), _LEAST)
    return behind
