"""Lines made of what is bundled: a few words, and the DejaVu fonts that matplotlib brings along."""

from __future__ import annotations

import string

import pytest

pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.charset import Charset
from training.synth.samples import SynthLines, SynthSettings

CHARSET = Charset((*string.digits, *string.ascii_letters, *".,:;!?()&$%-/'\" ", *"今天上午，我们。"), blank_index=0)


@pytest.fixture(scope="session")
def charset() -> Charset:
    return CHARSET


@pytest.fixture(scope="session")
def lines() -> SynthLines:
    return SynthLines(CHARSET, SynthSettings(root=None), seed=7)
