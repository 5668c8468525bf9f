/* The greatest of many numbers, found by halving their range: cheaper than to sort what is only to be parted, and
 * without branches that nobody can foretell. */
#ifndef GLYPHWIRE_PARTING_H
#define GLYPHWIRE_PARTING_H

#include "rows.h"

/* Integers, as compilers find their extremes with vectors, or numbers that are no less than 0: these order as their
 * bits do. Arrays of them have room for whole vectors. */
typedef int64_t __attribute__((__may_alias__)) ordered;

static inline int32_t whole_vectors(int32_t count) { return (count + 7) & ~7; }

static inline int64_t bits_of_mass(double mass) {
    int64_t bits;
    memcpy(&bits, &mass, sizeof bits);
    return bits;
}

static inline double mass_of_bits(int64_t bits) {
    double mass;
    memcpy(&mass, &bits, sizeof mass);
    return mass;
}

/* Fills up the last vector with what is less than any value, as find_bound wants it. */
WIDE_CLONES static int64_t greatest_of(ordered *values, int32_t count) {
    int64_t greatest = INT64_MIN;
    for (int32_t i = count; i < whole_vectors(count); i++) values[i] = INT64_MIN;
    for (int32_t i = 0; i < whole_vectors(count); i++) greatest = values[i] > greatest ? values[i] : greatest;
    return greatest;
}

static inline __attribute__((always_inline)) int64_t
count_at_least(const ordered *values, int32_t count, int64_t least) {
    int64_t found = 0;
    for (int32_t i = 0; i < whole_vectors(count); i++) found += values[i] >= least;
    return found;
}

typedef struct {
    int64_t least;
    int64_t excess; /* so many too many reach it, as they are equal */
} Bound;

/* What at most `wanted` of the values reach: `low`, or the least such that as many reach it as are wanted. */
WIDE_CLONES static Bound
find_bound(const ordered *values, int32_t count, int64_t low, int64_t greatest, int64_t wanted) {
    int64_t high = greatest + 1, excess = count_at_least(values, count, low) - wanted;
    if (excess <= 0) return (Bound){low, 0};
    while ((uint64_t)high - (uint64_t)low > 1) {
        int64_t middle = low + (int64_t)(((uint64_t)high - (uint64_t)low) / 2);
        int64_t more = count_at_least(values, count, middle) - wanted;
        if (!more) return (Bound){middle, 0};
        low = more > 0 ? middle : low;
        high = more > 0 ? high : middle;
        excess = more > 0 ? more : excess;
    }
    return (Bound){low, excess};
}

#endif
