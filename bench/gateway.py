"""What the gateway adds to a call, and whether uploads of many kinds at once are all answered.

    python -m bench.gateway [--rounds N] [--uploads N]

Overhead: the same line crops, one at a time, over gRPC and over HTTP to the same server, in turns; medians. Over HTTP
once more with a client in Python, httpx, which takes time of its own: the gateway is what the others show. Uploads:
lines, pages, TIFFs of two pages and files that cannot be read, 16 at once; how many were answered as they should, and
the gateway's memory after each quarter.
Exit status 1: an upload was lost.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from statistics import median

import glyphwire
import httpx
from PIL import Image

from bench.rounds import machine
from bench.serving_children import LINE_MODE, PAGE, Child, glyphwire_child, line_crops
from bench.tables import markdown

_CONCURRENCY = 16
_QUARTERS = 4


def main() -> int:
    """Returns 1 when an upload was lost."""
    flags = _flags()
    images = line_crops(flags)
    print(f"{machine()}\n")
    with glyphwire_child() as server, _gateway(server.target) as gateway:
        _print_overhead(server.target, gateway.target, images[:6], flags.rounds)
        return asyncio.run(_print_uploads(gateway, images, flags.uploads))


def _gateway(server: str) -> Child:
    def answers(target: str) -> None:
        try:
            httpx.get(f"http://{target}/api/ready").raise_for_status()
        except httpx.HTTPError as error:
            raise ConnectionError(error) from error

    command = [sys.executable, "-m", "gateway", f"--server={server}", "--http-listen=127.0.0.1:{port}"]
    return Child(command, answers, GLYPHWIRE_LOG_LEVEL="warning")


def _print_overhead(server: str, gateway: str, images: Sequence[bytes], rounds: int) -> None:
    times: dict[str, list[list[float]]] = {}
    with (
        glyphwire.OcrClient(server, max_attempts=1) as client,
        httpx.Client(base_url=f"http://{gateway}") as http,
        closing(HTTPConnection(gateway)) as connection,
    ):
        sent_whole = {image: http.build_request("POST", "/api/ocr?mode=line", content=image) for image in images}
        sent_as_form = {image: _form(http, image) for image in images}
        ways: dict[str, Callable[[bytes], object]] = {
            "gRPC": lambda image: client.recognize(image, LINE_MODE),
            "HTTP, bytes": lambda image: _exchange(connection, sent_whole[image]),
            "HTTP, form": lambda image: _exchange(connection, sent_as_form[image]),
            "HTTP, form, httpx": lambda image: http.send(_form(http, image)).raise_for_status(),
        }
        for _ in range(rounds + 1):
            for way, read in ways.items():
                times.setdefault(way, []).append([_timed_ms(read, image) for image in images])
    middles = {way: [median(column) for column in zip(*each[1:], strict=True)] for way, each in times.items()}
    rows = [
        (way, f"{median(own):.2f}", f"{median(x - y for x, y in zip(own, middles['gRPC'], strict=True)):.2f}")
        for way, own in middles.items()
    ]
    print(markdown(("way", "median, ms", "more than gRPC, ms"), rows), "\n")


def _form(http: httpx.Client, image: bytes) -> httpx.Request:
    return http.build_request("POST", "/api/ocr", files={"file": image}, data={"mode": "line"})


def _exchange(connection: HTTPConnection, request: httpx.Request) -> None:
    connection.request("POST", request.url.raw_path.decode(), request.read(), dict(request.headers))
    response = connection.getresponse()
    body = response.read()
    if response.status != HTTPStatus.OK:
        raise RuntimeError(f"{response.status}: {body[:200]!r}")


def _timed_ms(read: Callable[[bytes], object], image: bytes) -> float:
    started = time.perf_counter()
    read(image)
    return 1e3 * (time.perf_counter() - started)


async def _print_uploads(gateway: Child, images: Sequence[bytes], count: int) -> int:
    kinds: dict[str, tuple[bytes, str, int]] = {
        "line": (images[0], "mode=line", 200),
        "page": (PAGE.read_bytes(), "", 200),
        "document": (_document(), "", 200),
        "no image": (b"no image at all", "", 415),
    }
    lost: list[str] = []
    turns = itertools.islice(itertools.cycle(["line", "page", "line", "document", "line", "no image"]), count)
    waiting = iter(list(turns))
    memory: list[float] = []
    done = 0

    async def upload(client: httpx.AsyncClient) -> None:
        nonlocal done
        for kind in waiting:
            content, query, wanted = kinds[kind]
            try:
                response = await client.post(f"/api/ocr?{query}", files={"file": content})
                if response.status_code != wanted:
                    lost.append(f"{kind}: {response.status_code} {response.text[:100]}")
            except httpx.HTTPError as error:
                lost.append(f"{kind}: {error!r}")
            done += 1
            if done % max(1, count // _QUARTERS) == 0:
                memory.append(gateway.usage().rss_bytes / 2**20)

    started = time.perf_counter()
    async with httpx.AsyncClient(base_url=f"http://{gateway.target}", timeout=120) as client:
        await asyncio.gather(*(upload(client) for _ in range(_CONCURRENCY)))
    seconds = time.perf_counter() - started
    print(f"{count} uploads, {_CONCURRENCY} at once, in {seconds:.1f} s; lost: {len(lost)} {lost[:3] or ''}")
    print(f"Memory of the gateway after each quarter, MiB: {', '.join(f'{value:.0f}' for value in memory)}")
    return int(bool(lost))


def _document() -> bytes:
    """The sample page twice, as a TIFF."""
    pages = [Image.open(PAGE).convert("L").resize((600, 800)) for _ in range(2)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    return file.getvalue()


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.gateway", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, metavar="N", help="[40]")
    parser.add_argument("--uploads", type=int, default=200, metavar="N", help="[200]")
    parser.set_defaults(images=None)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
