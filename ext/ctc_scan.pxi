# One row of the matrix, or one path through it: what is likeliest there, and what it reads as.
#
# Bit patterns of non-negative floats, read as unsigned integers, order as the floats do, and their maximum vectorises
# without -ffast-math. NaN and negative values come out greater than every probability and so cannot hide in a maximum.

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>
    #if defined(__x86_64__) && defined(__gnu_linux__)
    #define WIDE_CLONES __attribute__((target_clones("arch=skylake-avx512", "avx2", "default")))
    #else
    #define WIDE_CLONES
    #endif
    enum { BLOCK = 64, BLOCK_SHIFT = 6 };

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
    const int BLOCK, BLOCK_SHIFT
    uint32_t bits_at(const float* value) noexcept nogil
    void block_maxima(const float* row, Py_ssize_t classes, uint32_t* maxima) noexcept nogil


cdef uint32_t lowest_bits(double min_prob) noexcept nogil:
    """Bits of the least positive float32 that is not below min_prob."""
    cdef float lowest = <float> min_prob
    if lowest < min_prob:
        lowest = nextafterf(lowest, INFINITY)
    return bits_at(&lowest) if lowest > 0.0 else 1


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


cdef Py_ssize_t find_likely(
    const float* row,
    Py_ssize_t classes,
    int32_t blank,
    int32_t peak,
    const uint32_t* maxima,
    Py_ssize_t top_k,
    uint32_t lowest,
    uint64_t* likely,
) noexcept nogil:
    """Fill likely with the classes worth an extension: at most top_k, not below lowest, but always the peak.

    likely, uint64 [top_k], likeliest first: bits of the probability, then ~class. maxima: as find_peak left them.
    Returns how many there are.
    """
    cdef Py_ssize_t block, index, position, count = 0
    cdef uint32_t bits
    cdef uint64_t key
    if peak != blank and bits_at(row + peak) < lowest:
        lowest = bits_at(row + peak)
        likely[0] = (<uint64_t> lowest << 32) | <uint32_t> ~peak
        return 1 if lowest else 0
    for block in range((classes + BLOCK - 1) >> BLOCK_SHIFT):
        if maxima[block] < lowest:
            continue
        for index in range(block << BLOCK_SHIFT, min((block + 1) << BLOCK_SHIFT, classes)):
            bits = bits_at(row + index)
            if bits < lowest or index == blank:
                continue
            key = (<uint64_t> bits << 32) | <uint32_t> ~index
            count = min(count, top_k - 1)
            position = count
            while position and likely[position - 1] < key:
                position -= 1
            memmove(likely + position + 1, likely + position, (count - position) * sizeof(uint64_t))
            likely[position] = key
            count += 1
            if count == top_k:  # among equals the lower class is in already, so only a greater one may enter
                lowest = <uint32_t> (likely[count - 1] >> 32) + 1
    return count
