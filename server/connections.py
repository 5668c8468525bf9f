"""Flags of the commands that call a server, and the clients that they describe."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import glyphwire

from server.errors import SettingsInvalid

_Client = TypeVar("_Client", glyphwire.OcrClient, glyphwire.AsyncOcrClient)
_Made = TypeVar("_Made")


def add_connection(parser: ArgumentParser, sentence: str, default: str | None = None) -> None:
    """Give a parser --server and what belongs to it. sentence: what the server is asked for."""
    group = parser.add_argument_group("server")
    group.add_argument("--server", metavar="ADDRESS", default=default, help=f"HOST:PORT or unix:PATH; {sentence}")
    group.add_argument("--tls", action="store_true", help="encrypt, believe the usual authorities")
    group.add_argument("--tls-ca", metavar="FILE", help="encrypt, believe these authorities (PEM)")
    group.add_argument("--tls-cert", metavar="FILE", help="certificate of the caller (PEM)")
    group.add_argument("--tls-key", metavar="FILE", help="its private key (PEM)")
    group.add_argument("--token", type=Path, metavar="FILE", help="file with the caller's token")
    group.add_argument("--allow-plaintext-token", action="store_true", help="send it without TLS over a network")


def connect(kind: type[_Client], flags: Namespace, max_attempts: int = 3) -> _Client:
    """A client of the server of --server. max_attempts: of a call; 1 for no retries.

    Raises SettingsInvalid, or OSError for files that cannot be read.
    """
    return _made(kind, flags, max_attempts=max_attempts)


def connect_admin(flags: Namespace) -> glyphwire.AdminClient:
    """As connect()."""
    return _made(glyphwire.AdminClient, flags)


def _made(kind: Callable[..., _Made], flags: Namespace, **options: int) -> _Made:
    is_encrypted = flags.tls or flags.tls_ca or flags.tls_cert
    try:
        return kind(
            flags.server,
            **options,
            tls=glyphwire.Tls(flags.tls_ca, flags.tls_cert, flags.tls_key) if is_encrypted else None,
            token=flags.token.read_text(encoding="utf-8").strip() if flags.token else None,
            allow_plaintext_token=flags.allow_plaintext_token,
        )
    except ValueError as error:
        raise SettingsInvalid(str(error)) from None
