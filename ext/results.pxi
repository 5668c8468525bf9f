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


@cython.freelist(8)
cdef class Found:
    """What the kernels found. Arrays are where they have written it, which lives as long as one of these."""

    cdef Store c

    def __dealloc__(self) -> None:
        discard(&self.c)

    cdef cnp.ndarray array(self, void* values, cnp.npy_intp count, int kind):
        if not count:
            return cnp.PyArray_EMPTY(1, &count, kind, 0)
        cdef cnp.ndarray array = cnp.PyArray_SimpleNewFromData(1, &count, kind, values)
        cnp.set_array_base(array, self)
        return array

    cdef readings(self, cnp.ndarray lines, bint aligned, bint confidences, cnp.ndarray normalisers):
        """As Readings."""
        cdef Store* c = &self.c
        cdef cnp.npy_intp n = c.characters, h = c.hypotheses, k = c.alternatives
        return tuple.__new__(Readings, (
            self.array(c.labels, n, cnp.NPY_INT32),
            self.array(c.timesteps, n, cnp.NPY_INT32) if aligned else NO_INTS,
            self.array(c.starts, n, cnp.NPY_INT32) if aligned else NO_INTS,
            self.array(c.ends, n, cnp.NPY_INT32) if aligned else NO_INTS,
            self.array(c.confidences, n, cnp.NPY_FLOAT32) if confidences else NO_FLOATS,
            self.array(c.offsets, h + 1, cnp.NPY_INT32) if h else np.zeros(1, np.int32),
            self.array(c.log_probs, h, cnp.NPY_FLOAT64),
            self.array(c.scores, h, cnp.NPY_FLOAT64),
            lines,
            self.array(c.posteriors, n, cnp.NPY_FLOAT32) if k else NO_FLOATS,
            self.array(c.alternative_labels, n * k, cnp.NPY_INT32).reshape(n, k) if k else NO_LABELS,
            self.array(c.alternative_posteriors, n * k, cnp.NPY_FLOAT32).reshape(n, k) if k else NO_SHARES,
            normalisers,
        ))


cdef cnp.ndarray line_bounds(Py_ssize_t count):
    cdef cnp.npy_intp size = count + 1
    cdef cnp.ndarray lines = cnp.PyArray_EMPTY(1, &size, cnp.NPY_INT32, 0)
    (<int32_t*> cnp.PyArray_DATA(lines))[0] = 0
    return lines
