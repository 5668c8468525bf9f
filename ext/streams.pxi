# Lines whose rows come bit by bit.

cdef class BestPathStream:
    """See ctc_reference.BestPathStream."""

    cdef Path path
    cdef Found found
    cdef Columns columns
    cdef Py_ssize_t blank
    cdef str kind
    cdef object classes
    cdef bint confidences, finished

    def __cinit__(self, Py_ssize_t blank, str kind="probs", classes=None, bint confidences=True) -> None:
        self.blank, self.kind, self.classes, self.confidences = blank, kind, classes, confidences
        self.found = Found.__new__(Found)
        self.finished = False

    def __dealloc__(self) -> None:
        free(self.path.row)

    def push(self, x) -> None:
        """See ctc_reference.BestPathStream.push."""
        cdef Batch batch = Batch([x], None)
        cdef Store* store = &self.found.c
        cdef int ok
        refuse_finished(self.finished)
        if self.columns is None:
            self.columns = checked_columns(batch.class_count, self.blank, self.kind, self.classes)
            if not allocate_path(&self.path, &self.columns.c, self.confidences):
                raise MemoryError
            begin_path(&self.path)
        check_class_count(self.columns, batch)
        with nogil:
            ok = make_room(store, 1, self.path.length + batch.matrices.times)
            if ok:
                follow_rows(&self.path, batch.matrices, store)
        if not ok:
            raise MemoryError

    def partial(self):
        """See ctc_reference.BestPathStream.partial."""
        cdef Py_ssize_t length = self.path.length
        refuse_finished(self.finished)
        return self.found.array(self.found.c.labels, length, cnp.NPY_INT32).copy(), length

    def finish(self):
        """See ctc_reference.BestPathStream.finish."""
        refuse_finished(self.finished)
        self.finished = True
        if self.columns is None:
            return best_path([np.empty((0, self.blank + 1), np.float32)], self.blank, confidences=self.confidences)
        end_path(&self.path, &self.found.c)
        return self.found.readings(np.array([0, 1], np.int32), True, self.confidences, NO_NORMALISERS)


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
        self.options = checked_options(
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
        cdef cnp.ndarray normalisers = no_normalisers(len(chunk))
        cdef double* most = <double*> cnp.PyArray_DATA(normalisers)
        cdef int ok
        refuse_finished(self.finished)
        if self.columns is None:
            self.columns = checked_columns(batch.class_count, self.blank, self.kind, self.classes)
            self.options.check_classes(batch.class_count)
            if not allocate(&self.search, &self.columns.c, &self.options.c, False) or not reserve(&self.search):
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
        cdef int32_t node
        refuse_finished(self.finished)
        if self.columns is None or not self.search.size:
            return NO_INTS, 0
        node = self.search.beam.node[best_slot(&self.search, self.search.beam.masses.total)]
        labels = np.empty(self.search.nodes[node].depth, np.int32)
        read_labels(&self.search, node, <int32_t*> cnp.PyArray_DATA(labels))
        return labels, common_depth(&self.search)

    def finish(self):
        """See ctc_reference.BeamStream.finish."""
        cdef Batch batch
        cdef Line line
        cdef Found found = Found.__new__(Found)
        cdef bint align = self.options.wanted.align
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
        found.c.alternatives = self.options.c.alternatives
        with nogil:
            ok = describe(&self.search, &line, self.options.wanted, &found.c)
        if not ok:
            raise MemoryError
        lines = np.array([0, found.c.hypotheses], np.int32)
        return found.readings(lines, align, align, normalisers if self.columns.c.kind == LOGITS else NO_NORMALISERS)

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
