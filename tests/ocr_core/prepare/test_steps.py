"""Tests of ocr_core.prepare.steps."""

import pytest

from ocr_core.errors import OptionInvalid
from ocr_core.prepare.steps import Preparation, Step, Switch


def test_steps_that_are_not_named_follow_the_others() -> None:
    """A switch of its own goes before the one for all others, which is auto unless it is said."""
    chosen = Preparation(other_steps=Switch.OFF, deskew=Switch.ON)
    assert chosen.switch(Step.DESKEW) is Switch.ON
    assert {chosen.switch(step) for step in Step if step is not Step.DESKEW} == {Switch.OFF}
    assert {Preparation().switch(step) for step in Step} == {Switch.AUTO}


def test_all_steps_at_once_are_not_switched_on() -> None:
    """They would undo each other; the error names the field."""
    with pytest.raises(OptionInvalid, match="one by one") as caught:
        Preparation(other_steps=Switch.ON)
    assert caught.value.field == "options.preprocess.preparation.other_steps"
