"""Model bundles: models/<name>/<version>/{model.xml, model.bin, model.json}."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ocr_core.calibration import TEMPERATURES
from ocr_core.charset import Charset
from ocr_core.errors import BundleInvalid, ModelNotFound
from ocr_core.types import ModelInfo

MANIFEST = "model.json"
GRAPH = "model.xml"
WEIGHTS = "model.bin"
SECOND = "second"
"""Folder within a bundle: the bundle of the recogniser that is asked about lines which this one reads with doubt."""

LANGUAGE = "language.lm"
"""File within a bundle: the character model that takes part in judging between both."""

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


class Check(_Strict):
    """A line that a recogniser must read before it is used. image: a file beside model.json; text: what it shows."""

    image: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    text: str


class JudgeWeights(_Strict):
    """What speaks for a reading, beside its log-probability by the first network, which counts once.

    second, language: how much its log-probabilities count by the second network, and by the character model in the file
    LANGUAGE, which has that SHA-256. character: nats that each of its characters gains.
    """

    second: float = Field(default=1.0, ge=0)
    language: float = Field(default=0.45, ge=0)
    character: float = 4.0
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


_NAME = "[a-z0-9][a-z0-9._-]*"
_VERSION = "[A-Za-z0-9][A-Za-z0-9._-]*"


def is_name_and_version(text: str) -> bool:
    """Whether a bundle can be called so: NAME/VERSION."""
    return re.fullmatch(f"{_NAME}/{_VERSION}", text) is not None


class ModelBundle(_Strict):
    """The contents of model.json, checked. output, characters, blank_index and what follows: recognisers only.

    temperature: by which confidences are calibrated; see calibration. second_opinion: sureness, as ReadLine has it,
    below which lines are read by the bundle in the folder SECOND as well; None without one. judge: what decides
    between both then; None where the surer one is right. bfloat16: whether it is computed so where the processor can;
    that costs some recognisers next to nothing, and others 7 lines of a hundred. int8_inputs: the greatest magnitudes
    of what goes into so many of a detector's largest convolutions, in their order, which are computed in INT8 then.
    """

    format: Annotated[int, Field(ge=1, le=1)] = 1
    name: Annotated[str, Field(pattern=f"^{_NAME}$")]
    version: Annotated[str, Field(pattern=f"^{_VERSION}$")]
    kind: Kind
    input: InputFormat
    output: Literal["probs", "logits"] = "probs"
    characters: tuple[str, ...] = ()
    blank_index: int = 0
    check: Check | None = None
    temperature: float = Field(default=1.0, ge=TEMPERATURES[0], le=TEMPERATURES[1])
    second_opinion: float | None = Field(default=None, gt=0, le=1)
    judge: JudgeWeights | None = None
    bfloat16: bool = False
    int8_inputs: tuple[Annotated[float, Field(gt=0)], ...] = ()
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
    bundle = _read_parts(folder)
    if (bundle.name, bundle.version) != (folder.parent.name, folder.name):
        raise BundleInvalid(f"{folder}: model.json says {bundle.name}/{bundle.version}")
    if bundle.second_opinion is not None:
        second = read_second(folder)
        if second.kind is not Kind.RECOGNIZER or second.second_opinion is not None:
            raise BundleInvalid(f"{folder / SECOND} is no recogniser that answers by itself")
    if bundle.judge is not None:
        _check_hash(folder / LANGUAGE, bundle.judge.sha256)
    return bundle


def read_second(folder: Path) -> ModelBundle:
    """The bundle in the folder SECOND of a bundle, whatever its name is. Raises BundleInvalid."""
    return _read_parts(folder / SECOND)


def _read_parts(folder: Path) -> ModelBundle:
    try:
        bundle = ModelBundle.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleInvalid(f"{folder}: {error}") from error
    _check_hash(folder / WEIGHTS, bundle.weights_sha256)
    if bundle.kind is Kind.RECOGNIZER and not (bundle.charset.class_count > 1 and bundle.input.height):
        raise BundleInvalid(f"{folder}: a recogniser needs characters and an input height")
    return bundle


def _check_hash(path: Path, wanted: str) -> None:
    try:
        found = file_sha256(path)
    except OSError as error:
        raise BundleInvalid(f"{path.parent}: {error}") from error
    if found != wanted:
        raise BundleInvalid(f"{path.parent}: {path.name} has SHA-256 {found}, model.json says {wanted}")


def write_manifest(folder: Path, bundle: ModelBundle) -> None:
    """Write model.json beside the weights."""
    text = json.dumps(bundle.model_dump(mode="json", exclude_none=True), ensure_ascii=False, indent=1)
    (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def store_temperature(folder: Path, temperature: float) -> float:
    """Put a temperature, cut to what bundles may have, into a bundle. Returns what it has now. Raises BundleInvalid."""
    low, high = TEMPERATURES
    bundle = read_bundle(folder)
    stored = round(min(max(temperature, low), high), 3)
    write_manifest(folder, bundle.model_copy(update={"temperature": stored}))
    return stored


def add_second_opinion(folder: Path, other: Path, below: float, language: Path | None = None) -> None:
    """Give a recogniser a copy of another one for lines that it reads with a sureness below. Raises BundleInvalid.

    language: file of a character model that judges between both.
    """
    if read_bundle(other).second_opinion is not None:
        raise BundleInvalid(f"{other} has a second opinion of its own")
    try:
        judge = JudgeWeights(sha256=file_sha256(language)) if language else None
        changes = {"second_opinion": below, "judge": judge}
        bundle = ModelBundle.model_validate(dict(read_bundle(folder)) | changes)
    except (OSError, ValidationError) as error:
        raise BundleInvalid(f"{folder}: {error}") from error
    if language:
        shutil.copyfile(language, folder / LANGUAGE)
    shutil.rmtree(folder / SECOND, ignore_errors=True)
    (folder / SECOND).mkdir()
    for name in (MANIFEST, GRAPH, WEIGHTS):
        shutil.copyfile(other / name, folder / SECOND / name)
    write_manifest(folder / SECOND, read_second(folder).model_copy(update={"check": None}))
    write_manifest(folder, bundle)


def place_bundle(draft: Path, models_dir: Path) -> Path:
    """Put a finished bundle into a models folder, in place of what is there. Returns its folder.

    Raises BundleInvalid when the draft has no valid model.json.
    """
    try:
        bundle = ModelBundle.model_validate_json((draft / MANIFEST).read_bytes())
    except (OSError, ValidationError) as error:
        raise BundleInvalid(f"{draft}: {error}") from error
    target = models_dir / bundle.name / bundle.version
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(draft, target, ignore=lambda folder, _: [MANIFEST] if Path(folder) == draft else [])
    # The manifest comes last: a folder without one is no bundle.
    shutil.copy(draft / MANIFEST, target / MANIFEST)
    return target


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(folder: Path) -> str:
    """SHA-256 of manifests, which have those of the weights, and graphs, in hex. Raises BundleInvalid."""
    try:
        parts = [folder, *(path.parent for path in folder.glob(f"{SECOND}/{MANIFEST}"))]
        return hashlib.sha256(
            b"".join((part / name).read_bytes() for part in parts for name in (MANIFEST, GRAPH))
        ).hexdigest()
    except OSError as error:
        raise BundleInvalid(f"{folder}: {error}") from error


def bundle_folders(models_dir: Path) -> dict[str, Path]:
    """Folders with a manifest by "name/version", sorted by name, versions from the oldest to the newest."""
    folders = [path.parent for path in models_dir.glob(f"*/*/{MANIFEST}")]
    folders.sort(key=lambda folder: (folder.parent.name, version_order(folder.name)))
    return {f"{folder.parent.name}/{folder.name}": folder for folder in folders}


class Registry:
    """The bundles below one folder, which are found once, and read when they are asked for."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir
        self._folders = bundle_folders(models_dir)

    def folder(self, bundle: ModelBundle) -> Path:
        """Where a bundle lies."""
        return self._models_dir / bundle.name / bundle.version

    def find(self, model: str, kind: Kind) -> ModelBundle:
        """The bundle named "name" (newest version) or "name/version". Raises ModelNotFound or BundleInvalid."""
        wanted = model.removesuffix("/")
        bundles = [read_bundle(folder) for name, folder in self._folders.items() if wanted in names_of(name)]
        found = [bundle for bundle in bundles if bundle.kind is kind]
        if not found:
            raise ModelNotFound(f"no {kind.value} {model!r} in {self._models_dir}", "options.model")
        return found[-1]

    def of_kind(self, kind: Kind) -> tuple[ModelBundle, ...]:
        """All bundles of a kind, sorted by name and version. Raises BundleInvalid, whatever kind cannot be read."""
        bundles = map(read_bundle, self._folders.values())
        return tuple(bundle for bundle in bundles if bundle.kind is kind)


def names_of(full_name: str) -> tuple[str, str]:
    """By which "name/version" can be found."""
    return full_name.partition("/")[0], full_name


def version_order(version: str) -> list[tuple[int, str]]:
    """Sorts versions from the oldest to the newest: by their numbers, what is no number before."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in version.replace("-", ".").split(".")]
