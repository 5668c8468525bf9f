"""The fake pipeline with a real shelf of models, whose recognisers sign what they read."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ocr_core.bundle import ModelBundle
from ocr_core.errors import BundleInvalid
from ocr_core.model_agreement import ModelAgreement
from ocr_core.model_shelf import ModelShelf
from ocr_core.types import (
    LineCrop,
    ModelInfo,
    PreparedImage,
    RawImage,
    ReadLine,
    Recognition,
    RecognizeOptions,
    Timings,
)
from tests.ocr_core.test_bundle import make_bundle
from tests.server.fake_stages import FakeStages


class SigningRecognizer:
    """Signs lines with the first character of its bundle's charset."""

    def __init__(self, bundle: ModelBundle) -> None:
        self.sign = bundle.characters[0]


@dataclass
class ShelfStages(FakeStages):
    """Reads the rows of an image, each signed by the recogniser that read it. Bundles with a file "broken" fail.

    may_load: set at first; loading waits for it.
    """

    models_dir: Path = Path()
    agreement: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.may_load = threading.Event()
        self.may_load.set()
        self.loading = threading.Event()
        self.shelf = ModelShelf(self.models_dir, "tiny", self._make, ModelAgreement(self.agreement))

    def start(self) -> None:
        """As the real one."""
        self.shelf.start()
        super().start()

    def prepare(self, image: bytes | RawImage, options: RecognizeOptions) -> PreparedImage:
        """As the real one."""
        lease = self.shelf.lease(options.model)
        prepared = super().prepare(image, replace(options, model=""))
        return replace(prepared, lease=lease, crops=tuple(replace(crop, lease=lease) for crop in prepared.crops))

    def batch_key(self, crop: LineCrop, options: RecognizeOptions) -> Hashable:
        """As the real one."""
        return crop.lease.model.serial

    def read_lines(self, crops: Sequence[LineCrop], options: Sequence[RecognizeOptions]) -> list[ReadLine]:
        """The crops' texts, signed by the recogniser of the first, as all must have the same."""
        sign = crops[0].lease.model.recognizer.sign
        return [
            replace(read, line=replace(read.line, text=read.line.text + sign), timings=Timings())
            for read in super().read_lines(crops, options)
        ]

    def assemble(self, prepared: PreparedImage, lines: Sequence[ReadLine], options: RecognizeOptions) -> Recognition:
        """As the real one."""
        bundle = prepared.lease.model.bundle
        return replace(super().assemble(prepared, lines, options), model_name=bundle.name, model_version=bundle.version)

    def models(self) -> tuple[ModelInfo, ...]:
        """As the real one."""
        return self.shelf.infos()

    def _make(self, bundle: ModelBundle, folder: Path) -> SigningRecognizer:
        self.loading.set()
        assert self.may_load.wait(30)
        if (folder / "broken").exists():
            raise BundleInvalid("it reads nothing")
        return SigningRecognizer(bundle)


def put_bundle(models_dir: Path, version: str, sign: str, *, broken: bool = False) -> None:
    """Version `version` of tiny, in the place of one that may be there."""
    folder = models_dir / "tiny" / version
    shutil.rmtree(folder, ignore_errors=True)
    make_bundle(models_dir, "tiny", version, characters=(sign,))
    if broken:
        (folder / "broken").touch()
