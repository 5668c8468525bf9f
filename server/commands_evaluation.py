"""`glyphwire eval`: how well labelled images are read."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from ocr_core.errors import SetupError
from server.readers import LOCAL_SETTINGS, add_options, core_options
from server.reports import table_console
from server.settings import add_flags, load_settings

if TYPE_CHECKING:
    from ocr_core.evaluation import LineScore, PageScore

    Score = LineScore | PageScore


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the command."""
    parser.add_argument(
        "directory", type=Path, metavar="DIR", help="folder with labels.tsv or pages.json in or below it"
    )
    parser.add_argument("--format", choices=("table", "markdown", "json"), default="table", help="[table]")
    add_options(parser)
    add_flags(parser, LOCAL_SETTINGS)
    parser.set_defaults(run=run)


def run(flags: Namespace) -> int:
    """Print the scores of each set; returns 1 when there is none."""
    scores = list(_scores(flags))
    if flags.format == "json":
        print(json.dumps([asdict(score) for score in scores], ensure_ascii=False, indent=2))
    else:
        console = table_console()
        for _, same_kind in groupby(sorted(scores, key=_kind), key=_kind):
            console.print(_table(list(same_kind), box.MARKDOWN if flags.format == "markdown" else box.SIMPLE_HEAD))
    if not scores:
        print(f"no labelled sets in {flags.directory}", file=sys.stderr)
    return 0 if scores else 1


def _scores(flags: Namespace) -> Iterator[Score]:
    try:
        from ocr_core.evaluation import evaluate
    except ModuleNotFoundError as error:
        raise SetupError(f"{error.name} is not installed; pip install 'glyphwire-server[eval]'") from None
    from server.app import build_pipeline

    with closing(build_pipeline(load_settings(flags))) as pipeline, _progress() as progress:
        pipeline.start()
        bar = progress.add_task("", total=None)

        def show(path: str) -> None:
            progress.update(bar, advance=1, description=path)

        yield from evaluate(pipeline, flags.directory, core_options(flags), show)


def _progress() -> Progress:
    columns = (TextColumn("{task.completed} images"), TextColumn("{task.description}"))
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _kind(score: Score) -> str:
    return type(score).__name__


def _table(scores: Sequence[Score], style: box.Box) -> Table:
    names, *others = asdict(scores[0])
    table = Table(names, box=style)
    for name in others:
        table.add_column(name.replace("_", " "), justify="right")
    for score in scores:
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in asdict(score).values()))
    return table
