"""Packages of Debian, PyPI and npm, fetched by their ordinary clients at pinned versions; unpacked, not installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

PINS = Path(__file__).with_name("packages.toml")


class PackageMissing(RuntimeError):
    """A client could not fetch a package at its pinned version; its own message follows."""


def fetch_packages(folder: Path) -> None:
    """Unpack every pinned package into folder/REGISTRY/NAME; what is there already stays. Raises PackageMissing."""
    for registry, pins in tomllib.loads(PINS.read_text(encoding="utf-8")).items():
        for name, version in pins.items():
            target = folder / registry / folder_name(name)
            if not target.exists():
                print(f"{registry}: {name} {version}", flush=True)
                _fetch_one(registry, name, version, target)


def folder_name(package: str) -> str:
    """Name of a package as one folder: "@scope/name" has a slash."""
    return re.sub(r"[^\w.+-]", "_", package)


def _fetch_one(registry: str, name: str, version: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        archives, files = Path(scratch, "archives"), Path(scratch, "files")
        archives.mkdir()
        _run(_DOWNLOADS[registry](name, version), archives)
        for archive in archives.iterdir():
            _unpack(archive, files)
        files.rename(target)


_DOWNLOADS: dict[str, Callable[[str, str], list[str]]] = {
    "debian": lambda name, version: ["apt-get", "download", "--quiet", f"{name}={version}"],
    "pypi": lambda name, version: [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        f"{name}=={version}",
    ],
    "npm": lambda name, version: ["npm", "pack", "--silent", f"{name}@{version}"],
}


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise PackageMissing(f"{command[0]} is not on this machine")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603, from our table
    if done.returncode:
        raise PackageMissing(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-500:]}")


def _unpack(archive: Path, into: Path) -> None:
    if archive.suffix == ".deb":
        _run(["dpkg-deb", "--extract", archive.name, str(into.resolve())], archive.parent)
    elif archive.suffix in (".whl", ".zip"):
        zipfile.ZipFile(archive).extractall(into)  # noqa: S202, zipfile drops paths that leave the folder
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(into, filter="data")
