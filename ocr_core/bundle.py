"""Model bundles: models/<name>/<version>/{model.xml, model.bin, model.json}."""

from __future__ import annotations

import hashlib
import json
from enum import Enum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ocr_core.charset import Charset
from ocr_core.errors import BundleInvalid, ModelNotFound
from ocr_core.types import ModelInfo

MANIFEST = "model.json"
GRAPH = "model.xml"
WEIGHTS = "model.bin"

Triple = tuple[float, float, float]


class Kind(Enum):
    """What a model does."""

    RECOGNIZER = "recognizer"
    DETECTOR = "detector"
    ORIENTATION = "orientation"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputFormat(_Strict):
    """How the model wants its image: (pixel / 255 - mean) / std, channels in the given order.

    height: pixels to which images are resized, 0 for any; width: likewise; min_width: narrower lines are padded to it,
    because the model was trained on padded lines and reads short ones worse without.
    """

    height: int = Field(ge=0)
    width: int = Field(default=0, ge=0)
    min_width: int = Field(default=0, ge=0)
    channels: Annotated[str, Field(pattern="^(RGB|BGR)$")]
    mean: Triple
    std: Triple

    @property
    def padding(self) -> tuple[int, int, int]:
        """The pixel value, in the order of `channels`, that comes nearest to 0 after normalisation."""
        first, second, third = (round(255 * value + 1e-6) for value in self.mean)
        return first, second, third


class Origin(_Strict):
    """Where the weights come from. source: package or training run; file and sha256: of the original weights."""

    source: str
    file: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ModelBundle(_Strict):
    """The contents of model.json, checked. characters and blank_index: recognisers only."""

    format: Annotated[int, Field(ge=1, le=1)] = 1
    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]*$")]
    version: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    kind: Kind
    input: InputFormat
    characters: tuple[str, ...] = ()
    blank_index: int = 0
    origin: Origin
    licence: str
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @property
    def charset(self) -> Charset:
        """Characters and blank. Raises BundleInvalid when they do not fit each other."""
        return Charset(self.characters, self.blank_index)

    def info(self, *, is_default: bool) -> ModelInfo:
        """What callers are told about a recogniser."""
        return ModelInfo(
            name=self.name,
            version=self.version,
            is_default=is_default,
            charset_size=len(self.characters),
            input_height=self.input.height,
            origin=self.origin.source,
            licence=self.licence,
        )


def read_bundle(folder: Path) -> ModelBundle:
    """Read and check models/<name>/<version>. Raises BundleInvalid when parts are missing, inconsistent or altered."""
    try:
        bundle = ModelBundle.model_validate_json((folder / MANIFEST).read_bytes())
        weights_hash = file_sha256(folder / WEIGHTS)
    except (OSError, ValidationError) as error:
        raise BundleInvalid(f"{folder}: {error}") from error
    if (bundle.name, bundle.version) != (folder.parent.name, folder.name):
        raise BundleInvalid(f"{folder}: model.json says {bundle.name}/{bundle.version}")
    if weights_hash != bundle.weights_sha256:
        raise BundleInvalid(f"{folder}: {WEIGHTS} has SHA-256 {weights_hash}, model.json says {bundle.weights_sha256}")
    if bundle.kind is Kind.RECOGNIZER and not (bundle.charset.class_count > 1 and bundle.input.height):
        raise BundleInvalid(f"{folder}: a recogniser needs characters and an input height")
    return bundle


def write_manifest(folder: Path, bundle: ModelBundle) -> None:
    """Write model.json beside the weights."""
    text = json.dumps(bundle.model_dump(mode="json"), ensure_ascii=False, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Registry:
    """The bundles below one folder, found once. Newest version: the last in natural order of numbers and text."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir
        manifests = sorted(models_dir.glob(f"*/*/{MANIFEST}"))
        self._bundles = {(path.parts[-3], path.parts[-2]): read_bundle(path.parent) for path in manifests}

    def folder(self, bundle: ModelBundle) -> Path:
        """Where a bundle lies."""
        return self._models_dir / bundle.name / bundle.version

    def find(self, model: str, kind: Kind) -> ModelBundle:
        """The bundle named "name" (newest version) or "name/version". Raises ModelNotFound."""
        name, _, version = model.partition("/")
        found = [b for b in self.of_kind(kind) if b.name == name and version in {"", b.version}]
        if not found:
            raise ModelNotFound(f"no {kind.value} {model!r} in {self._models_dir}", "options.model")
        return max(found, key=lambda bundle: _natural(bundle.version))

    def of_kind(self, kind: Kind) -> tuple[ModelBundle, ...]:
        """All bundles of a kind, sorted by name and version."""
        found = [bundle for bundle in self._bundles.values() if bundle.kind is kind]
        return tuple(sorted(found, key=lambda bundle: (bundle.name, _natural(bundle.version))))


def _natural(version: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in version.replace("-", ".").split(".")]
