"""Packs what a training run needs besides the repository, for a machine with a GPU and without network.

Run: python -m training.carry RECIPE FOLDER [--root FOLDER] [--python 3.12] [--mib 60]

FOLDER gets start/checkpoint.pt, what the recipe starts from; atlas/, what lines are composed of, from below the
recipe's root; and wheels/, the few packages that such machines lack. training/unattended.sh trains with them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from training.command import run_command
from training.recipe import MODELS, TrainingRecipe, find_recipe
from training.run import prepare

CONSTRAINTS = MODELS.parent / "constraints.txt"
PACKAGES = ("annotated-types", "pydantic", "pydantic-core", "rapidfuzz", "typing-extensions", "typing-inspection")
"""What training needs that does not come with PyTorch, OpenCV and matplotlib."""
ATLAS = ("atlas.npz", "lines.xz")


class CannotPack(RuntimeError):
    """Something is missing, or too large to be carried."""


def pack(recipe: TrainingRecipe, folder: Path, *, root: Path, python: str, byte_limit: float) -> int:
    """Fill a folder, whose contents are replaced. Returns its size in bytes. Raises CannotPack."""
    missing = [str(root / "atlas" / name) for name in ATLAS if not (root / "atlas" / name).exists()]
    if missing:
        raise CannotPack(f"no {' and '.join(missing)}: run `python -m training.synth.atlas build`")
    shutil.rmtree(folder, ignore_errors=True)
    prepare(recipe, folder / "start")
    (folder / "atlas").mkdir()
    for name in ATLAS:
        shutil.copyfile(root / "atlas" / name, folder / "atlas" / name)
    fetch_wheels(folder / "wheels", python)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if size > byte_limit:
        raise CannotPack(
            f"{folder} has {size / 2**20:.1f} MiB, more than {byte_limit / 2**20:.1f}: build a smaller atlas"
        )
    return size


def fetch_wheels(folder: Path, python: str) -> None:
    """Wheels of the pinned packages for Linux on x86-64 and a version of Python. Raises CannotPack."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--python-version", python, "--implementation", "cp", "--dest", str(folder)]
    for glibc in ("2014", "_2_17", "_2_27", "_2_28"):
        command += ["--platform", f"manylinux{glibc}_x86_64"]
    done = subprocess.run(  # noqa: S603 - fixed command
        [*command, "--constraint", str(CONSTRAINTS), *PACKAGES], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CannotPack(f"pip cannot fetch {', '.join(PACKAGES)}: {done.stderr.strip()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 when something is missing or too large."""
    parser = ArgumentParser("python -m training.carry", description=__doc__)
    parser.add_argument("recipe")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--root", type=Path, help="where atlas/ is [the recipe's]")
    parser.add_argument("--python", default="3.12", help="version of Python there [%(default)s]")
    parser.add_argument("--mib", type=float, default=60, help="largest size of all [%(default)s]")
    flags = parser.parse_args(arguments)
    recipe = find_recipe(flags.recipe)
    root = flags.root or recipe.data.root
    try:
        if root is None:
            raise CannotPack(f"the recipe {recipe.name} has no root, and none is named")
        size = pack(recipe, flags.folder, root=root, python=flags.python, byte_limit=flags.mib * 2**20)
    except CannotPack as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{flags.folder}: {size / 2**20:.1f} MiB")
    return 0


if __name__ == "__main__":
    run_command(main)
