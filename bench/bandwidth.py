"""How fast one core reads memory: small loops in C, compiled when asked for, the fastest of which counts."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ocr_core.types import Probs

# The asm statements make the compiler believe that someone reads the results and writes the buffer between repeats.
_SOURCE = r"""
#include <stddef.h>
#define READ(NAME, ELEMENT, BYTES, COUNT, OP)                                                      \
    void NAME(const void *buffer, size_t bytes, size_t repeats) {                                  \
        typedef ELEMENT vec __attribute__((vector_size(BYTES), aligned(4), may_alias));            \
        const size_t step = (size_t)(BYTES) * (COUNT);                                             \
        for (size_t r = 0; r < repeats; r++) {                                                     \
            vec sums[COUNT] = {0};                                                                 \
            const vec *p = buffer;                                                                 \
            for (size_t i = 0; i < bytes / step; i++, p += (COUNT))                                \
                for (int k = 0; k < (COUNT); k++) sums[k] = sums[k] OP p[k];                       \
            for (int k = 0; k < (COUNT); k++) __asm__ volatile("" : : "m"(sums[k]) : "memory");    \
        }                                                                                          \
    }
#define READS(BYTES)                          \
    READ(or_##BYTES##_4, int, BYTES, 4, |)    \
    READ(or_##BYTES##_8, int, BYTES, 8, |)    \
    READ(sum_##BYTES##_4, float, BYTES, 4, +) \
    READ(sum_##BYTES##_8, float, BYTES, 8, +)
READS(32)
READS(64)
"""

_NAMES = tuple(f"{operation}_{width}_{count}" for operation in ("or", "sum") for width in (32, 64) for count in (4, 8))


def stream_reads() -> dict[str, Callable[[Probs, int], None]]:
    """The loops by name (operation, bytes of a vector, independent accumulators); each reads an array so many times.

    Needs a C compiler called cc that knows GNU C.
    """
    return {name: _reader(name) for name in _NAMES}


def _reader(name: str) -> Callable[[Probs, int], None]:
    function = getattr(_library(), name)
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
    function.restype = None

    def read(array: Probs, repeats: int) -> None:
        function(array.ctypes.data, array.nbytes, repeats)

    return read


@cache
def _library() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(prefix="glyphwire-") as folder:
        source, library = Path(folder, "reads.c"), Path(folder, "reads.so")
        source.write_text(_SOURCE, encoding="ascii")
        flags = ("-O3", "-funroll-loops", "-march=native", "-shared", "-fPIC", "-w")
        subprocess.run(["cc", *flags, "-o", str(library), str(source)], check=True)  # noqa: S607  # wherever it is
        return ctypes.CDLL(str(library))
