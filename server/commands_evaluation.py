"""`glyphwire eval`: how well labelled images are read."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from server.extras import needing
from server.readers import LOCAL_SETTINGS, add_options, core_options
from server.reports import table_console
from server.settings import add_flags, load_settings

if TYPE_CHECKING:
    from ocr_core.evaluation import LineScore, LineSet, PageScore, PageSet
    from ocr_core.quality import Quality

    Score = LineScore | PageScore
    Sets = Sequence[LineSet | PageSet]

_CONFUSIONS = 20


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the command."""
    parser.add_argument(
        "directory", type=Path, metavar="DIR", help="folder with labels.tsv or pages.json in or below it"
    )
    parser.add_argument("--format", choices=("table", "markdown", "json"), default="table", help="[table]")
    parser.add_argument(
        "--details", action="store_true", help="also the characters that are confused, and accuracy by confidence"
    )
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report with the worst lines and pages")
    parser.add_argument("--worst", type=int, default=8, metavar="N", help="lines of each set that it shows [8]")
    add_options(parser)
    add_flags(parser, LOCAL_SETTINGS)
    parser.set_defaults(run=run)


def run(flags: Namespace) -> int:
    """Print the scores of each set; returns 1 when there is none."""
    sets = _read(flags)
    if flags.format == "json":
        _print_json(flags, sets)
    elif sets:
        _print_tables(flags, sets)
    if not sets:
        print(f"no labelled sets in {flags.directory}", file=sys.stderr)
        return 1
    if flags.html:
        from ocr_core.quality_report import quality_report

        title = f"{flags.directory.name}, read by {flags.model or load_settings(flags).default_model}"
        flags.html.write_text(quality_report(title, sets, worst=flags.worst), encoding="utf-8")
    return 0


def _read(flags: Namespace) -> Sets:
    with needing("eval"):
        from ocr_core.evaluation import read_sets
    from server.app import build_pipeline

    with closing(build_pipeline(load_settings(flags))) as pipeline, image_progress() as show:
        pipeline.start()
        return list(read_sets(pipeline, flags.directory, core_options(flags), show))


@contextmanager
def image_progress() -> Iterator[Callable[[str], None]]:
    """A row on a terminal that counts images and names the last."""
    columns = (TextColumn("{task.completed} images"), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("", total=None)
        yield lambda path: progress.update(bar, advance=1, description=path)


def _print_json(flags: Namespace, sets: Sets) -> None:
    scores = [asdict(each.score) for each in sets]
    content = {"sets": scores, **_as_json(_quality(sets))} if flags.details else scores
    print(json.dumps(content, ensure_ascii=False, indent=2))


def _print_tables(flags: Namespace, sets: Sets) -> None:
    style = box.MARKDOWN if flags.format == "markdown" else box.SIMPLE_HEAD
    console = table_console()
    for _, same_kind in groupby(sorted((each.score for each in sets), key=_kind), key=_kind):
        scores = [asdict(score) for score in same_kind]
        console.print(
            _table([name.replace("_", " ") for name in scores[0]], (score.values() for score in scores), style)
        )
    if flags.details:
        from ocr_core.quality import HEADER

        quality = _quality(sets)
        found = (asdict(one).values() for one in quality.confusions[:_CONFUSIONS])
        console.print(_table(("expected", "read", "count", "of"), found, style))
        console.print(_table(HEADER, quality.rows, style))
        console.print(
            f"expected calibration error: {quality.characters.error:.4f} of characters, {quality.lines.error:.4f} of "
            "the characters of lines"
        )


def _quality(sets: Sets) -> Quality:
    from ocr_core.quality import quality_of

    return quality_of(sets)


def _as_json(quality: Quality) -> dict[str, object]:
    content = asdict(quality)
    for name in ("characters", "lines", "whole_lines"):
        content[name]["error"] = getattr(quality, name).error
    return content


def _kind(score: Score) -> str:
    return type(score).__name__


def _table(header: Sequence[str], rows: Iterable[Iterable[object]], style: box.Box) -> Table:
    """The first column is text."""
    name, *others = header
    table = Table(name, box=style)
    for other in others:
        table.add_column(other, justify="right")
    for row in rows:
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row))
    return table
