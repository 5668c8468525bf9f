"""Other readers of lines behind the plainest gRPC server of the same contract, for bench.serving_peers.

Run: python -m bench.peer_servers {rapidocr,tesseract} PORT
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from queue import SimpleQueue
from typing import Any

import grpc
from glyphwire.v1 import ocr_pb2
from PIL import Image

_THREADS = 2
_SERVICE = "glyphwire.v1.OcrService"
_TESSDATA = "/usr/share/tesseract-ocr/5/tessdata"

Read = Callable[[bytes], str]


def main() -> None:
    """Serve until SIGTERM."""
    name, port = sys.argv[1:]
    _serve({"rapidocr": _rapidocr, "tesseract": _tesseract}[name](), port)


def _serve(read: Read, port: str) -> None:
    def recognize(request: ocr_pb2.RecognizeRequest, context: grpc.ServicerContext) -> ocr_pb2.RecognizeResponse:
        del context
        line = ocr_pb2.Line(text=read(request.image.encoded))
        return ocr_pb2.RecognizeResponse(recognition=ocr_pb2.Recognition(lines=[line]))

    method = grpc.unary_unary_rpc_method_handler(
        recognize, ocr_pb2.RecognizeRequest.FromString, ocr_pb2.RecognizeResponse.SerializeToString
    )
    server = grpc.server(ThreadPoolExecutor(_THREADS))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, {"Recognize": method})])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def _rapidocr() -> Read:
    """Models: those of its wheel."""
    engine = import_module("rapidocr").RapidOCR(params={"Global.log_level": "warning"})

    def read(image: bytes) -> str:
        return "".join(engine(image, use_det=False, use_cls=False, use_rec=True).txts or ())

    return read


def _tesseract() -> Read:
    """In process, as starting a program for each line would be most of the time; one instance for each thread."""
    tesserocr = import_module("tesserocr")
    free: SimpleQueue[Any] = SimpleQueue()
    for _ in range(_THREADS):
        free.put(tesserocr.PyTessBaseAPI(path=_TESSDATA, lang="chi_sim+eng", psm=tesserocr.PSM.SINGLE_LINE))

    def read(image: bytes) -> str:
        api = free.get()
        try:
            api.SetImage(Image.open(io.BytesIO(image)))
            return str(api.GetUTF8Text()).strip()
        finally:
            free.put(api)

    return read


if __name__ == "__main__":
    main()
