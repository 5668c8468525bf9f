"""CTC decoding over softmax probabilities: float32 [time, class], C-contiguous, blank anywhere on the class axis.

ocr_core/ctc_reference.py is the specification: same names, same signatures, the same results to the last bit, so the
order of floating point operations is part of the contract. The algorithms are included, not imported: in one
translation unit the compiler inlines them into one another.
"""

cimport numpy as cnp
from libc.math cimport INFINITY, log, nextafterf
from libc.stdint cimport INT32_MAX, INT32_MIN, int8_t, int32_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memmove

include "ctc_scan.pxi"
include "ctc_search.pxi"
include "ctc_align.pxi"

cdef extern from *:
    """
    #define LN2 0x1.62e42fefa39efp-1
    """
    const double LN2

cnp.import_array()


cdef tuple pack(
    const float* probs,
    Py_ssize_t classes,
    const int32_t* labels,
    const int32_t* timesteps,
    cnp.npy_intp length,
    double log_prob,
):
    """Copy a reading into arrays of its own and look its confidences up."""
    cdef cnp.ndarray label_array = cnp.PyArray_EMPTY(1, &length, cnp.NPY_INT32, 0)
    cdef cnp.ndarray timestep_array = cnp.PyArray_EMPTY(1, &length, cnp.NPY_INT32, 0)
    cdef cnp.ndarray confidence_array = cnp.PyArray_EMPTY(1, &length, cnp.NPY_FLOAT32, 0)
    cdef float* confidences = <float*> cnp.PyArray_DATA(confidence_array)
    cdef Py_ssize_t i
    memcpy(cnp.PyArray_DATA(label_array), labels, length * sizeof(int32_t))
    memcpy(cnp.PyArray_DATA(timestep_array), timesteps, length * sizeof(int32_t))
    for i in range(length):
        confidences[i] = probs[timesteps[i] * classes + labels[i]]
    return label_array, timestep_array, confidence_array, log_prob


def best_path(const float[:, ::1] probs, Py_ssize_t blank):
    """See ctc_reference.best_path."""
    cdef Py_ssize_t times = probs.shape[0], classes = probs.shape[1], t, length
    cdef const float* data = &probs[0, 0] if times else NULL
    cdef int32_t* labels
    cdef uint32_t* maxima
    cdef double log_prob = 0.0
    if not 0 <= blank < classes:
        raise ValueError(f"blank is {blank}, matrix has {classes} classes")
    labels = <int32_t*> malloc((2 * times + (classes >> BLOCK_SHIFT) + 1) * sizeof(int32_t))
    if not labels:
        raise MemoryError
    try:
        with nogil:
            maxima = <uint32_t*> (labels + 2 * times)
            for t in range(times):
                labels[t] = find_peak(data + t * classes, classes, maxima)
                log_prob += log(data[t * classes + labels[t]])
            length = collapse(data, times, classes, <int32_t> blank, labels, labels + times)
        return pack(data, classes, labels, labels + times, length, log_prob)
    finally:
        free(labels)


def prefix_beam_search(
    const float[:, ::1] probs,
    Py_ssize_t blank,
    Py_ssize_t beam_width,
    Py_ssize_t prune_top_k,
    double prune_min_prob,
    Py_ssize_t n_best=1,
):
    """See ctc_reference.prefix_beam_search."""
    cdef Search s
    cdef char* memory
    cdef Py_ssize_t slot, length
    cdef double log_prob
    cdef list hypotheses = []
    if not 0 <= blank < probs.shape[1]:
        raise ValueError(f"blank is {blank}, matrix has {probs.shape[1]} classes")
    if beam_width < 1 or prune_top_k < 1 or n_best < 1:
        raise ValueError("beam_width, prune_top_k and n_best must be at least 1")
    if beam_width >= INT32_MAX // (probs.shape[0] + 1):
        raise MemoryError  # prefixes are numbered in 32 bits
    s.times, s.classes, s.blank = probs.shape[0], probs.shape[1], <int32_t> blank
    s.probs = &probs[0, 0] if s.times else NULL
    s.width, s.top_k, s.lowest = beam_width, min(prune_top_k, s.classes), lowest_bits(prune_min_prob)
    memory = allocate(&s)
    if not memory:
        raise MemoryError
    try:
        with nogil:
            search(&s)
        for slot in range(min(n_best, s.size)):
            with nogil:
                length = describe(&s, slot)
            if length == NONE:
                raise MemoryError
            log_prob = log(s.beam[slot].total) + s.exponent * LN2
            hypotheses.append(pack(s.probs, s.classes, s.labels, s.timesteps, length, log_prob))
        return hypotheses or [pack(s.probs, s.classes, s.labels, s.timesteps, 0, -INFINITY)]
    finally:
        free(memory)
