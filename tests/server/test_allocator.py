"""What becomes of large blocks of memory."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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


@pytest.mark.skipif(not IS_GLIBC, reason="other C libraries have no such settings")
def test_large_blocks_are_used_again():
    """Once set, memory that was freed is taken again without new pages from the kernel."""
    faults = {
        how: int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True).stdout)
        for how in ("default", "kept")
    }
    assert faults["kept"] < 100 < faults["default"]
