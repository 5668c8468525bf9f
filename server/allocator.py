"""Memory of the process: the C library's allocator, set for messages of megabytes and few threads, and loaded files."""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import threading
import time
from pathlib import Path

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_MMAP_BYTES = 8 * 2**20
"""More than a raw frame of 1920 x 1080 takes, less than the weights of a model, whose memory is given back when it is
unloaded: after 16 reloads a process had grown by 60 MB with 32 MiB, by 18 with 8 MiB."""
_TRIM_BYTES = 256 * 2**20
_ARENAS = 2
_TRIM_EVERY_S = 5.0

_UNCHANGED_FILE = re.compile(
    r"^(\w+)-(\w+) r-\S+p \S+ \S+ [1-9]\d* .*(?:\n(?!\w+-).*)*?\nAnonymous: +0 kB", re.MULTILINE
)
"""Of an entry of smaps: a private mapping of a file (with an inode) that is not written to. Start and end."""


def keep_large_blocks() -> bool:
    """Have free memory of large blocks used again instead of given back. Returns whether the C library is glibc.

    By default glibc maps every buffer of a large message anew, and the kernel clears each of its pages: a call with
    1 MB took 2.1 ms instead of 0.7 (python -m bench.frames). The price are some tens of MB that stay with the process.
    """
    return _set({_M_MMAP_THRESHOLD: _MMAP_BYTES, _M_TRIM_THRESHOLD: _TRIM_BYTES})


def share_arenas() -> bool:
    """Have all threads allocate from few arenas. Returns whether the C library is glibc. Before there are threads.

    By default each thread gets one of its own, up to eight per core, and what is free in one helps no other: sixty
    images of bench.memory left 587 MB resident, 550 with two.
    """
    return _set({_M_ARENA_MAX: _ARENAS})


def trim_often() -> bool:
    """Give pages between small blocks back every few seconds, in a thread. Returns whether the C library is glibc.

    By default only what is free at the end of the heap is, so that what the largest pages took stays: of the 508 MB
    after 260 images of bench.memory 69 were free. Once takes 1 to 25 ms beside full load.
    """
    if _is_glibc():
        threading.Thread(target=_keep_trimming, name="trim", daemon=True).start()
    return _is_glibc()


def trim() -> None:
    """Do so once, with glibc."""
    ctypes.CDLL(None).malloc_trim(0)


def drop_loaded_files() -> bool:
    """Let go of the pages of libraries, most of which only loading needed. Returns whether Linux says where they are.

    Once models are warm: of 100 MB 45 come back with the first pages, from the kernel's cache of files. Pages that the
    process has changed, or could, stay.
    """
    try:
        mappings = Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in _UNCHANGED_FILE.findall(mappings):
        madvise(int(start, 16), int(end, 16) - int(start, 16), mmap.MADV_DONTNEED)
    return True


def _keep_trimming() -> None:
    while True:
        time.sleep(_TRIM_EVERY_S)
        trim()


def _set(options: dict[int, int]) -> bool:
    if not _is_glibc():
        return False
    libc = ctypes.CDLL(None)
    return all(libc.mallopt(option, value) for option, value in options.items())


def _is_glibc() -> bool:
    try:
        os.confstr("CS_GNU_LIBC_VERSION")
    except (AttributeError, ValueError, OSError):
        return False
    return True
