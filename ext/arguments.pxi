# What callers hand in, checked and in the form that the kernels take: nothing in here copies a matrix.

cdef dict KINDS = {"probs": 0, "log_probs": 1, "logits": 2}


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


# What is made in every call is made by functions: a class would be handed its numbers as Python objects.

@cython.freelist(8)
cdef class Columns:
    """What the columns of a call's matrices are."""

    cdef Layout c
    cdef cnp.ndarray class_of

    cdef int restrict(self, classes, Py_ssize_t blank) except -1:
        """Let only these classes, and blank, be columns."""
        allowed = np.asarray(classes)
        if allowed.ndim != 1 or (allowed.size and allowed.dtype.kind not in "iu"):
            raise TypeError("classes must be integers on one axis")
        allowed = np.unique(np.append(allowed.astype(np.int64), blank))
        if allowed.min() < 0 or allowed.max() >= self.c.classes:
            raise ValueError(f"classes must be from 0 to {self.c.classes - 1}")
        self.class_of = allowed.astype(np.int32)
        self.c.class_of = <const int32_t*> cnp.PyArray_DATA(self.class_of)
        self.c.columns = len(self.class_of)
        self.c.blank = <int32_t> np.searchsorted(allowed, blank)
        return 0


cdef Columns checked_columns(Py_ssize_t class_count, Py_ssize_t blank, str kind, classes):
    cdef Columns columns = Columns.__new__(Columns)
    cdef int known = KINDS.get(kind, -1)
    if known < 0:
        raise ValueError(f"kind is {kind!r}, must be one of {', '.join(KINDS)}")
    if not 0 <= blank < class_count:
        raise ValueError(f"blank is {blank}, matrix has {class_count} classes")
    if class_count > INT32_MAX // 4:
        raise ValueError(f"matrix has {class_count} classes, at most {INT32_MAX // 4} are possible")
    columns.c.kind = <Kind> known
    columns.c.classes = columns.c.columns = class_count
    columns.c.blank = <int32_t> blank
    if classes is not None:
        columns.restrict(classes, blank)
    return columns


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


cdef cnp.ndarray as_array(line):
    return line if isinstance(line, cnp.ndarray) else np.asarray(line)


@cython.freelist(8)
cdef class Batch:
    """The matrices of a call, where they are."""

    cdef Matrix* matrices
    cdef Py_ssize_t count, class_count, rows
    cdef bint in_place  # all rows are contiguous float32
    cdef list arrays  # own the memory that matrices point to

    def __cinit__(self, x, lengths) -> None:
        cdef Py_ssize_t i
        if isinstance(x, cnp.ndarray) and cnp.PyArray_NDIM(x) == 3:
            self.arrays = [x]
            self.count, self.class_count = cnp.PyArray_DIM(x, 0), cnp.PyArray_DIM(x, 2)
        else:
            self.arrays = [x] if isinstance(x, cnp.ndarray) else [as_array(line) for line in x]
            self.count = len(self.arrays)
        self.matrices = <Matrix*> malloc((self.count + 1) * sizeof(Matrix))
        if not self.matrices:
            raise MemoryError
        if isinstance(x, cnp.ndarray) and cnp.PyArray_NDIM(x) == 3:
            for i in range(self.count):
                point_at(self.matrices + i, x, 1)
                self.matrices[i].data += i * cnp.PyArray_STRIDE(x, 0)
        else:
            for i in range(self.count):
                self.add(i, self.arrays[i])
        if lengths is not None:
            self.shorten(np.asarray(lengths))
        self.rows = 0
        self.in_place = True
        for i in range(self.count):
            self.matrices[i].before = self.rows
            self.rows += self.matrices[i].times
            self.in_place = self.in_place and is_in_place(self.matrices + i)

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


cdef cnp.ndarray checked_normalisers(normalisers, str kind, Py_ssize_t rows):
    """Of a line of logits, contiguous."""
    checked = np.ascontiguousarray(normalisers, np.float64)
    if kind != "logits":
        raise ValueError(f"normalisers are of logits, not of {kind}")
    if checked.shape != (2, rows):
        raise ValueError(f"normalisers are of shape {checked.shape}, those of {rows} rows are (2, {rows})")
    return checked


@cython.freelist(8)
cdef class Options:
    """Checked options of a search, and what it shall tell."""

    cdef SearchOptions c
    cdef list prepared  # own the memory that automata point to
    cdef Wanted wanted

    cdef int use(self, automata) except -1:
        cdef Py_ssize_t i
        self.prepared = [prepare(automaton) for automaton in automata]
        if len(self.prepared) > MAX_AUTOMATA:
            raise ValueError(f"there are {len(self.prepared)} automata, at most {MAX_AUTOMATA} are possible")
        self.c.automata_count = <int32_t> len(self.prepared)
        for i in range(len(self.prepared)):
            self.c.automata[i] = (<Prepared> self.prepared[i]).c
        return 0

    cdef int check_classes(self, Py_ssize_t class_count) except -1:
        for prepared in self.prepared:
            symbols = (<Prepared> prepared).automaton.symbols
            if len(symbols) != class_count:
                raise ValueError(f"an automaton knows {len(symbols)} classes, matrix has {class_count}")
        return 0


cdef Options checked_options(
    Py_ssize_t beam_width,
    Py_ssize_t prune_top_k,
    double prune_min_prob,
    Py_ssize_t n_best,
    automata,
    double prune_cum_prob,
    bint align,
    Py_ssize_t alternatives,
):
    cdef Options options = Options.__new__(Options)
    options.c.width = fits(beam_width, "beam_width")
    options.c.top_k = fits(prune_top_k, "prune_top_k")
    options.c.alternatives = fits(alternatives + 1, "alternatives") - 1
    options.c.min_prob = prune_min_prob
    options.c.cum_prob = prune_cum_prob
    options.wanted.n_best = fits(n_best, "n_best")
    options.wanted.align = align
    if alternatives and not align:
        raise ValueError("alternatives need the alignment")
    if prune_min_prob != prune_min_prob or prune_cum_prob != prune_cum_prob:
        raise ValueError("prune_min_prob and prune_cum_prob must be numbers")
    options.use(automata)
    return options


cdef class Labellings:
    """Checked labellings of a line."""

    cdef CLabellings c
    cdef cnp.ndarray labels, offsets

    def __init__(self, labellings, Py_ssize_t blank, Py_ssize_t class_count) -> None:
        cdef list given = [tuple(labelling) for labelling in labellings]
        cdef Py_ssize_t label, n = 0
        cdef int32_t* labels
        lengths = [len(labelling) for labelling in given]
        self.offsets = np.array([0, *accumulate(lengths)], np.intp)
        self.labels = np.empty(sum(lengths), np.int32)
        labels = <int32_t*> cnp.PyArray_DATA(self.labels)
        for labelling in given:
            for label in labelling:
                if label == blank or not 0 <= label < class_count:
                    raise ValueError(f"label {label} is not from 0 to {class_count - 1}, or is blank, {blank}")
                labels[n] = <int32_t> label
                n += 1
        self.c.labels = labels
        self.c.offsets = <const Py_ssize_t*> cnp.PyArray_DATA(self.offsets)
        self.c.count, self.c.longest = len(lengths), max(lengths, default=0)
