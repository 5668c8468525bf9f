"""What n-gram models with backoff (Katz 1987) say of texts. Tries are as in ocr_core/trie.py."""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

import numpy as np


cdef Py_ssize_t find(const int64_t* keys, Py_ssize_t count, int64_t wanted) noexcept nogil:
    """The place of a key among some that rise, -1 where it is not. Without branches, as nobody can foretell which half."""
    cdef Py_ssize_t low = 0, half
    while count > 1:
        half = count >> 1
        low += half * (keys[low + half] <= wanted)
        count -= half
    return low if keys[low] == wanted else -1


cdef int weigh(
    const int64_t* keys,
    Py_ssize_t count,
    int64_t width,
    const float* log_probs,
    const float* backoffs,
    Py_ssize_t order,
    const int64_t[::1] symbols,
    int64_t begin,
    double* found,
) noexcept nogil:
    """See log_probs. Returns 0 when out of memory."""
    cdef Py_ssize_t i, n, place
    cdef int64_t symbol, node, context
    cdef double total
    cdef int64_t* nodes = <int64_t*> malloc(order * sizeof(int64_t))  # of the last one, two, three symbols; -1: is none
    if not nodes:
        return 0
    for n in range(order):
        nodes[n] = -1
    for i in range(symbols.shape[0]):
        symbol = symbols[i]
        node = symbol + 1
        total = log_probs[symbol]
        for n in range(order - 1):
            context = nodes[n]
            nodes[n] = node
            node = -1
            if context < 0:
                continue
            place = find(keys, count, context * width + symbol)
            if place < 0:
                total += backoffs[context - 1]
                continue
            node = place + 1
            total = log_probs[place]
        if symbol != begin:
            found[0] = total
            found += 1
    free(nodes)
    return 1


def log_probs(
    const int64_t[::1] keys,
    int64_t width,
    const float[::1] log_probs,
    const float[::1] backoffs,
    Py_ssize_t order,
    const int64_t[::1] symbols,
    int64_t begin,
):
    """float64 [symbols other than `begin`]: nats of each, given those before it.

    keys, width: of the trie of n-grams, the first `width` of which are all symbols. log_probs, backoffs: nats, float32
    [n-grams]. order: symbols of the longest n-gram. begin: what is no part of a text.
    """
    cdef Py_ssize_t i, begins = 0
    cdef double[::1] values
    cdef int ok
    if not 0 < width <= keys.shape[0] or not keys.shape[0] == log_probs.shape[0] == backoffs.shape[0]:
        raise ValueError(f"{keys.shape[0]} n-grams do not fit {width} symbols and {log_probs.shape[0]} weights")
    if order < 1:
        raise ValueError(f"order is {order}, must be 1 or more")
    for i in range(symbols.shape[0]):
        if not 0 <= symbols[i] < width:
            raise ValueError(f"symbol {symbols[i]} is not from 0 to {width - 1}")
        begins += symbols[i] == begin
    found = np.empty(symbols.shape[0] - begins)
    if not found.size:
        return found
    values = found
    with nogil:
        ok = weigh(&keys[0], keys.shape[0], width, &log_probs[0], &backoffs[0], order, symbols, begin, &values[0])
    if not ok:
        raise MemoryError
    return found
