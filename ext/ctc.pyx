"""CTC decoding over softmax probabilities: float32 [time, class], C-contiguous, blank anywhere on the class axis.

ocr_core/ctc_reference.py is the specification: same names, same signatures, the same results to the last bit, so the
order of floating point operations here is part of the contract.

Bit patterns of non-negative floats, read as unsigned integers, order as the floats do, and their maximum vectorises
without -ffast-math. NaN and negative values come out greater than every probability and so cannot hide in a maximum.
"""

cimport numpy as cnp
from libc.math cimport INFINITY, log, nextafterf
from libc.stdint cimport INT32_MAX, INT32_MIN, int8_t, int32_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memmove

cnp.import_array()

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #if defined(__x86_64__) && defined(__gnu_linux__)
    #define WIDE_CLONES __attribute__((target_clones("arch=skylake-avx512", "avx2", "default")))
    #else
    #define WIDE_CLONES
    #endif
    enum { BLOCK = 64, BLOCK_SHIFT = 6, RESCALE_BITS = 256 };
    #define MASS_FLOOR 0x1p-900
    #define RESCALE_BELOW 0x1p-256
    #define RESCALE_UP 0x1p256
    #define LN2 0x1.62e42fefa39efp-1

    typedef uint32_t __attribute__((__may_alias__)) float_bits;

    static inline uint32_t bits_at(const float *value) { return *(const float_bits *)value; }

    static inline uint32_t bits_maximum(const float_bits *bits, ptrdiff_t count) {
        uint32_t maximum = 0;
        for (ptrdiff_t i = 0; i < count; i++) maximum = bits[i] > maximum ? bits[i] : maximum;
        return maximum;
    }

    /* The one pass over the matrix. Full blocks have a constant length so that gcc unrolls them into vector maxima. */
    WIDE_CLONES static void block_maxima(const float *row, ptrdiff_t classes, uint32_t *maxima) {
        const float_bits *bits = (const float_bits *)row;
        ptrdiff_t full = classes >> BLOCK_SHIFT, rest = classes - (full << BLOCK_SHIFT);
        for (ptrdiff_t i = 0; i < full; i++) maxima[i] = bits_maximum(bits + (i << BLOCK_SHIFT), BLOCK);
        if (rest) maxima[full] = bits_maximum(bits + (full << BLOCK_SHIFT), rest);
    }
    """
    const int BLOCK, BLOCK_SHIFT, RESCALE_BITS
    const double MASS_FLOOR, RESCALE_BELOW, RESCALE_UP, LN2
    uint32_t bits_at(const float* value) noexcept nogil
    void block_maxima(const float* row, Py_ssize_t classes, uint32_t* maxima) noexcept nogil

cdef enum:
    NONE = -1  # no label, no slot
    INF_BITS = 0x7F800000


cdef struct Node:
    # One prefix in the trie; its labels are read from here up to the root, node 0, which is the empty prefix.
    # - A prefix has one node at most, made when the prefix first enters the beam and never removed: equal prefixes are
    #   equal indices even when a prefix leaves the beam and comes back, so merging needs no comparison of labels.
    # - parent < own index; depth = depth of parent + 1; label of the root is NONE.
    # - first_child and next_sibling chain all children; 0 ends the chain, as the root is nobody's child.
    # - slot is where the prefix stood in the last beam that held it: live if that slot of the beam still names it.
    int32_t parent
    int32_t label
    int32_t depth
    int32_t first_child
    int32_t next_sibling
    int32_t slot


cdef struct Entry:
    # A prefix and the mass of its alignments up to a timestep: those that end in blank, those that end in its last
    # label, and both. extension is a label still to be appended to node, NONE for every entry of the beam.
    double total
    double blank
    double last
    int32_t node
    int32_t extension


cdef struct Search:
    # Input and scratch of one search. Masses carry the common factor 2 ** -exponent.
    const float* probs
    Py_ssize_t times
    Py_ssize_t classes
    int32_t blank
    Py_ssize_t width
    Py_ssize_t top_k
    uint32_t lowest  # bits of the least probability that is looked at
    Node* nodes  # [1 + times * width]
    int32_t node_count
    Entry* beam  # [width], best first
    Py_ssize_t size
    Entry* pool  # [width], best first: the beam of the next timestep while it forms
    Py_ssize_t ranked
    double threshold  # totals below this cannot enter the pool
    int32_t* live_child  # [width] head of the chain of beam slots whose prefix extends this slot's by one label
    int32_t* live_next  # [width] next slot in that chain
    uint64_t* likely  # [top_k] classes of this timestep, likeliest first: bits of the probability, then ~class
    uint32_t* maxima  # [blocks]
    int32_t* path_labels  # [times] the best path
    int32_t* path_timesteps  # [times] its peaks
    Py_ssize_t path_length
    int32_t* labels  # [times] the hypothesis being described
    int32_t* timesteps  # [times] its peaks
    int32_t exponent


cdef struct Score:
    # mantissa * 2 ** (256 * exponent) with mantissa in (2 ** -256, 1], so scores order by exponent, then mantissa.
    # Zero is mantissa 0 with the least exponent.
    int32_t exponent
    double mantissa


cdef int32_t find_peak(const float* row, Py_ssize_t classes, uint32_t* maxima) noexcept nogil:
    """Likeliest class, the first of equals. Leaves the maximum of each block in maxima."""
    cdef Py_ssize_t block, index, best = 0
    block_maxima(row, classes, maxima)
    for block in range(1, (classes + BLOCK - 1) >> BLOCK_SHIFT):
        if maxima[block] > maxima[best]:
            best = block
    index = best << BLOCK_SHIFT
    while bits_at(row + index) != maxima[best]:
        index += 1
    return <int32_t> index


cdef Py_ssize_t collapse(
    const float* probs, Py_ssize_t times, Py_ssize_t classes, int32_t blank, int32_t* labels, int32_t* timesteps
) noexcept nogil:
    """Turn the likeliest classes, int32 [time] in labels, into the best path and its peaks, in place; its length."""
    cdef Py_ssize_t t, length = 0
    cdef int32_t label, previous = blank
    for t in range(times):
        label = labels[t]
        if label != blank and label != previous:
            labels[length] = label
            timesteps[length] = <int32_t> t
            length += 1
        elif label != blank and probs[t * classes + label] > probs[timesteps[length - 1] * classes + label]:
            timesteps[length - 1] = <int32_t> t
        previous = label
    return length


cdef Py_ssize_t find_likely(Search* s, const float* row, int32_t peak) noexcept nogil:
    """Fill s.likely with the classes worth an extension: at most top_k, not below lowest, but always the peak."""
    cdef Py_ssize_t block, index, position, count = 0
    cdef uint32_t bits, lowest = s.lowest
    cdef uint64_t key
    if peak != s.blank and bits_at(row + peak) < lowest:
        lowest = bits_at(row + peak)
        s.likely[0] = (<uint64_t> lowest << 32) | <uint32_t> ~peak
        return 1 if lowest else 0
    for block in range((s.classes + BLOCK - 1) >> BLOCK_SHIFT):
        if s.maxima[block] < lowest:
            continue
        for index in range(block << BLOCK_SHIFT, min((block + 1) << BLOCK_SHIFT, s.classes)):
            bits = bits_at(row + index)
            if bits < lowest or index == s.blank:
                continue
            key = (<uint64_t> bits << 32) | <uint32_t> ~index
            count = min(count, s.top_k - 1)
            position = count
            while position and s.likely[position - 1] < key:
                position -= 1
            memmove(s.likely + position + 1, s.likely + position, (count - position) * sizeof(uint64_t))
            s.likely[position] = key
            count += 1
            if count == s.top_k:  # among equals the lower class is in already, so only a greater one may enter
                lowest = <uint32_t> (s.likely[count - 1] >> 32) + 1
    return count


cdef bint precedes(const Node* nodes, const Entry* a, const Entry* b) noexcept nogil:
    """Whether the labels of a come before those of b in lexicographic order, a prefix before what extends it."""
    cdef int32_t x = a.node, y = b.node, after_x = a.extension, after_y = b.extension
    cdef int32_t depth = min(nodes[x].depth, nodes[y].depth)
    while nodes[x].depth > depth:
        after_x = nodes[x].label
        x = nodes[x].parent
    while nodes[y].depth > depth:
        after_y = nodes[y].label
        y = nodes[y].parent
    while x != y:
        after_x = nodes[x].label
        after_y = nodes[y].label
        x = nodes[x].parent
        y = nodes[y].parent
    # Both go on with one label if one entry is an extension that the other prefix starts with: the shorter comes first.
    return after_x < after_y or (after_x == after_y and nodes[a.node].depth < nodes[b.node].depth)


cdef void rank(Search* s, const Entry* entry) noexcept nogil:
    """Insert entry into the pool if it is among the best; of equal totals the smaller prefix is better."""
    cdef Py_ssize_t low = 0, high = s.ranked, middle
    cdef const Entry* other
    if not entry.total >= s.threshold:  # not the same as <, this drops NaN as well
        return
    while low < high:
        middle = (low + high) >> 1
        other = s.pool + middle
        if entry.total > other.total or (entry.total == other.total and precedes(s.nodes, entry, other)):
            high = middle
        else:
            low = middle + 1
    if low == s.width:
        return
    s.ranked = min(s.ranked + 1, s.width)
    memmove(s.pool + low + 1, s.pool + low, (s.ranked - 1 - low) * sizeof(Entry))
    s.pool[low] = entry[0]
    if s.ranked == s.width:
        s.threshold = s.pool[s.width - 1].total


cdef inline double extended(const Search* s, const Entry* entry, const float* row, int32_t label) noexcept nogil:
    """Mass of entry's alignments continued with label: a repeat is a new label only after a blank."""
    return (entry.blank if label == s.nodes[entry.node].label else entry.total) * row[label]


cdef void keep_prefixes(Search* s, const float* row, Py_ssize_t likely_count) noexcept nogil:
    """Rank every prefix of the beam as it stands after this timestep, what its parent adds to it included."""
    cdef Py_ssize_t slot
    cdef int32_t label, above
    cdef Entry entry
    cdef const Node* node
    cdef uint64_t least = s.likely[likely_count - 1] if likely_count else 0
    for slot in range(s.size):
        s.live_child[slot] = NONE
    for slot in range(s.size):
        entry = s.beam[slot]
        node = s.nodes + entry.node
        label = node.label
        entry.blank = entry.total * row[s.blank]
        if label != NONE:
            entry.last = entry.last * row[label]
            above = s.nodes[node.parent].slot
            if above < s.size and s.beam[above].node == node.parent:
                s.live_next[slot] = s.live_child[above]
                s.live_child[above] = <int32_t> slot
                if likely_count and ((<uint64_t> bits_at(row + label) << 32) | <uint32_t> ~label) >= least:
                    entry.last += extended(s, s.beam + above, row, label)
        entry.total = entry.blank + entry.last
        rank(s, &entry)


cdef bint is_live(const Search* s, Py_ssize_t slot, int32_t label) noexcept nogil:
    """Whether the prefix in slot, extended by label, is in the beam: keep_prefixes has ranked it then."""
    cdef int32_t child = s.live_child[slot]
    while child != NONE and s.nodes[s.beam[child].node].label != label:
        child = s.live_next[child]
    return child != NONE


cdef void extend_prefixes(Search* s, const float* row, Py_ssize_t likely_count) noexcept nogil:
    """Rank the prefixes of the beam extended by one likely label. Both loops go down, so the first miss ends them."""
    cdef Py_ssize_t slot, i
    cdef Entry entry
    entry.blank = 0.0
    for slot in range(s.size):
        entry.node = s.beam[slot].node
        for i in range(likely_count):
            entry.extension = <int32_t> ~<uint32_t> s.likely[i]
            if s.beam[slot].total * row[entry.extension] < s.threshold:
                break
            entry.last = extended(s, s.beam + slot, row, entry.extension)
            entry.total = entry.last
            if entry.total >= s.threshold and not is_live(s, slot, entry.extension):
                rank(s, &entry)


cdef int32_t find_child(Search* s, int32_t parent, int32_t label) noexcept nogil:
    """The node of parent extended by label, made if there is none."""
    cdef int32_t child = s.nodes[parent].first_child
    while child and s.nodes[child].label != label:
        child = s.nodes[child].next_sibling
    if not child:
        child = s.node_count
        s.node_count += 1
        s.nodes[child] = Node(parent, label, s.nodes[parent].depth + 1, 0, s.nodes[parent].first_child, NONE)
        s.nodes[parent].first_child = child
    return child


cdef void commit(Search* s) noexcept nogil:
    """Make the pool the beam; powers of two keep masses far from underflow without rounding them."""
    cdef Py_ssize_t slot
    cdef Entry* entry
    s.beam, s.pool = s.pool, s.beam
    s.size = s.ranked
    for slot in range(s.size):
        entry = s.beam + slot
        if entry.extension != NONE:
            entry.node = find_child(s, entry.node, entry.extension)
            entry.extension = NONE
        s.nodes[entry.node].slot = <int32_t> slot
    while s.size and s.beam[0].total < RESCALE_BELOW:
        s.exponent -= RESCALE_BITS
        for slot in range(s.size):
            s.beam[slot].total *= RESCALE_UP
            s.beam[slot].blank *= RESCALE_UP
            s.beam[slot].last *= RESCALE_UP


cdef void search(Search* s) noexcept nogil:
    """Hannun et al. 2014, algorithm 1, without a language model. A row that holds no distribution empties the beam."""
    cdef Py_ssize_t t, likely_count
    cdef const float* row
    s.exponent = 0
    s.nodes[0] = Node(0, NONE, 0, 0, 0, 0)
    s.node_count = 1
    s.beam[0] = Entry(1.0, 1.0, 0.0, 0, NONE)
    s.size = 1
    for t in range(s.times):
        row = s.probs + t * s.classes
        s.path_labels[t] = find_peak(row, s.classes, s.maxima)
        if bits_at(row + s.path_labels[t]) >= INF_BITS:
            s.size = 0
            return
        likely_count = find_likely(s, row, s.path_labels[t])
        s.ranked = 0
        s.threshold = MASS_FLOOR
        keep_prefixes(s, row, likely_count)
        extend_prefixes(s, row, likely_count)
        commit(s)
    s.path_length = collapse(s.probs, s.times, s.classes, s.blank, s.path_labels, s.path_timesteps)


cdef inline bint greater(Score a, Score b) noexcept nogil:
    return a.exponent > b.exponent or (a.exponent == b.exponent and a.mantissa > b.mantissa)


cdef inline Score times_prob(Score score, double prob) noexcept nogil:
    score.mantissa *= prob
    if score.mantissa == 0.0:
        score.exponent = INT32_MIN
    elif score.mantissa <= RESCALE_BELOW:
        score.mantissa *= RESCALE_UP
        score.exponent -= 1
    return score


cdef void run_viterbi(
    const Search* s, const int32_t* labels, Py_ssize_t states, Score* scores, int8_t* steps
) noexcept nogil:
    """Best alignment score per state at the last timestep. States are blank, label, blank, ..., label, blank.

    steps, int8 [time, state]: by how many states the best alignment moved to get there, on ties the fewest. States
    that cannot be reached yet or from which the end cannot be reached any more are skipped.
    """
    cdef Py_ssize_t t, state
    cdef const float* row
    cdef Score best
    cdef int8_t step
    for state in range(states):
        scores[state] = Score(INT32_MIN, 0.0)
    scores[0] = Score(0, 1.0)
    for t in range(s.times):
        row = s.probs + t * s.classes
        for state in range(min(states - 1, 2 * t + 1), max(0, states - 2 * (s.times - t)) - 1, -1):
            best = scores[state]
            step = 0
            if state >= 1 and greater(scores[state - 1], best):
                best = scores[state - 1]
                step = 1
            if state >= 3 and state & 1 and labels[state >> 1] != labels[(state >> 1) - 1]:
                if greater(scores[state - 2], best):
                    best = scores[state - 2]
                    step = 2
            scores[state] = times_prob(best, row[labels[state >> 1] if state & 1 else s.blank])
            steps[t * states + state] = step


cdef void trace_peaks(
    const Search* s, const int32_t* labels, Py_ssize_t states, Py_ssize_t state, const int8_t* steps, int32_t* timesteps
) noexcept nogil:
    """Walk the best alignment back from state; the peak of a label is the first of its likeliest timesteps."""
    cdef Py_ssize_t t, i
    for i in range(states >> 1):
        timesteps[i] = NONE
    for t in range(s.times - 1, -1, -1):
        i = state >> 1
        if state & 1 and (
            timesteps[i] == NONE
            or s.probs[t * s.classes + labels[i]] >= s.probs[timesteps[i] * s.classes + labels[i]]
        ):
            timesteps[i] = <int32_t> t
        state -= steps[t * states + state]


cdef bint align(const Search* s, const int32_t* labels, Py_ssize_t length, int32_t* timesteps) noexcept nogil:
    """Peaks of the most probable alignment (Viterbi) of labels, int32 [length]. Returns False when out of memory."""
    cdef Py_ssize_t states = 2 * length + 1, last = states - 1
    cdef Score* scores
    cdef int8_t* steps
    if length == s.path_length and not memcmp(labels, s.path_labels, length * sizeof(int32_t)):
        # The best path is the most probable alignment of all, so of its own labels too.
        memcpy(timesteps, s.path_timesteps, length * sizeof(int32_t))
        return True
    scores = <Score*> malloc(states * (sizeof(Score) + s.times))
    if not scores:
        return False
    steps = <int8_t*> (scores + states)
    run_viterbi(s, labels, states, scores, steps)
    if length and greater(scores[last - 1], scores[last]):
        last -= 1
    trace_peaks(s, labels, states, last, steps, timesteps)
    free(scores)
    return True


cdef Py_ssize_t describe(Search* s, Py_ssize_t slot) noexcept nogil:
    """Fill s.labels and s.timesteps with one prefix of the beam. Returns its length, NONE when out of memory."""
    cdef int32_t node = s.beam[slot].node
    cdef Py_ssize_t i, length = s.nodes[node].depth
    for i in range(length - 1, -1, -1):
        s.labels[i] = s.nodes[node].label
        node = s.nodes[node].parent
    return length if align(s, s.labels, length, s.timesteps) else NONE


cdef char* allocate(Search* s) noexcept nogil:
    """Lay all scratch of the search out in one block of memory, widest types first. Returns the block or NULL."""
    cdef Py_ssize_t beam = s.width * sizeof(Entry), slots = s.width * sizeof(int32_t)
    cdef Py_ssize_t likely = s.top_k * sizeof(uint64_t), path = s.times * sizeof(int32_t)
    cdef Py_ssize_t nodes = (1 + s.times * s.width) * sizeof(Node)
    cdef Py_ssize_t maxima = ((s.classes >> BLOCK_SHIFT) + 1) * sizeof(uint32_t)
    cdef char* memory = <char*> malloc(2 * beam + likely + 2 * slots + 4 * path + maxima + nodes)
    s.beam = <Entry*> memory
    s.pool = <Entry*> (memory + beam)
    s.likely = <uint64_t*> (memory + 2 * beam)
    s.live_child = <int32_t*> (memory + 2 * beam + likely)
    s.live_next = s.live_child + s.width
    s.path_labels = s.live_next + s.width
    s.path_timesteps = s.path_labels + s.times
    s.labels = s.path_timesteps + s.times
    s.timesteps = s.labels + s.times
    s.maxima = <uint32_t*> (s.timesteps + s.times)
    s.nodes = <Node*> (<char*> s.maxima + maxima)
    return memory


cdef uint32_t lowest_bits(double min_prob) noexcept nogil:
    """Bits of the least positive float32 that is not below min_prob."""
    cdef float lowest = <float> min_prob
    if lowest < min_prob:
        lowest = nextafterf(lowest, INFINITY)
    return bits_at(&lowest) if lowest > 0.0 else 1


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
