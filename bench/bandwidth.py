"""What the machine gives at most, in small loops in C, compiled when asked for.

How fast one core reads memory, where the fastest loop counts, and what two threads gain that use nothing but registers.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import product
from pathlib import Path

from ocr_core.types import Probs

# The asm statements make the compiler believe that someone reads the results and writes the buffer between repeats.
_SOURCE = r"""
#include <stddef.h>
#define READ(NAME, ELEMENT, BYTES, COUNT, OP, AHEAD)                                               \
    void NAME(const void *buffer, size_t bytes, size_t repeats) {                                  \
        typedef ELEMENT vec __attribute__((vector_size(BYTES), aligned(4), may_alias));            \
        const size_t step = (size_t)(BYTES) * (COUNT);                                             \
        for (size_t r = 0; r < repeats; r++) {                                                     \
            vec sums[COUNT] = {0};                                                                 \
            const vec *p = buffer;                                                                 \
            for (size_t i = 0; i < bytes / step; i++, p += (COUNT)) {                              \
                for (size_t at = 0; (AHEAD) && at < step; at += 64)                                \
                    __builtin_prefetch((const char *)p + (AHEAD) + at);                            \
                for (int k = 0; k < (COUNT); k++) sums[k] = sums[k] OP p[k];                       \
            }                                                                                      \
            for (int k = 0; k < (COUNT); k++) __asm__ volatile("" : : "m"(sums[k]) : "memory");    \
        }                                                                                          \
    }
#define READS(BYTES, AHEAD)                                  \
    READ(or_##BYTES##_4_##AHEAD, int, BYTES, 4, |, AHEAD)    \
    READ(or_##BYTES##_8_##AHEAD, int, BYTES, 8, |, AHEAD)    \
    READ(sum_##BYTES##_4_##AHEAD, float, BYTES, 4, +, AHEAD) \
    READ(sum_##BYTES##_8_##AHEAD, float, BYTES, 8, +, AHEAD)
READS(32, 0)
READS(64, 0)
READS(32, 2048)
READS(64, 2048)
READS(32, 4096)
READS(64, 4096)

#define COUNT_UP(NAME, CHAINS, OP)                                                                 \
    void NAME(size_t repeats) {                                                                    \
        size_t x[CHAINS] = {0};                                                                    \
        while (repeats--)                                                                          \
            for (int k = 0; k < (CHAINS); k++) {                                                   \
                x[k] = x[k] OP 0x9E3779B1;                                                         \
                __asm__ volatile("" : "+r"(x[k]));                                                 \
            }                                                                                      \
    }
COUNT_UP(waiting, 1, *)
COUNT_UP(busy, 8, +)
"""

_NAMES = tuple(
    f"{operation}_{width}_{count}_{ahead}"
    for operation, width, count, ahead in product(("or", "sum"), (32, 64), (4, 8), (0, 2048, 4096))
)


_REPEATS = 20_000_000
"""Of loops in registers: ten milliseconds or so."""


def stream_reads() -> dict[str, Callable[[Probs, int], None]]:
    """The loops by name; each reads an array so many times.

    Names: operation, bytes of a vector, independent accumulators, and how many bytes ahead memory is asked for them, 0
    where that is left to the processor. Needs a C compiler called cc that knows GNU C.
    """
    return {name: _reader(name) for name in _NAMES}


def _reader(name: str) -> Callable[[Probs, int], None]:
    function = getattr(_library(), name)
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
    function.restype = None

    def read(array: Probs, repeats: int) -> None:
        function(array.ctypes.data, array.nbytes, repeats)

    return read


def register_loops() -> dict[str, Callable[[int], None]]:
    """Loops that use nothing but registers, by name; so many threads share the work of each.

    waiting: each multiplication waits for the last one. busy: sums, as many at once as a core can do. Threads that gain
    in the former and not in the latter share a core.
    """
    return {name: partial(_count_up, name) for name in ("waiting", "busy")}


def _count_up(name: str, thread_count: int) -> None:
    function = getattr(_library(), name)
    function.argtypes, function.restype = (ctypes.c_size_t,), None
    with ThreadPoolExecutor(thread_count) as pool:
        list(pool.map(function, [_REPEATS // thread_count] * thread_count))


@cache
def _library() -> ctypes.CDLL:
    with tempfile.TemporaryDirectory(prefix="glyphwire-") as folder:
        source, library = Path(folder, "reads.c"), Path(folder, "reads.so")
        source.write_text(_SOURCE, encoding="ascii")
        flags = ("-O3", "-funroll-loops", "-march=native", "-shared", "-fPIC", "-w")
        subprocess.run(["cc", *flags, "-o", str(library), str(source)], check=True)  # noqa: S607  # wherever it is
        return ctypes.CDLL(str(library))
