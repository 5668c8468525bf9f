# Prefix beam search: the trie that names prefixes, the beam of those that are alive, and one step per timestep.

cdef extern from *:
    """
    enum { RESCALE_BITS = 256 };
    #define MASS_FLOOR 0x1p-900
    #define RESCALE_BELOW 0x1p-256
    #define RESCALE_UP 0x1p256
    """
    const int RESCALE_BITS
    const double MASS_FLOOR, RESCALE_BELOW, RESCALE_UP

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
    uint64_t* likely  # [top_k] classes of this timestep as find_likely leaves them
    uint32_t* maxima  # [blocks]
    int32_t* path_labels  # [times] the best path
    int32_t* path_timesteps  # [times] its peaks
    Py_ssize_t path_length
    int32_t* labels  # [times] the hypothesis being described
    int32_t* timesteps  # [times] its peaks
    int32_t exponent


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
        likely_count = find_likely(
            row, s.classes, s.blank, s.path_labels[t], s.maxima, s.top_k, s.lowest, s.likely
        )
        s.ranked = 0
        s.threshold = MASS_FLOOR
        keep_prefixes(s, row, likely_count)
        extend_prefixes(s, row, likely_count)
        commit(s)
    s.path_length = collapse(s.probs, s.times, s.classes, s.blank, s.path_labels, s.path_timesteps)
