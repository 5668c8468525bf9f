# Where the labels of a prefix are: their peaks in its most probable alignment.

cdef struct Score:
    # mantissa * 2 ** (256 * exponent) with mantissa in (2 ** -256, 1], so scores order by exponent, then mantissa.
    # Zero is mantissa 0 with the least exponent.
    int32_t exponent
    double mantissa


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
