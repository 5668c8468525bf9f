"""`glyphwire lm build | convert | info | score`: n-gram models of characters."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from ocr_core.errors import LanguageInvalid
from server.reports import table_console

if TYPE_CHECKING:
    from ocr_core.ngram import CharacterModel


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the four commands."""
    commands = parser.add_subparsers(required=True, metavar="build|convert|info|score")
    build = commands.add_parser("build", help="learn a model from text, a line of text per line")
    build.add_argument("texts", type=Path, nargs="+", metavar="TEXT", help="UTF-8 text like that on the images")
    build.add_argument("--order", type=int, default=4, help="characters of the longest n-grams [4]")
    build.add_argument("--min-count", type=int, default=2, help="leave out what occurs less often [2]")
    build.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where the model goes")
    build.set_defaults(run=_build)
    convert = commands.add_parser("convert", help="write an ARPA or KenLM model in the compact format")
    convert.add_argument("model", type=Path, metavar="MODEL")
    convert.add_argument("output", type=Path, metavar="FILE")
    convert.set_defaults(run=_convert)
    info = commands.add_parser("info", help="what a model has")
    info.add_argument("model", type=Path, metavar="MODEL")
    info.set_defaults(run=_info)
    score = commands.add_parser("score", help="how well a model foresees a text")
    score.add_argument("model", type=Path, metavar="MODEL")
    score.add_argument("text", type=Path, metavar="TEXT", help="UTF-8 text that the model was not made from")
    score.set_defaults(run=_score)


def _build(flags: Namespace) -> int:
    from ocr_core.ngram import CharacterModel

    lines = (line for path in flags.texts for line in _lines(path))
    return _save(CharacterModel.train(lines, flags.order, flags.min_count), flags.output)


def _convert(flags: Namespace) -> int:
    return _save(_load(flags.model), flags.output)


def _info(flags: Namespace) -> int:
    model = _load(flags.model)
    table = Table("N-grams of", "Count", box=box.SIMPLE_HEAD)
    for length, count in enumerate(model.counts, 1):
        table.add_row(f"{length} characters" if length > 1 else "1 character", str(count))
    table_console().print(table)
    print(f"{len(model.ngrams.characters)} characters:", *model.ngrams.characters)
    return 0


def _score(flags: Namespace) -> int:
    model = _load(flags.model)
    lines = list(_lines(flags.text))
    log_probs = model.log_probs(lines)
    characters = sum(map(len, lines))
    mean = -math.fsum(log_probs) / len(log_probs) if len(log_probs) else math.nan
    unknown = len(model.unknown("".join(lines)))
    print(f"{len(lines)} lines, {characters} characters, {unknown} of them unknown")
    print(f"perplexity {math.exp(mean):.3f}, {mean / math.log(2):.3f} bits per character, line ends included")
    return 0


def _load(path: Path) -> CharacterModel:
    from ocr_core.ngram import CharacterModel

    return CharacterModel.load(path)


def _save(model: CharacterModel, path: Path) -> int:
    model.save(path)
    print(f"{path}: {sum(model.counts)} n-grams of up to {model.order} characters, {path.stat().st_size} bytes")
    return 0


def _lines(path: Path) -> Iterator[str]:
    """Lines without line breaks; only those at line feeds, as others may be characters to learn."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for line in file:
                yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise LanguageInvalid(f"{path} is no UTF-8 text: {error}") from None
