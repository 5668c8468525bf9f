"""The pipeline as a server sees it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ocr_core.model_status import ModelStatus
from ocr_core.rules.options import RuleOptions
from ocr_core.types import ModelInfo, RawImage, Recognition, RecognizeOptions

if TYPE_CHECKING:
    from ocr_core.frame_change import FrameSketch
    from ocr_core.rules.rules import Rules


class WaitingLine(Protocol):
    """A line crop that has not been read, wherever its pixels are."""

    @property
    def nbytes(self) -> int:
        """Of its pixels."""


class WaitingImage(Protocol):
    """An image whose lines have been found."""

    @property
    def crops(self) -> Sequence[WaitingLine]:
        """Its lines, in reading order."""


_Image = TypeVar("_Image", bound=WaitingImage)
_Crop_contra = TypeVar("_Crop_contra", bound=WaitingLine, contravariant=True)
_Read = TypeVar("_Read")


class Stages(Protocol[_Image, _Crop_contra, _Read]):
    """What a server needs of the pipeline.

    Every method blocks, may run in any thread, and raises OcrError subclasses.
    """

    def prepare(self, image: bytes | RawImage, options: RecognizeOptions) -> _Image:
        """Load the image and find its lines."""

    def sketch(self, image: bytes | RawImage, options: RecognizeOptions) -> FrameSketch:
        """Load the image to compare it with others, whether it will be read or not."""

    def batch_key(self, crop: _Crop_contra, options: RecognizeOptions) -> Hashable:
        """Crops with equal keys may share a batch: same model, same padded width."""

    def read_lines(self, crops: Sequence[_Crop_contra], options: Sequence[RecognizeOptions]) -> list[_Read]:
        """Read crops of one batch key, each with its own options. Returns one reading per crop, in order."""

    def assemble(self, prepared: _Image, lines: Sequence[_Read], options: RecognizeOptions) -> Recognition:
        """Put the lines of one image together: filter by confidence, add up timings."""

    def rules(self, options: RuleOptions) -> Rules | None:
        """What is done to the text of lines, also of those that come from elsewhere; None for nothing."""

    def models(self) -> tuple[ModelInfo, ...]:
        """Recognisers that requests can name, sorted by name."""


class ModelChanges(Protocol):
    """Recognisers that can be changed while images are read: ModelShelf, wherever it is. Every method blocks."""

    def statuses(self) -> tuple[ModelStatus, ...]:
        """Each model that is there, comes or goes, and those that could not be loaded."""

    def load(self, name: str) -> None:
        """Load "name/version", or the newest version of a name. Raises ModelNotFound or ModelRejected."""

    def unload(self, name: str) -> None:
        """Unload the model that requests find by this name. Raises ModelNotFound or ModelIsDefault."""

    def reload(self) -> None:
        """Do what the folder of models says."""

    def set_default(self, name: str) -> None:
        """Requests that name no model mean this one from now on. Raises ModelNotFound."""

    def follow(self) -> None:
        """Do what other processes have done."""


class StartableStages(Stages[_Image, _Crop_contra, _Read], Protocol[_Image, _Crop_contra, _Read]):
    """Stages that load their models in start() and free them in close(). Both block."""

    @property
    def shelf(self) -> ModelChanges:
        """Its recognisers, for who changes them."""

    def start(self) -> None:
        """Load and warm up. Raises OcrError."""

    def close(self) -> None:
        """Free what start() took."""


AnyStages = StartableStages[Any, Any, Any]
"""For who passes on what one method returns to the next, and looks at no pixel."""
