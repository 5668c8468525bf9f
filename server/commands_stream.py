"""`glyphwire stream`: frames to a server, results as they arrive."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import glyphwire

from ocr_core.types import UnchangedOptions
from server.commands_recognition import STDIN, find_images
from server.connections import add_connection, connect
from server.readers import add_options, client_options
from server.reports import FORMATS, TSV_HEADER, report, timings_row
from server.settings import Settings


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the command."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="image files or folders; with --raw a file of frames or -"
    )
    (listen,) = Settings.model_fields["listen"].default
    add_connection(parser, f"send the frames there [{listen}]", listen)
    parser.add_argument("--raw", type=_size, metavar="WIDTHxHEIGHT", help="the file holds raw frames of this size")
    formats = [pixel_format.name for pixel_format in glyphwire.PixelFormat]
    parser.add_argument("--pixel-format", choices=formats, default="BGR24", help="of raw frames [BGR24]")
    parser.add_argument("--format", choices=FORMATS, default="text", help="[text]")
    parser.add_argument("--timings", action="store_true", help="print where the time went on standard error")
    _add_stream_options(parser)
    add_options(parser)
    parser.set_defaults(run=run)


def _add_stream_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("frames", "What becomes of frames; see docs/streaming.md.")
    policies = [policy.value for policy in glyphwire.FramePolicy]
    group.add_argument("--policy", choices=policies, default=policies[0], help="which frames are read [every]")
    group.add_argument("--skip-unchanged", action="store_true", help="do not read a frame that looks like the last one")
    group.add_argument(
        "--unchanged-threshold", type=float, metavar="LEVELS", help=f"grey levels [{UnchangedOptions().threshold}]"
    )
    group.add_argument("--vote", action="store_true", help="merge the readings of each line over frames")


def _stream_options(flags: Namespace) -> glyphwire.StreamOptions:
    return glyphwire.StreamOptions(
        frame_policy=glyphwire.FramePolicy(flags.policy),
        unchanged=glyphwire.UnchangedOptions(flags.unchanged_threshold) if flags.skip_unchanged else None,
        voting=glyphwire.VotingOptions() if flags.vote else None,
    )


def run(flags: Namespace) -> int:
    """Send every frame; returns 1 when one of them could not be read."""
    if flags.format == "tsv":
        print(TSV_HEADER)
    sources: list[str] = []
    failed = 0
    with connect(glyphwire.OcrClient, flags) as client:
        frames = _frames(flags, sources)
        for result in client.stream(frames, client_options(flags), stream_options=_stream_options(flags)):
            failed += isinstance(result.outcome, glyphwire.OcrError)
            _print_result(flags, sources, result)
    return 1 if failed else 0


def _frames(flags: Namespace, sources: list[str]) -> Iterator[glyphwire.Frame]:
    """Frames in order; notes the name of each in `sources`, at the place of its frame_id."""
    for name, image in _raw_frames(flags) if flags.raw else ((path, Path(path)) for path in find_images(flags.paths)):
        sources.append(name)
        yield glyphwire.Frame(image, frame_id=len(sources) - 1)


def _raw_frames(flags: Namespace) -> Iterator[tuple[str, glyphwire.RawImage]]:
    for path in flags.paths:
        if path == STDIN:
            yield from _cut(flags, "frame", sys.stdin.buffer)
        else:
            with Path(path).open("rb") as file:
                yield from _cut(flags, path, file)


def _cut(flags: Namespace, name: str, file: BinaryIO) -> Iterator[tuple[str, glyphwire.RawImage]]:
    """The frames of one file; what is left at its end is no frame."""
    width, height = flags.raw
    pixel_format = glyphwire.PixelFormat[flags.pixel_format]
    size = width * height * len(pixel_format.value)
    number = 0
    while len(pixels := file.read(size)) == size:
        yield f"{name}:{number}", glyphwire.RawImage(pixels, width, height, pixel_format)
        number += 1
    if pixels:
        print(f"{name}: {len(pixels)} bytes at the end are no whole frame", file=sys.stderr)


def _print_result(flags: Namespace, sources: Sequence[str], result: glyphwire.FrameResult) -> None:
    source, outcome = sources[result.frame_id], result.outcome
    if isinstance(outcome, glyphwire.OcrError):
        print(f"{source}: {outcome}", file=sys.stderr)
    elif isinstance(outcome, glyphwire.FrameDropped):
        print(f"{source}: dropped for {sources[outcome.replaced_by]}", file=sys.stderr)
    else:
        if result.unchanged_from is not None:
            print(f"{source}: unchanged from {sources[result.unchanged_from]}", file=sys.stderr)
        merged = result.stable_lines if flags.vote else None
        for row in report(flags.format, source, outcome, titled=True, merged=merged):
            print(row, flush=True)
        if flags.timings:
            print(f"{source}: {timings_row(outcome)}", file=sys.stderr)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ArgumentTypeError(f"{text!r} is no WIDTHxHEIGHT")
    return int(width), int(height)
