# What the kernels found, as arrays.

cdef cnp.ndarray NO_INTS = np.empty(0, np.int32)
cdef cnp.ndarray NO_FLOATS = np.empty(0, np.float32)
cdef cnp.ndarray NO_LABELS = np.empty((0, 0), np.int32)
cdef cnp.ndarray NO_SHARES = np.empty((0, 0), np.float32)
cdef cnp.ndarray NO_NORMALISERS = np.empty((2, 0))


cdef cnp.ndarray no_normalisers(Py_ssize_t rows):
    """Those of so many rows that nobody has looked at."""
    cdef cnp.npy_intp* shape = [2, rows]
    cdef cnp.ndarray normalisers = cnp.PyArray_EMPTY(2, shape, cnp.NPY_FLOAT64, 0)
    cdef double* values = <double*> cnp.PyArray_DATA(normalisers)
    cdef Py_ssize_t i
    for i in range(2 * rows):
        values[i] = NAN
    return normalisers


cdef cnp.ndarray normalisers_of(Columns columns, cnp.ndarray found):
    """What was found where there are logits."""
    return found if columns is not None and columns.c.kind == LOGITS else NO_NORMALISERS


cdef cnp.ndarray copied(const void* source, cnp.npy_intp count, int kind, int size):
    cdef cnp.ndarray array = cnp.PyArray_EMPTY(1, &count, kind, 0)
    if count:
        memcpy(cnp.PyArray_DATA(array), source, count * size)
    return array


cdef pack(const Store* store, cnp.ndarray lines, bint aligned, bint confidences, cnp.ndarray normalisers):
    """Readings of what is in the store."""
    cdef cnp.npy_intp n = store.characters, h = store.hypotheses, k = store.alternatives
    cdef cnp.ndarray offsets = copied(store.offsets, h + 1 if h else 0, cnp.NPY_INT32, 4)
    return tuple.__new__(Readings, (
        copied(store.labels, n, cnp.NPY_INT32, 4),
        copied(store.timesteps, n, cnp.NPY_INT32, 4) if aligned else NO_INTS,
        copied(store.starts, n, cnp.NPY_INT32, 4) if aligned else NO_INTS,
        copied(store.ends, n, cnp.NPY_INT32, 4) if aligned else NO_INTS,
        copied(store.confidences, n, cnp.NPY_FLOAT32, 4) if confidences else NO_FLOATS,
        offsets if h else np.zeros(1, np.int32),
        copied(store.log_probs, h, cnp.NPY_FLOAT64, 8),
        copied(store.scores, h, cnp.NPY_FLOAT64, 8),
        lines,
        copied(store.posteriors, n, cnp.NPY_FLOAT32, 4) if k else NO_FLOATS,
        copied(store.alternative_labels, n * k, cnp.NPY_INT32, 4).reshape(n, k) if k else NO_LABELS,
        copied(store.alternative_posteriors, n * k, cnp.NPY_FLOAT32, 4).reshape(n, k) if k else NO_SHARES,
        normalisers,
    ))


cdef cnp.ndarray line_bounds(Py_ssize_t count):
    cdef cnp.npy_intp size = count + 1
    cdef cnp.ndarray lines = cnp.PyArray_EMPTY(1, &size, cnp.NPY_INT32, 0)
    (<int32_t*> cnp.PyArray_DATA(lines))[0] = 0
    return lines
