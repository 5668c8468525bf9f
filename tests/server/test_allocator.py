"""What becomes of large blocks of memory, of the arenas of threads, and of loaded files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from server.allocator import drop_loaded_files

IS_GLIBC = "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {})

FAULTS = """
import resource, sys
from server.allocator import keep_large_blocks

def take():
    return [bytearray(4 * 2**20) for _ in range(16)]

if sys.argv[1] == "kept":
    assert keep_large_blocks()
take()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
take()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


ARENAS = """
import ctypes, sys
from threading import Barrier, Thread
from server.allocator import share_arenas

if sys.argv[1] == "shared":
    assert share_arenas()
barrier = Barrier(8)

def take():
    block = bytearray(100_000)
    barrier.wait()

threads = [Thread(target=take) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""

FREED = """
import sys
from pathlib import Path
from server.allocator import keep_large_blocks, trim

def resident_mb():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

keep_large_blocks()
blocks = [bytearray(100_000) for _ in range(1000)]
last = bytearray(1000)
blocks.clear()
before = resident_mb()
if sys.argv[1] == "trimmed":
    trim()
print(before - resident_mb())
"""

DROPPED = """
import re
from pathlib import Path
import cv2
import numpy as np
from server.allocator import drop_loaded_files

def file_kb():
    return int(re.search(r"RssFile:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

before = file_kb()
assert drop_loaded_files()
print(file_kb() / before)
assert cv2.resize(np.ones((4, 4), np.uint8), (2, 2)).sum() == 4
"""


needs_glibc = pytest.mark.skipif(not IS_GLIBC, reason="other C libraries have no such settings")


def output(script: str, argument: str) -> bytes:
    return subprocess.run([sys.executable, "-c", script, argument], check=True, capture_output=True).stdout


@needs_glibc
def test_threads_share_arenas():
    """Once set, eight threads that allocate at once have two arenas, and not one each."""
    arenas = {how: output(ARENAS, how).count(b"<heap nr=") for how in ("default", "shared")}
    assert arenas["shared"] <= 2 < arenas["default"]


@needs_glibc
def test_large_blocks_are_used_again():
    """Once set, memory that was freed is taken again without new pages from the kernel."""
    faults = {how: int(output(FAULTS, how)) for how in ("default", "kept")}
    assert faults["kept"] < 100 < faults["default"]


@needs_glibc
def test_free_memory_between_blocks_is_given_back():
    """A hundred megabytes that were freed are resident until they are trimmed away."""
    freed_mb = {how: float(output(FREED, how)) for how in ("default", "trimmed")}
    assert freed_mb["default"] < 10
    assert freed_mb["trimmed"] > 90


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what is mapped")
def test_pages_of_libraries_are_let_go_of():
    """Most of what is resident of loaded files is given back, and the libraries work as before."""
    left = subprocess.run([sys.executable, "-c", DROPPED], check=True, capture_output=True).stdout
    assert float(left) < 0.5


def test_nothing_is_let_go_of_where_mappings_are_secret(monkeypatch):
    """A profile of the system may forbid to read them; the server starts all the same."""

    def forbidden(*_: object, **__: object) -> str:
        raise PermissionError

    monkeypatch.setattr(Path, "read_text", forbidden)
    assert not drop_loaded_files()
