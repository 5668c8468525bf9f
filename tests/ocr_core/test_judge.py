"""Tests of ocr_core.judge: what speaks for a reading."""

from __future__ import annotations

import numpy as np
import pytest

from ocr_core.bundle import JudgeWeights
from ocr_core.judge import Judge
from ocr_core.ngram import CharacterModel

LANGUAGE = CharacterModel.train(["the cat sat on the mat"] * 20)
SURE, LOST = 0.0, -np.inf


def best(texts: list[str], of_first: list[float], of_second: list[float], **weights: float) -> str:
    judge = Judge(LANGUAGE, JudgeWeights(sha256="0" * 64, **weights))
    return texts[judge.best(texts, np.array(of_first), np.array(of_second))]


def test_networks_are_weighed_against_each_other() -> None:
    """What the second says counts by its weight; with 0 the first decides alone."""
    texts, of_first, of_second = ["x", "y"], [-1.0, -2.0], [-9.0, -1.0]
    assert best(texts, of_first, of_second, second=1.0) == "y"
    assert best(texts, of_first, of_second, second=0.0) == "x"


def test_likely_text_prevails_where_images_say_nothing() -> None:
    """Of two readings that both networks find alike, the one that the character model knows is right."""
    assert best(["the cqt", "the cat"], [-3.0, -3.0], [-2.0, -2.0]) == "the cat"
    assert best(["the cqt", "the cat"], [-3.0, -3.0], [-2.0, -2.0], language=0.0) == "the cqt"


@pytest.mark.parametrize(("character", "answer"), [(0.0, "a"), (20.0, "at")])
def test_characters_count(character: float, answer: str) -> None:
    """A bonus for each makes up for what longer readings lose."""
    assert best(["a", "at"], [-1.0, -10.0], [-1.0, -1.0], language=0.0, character=character) == answer


def test_what_a_network_cannot_spell_is_not_lost() -> None:
    """A reading that one of them rules out is 30 nats behind for it, which the other may outweigh."""
    assert best(["x", "y"], [SURE, LOST], [-61.0, SURE], second=1.0) == "x"
    assert best(["x", "y"], [SURE, LOST], [-61.0, SURE], second=1.1) == "y"
