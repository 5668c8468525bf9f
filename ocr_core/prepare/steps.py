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


_FIELD = "options.preprocess.preparation"
_SWITCHES = [switch.value for switch in Switch]


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
                f"{_FIELD}.other_steps",
            )

    def switch(self, step: Step) -> Switch:
        """What the request says about a step."""
        chosen: Switch | None = getattr(self, step.value)
        return chosen or self.other_steps


def switches(text: str) -> dict[str, Switch]:
    """What "deskew=on,denoise=off" says, by the names of the fields of Preparation; "off" alone is for all other steps.

    Raises OptionInvalid.
    """
    known = {"": "other_steps"} | {step.value: step.value for step in Step}
    chosen = {}
    for part in text.replace("-", "_").split(","):
        name, _, switch = part.strip().rpartition("=")
        if name not in known:
            raise OptionInvalid(f"{name!r} is no step; there are {', '.join(filter(None, known))}", _FIELD)
        if switch not in _SWITCHES:
            raise OptionInvalid(f"{switch!r} is none of {', '.join(_SWITCHES)}", _FIELD)
        chosen[known[name]] = Switch(switch)
    return chosen


@dataclass(frozen=True, slots=True)
class AppliedStep:
    """A step that was done to a whole image.

    amount: by how many degrees the image was turned clockwise (deskew, orientation), by which factor it grew
    (enlarge) or its contrast did (contrast); 0 for all others.
    """

    step: Step
    amount: float = 0.0
