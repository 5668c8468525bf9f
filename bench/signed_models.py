"""Versions of a model that can be told from each other by every character they read."""

from __future__ import annotations

import shutil
from pathlib import Path

from ocr_core.bundle import GRAPH, LANGUAGE, SECOND, WEIGHTS, Kind, ModelBundle, Registry, read_second, write_manifest

_FIRST_SIGN = 0xE000
"""Characters of private use begin here: no charset has them."""


class SignedModels:
    """A models folder of its own, made of another one: its recogniser `model`, in versions that sign what they read.

    Version "7" reads each character of the original with a sign behind it that is the version's own.
    """

    def __init__(self, folder: Path, original: Path, model: str) -> None:
        self.folder = folder
        registry = Registry(original)
        self._bundle = registry.find(model, Kind.RECOGNIZER)
        self._source = registry.folder(self._bundle)
        for bundle in (*registry.of_kind(Kind.DETECTOR), *registry.of_kind(Kind.ORIENTATION)):
            shutil.copytree(registry.folder(bundle), folder / bundle.name / bundle.version)

    @property
    def name(self) -> str:
        """Of the model."""
        return self._bundle.name

    def add(self, version: int, **changes: object) -> Path:
        """Put a version into the folder. changes: of its model.json. Returns its folder."""
        target = self.folder / self.name / str(version)
        if self._bundle.second_opinion is not None:
            _add_signed(read_second(self._source), self._source / SECOND, target / SECOND, version, {})
        if self._bundle.judge is not None:
            shutil.copy(self._source / LANGUAGE, target)
        # What is signed is not what the check of the original wants.
        _add_signed(self._bundle, self._source, target, version, {"version": str(version), "check": None} | changes)
        return target

    def remove(self, version: int) -> None:
        """Take a version out of the folder."""
        shutil.rmtree(self.folder / self.name / str(version))


def _add_signed(bundle: ModelBundle, source: Path, target: Path, version: int, changes: dict[str, object]) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for file in (GRAPH, WEIGHTS):
        shutil.copy(source / file, target)
    characters = tuple(character + _sign(version) for character in bundle.characters)
    write_manifest(target, bundle.model_copy(update={"characters": characters} | changes))


def unsigned(text: str, version: str) -> str:
    """Lines without their signs. Raises ValueError unless every character has the sign of the version, and no other."""
    plain = text.replace(_sign(int(version)), "")
    if text != "".join(character if character == "\n" else character + _sign(int(version)) for character in plain):
        raise ValueError(f"{text!r} is not signed by version {version} alone")
    return plain


def _sign(version: int) -> str:
    return chr(_FIRST_SIGN + version)
