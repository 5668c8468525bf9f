"""The command `glyphwire`."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

import glyphwire

from ocr_core.errors import ModelNotFound, OcrError, SetupError
from server import (
    commands_bench,
    commands_demo,
    commands_evaluation,
    commands_gateway,
    commands_lm,
    commands_models,
    commands_recognition,
    commands_serve,
    commands_stream,
    commands_train,
)
from server.logs import configure_logs
from server.settings import load_settings

_EXAMPLES = """\
examples:
  glyphwire demo                                  start a server, read a sample page, stop it
  glyphwire web                                   start a server and a web page
  glyphwire recognize photo.jpg                   read a file in this process
  glyphwire serve --listen 0.0.0.0:50051          serve
  glyphwire recognize --server host:50051 scans/  let a server read a folder
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit status: 1 when something could not be read, 2 when it could not start."""
    flags = _parser().parse_args(arguments)
    try:
        configure_logs(load_settings(flags))
        return int(flags.run(flags))
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more when it flushes at its end.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - closed by the end of the process
        return 1
    except (OcrError, glyphwire.OcrError, OSError) as error:
        print(f"glyphwire: {error}{_advice(error)}", file=sys.stderr)
        return 2 if isinstance(error, (SetupError, ModelNotFound)) else 1
    except KeyboardInterrupt:
        return 130


def _advice(error: Exception) -> str:
    if isinstance(error, ModelNotFound):
        return "; `glyphwire models list` names the models, `glyphwire models setup` makes those of the recipes"
    return ""


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        "glyphwire",
        description="Reads text from images.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, sentence, add_arguments in (
        ("serve", "serve gRPC until SIGTERM", commands_serve.add_arguments),
        ("recognize", "read image files", commands_recognition.add_arguments),
        ("stream", "send frames to a server", commands_stream.add_arguments),
        ("models", "list, set up or change models", commands_models.add_arguments),
        ("lm", "make and try models of the language", commands_lm.add_arguments),
        ("eval", "score labelled images", commands_evaluation.add_arguments),
        ("train", "train a recogniser further on labelled lines", commands_train.add_arguments),
        ("bench", "put load on a server and measure it", commands_bench.add_arguments),
        ("gateway", "serve HTTP and a web page in front of a server", commands_gateway.add_gateway_arguments),
        ("web", "start a server and a web page, and open it", commands_gateway.add_web_arguments),
        ("demo", "start a server, read a sample page, stop it", commands_demo.add_arguments),
    ):
        add_arguments(commands.add_parser(name, help=sentence, description=f"Glyphwire: {sentence}."))
    return parser
