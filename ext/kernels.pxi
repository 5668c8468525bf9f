# What the C headers offer.

cdef extern from "batch.h" nogil:
    enum: MAX_AUTOMATA

    ctypedef enum Kind:
        LOGITS

    ctypedef struct Matrix:
        const char* data
        Py_ssize_t times, time_stride, class_stride, before
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

    ctypedef struct Masses:
        double* total

    ctypedef struct Beam:
        Masses masses
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

    ctypedef struct Call:
        const Layout* layout
        const SearchOptions* options
        Wanted wanted
        int confidences
        const Matrix* matrices
        Py_ssize_t count
        int in_place
        size_t alternatives
        double* most
        double* z

    int decode_lines(const Call* call, int threads, int32_t* counts, Store* store)
    int allocate(Search* s, const Layout* layout, const SearchOptions* options, int in_place)
    void release(Search* s)
    int reserve(Search* s)
    int is_in_place(const Matrix* matrix)
    void begin(Search* s)
    int search_rows(Search* s, const Matrix* matrix, double* most, double* z)
    int describe(Search* s, const Line* line, Wanted wanted, Store* store)
    int32_t best_slot(const Search* s, const double* masses)
    int32_t common_depth(const Search* s)
    void read_labels(const Search* s, int32_t node, int32_t* labels)
    int allocate_path(Path* path, const Layout* layout, int wants_confidences)
    void begin_path(Path* path)
    void follow_rows(Path* path, const Matrix* matrix, Store* store)
    void end_path(Path* path, Store* store)
    int make_room(Store* store, size_t more, size_t length)
    void discard(Store* store)


cdef extern from "labellings.h" nogil:
    ctypedef struct CLabellings "Labellings":
        const int32_t* labels
        const Py_ssize_t* offsets
        Py_ssize_t count, longest

    int weigh_labellings(
        const Layout* layout, const Matrix* matrix, const double* known, const CLabellings* given, double* log_probs
    )
