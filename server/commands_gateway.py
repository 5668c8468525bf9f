"""`glyphwire gateway` and `glyphwire web`: flags here, the rest in the package `gateway`, which is an extra."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ocr_core.errors import SetupError
from server.connections import add_connection
from server.readers import LOCAL_SETTINGS
from server.settings import GATEWAY_SETTINGS, add_flags

_DEFAULT_SERVER = "127.0.0.1:50051"


def add_gateway_arguments(parser: ArgumentParser) -> None:
    """Flags of `glyphwire gateway`."""
    add_connection(parser, f"the server behind the gateway [{_DEFAULT_SERVER}]", _DEFAULT_SERVER)
    add_flags(parser, GATEWAY_SETTINGS)
    parser.set_defaults(run=run)


def add_web_arguments(parser: ArgumentParser) -> None:
    """Flags of `glyphwire web`."""
    parser.add_argument("--no-browser", action="store_true", help="only say where the page is")
    add_flags(parser, (*GATEWAY_SETTINGS, *LOCAL_SETTINGS))
    parser.set_defaults(run=run, server=None)


def run(flags: Namespace) -> int:
    """Serve until SIGTERM. Raises SetupError when the extra is not installed, or the server does not start."""
    try:
        from gateway import commands
    except ImportError as error:
        raise SetupError(f"the gateway needs {error.name}: install glyphwire-server[gateway]") from None
    return commands.serve_in_front(flags) if flags.server else commands.serve_all(flags)
