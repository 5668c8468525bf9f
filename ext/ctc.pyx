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

cdef extern from "decoding.h" nogil:
    enum: MAX_AUTOMATA

    ctypedef enum Kind:
        pass

    ctypedef struct Matrix:
        const char* data
        Py_ssize_t times, time_stride, class_stride
        int half

    ctypedef struct Layout:
        Kind kind
        Py_ssize_t classes, columns
        int32_t blank
        const int32_t* class_of

    ctypedef struct CAutomaton "Automaton":
        const int32_t* symbols
        const int32_t* begins
        const int32_t* arc_symbols
        const int32_t* arc_states
        const int32_t* backoff_states
        const double* arc_weights
        const double* backoff_weights
        const double* final_weights
        int32_t symbol_count
        double most_weight

    ctypedef struct SearchOptions:
        int32_t width, top_k, alternatives, automata_count
        double min_prob, cum_prob
        CAutomaton* automata

    ctypedef struct Node:
        int32_t depth

    ctypedef struct Beam:
        int32_t* node

    ctypedef struct Search:
        Beam beam
        Node* nodes
        int32_t size

    ctypedef struct Line:
        const Layout* layout
        const Matrix* matrix
        const double* most
        const double* z

    ctypedef struct Wanted:
        int32_t n_best
        int align

    ctypedef struct Store:
        int32_t* labels
        int32_t* timesteps
        int32_t* starts
        int32_t* ends
        int32_t* alternative_labels
        int32_t* offsets
        float* confidences
        float* posteriors
        float* alternative_posteriors
        double* log_probs
        double* scores
        size_t characters, hypotheses, alternatives

    ctypedef struct Path:
        float* row
        int32_t length

    int allocate(Search* s, const Layout* layout, const SearchOptions* options)
    void release(Search* s)
    int reserve(Search* s, size_t times)
    void begin(Search* s)
    int search_rows(Search* s, const Matrix* matrix, double* most, double* z)
    int decode_beam(Search* s, const Matrix* matrix, double* most, double* z, Wanted wanted, Store* store)
    int describe(Search* s, const Line* line, Wanted wanted, Store* store)
    int32_t common_depth(const Search* s)
    void read_labels(const Search* s, int32_t node, int32_t* labels)
    int allocate_path(Path* path, const Layout* layout, int wants_confidences)
    void begin_path(Path* path)
    void follow_rows(Path* path, const Matrix* matrix, Store* store)
    void end_path(Path* path, Store* store)
    int decode_best_path(Path* path, const Matrix* matrix, Store* store)
    int make_room(Store* store, size_t length)
    void discard(Store* store)

cnp.import_array()

cdef dict KINDS = {"probs": 0, "log_probs": 1, "logits": 2}
cdef cnp.ndarray NO_INTS = np.empty(0, np.int32)
cdef cnp.ndarray NO_FLOATS = np.empty(0, np.float32)


cdef int32_t fits(Py_ssize_t value, str name) except -1:
    if not 1 <= value <= INT32_MAX:
        raise ValueError(f"{name} is {value}, must be from 1 to {INT32_MAX}")
    return <int32_t> value


cdef class Prepared:
    """An automaton that has been checked once and for all, for any number of calls with as many classes."""

    cdef CAutomaton c
    cdef object automaton  # owns the memory that c points to

    def __init__(self, automaton: Automaton) -> None:
        self.automaton = checked = check_automaton(automaton)
        self.c.symbols = <const int32_t*> cnp.PyArray_DATA(checked.symbols)
        self.c.begins = <const int32_t*> cnp.PyArray_DATA(checked.begins)
        self.c.arc_symbols = <const int32_t*> cnp.PyArray_DATA(checked.arc_symbols)
        self.c.arc_states = <const int32_t*> cnp.PyArray_DATA(checked.arc_states)
        self.c.arc_weights = <const double*> cnp.PyArray_DATA(checked.arc_weights)
        self.c.backoff_states = <const int32_t*> cnp.PyArray_DATA(checked.backoff_states)
        self.c.backoff_weights = <const double*> cnp.PyArray_DATA(checked.backoff_weights)
        self.c.final_weights = <const double*> cnp.PyArray_DATA(checked.final_weights)
        self.c.symbol_count = 1 + max(checked.symbols.max(initial=-1), checked.arc_symbols.max(initial=-1))
        self.c.most_weight = greatest_weight(checked)


def prepare(automaton: Automaton | Prepared) -> Prepared:
    """See ctc_reference.prepare."""
    return automaton if isinstance(automaton, Prepared) else Prepared(automaton)


cdef class Columns:
    """What the columns of a call's matrices are."""

    cdef Layout c
    cdef cnp.ndarray class_of

    def __init__(self, Py_ssize_t class_count, Py_ssize_t blank, str kind, classes) -> None:
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}, must be one of {', '.join(KINDS)}")
        if not 0 <= blank < class_count:
            raise ValueError(f"blank is {blank}, matrix has {class_count} classes")
        if class_count > INT32_MAX // 4:
            raise ValueError(f"matrix has {class_count} classes, at most {INT32_MAX // 4} are possible")
        self.c.kind = <Kind> <int> KINDS[kind]
        self.c.classes = self.c.columns = class_count
        self.c.blank = <int32_t> blank
        if classes is None:
            return
        allowed = np.asarray(classes)
        if allowed.ndim != 1 or (allowed.size and allowed.dtype.kind not in "iu"):
            raise TypeError("classes must be integers on one axis")
        allowed = np.unique(np.append(allowed.astype(np.int64), blank))
        if allowed.min() < 0 or allowed.max() >= class_count:
            raise ValueError(f"classes must be from 0 to {class_count - 1}")
        self.class_of = allowed.astype(np.int32)
        self.c.class_of = <const int32_t*> cnp.PyArray_DATA(self.class_of)
        self.c.columns = len(self.class_of)
        self.c.blank = <int32_t> np.searchsorted(allowed, blank)


cdef int point_at(Matrix* matrix, cnp.ndarray x, Py_ssize_t axis) except -1:
    """Describe a matrix, whose time axis is given, in place."""
    cdef int kind = cnp.PyArray_TYPE(x)
    if kind != cnp.NPY_FLOAT32 and kind != cnp.NPY_FLOAT16 or not cnp.PyArray_ISNOTSWAPPED(x):
        raise TypeError(f"scores are {x.dtype}, must be float32 or float16 in native byte order")
    matrix.data = cnp.PyArray_BYTES(x)
    matrix.times = cnp.PyArray_DIM(x, axis)
    matrix.time_stride = cnp.PyArray_STRIDE(x, axis)
    matrix.class_stride = cnp.PyArray_STRIDE(x, axis + 1)
    matrix.half = kind == cnp.NPY_FLOAT16
    return 0


cdef class Batch:
    """The matrices of a call, where they are."""

    cdef Matrix* matrices
    cdef Py_ssize_t count, class_count, longest
    cdef list arrays  # own the memory that matrices point to

    def __cinit__(self, x, lengths) -> None:
        cdef Py_ssize_t i
        if isinstance(x, np.ndarray) and cnp.PyArray_NDIM(x) == 3:
            self.arrays = [x]
            self.count, self.class_count = x.shape[0], x.shape[2]
        else:
            self.arrays = [x] if isinstance(x, np.ndarray) else [np.asarray(line) for line in x]
            self.count = len(self.arrays)
        self.matrices = <Matrix*> malloc((self.count + 1) * sizeof(Matrix))
        if not self.matrices:
            raise MemoryError
        if isinstance(x, np.ndarray) and cnp.PyArray_NDIM(x) == 3:
            for i in range(self.count):
                point_at(self.matrices + i, x, 1)
                self.matrices[i].data += i * cnp.PyArray_STRIDE(x, 0)
        else:
            for i in range(self.count):
                self.add(i, self.arrays[i])
        if lengths is not None:
            self.shorten(np.asarray(lengths))
        self.longest = 0
        for i in range(self.count):
            self.longest = max(self.longest, self.matrices[i].times)

    def __dealloc__(self) -> None:
        free(self.matrices)

    cdef int add(self, Py_ssize_t i, cnp.ndarray line) except -1:
        if cnp.PyArray_NDIM(line) != 2:
            raise TypeError(f"a line has {line.ndim} axes, must have [time, class]")
        if i and cnp.PyArray_DIM(line, 1) != self.class_count:
            raise ValueError(f"line {i} has {line.shape[1]} classes, those before it {self.class_count}")
        self.class_count = cnp.PyArray_DIM(line, 1)
        point_at(self.matrices + i, line, 0)
        return 0

    cdef int shorten(self, lengths) except -1:
        cdef Py_ssize_t i, length
        if lengths.shape != (self.count,) or lengths.dtype.kind not in "iu":
            raise ValueError(f"lengths must be {self.count} integers, one per line")
        for i in range(self.count):
            length = lengths[i]
            if not 0 <= length <= self.matrices[i].times:
                raise ValueError(f"length {length} of line {i} is not from 0 to {self.matrices[i].times}")
            self.matrices[i].times = length
        return 0


cdef class Options:
    """Checked options of a search, and what it shall tell."""

    cdef SearchOptions c
    cdef CAutomaton automata[MAX_AUTOMATA]
    cdef list prepared  # own the memory that automata point to
    cdef Wanted wanted

    def __init__(
        self,
        Py_ssize_t beam_width,
        Py_ssize_t prune_top_k,
        double prune_min_prob,
        Py_ssize_t n_best,
        automata,
        double prune_cum_prob,
        bint align,
        Py_ssize_t alternatives,
    ) -> None:
        cdef Py_ssize_t i
        self.c.width = fits(beam_width, "beam_width")
        self.c.top_k = fits(prune_top_k, "prune_top_k")
        self.c.alternatives = fits(alternatives + 1, "alternatives") - 1
        self.c.min_prob = prune_min_prob
        self.c.cum_prob = prune_cum_prob
        self.wanted.n_best = fits(n_best, "n_best")
        self.wanted.align = align
        if alternatives and not align:
            raise ValueError("alternatives need the alignment")
        if prune_min_prob != prune_min_prob or prune_cum_prob != prune_cum_prob:
            raise ValueError("prune_min_prob and prune_cum_prob must be numbers")
        self.prepared = [prepare(automaton) for automaton in automata]
        if len(self.prepared) > MAX_AUTOMATA:
            raise ValueError(f"there are {len(self.prepared)} automata, at most {MAX_AUTOMATA} are possible")
        self.c.automata_count = <int32_t> len(self.prepared)
        for i in range(len(self.prepared)):
            self.c.automata[i] = (<Prepared> self.prepared[i]).c

    cdef int check_classes(self, Py_ssize_t class_count) except -1:
        for prepared in self.prepared:
            symbols = (<Prepared> prepared).automaton.symbols
            if len(symbols) != class_count:
                raise ValueError(f"an automaton knows {len(symbols)} classes, matrix has {class_count}")
        return 0


cdef cnp.ndarray copied(const void* source, cnp.npy_intp count, int kind, int size):
    cdef cnp.ndarray array = cnp.PyArray_EMPTY(1, &count, kind, 0)
    if count:
        memcpy(cnp.PyArray_DATA(array), source, count * size)
    return array


cdef pack(const Store* store, cnp.ndarray lines, bint aligned, bint confidences):
    """Readings of what is in the store."""
    cdef cnp.npy_intp n = store.characters, h = store.hypotheses, k = store.alternatives
    cdef cnp.ndarray offsets = copied(store.offsets, h + 1 if h else 0, cnp.NPY_INT32, 4)
    return Readings(
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
        copied(store.alternative_labels, n * k, cnp.NPY_INT32, 4).reshape(n, k) if k else NO_INTS.reshape(0, 0),
        copied(store.alternative_posteriors, n * k, cnp.NPY_FLOAT32, 4).reshape(n, k) if k else NO_FLOATS.reshape(0, 0),
    )


cdef cnp.ndarray line_bounds(Py_ssize_t count):
    cdef cnp.npy_intp size = count + 1
    cdef cnp.ndarray lines = cnp.PyArray_EMPTY(1, &size, cnp.NPY_INT32, 0)
    (<int32_t*> cnp.PyArray_DATA(lines))[0] = 0
    return lines


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
                ok = normalisers != NULL and allocate(&search, &columns.c, &options.c)
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


cdef class BestPathStream:
    """See ctc_reference.BestPathStream."""

    cdef Path path
    cdef Store store
    cdef Columns columns
    cdef Py_ssize_t blank
    cdef str kind
    cdef object classes
    cdef bint confidences, finished

    def __cinit__(self, Py_ssize_t blank, str kind="probs", classes=None, bint confidences=True) -> None:
        self.blank, self.kind, self.classes, self.confidences = blank, kind, classes, confidences
        self.finished = False

    def __dealloc__(self) -> None:
        free(self.path.row)
        discard(&self.store)

    def push(self, x) -> None:
        """See ctc_reference.BestPathStream.push."""
        cdef Batch batch = Batch([x], None)
        cdef int ok
        refuse_finished(self.finished)
        if self.columns is None:
            self.columns = Columns(batch.class_count, self.blank, self.kind, self.classes)
            if not allocate_path(&self.path, &self.columns.c, self.confidences):
                raise MemoryError
            begin_path(&self.path)
        check_class_count(self.columns, batch)
        with nogil:
            ok = make_room(&self.store, self.path.length + batch.matrices.times)
            if ok:
                follow_rows(&self.path, batch.matrices, &self.store)
        if not ok:
            raise MemoryError

    def partial(self):
        """See ctc_reference.BestPathStream.partial."""
        refuse_finished(self.finished)
        length = self.path.length
        return copied(self.store.labels, length, cnp.NPY_INT32, 4), length

    def finish(self):
        """See ctc_reference.BestPathStream.finish."""
        refuse_finished(self.finished)
        self.finished = True
        if self.columns is None:
            return best_path([np.empty((0, self.blank + 1), np.float32)], self.blank, confidences=self.confidences)
        end_path(&self.path, &self.store)
        return pack(&self.store, np.array([0, 1], np.int32), True, self.confidences)


cdef class BeamStream:
    """See ctc_reference.BeamStream."""

    cdef Search search
    cdef Columns columns
    cdef Options options
    cdef list chunks, normalisers
    cdef Py_ssize_t blank
    cdef str kind
    cdef object classes
    cdef bint finished

    def __cinit__(
        self,
        Py_ssize_t blank,
        Py_ssize_t beam_width,
        Py_ssize_t prune_top_k,
        double prune_min_prob,
        Py_ssize_t n_best=1,
        str kind="probs",
        classes=None,
        automata=(),
        double prune_cum_prob=1.0,
        bint align=True,
        Py_ssize_t alternatives=0,
    ) -> None:
        self.blank, self.kind, self.classes = blank, kind, classes
        self.options = Options(
            beam_width, prune_top_k, prune_min_prob, n_best, automata, prune_cum_prob, align, alternatives
        )
        self.chunks, self.normalisers = [], []
        self.finished = False

    def __dealloc__(self) -> None:
        release(&self.search)

    def push(self, x) -> None:
        """See ctc_reference.BeamStream.push."""
        chunk = np.array(x)  # alignment at the end needs all rows, and the caller's array is the caller's
        cdef Batch batch = Batch([chunk], None)
        cdef cnp.ndarray normalisers = np.empty((2, len(chunk)))
        cdef double* most = <double*> cnp.PyArray_DATA(normalisers)
        cdef int ok
        refuse_finished(self.finished)
        if self.columns is None:
            self.columns = Columns(batch.class_count, self.blank, self.kind, self.classes)
            self.options.check_classes(batch.class_count)
            if not allocate(&self.search, &self.columns.c, &self.options.c) or not reserve(&self.search, 1):
                raise MemoryError
            begin(&self.search)
        check_class_count(self.columns, batch)
        with nogil:
            ok = search_rows(&self.search, batch.matrices, most, most + batch.matrices.times)
        if not ok:
            raise MemoryError
        self.chunks.append(chunk)
        self.normalisers.append(normalisers)

    def partial(self):
        """See ctc_reference.BeamStream.partial."""
        cdef cnp.ndarray labels
        refuse_finished(self.finished)
        if self.columns is None or not self.search.size:
            return NO_INTS, 0
        labels = np.empty(self.search.nodes[self.search.beam.node[0]].depth, np.int32)
        read_labels(&self.search, self.search.beam.node[0], <int32_t*> cnp.PyArray_DATA(labels))
        return labels, common_depth(&self.search)

    def finish(self):
        """See ctc_reference.BeamStream.finish."""
        cdef Batch batch
        cdef Line line
        cdef Store store
        cdef cnp.ndarray normalisers
        cdef int ok
        refuse_finished(self.finished)
        if self.columns is None:
            self.push(np.empty((0, self.class_count_at_least()), np.float32))
        self.finished = True
        batch = Batch([np.concatenate(self.chunks)], None)
        normalisers = np.concatenate(self.normalisers, axis=1)
        line.layout, line.matrix = &self.columns.c, batch.matrices
        line.most = <const double*> cnp.PyArray_DATA(normalisers)
        line.z = line.most + batch.matrices.times
        memset(&store, 0, sizeof(store))
        store.alternatives = self.options.c.alternatives
        try:
            with nogil:
                ok = describe(&self.search, &line, self.options.wanted, &store)
            if not ok:
                raise MemoryError
            lines = np.array([0, store.hypotheses], np.int32)
            return pack(&store, lines, self.options.wanted.align, self.options.wanted.align)
        finally:
            discard(&store)

    cdef Py_ssize_t class_count_at_least(self):
        """Classes of a stream that never had a row."""
        if self.options.prepared:
            return len((<Prepared> self.options.prepared[0]).automaton.symbols)
        return 1 + max(self.blank, -1 if self.classes is None else max(self.classes, default=-1))


cdef int refuse_finished(bint finished) except -1:
    if finished:
        raise ValueError("the stream is finished")
    return 0


cdef int check_class_count(Columns columns, Batch batch) except -1:
    if batch.class_count != columns.c.classes:
        raise ValueError(f"rows have {batch.class_count} classes, those before them {columns.c.classes}")
    return 0
