"""The gateway as a process: in front of a server, or with one of its own and a browser."""

from __future__ import annotations

import signal
import sys
import threading
import webbrowser
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

import glyphwire
import uvicorn

from gateway.app import create_app
from server.commands_demo import ServerProcess
from server.connections import connect
from server.settings import Settings, load_settings

_OPEN_POLL_S = 0.1


def serve_in_front(flags: Namespace) -> int:
    """Of the server of --server, until SIGTERM. Raises SettingsInvalid."""
    _serve(load_settings(flags), partial(connect, glyphwire.AsyncOcrClient, flags))
    return 0


def serve_all(flags: Namespace) -> int:
    """With a server of our own on a free port; both end together. Raises SetupError."""
    settings = load_settings(flags)
    with ServerProcess(settings) as server:
        with glyphwire.OcrClient(server.target) as client:
            server.wait_ready(client)
        _serve(settings, partial(glyphwire.AsyncOcrClient, server.target), opens=not flags.no_browser)
    return 0


def _serve(settings: Settings, connect_client: Callable[[], glyphwire.AsyncOcrClient], *, opens: bool = False) -> None:
    host, _, port = settings.http_listen.rpartition(":")
    config = uvicorn.Config(
        create_app(settings, connect_client),
        host=host.strip("[]"),
        port=int(port),
        # The frame of the application logs every request, in our own format.
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=int(settings.drain_timeout_s),
        ws_max_size=settings.max_image_bytes,
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_announce, args=(server, opens), daemon=True).start()
    # uvicorn raises the signal that ended it once more, and a server of our own has to be stopped then.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.run()


def _announce(server: uvicorn.Server, opens: bool) -> None:
    """In a thread: says where the page is, as soon as it is there."""
    wait = threading.Event()
    while not server.started:
        wait.wait(_OPEN_POLL_S)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    url = f"http://{'localhost' if ip_address(host).is_unspecified else host}:{port}/"
    print(f"Glyphwire is at {url}", flush=True)
    if opens:
        webbrowser.open(url)
