"""Readers of whole pages in processes of their own, for bench.pages.

Run: python -m bench.page_readers {glyphwire,rapidocr,tesseract}; then paths of images on standard input, one a row. For
each comes a row of JSON: {"ms": ..., "lines": [{"text": ..., "polygon": [[x, y], ...]}, ...]}.
"""

from __future__ import annotations

import io
import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image

_THREADS = 2
_TESSDATA = "/usr/share/tesseract-ocr/5/tessdata"

Lines = list[dict[str, Any]]
"""Of each line its text, and its polygon in source pixels."""

Read = Callable[[bytes], Lines]


def main() -> None:
    """Read pages until the input ends."""
    read = {"glyphwire": _glyphwire, "rapidocr": _rapidocr, "tesseract": _tesseract}[sys.argv[1]]()
    print("ready", flush=True)
    for row in sys.stdin:
        image = Path(row.rstrip("\n")).read_bytes()
        started = time.perf_counter()
        lines = read(image)
        print(json.dumps({"ms": 1e3 * (time.perf_counter() - started), "lines": lines}), flush=True)


def _glyphwire() -> Read:
    """The pipeline as `glyphwire recognize` has it."""
    settings = import_module("server.settings")
    pipeline = import_module("server.app").build_pipeline(settings.load_settings(Namespace(workers=_THREADS)))
    pipeline.start()

    def read(image: bytes) -> Lines:
        return [
            {"text": line.text, "polygon": [(point.x, point.y) for point in line.polygon.vertices]}
            for line in pipeline.recognize(image).lines
        ]

    return read


def _rapidocr() -> Read:
    """Its defaults, with the models of its wheel."""
    threads = {"EngineConfig.onnxruntime.intra_op_num_threads": _THREADS}
    engine = import_module("rapidocr").RapidOCR(params={"Global.log_level": "warning", **threads})

    def read(image: bytes) -> Lines:
        result = engine(image)
        if result.boxes is None:
            return []
        return [{"text": text, "polygon": box.tolist()} for text, box in zip(result.txts, result.boxes, strict=True)]

    return read


def _tesseract() -> Read:
    """Page segmentation is automatic, its default."""
    tesserocr = import_module("tesserocr")
    api = tesserocr.PyTessBaseAPI(path=_TESSDATA, lang="chi_sim+eng", psm=tesserocr.PSM.AUTO)

    def read(image: bytes) -> Lines:
        api.SetImage(Image.open(io.BytesIO(image)).convert("RGB"))
        api.Recognize()
        level, lines = tesserocr.RIL.TEXTLINE, []
        for found in tesserocr.iterate_level(api.GetIterator(), level):
            box = found.BoundingBox(level)
            if box and (text := found.GetUTF8Text(level).strip()):
                left, top, right, bottom = box
                polygon = [(left, top), (right, top), (right, bottom), (left, bottom)]
                lines.append({"text": text, "polygon": polygon})
        return lines

    return read


if __name__ == "__main__":
    main()
