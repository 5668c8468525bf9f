"""The command `glyphwire`."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version

import glyphwire
import structlog

from ocr_core.errors import ModelNotFound, OcrError, SetupError
from server.logs import configure_logs
from server.settings import load_settings, misspelt_variables

_COMMANDS = {
    "serve": ("commands_serve.add_arguments", "serve gRPC until SIGTERM"),
    "recognize": ("commands_recognition.add_arguments", "read image files"),
    "stream": ("commands_stream.add_arguments", "send frames to a server"),
    "models": ("commands_models.add_arguments", "list, set up or change models"),
    "lm": ("commands_lm.add_arguments", "make and try models of the language"),
    "eval": ("commands_evaluation.add_arguments", "score labelled images"),
    "train": ("commands_train.add_arguments", "train a recogniser further on labelled lines"),
    "bench": ("commands_bench.add_arguments", "put load on a server and measure it"),
    "gateway": ("commands_gateway.add_gateway_arguments", "serve HTTP and a web page in front of a server"),
    "web": ("commands_gateway.add_web_arguments", "start a server and a web page, and open it"),
    "demo": ("commands_demo.add_arguments", "start a server, read a sample page, stop it"),
}
"""Of each command the function that gives it its flags, and what it does."""

_EXAMPLES = """\
examples:
  glyphwire demo                                  start a server, read a sample page, stop it
  glyphwire web                                   start a server and a web page
  glyphwire recognize photo.jpg                   read a file in this process
  glyphwire serve --listen 0.0.0.0:50051          serve
  glyphwire recognize --server host:50051 scans/  let a server read a folder
"""


_log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit status: 1 when something could not be read, 2 when it could not start."""
    given = sys.argv[1:] if arguments is None else arguments
    flags = _parser(given).parse_args(given)
    try:
        configure_logs(load_settings(flags))
        _warn_of_misspellings()
        return int(flags.run(flags))
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more when it flushes at its end.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - closed by the end of the process
        return 1
    except UnicodeEncodeError as error:
        lost = ascii(error.object[error.start : error.end])
        print(f"glyphwire: the output is {error.encoding}, which has no {lost}: set PYTHONUTF8=1", file=sys.stderr)
        return 1
    except (OcrError, glyphwire.OcrError, OSError) as error:
        print(f"glyphwire: {error}{_advice(error)}", file=sys.stderr)
        return 2 if isinstance(error, (SetupError, ModelNotFound)) else 1
    except KeyboardInterrupt:
        return 130


def _warn_of_misspellings() -> None:
    for name, meant in misspelt_variables().items():
        _log.warning("variable_unknown", name=name, meant=meant)


def _advice(error: Exception) -> str:
    if isinstance(error, ModelNotFound):
        return "; `glyphwire models list` names the models, `glyphwire models setup` makes those of the recipes"
    return ""


def _parser(arguments: Sequence[str]) -> ArgumentParser:
    """A parser of the command that is given; of the others it has the names, as importing them all takes 0.1 s."""
    parser = ArgumentParser(
        "glyphwire",
        description="Reads text from images.",
        epilog=_EXAMPLES,
        formatter_class=RawDescriptionHelpFormatter,
    )
    # Looked up only when it is asked for: it stands in a file.
    shown = version("glyphwire-server") if "--version" in arguments else ""
    parser.add_argument("--version", action="version", version=f"glyphwire {shown}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    given = next((argument for argument in arguments if argument in _COMMANDS), "")
    for name, (adder, sentence) in _COMMANDS.items():
        command = commands.add_parser(name, help=sentence, description=f"Glyphwire: {sentence}.")
        if name == given:
            module, _, function = adder.partition(".")
            getattr(import_module(f"server.{module}"), function)(command)
    return parser
