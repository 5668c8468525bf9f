"""Every claim about serving, one run: a table each, with what it is compared with.

    python -m bench.serving [--only cost,peers] [--images DIR]
    python -m bench.serving --only soak --minutes 30

Each section is a command of its own, in a process of its own, and takes a minute or less, but overload and peers, five
and three; soak runs only when it is named. Other programs make figures worse: look at ratios, and at `load` below.
Exit status 1: a section found what must not be.
"""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.rounds import machine


@dataclass(frozen=True, slots=True)
class Section:
    """One command of bench. takes_images: whether it has --images."""

    title: str
    module: str
    takes_images: bool = False


SECTIONS = {
    "cost": Section("What serving costs a line", "serving_cost", takes_images=True),
    "frames": Section("Raw frames of 1 MB up to the pipeline", "frames"),
    "batches": Section("Lines per batch", "batches"),
    "overload": Section("More than the server can do, and fairness", "serving_overload"),
    "reload": Section("Models replaced under load", "reload"),
    "restarts": Section("kill -9, replacement and SIGTERM under load", "restarts"),
    "peers": Section("Beside other servers", "serving_peers", takes_images=True),
    "soak": Section("Mixed load with cancelled calls", "serving_soak", takes_images=True),
}
_UNASKED = [name for name in SECTIONS if name != "soak"]


def main() -> int:
    """Returns 1 when a section has failed."""
    flags = _flags()
    print(f"{machine()}\n", flush=True)
    failed = [name for name in flags.only if _run(SECTIONS[name], _arguments(name, flags))]
    if failed:
        print(f"Not as it should be: {', '.join(failed)}.")
    return int(bool(failed))


def _arguments(name: str, flags: Namespace) -> Sequence[str]:
    images = [f"--images={flags.images}"] if flags.images and SECTIONS[name].takes_images else []
    return [*images, *([f"--minutes={flags.minutes}"] if name == "soak" else [])]


def _run(section: Section, arguments: Sequence[str]) -> int:
    print(f"## {section.title}\n\n`python -m bench.{section.module}`\n", flush=True)
    status = subprocess.run([sys.executable, "-m", f"bench.{section.module}", *arguments], check=False).returncode
    print(flush=True)
    return status


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - SECTIONS.keys():
        raise ValueError(f"no section {unknown}")
    return names


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.serving", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", type=_names, default=_UNASKED, metavar="NAMES", help=f"of {','.join(SECTIONS)} [all but soak]"
    )
    parser.add_argument("--minutes", type=float, default=30.0, metavar="M", help="of the section soak [30]")
    parser.add_argument("--images", metavar="DIR", help="folder of line images [variants of tests/data]")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
