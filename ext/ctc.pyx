"""CTC decoding: best path and prefix beam search. docs/decoding.md says what the functions do.

ocr_core/ctc_reference.py is the specification: same names, same signatures, same results. The algorithms are in the C
headers beside this file, which includes them: in one translation unit the compiler inlines them into one another.
"""

cimport numpy as cnp
from libc.stdint cimport INT32_MAX, int32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import numpy as np

from ext.automaton import Automaton, check_automaton, greatest_weight
from ext.readings import Readings

include "kernels.pxi"

cnp.import_array()

include "arguments.pxi"
include "results.pxi"


def best_path(x, Py_ssize_t blank, lengths=None, str kind="probs", classes=None, bint confidences=True):
    """See ctc_reference.best_path."""
    cdef Batch batch = Batch(x, lengths)
    cdef Columns columns = Columns(batch.class_count, blank, kind, classes) if batch.count else None
    cdef cnp.ndarray lines = line_bounds(batch.count)
    cdef int32_t* bounds = <int32_t*> cnp.PyArray_DATA(lines)
    cdef Py_ssize_t i = 0
    cdef int ok = 1
    cdef Path path
    cdef Store store
    memset(&store, 0, sizeof(store))
    path.row = NULL
    try:
        if batch.count:
            with nogil:
                ok = allocate_path(&path, &columns.c, confidences)
                while ok and i < batch.count:
                    ok = decode_best_path(&path, batch.matrices + i, &store)
                    i += 1
                    bounds[i] = <int32_t> store.hypotheses
        if not ok:
            raise MemoryError
        return pack(&store, lines, True, confidences)
    finally:
        free(path.row)
        discard(&store)


def prefix_beam_search(
    x,
    Py_ssize_t blank,
    Py_ssize_t beam_width,
    Py_ssize_t prune_top_k,
    double prune_min_prob,
    Py_ssize_t n_best=1,
    lengths=None,
    str kind="probs",
    classes=None,
    automata=(),
    double prune_cum_prob=1.0,
    bint align=True,
    Py_ssize_t alternatives=0,
):
    """See ctc_reference.prefix_beam_search."""
    cdef Batch batch = Batch(x, lengths)
    cdef Columns columns = Columns(batch.class_count, blank, kind, classes) if batch.count else None
    cdef Options options = Options(
        beam_width, prune_top_k, prune_min_prob, n_best, automata, prune_cum_prob, align, alternatives
    )
    cdef cnp.ndarray lines = line_bounds(batch.count)
    cdef int32_t* bounds = <int32_t*> cnp.PyArray_DATA(lines)
    cdef Py_ssize_t i = 0
    cdef int ok = 1
    cdef double* normalisers = NULL
    cdef Search search
    cdef Store store
    memset(&store, 0, sizeof(store))
    memset(&search, 0, sizeof(search))
    store.alternatives = alternatives
    try:
        if batch.count:
            options.check_classes(batch.class_count)
            with nogil:
                normalisers = <double*> malloc((2 * batch.longest + 1) * sizeof(double))
                ok = normalisers != NULL and allocate(&search, &columns.c, &options.c, batch.in_place)
                while ok and i < batch.count:
                    ok = decode_beam(
                        &search, batch.matrices + i, normalisers, normalisers + batch.longest, options.wanted, &store
                    )
                    i += 1
                    bounds[i] = <int32_t> store.hypotheses
        if not ok:
            raise MemoryError
        return pack(&store, lines, align, align)
    finally:
        free(normalisers)
        release(&search)
        discard(&store)


include "streams.pxi"
