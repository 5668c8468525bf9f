/* The likely labels of rows of which so much is likely that it pays to find out first what of it matters. */
#ifndef GLYPHWIRE_CROWDED_H
#define GLYPHWIRE_CROWDED_H

#include "likely.h"

/* Columns LANES apart in a block are a group: what so many groups reach, no fewer
 * columns reach. */
static inline ptrdiff_t group_count(ptrdiff_t columns) { return block_count(columns) * LANES; }

typedef void GroupKeys(const float_bits *block, uint32_t *groups);

static inline void group_keys(const float_bits *block, uint32_t *groups) {
    for (int lane = 0; lane < LANES; lane++) {
        groups[lane] = 0;
        for (int i = lane; i < BLOCK; i += LANES) groups[lane] = block[i] > groups[lane] ? block[i] : groups[lane];
    }
}

#ifdef HAS_AVX2
AVX2 static inline void group_keys_avx2(const float_bits *block, uint32_t *groups) {
    _mm256_storeu_si256((__m256i *)groups, lane_keys_avx2(block));
}
#endif

/* The first column that has the greatest key of a row. */
WIDE_CLONES static int32_t
peak_of_groups(const float *values, ptrdiff_t columns, const uint32_t *groups, uint32_t greatest) {
    int32_t group = first_equal(groups, (int32_t)group_count(columns), greatest);
    return first_from((const float_bits *)values, group / LANES * BLOCK, columns, greatest);
}

/* What a search wants to know of such a row: which labels have at least the key `enters`, as others extend nothing that
 * stays, and of the labels with these other keys whether they are among the likeliest. */
typedef struct {
    uint32_t enters;
    int32_t count;
    const uint32_t *keys; /* [count] */
} Interest;

static inline __attribute__((always_inline)) int32_t
count_reaching(const uint32_t *groups, ptrdiff_t count, uint32_t least) {
    int32_t reached = 0;
    for (ptrdiff_t i = 0; i < count; i++) reached += groups[i] >= least;
    return reached;
}

/* A key that all labels of interest reach that are among the `wanted` likeliest, and not many more columns: a label is
 * not among them if as many groups are above it. */
WIDE_CLONES static uint32_t find_floor(
    const uint32_t *groups, ptrdiff_t count, uint32_t lowest, uint32_t greatest, int32_t wanted, Interest interest
) {
    uint32_t low = interest.enters > lowest ? interest.enters : lowest, high = greatest + 1, unlikely = lowest - 1;
    for (int32_t i = 0; i < interest.count; i++) {
        uint32_t key = interest.keys[i];
        if (key >= low || key <= unlikely) continue;
        if (count_reaching(groups, count, key + 1) >= wanted) unlikely = key;
        else low = key;
    }
    int32_t reached = count_reaching(groups, count, low);
    while (reached > wanted + wanted / 4 && low + 1 < high) {
        uint32_t middle = low + (high - low) / 2;
        int32_t more = count_reaching(groups, count, middle);
        low = more < wanted ? low : middle;
        high = more < wanted ? middle : high;
        reached = more < wanted ? reached : more;
    }
    return low;
}

/* Leaves the greatest key of each group of a row, and returns the greatest of all. */
static inline __attribute__((always_inline)) uint32_t
find_groups(const float_bits *bits, int32_t columns, uint32_t *groups, GroupKeys group_keys) {
    int32_t at = 0;
    for (; at + BLOCK <= columns; at += BLOCK) group_keys(bits + at, groups + at / BLOCK * LANES);
    uint32_t *last = groups + at / BLOCK * LANES;
    for (int lane = 0; at < columns && lane < LANES; lane++) last[lane] = 0;
    for (; at + LANES <= columns; at += LANES)
        for (int lane = 0; lane < LANES; lane++)
            last[lane] = bits[at + lane] > last[lane] ? bits[at + lane] : last[lane];
    for (int lane = 0; at < columns; at++, lane++) last[lane] = bits[at] > last[lane] ? bits[at] : last[lane];
    return greatest(groups, group_count(columns));
}

/* Collects from the blocks of which a group has at least the key found->lowest. */
static inline __attribute__((always_inline)) void
collect_groups(Collection *found, const uint32_t *groups, HitsOf hits_of) {
    int32_t count = (int32_t)group_count(found->layout->columns);
    for (int32_t at = 0; at < count; at += WORD)
        for (uint64_t hits = hits_from(PROBS, groups, at, count, found->lowest, hits_of), block; hits;) {
            block = (uint64_t)__builtin_ctzll(hits) / LANES;
            hits &= ~((uint64_t)((1 << LANES) - 1) << block * LANES);
            collect_from_block(found, at / LANES + (int32_t)block, hits_of);
        }
}

#ifdef HAS_AVX2
AVX2 static uint32_t find_groups_avx2(const float_bits *bits, int32_t columns, uint32_t *groups) {
    return find_groups(bits, columns, groups, group_keys_avx2);
}

AVX2 static void collect_groups_avx2(Collection *found, const uint32_t *groups) {
    collect_groups(found, groups, hits_of_avx2);
}
#endif

/* What collect_in_passing does, in two steps: the greatest keys of the groups and of all, which is returned, */
static uint32_t greatest_of_groups(const Collection *found, uint32_t *groups) {
    const float_bits *bits = (const float_bits *)found->values;
    int32_t columns = (int32_t)found->layout->columns;
#ifdef HAS_AVX2
    if (HAS_AVX2) return find_groups_avx2(bits, columns, groups);
#endif
    return find_groups(bits, columns, groups, group_keys);
}

/* and then the labels. */
static void collect_likeliest(Collection *found, const uint32_t *groups, uint32_t greatest, Interest interest) {
    ptrdiff_t count = group_count(found->layout->columns);
    /* One more, as one may be blank's. */
    found->lowest = find_floor(groups, count, found->lowest, greatest, found->top_k + 1, interest);
#ifdef HAS_AVX2
    if (HAS_AVX2) collect_groups_avx2(found, groups);
    else
#endif
        collect_groups(found, groups, hits_of);
    if (found->count > found->top_k) drop_unlikely(found);
}

#endif
