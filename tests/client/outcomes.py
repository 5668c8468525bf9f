"""What tests look at in the outcome of a call."""

from __future__ import annotations

import glyphwire
import pytest
from glyphwire import OcrError


def texts(outcome: glyphwire.Recognition) -> list[str]:
    """The texts of the lines."""
    return [line.text for line in outcome.lines]


async def failure(call) -> OcrError:
    """The error of a call that must fail."""
    with pytest.raises(OcrError) as caught:
        await call
    return caught.value
