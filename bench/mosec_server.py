"""This project's pipeline behind MOSEC's HTTP server, for bench.serving_peers: two processes of one thread each.

Run: python -m bench.mosec_server --address 127.0.0.1 --port PORT --timeout 30000
"""

from __future__ import annotations

from argparse import Namespace

import mosec

from ocr_core.types import Mode, RecognizeOptions
from server.app import build_pipeline
from server.settings import load_settings

_PROCESSES = 2
_LINE = RecognizeOptions(mode=Mode.LINE)


class OcrWorker(mosec.Worker):  # type: ignore[misc,unused-ignore]  # of the extra serving-peers
    """Reads one line: the bytes of an image in, its text out."""

    def __init__(self) -> None:
        self._pipeline = build_pipeline(load_settings(Namespace(workers=1)))
        self._pipeline.start()

    def deserialize(self, data: bytes) -> bytes:
        """As it comes."""
        return data

    def forward(self, data: bytes) -> str:
        """Read it."""
        return "".join(line.text for line in self._pipeline.recognize(data, _LINE).lines)

    def serialize(self, data: str) -> bytes:
        """UTF-8."""
        return data.encode()


if __name__ == "__main__":
    server = mosec.Server()  # type: ignore[no-untyped-call,unused-ignore]
    server.append_worker(OcrWorker, num=_PROCESSES)
    server.run()  # type: ignore[no-untyped-call,unused-ignore]
