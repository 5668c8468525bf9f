"""CTC decoding: best path, prefix beam search, probabilities of given labellings. docs/decoding.md says what they do.

ocr_core/ctc_reference.py is the specification: same names, same signatures, same results. The algorithms are in the C
headers beside this file, which includes them: in one translation unit the compiler inlines them into one another.
"""

cimport cython
cimport numpy as cnp
from libc.math cimport NAN
from libc.stdint cimport INT32_MAX, int32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from itertools import accumulate

import numpy as np

from ext.automaton import Automaton, check_automaton, greatest_weight
from ext.readings import Readings

include "kernels.pxi"

cnp.import_array()

include "arguments.pxi"
include "results.pxi"


def best_path(
    x,
    Py_ssize_t blank,
    lengths=None,
    str kind="probs",
    classes=None,
    bint confidences=True,
    Py_ssize_t threads=1,
):
    """See ctc_reference.best_path."""
    cdef Batch batch = Batch(x, lengths)
    cdef Columns columns = checked_columns(batch.class_count, blank, kind, classes) if batch.count else None
    cdef Call call
    memset(&call, 0, sizeof(call))
    call.confidences = confidences
    return decoded(batch, columns, &call, threads, True, confidences)


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
    Py_ssize_t threads=1,
):
    """See ctc_reference.prefix_beam_search."""
    cdef Batch batch = Batch(x, lengths)
    cdef Columns columns = checked_columns(batch.class_count, blank, kind, classes) if batch.count else None
    cdef Options options = checked_options(
        beam_width, prune_top_k, prune_min_prob, n_best, automata, prune_cum_prob, align, alternatives
    )
    cdef Call call
    memset(&call, 0, sizeof(call))
    if batch.count:
        options.check_classes(batch.class_count)
    call.options = &options.c
    call.wanted = options.wanted
    call.alternatives = alternatives
    return decoded(batch, columns, &call, threads, align, align)


def log_probs(x, Py_ssize_t blank, labellings, str kind="probs", normalisers=None):
    """See ctc_reference.log_probs."""
    cdef Batch batch = Batch([x], None)
    cdef Columns columns = checked_columns(batch.class_count, blank, kind, None)
    cdef Labellings given = Labellings(labellings, blank, batch.class_count)
    cdef cnp.ndarray found = np.empty(given.c.count)
    cdef double* log_probs = <double*> cnp.PyArray_DATA(found)
    cdef const double* known = NULL
    cdef int ok
    if normalisers is not None:
        normalisers = checked_normalisers(normalisers, kind, batch.rows)
        known = <const double*> cnp.PyArray_DATA(normalisers)
    with nogil:
        ok = weigh_labellings(&columns.c, batch.matrices, known, &given.c, log_probs)
    if not ok:
        raise MemoryError
    return found


cdef decoded(Batch batch, Columns columns, Call* call, Py_ssize_t threads, bint aligned, bint confidences):
    """Readings of a call in which nothing is missing but the lines."""
    cdef cnp.ndarray lines = line_bounds(batch.count)
    cdef int32_t* bounds = <int32_t*> cnp.PyArray_DATA(lines)
    cdef int32_t thread_count = fits(threads, "threads")
    cdef Py_ssize_t i
    cdef int ok = 1
    cdef Found found = Found.__new__(Found)
    cdef cnp.ndarray normalisers = NO_NORMALISERS
    found.c.alternatives = call.alternatives
    call.matrices, call.count, call.in_place = batch.matrices, batch.count, batch.in_place
    if batch.count:
        call.layout = &columns.c
        if call.options and columns.c.kind == LOGITS:
            normalisers = no_normalisers(batch.rows)
            call.most = <double*> cnp.PyArray_DATA(normalisers)
            call.z = call.most + batch.rows
        with nogil:
            ok = decode_lines(call, thread_count, bounds + 1, &found.c)
    if not ok:
        raise MemoryError
    for i in range(batch.count):
        bounds[i + 1] += bounds[i]
    return found.readings(lines, aligned, confidences, normalisers)


include "streams.pxi"
