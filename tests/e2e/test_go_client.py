"""The Go client against the whole product; its own tests with a fake server are run by `make go`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import glyphwire
import pytest

from server.load_report import LoadReport
from tests.e2e.conftest import serving
from tests.server.authorities import Authority

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
LINES = [str(DATA / name) for name in ("line_en.jpg", "line_zh.jpg")]


@pytest.fixture(scope="module")
def built() -> Path:
    """The folder of the programs made from the Go client as it is now."""
    make = shutil.which("make")
    if make is None or shutil.which("go") is None:
        pytest.skip("there is no Go here; see client/go/README.md")
    subprocess.run([make, "--silent", "build"], cwd=ROOT / "client" / "go", check=True)
    return ROOT / "build" / "go"


def test_the_go_client_works_with_the_server(built: Path, address: str) -> None:
    """Unary, batch, stream with dropped connections, errors and deadlines: the tests that need a real server pass."""
    variables = os.environ | {"GLYPHWIRE_TEST_SERVER": address, "GLYPHWIRE_TEST_DATA": str(DATA)}
    command = [str(built / "glyphwire.test"), "-test.v", "-test.run=^TestServer[A-Z]"]
    run = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    passed = run.stdout.count("--- PASS: TestServer")
    assert (passed, run.stdout.count("--- SKIP")) == (5, 0), run.stdout


@pytest.mark.parametrize("flags", [[], ["--stream"]], ids=["unary", "stream"])
def test_the_command_says_what_the_python_client_says(built: Path, address: str, flags: list[str]) -> None:
    """`glyphwire-read --json` prints one object per image, with what the Python client gets."""
    command = [str(built / "glyphwire-read"), "--server", address, "--mode", "line", "--json", *flags, *LINES]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    printed = [json.loads(row) for row in run.stdout.splitlines()]
    with glyphwire.OcrClient(address) as client:
        read = [client.recognize(path, glyphwire.RecognizeOptions(mode=glyphwire.Mode.LINE)) for path in LINES]
    assert [row["source"] for row in printed] == LINES
    assert [row["lines"][0]["text"] for row in printed] == [recognition.text for recognition in read]
    assert [row["lines"][0]["confidence"] for row in printed] == pytest.approx(
        [recognition.lines[0].confidence for recognition in read]
    )


def test_the_command_names_the_images_it_cannot_read(built: Path, address: str) -> None:
    """An image that cannot be read is an error on standard error and status 1; the others are printed."""
    command = [str(built / "glyphwire-read"), "--server", address, "--mode", "line"]
    run = subprocess.run([*command, str(DATA / "labels.tsv"), LINES[0]], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "labels.tsv: InvalidArgument, IMAGE_UNDECODABLE" in run.stderr
    assert run.stdout.startswith(f"==> {LINES[0]} <==\n")


@pytest.mark.parametrize("kind", ["unary", "stream"])
@pytest.mark.parametrize("loop", ["--concurrency=3", "--rate=60"])
def test_load_is_reported_as_glyphwire_bench_does(built: Path, address: str, kind: str, loop: str) -> None:
    """Every request is answered and counted, with the fields of LoadReport but those of the server's process."""
    report = _load(built, address, f"--kind={kind}", loop, *LINES)
    assert report.keys() == {name for name in _FIELDS if not name.startswith("server_")}
    assert report["requests_sent"] == report["requests_answered"] == report["images_read"] > 0
    assert (report["images_failed"], report["failures"], report["loop"] == "open") == (0, [], loop.startswith("--rate"))
    latency = report["latency_ms"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"]
    assert report["images_per_s"] * report["seconds"] == pytest.approx(report["images_read"])


def test_load_counts_what_fails_by_code_and_reason(built: Path, address: str) -> None:
    """An image that cannot be read is a failure of its own kind; a call that takes too long is late."""
    report = _load(built, address, "--rate=40", LINES[0], str(DATA / "labels.tsv"))
    failed = report["images_failed"]
    assert report["failures"] == [{"code": "INVALID_ARGUMENT", "reason": "IMAGE_UNDECODABLE", "count": failed}]
    assert failed == report["requests_sent"] - report["images_read"] > 0
    late = _load(built, address, "--deadline-ms=0.1", *LINES, status=1)
    assert "DEADLINE_EXCEEDED" in {failure["code"] for failure in late["failures"]}
    assert (late["goodput_per_s"], late["latency_ms"]) == (0, None)


def test_load_of_another_kind_of_server(built: Path) -> None:
    """Images are sent by POST to the path that is named, and answers that are not 200 are failures."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200 if self.path == "/inference" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        target = f"127.0.0.1:{server.server_port}"
        report = _load(built, f"{target}/inference", "--kind=post", LINES[0])
        failed = _load(built, f"{target}/elsewhere", "--kind=post", LINES[0], status=1)
        server.shutdown()
    assert set(bodies) == {Path(LINES[0]).read_bytes()}
    assert report["images_read"] > 0
    assert report["failures"] == []
    assert failed["images_failed"] == failed["requests_sent"] > 0


_FIELDS = [field.name for field in dataclasses.fields(LoadReport)]


def _load(built: Path, address: str, *arguments: str, status: int = 0) -> dict[str, Any]:
    """What a short run prints."""
    command = [
        built / "glyphwire-load",
        "--server",
        address,
        "--mode=line",
        "--warmup=0.1",
        "--duration=0.4",
        *arguments,
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == status, run.stderr
    return json.loads(run.stdout)


def test_the_command_over_tls_with_a_token(built: Path, tmp_path: Path) -> None:
    """With the server's authority and its token the command reads; without the token it is told why not."""
    authority = Authority(tmp_path)
    pair = authority.issue("127.0.0.1")
    image, token, tokens = tmp_path / "image", tmp_path / "token", tmp_path / "tokens.toml"
    image.write_bytes(b"one\ntwo")
    token.write_text("secret\n")
    tokens.write_text(f'[me]\nsha256 = "{hashlib.sha256(b"secret").hexdigest()}"\n')
    server = ("tests.e2e.fake_glyphwire", "serve", "--tls-cert", pair["cert"], "--tls-key", pair["key"])
    with serving(*map(str, server), "--token-file", str(tokens)) as address:
        command = [built / "glyphwire-read", "--server", address, "--tls-ca", authority.ca]
        read = subprocess.run([*command, "--token-file", token, image], capture_output=True, text=True, check=False)
        refused = subprocess.run([*command, image], capture_output=True, text=True, check=False)
    assert (read.stdout, read.stderr) == ("one\ntwo\n", "")
    assert (refused.stdout, refused.returncode) == ("", 1)
    assert "Unauthenticated, TOKEN_INVALID" in refused.stderr
