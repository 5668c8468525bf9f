"""The steps of preparation, and what a request says about each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ocr_core.errors import OptionInvalid


class Switch(Enum):
    """What a request says about a step. AUTO: done where measures of the image say that it helps."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Step(Enum):
    """Everything that can be done to an image, in the order in which it is done."""

    PERSPECTIVE = "perspective"
    SHADOW = "shadow"
    CONTRAST = "contrast"
    LOCAL_CONTRAST = "local_contrast"
    GREY = "grey"
    DENOISE = "denoise"
    SHARPEN = "sharpen"
    BINARISE = "binarise"
    ENLARGE = "enlarge"
    DESKEW = "deskew"
    ORIENTATION = "orientation"


@dataclass(frozen=True, slots=True)
class Preparation:
    """A switch per step; None means `other_steps`. Raises OptionInvalid when all steps at once are switched on."""

    other_steps: Switch = Switch.AUTO
    perspective: Switch | None = None
    shadow: Switch | None = None
    contrast: Switch | None = None
    local_contrast: Switch | None = None
    grey: Switch | None = None
    denoise: Switch | None = None
    sharpen: Switch | None = None
    binarise: Switch | None = None
    enlarge: Switch | None = None
    deskew: Switch | None = None
    orientation: Switch | None = None

    def __post_init__(self) -> None:
        if self.other_steps is Switch.ON:
            raise OptionInvalid(
                "preparation.other_steps is on, must be auto or off: steps are switched on one by one",
                "options.preprocess.preparation.other_steps",
            )

    def switch(self, step: Step) -> Switch:
        """What the request says about a step."""
        chosen: Switch | None = getattr(self, step.value)
        return chosen or self.other_steps


@dataclass(frozen=True, slots=True)
class AppliedStep:
    """A step that was done to a whole image.

    amount: by how many degrees the image was turned clockwise (deskew, orientation), by which factor it grew
    (enlarge) or its contrast did (contrast); 0 for all others.
    """

    step: Step
    amount: float = 0.0
