"""What is done to the pixels of an image before it is read. The contract, ocr.proto, has the fine print."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Switch(enum.Enum):
    """Whether a step of preparation is done. AUTO: where measures of the image say that it helps."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Step(enum.Enum):
    """What can be done to the pixels of an image, in the order in which it is done."""

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


@dataclass(frozen=True)
class Preparation:
    """A switch per step of preparation; None means `other_steps`, which is AUTO or OFF."""

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


@dataclass(frozen=True)
class AppliedStep:
    """A step that was done. step: None for one that this client does not know.

    amount: degrees clockwise (deskew, orientation), factor (enlarge, contrast), else 0.
    """

    step: Step | None
    amount: float
