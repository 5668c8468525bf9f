"""What the process that reads loads, and what the server in front of it does."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = "import sys, {}; print(*(name for name in sys.modules if '.' not in name))"


def loaded(*modules: str) -> set[str]:
    """Packages in a new interpreter that has imported these modules."""
    command = [sys.executable, "-c", LOADED.format(", ".join(modules))]
    return set(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split())


@pytest.mark.parametrize(
    "package", ["grpc", "google", "glyphwire", "prometheus_client", "structlog", "pydantic_settings", "asyncio", "rich"]
)
def test_the_process_that_reads_does_without(package, engine_packages):
    """What only a server needs, tens of megabytes, is not in it."""
    assert package not in engine_packages


@pytest.mark.parametrize("package", ["openvino", "numpy", "cv2", "PIL", "re2"])
def test_the_server_in_front_of_it_does_without(package, server_packages):
    """Libraries that only reading needs come when something else does, as a stream that votes."""
    assert package not in server_packages


@pytest.fixture(scope="module")
def server_packages() -> set[str]:
    """What a server loads before it serves."""
    packages = loaded("server.commands_serve", "server.app", "server.remote_stages")
    assert "grpc" in packages
    return packages


@pytest.fixture(scope="module")
def engine_packages() -> set[str]:
    """What the program loads before it reads; the pipeline is among it."""
    packages = loaded("server.engine_program")
    assert "openvino" in packages
    return packages
