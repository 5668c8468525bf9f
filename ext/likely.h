/* The labels that are worth an extension at a timestep: the likeliest of a row, which is looked through block by block.
 */
#ifndef GLYPHWIRE_LIKELY_H
#define GLYPHWIRE_LIKELY_H

#include "parting.h"
#include "peaks.h"

/* A key that no column with at least this share of the row can fall below; prob_of has the last word. */
static uint32_t lowest_key(Kind kind, double most, double least_prob) {
    if (kind == PROBS) {
        float least = (float)least_prob;
        if (least < least_prob) least = nextafterf(least, INFINITY);
        return least > 0.0f ? bits_of(least) : 1;
    }
    if (!(least_prob > 0.0)) return score_key(bits_of(-INFINITY)) + 1;
    double least = log(least_prob) + (kind == LOGITS ? most : 0.0);
    return score_key(bits_of((float)(least - 1e-6 * (1.0 + fabs(least)))));
}

/* Orders labels by probability, then by ascending label. */
static inline int64_t likely_key(uint32_t key, int32_t column) {
    return (int64_t)((uint64_t)(key ^ SIGN_BIT) << 32 | (uint32_t)~column);
}

static inline int32_t column_of(int64_t likely) { return (int32_t)~(uint32_t)likely; }

/* Likeliest first; few enough for the simplest sort. */
static void sort_likely(int64_t *keys, int32_t count) {
    for (int32_t i = 1; i < count; i++) {
        int64_t key = keys[i];
        int32_t at = i;
        for (; at && keys[at - 1] < key; at--) keys[at] = keys[at - 1];
        keys[at] = key;
    }
}

/* Labels that have been found at a timestep, in no order. */
typedef struct {
    const Layout *layout;
    const float *values;
    int64_t *keys; /* [collection_room] */
    int32_t count, top_k;
    uint32_t lowest; /* keys below cannot enter; rises once there are top_k */
} Collection;

/* When there are as many, all but the likeliest are dropped. There are never as many columns without blank. */
static inline int32_t collection_room(ptrdiff_t columns, int32_t top_k) {
    return top_k < columns / 4 ? 4 * top_k : (int32_t)columns;
}

/* Leaves at most top_k. */
static void drop_unlikely(Collection *found) {
    int64_t *keys = found->keys, low = likely_key(found->lowest, INT32_MAX);
    int64_t least = find_bound(keys, found->count, low, greatest_of(keys, found->count), found->top_k).least;
    int32_t left = 0;
    for (int32_t i = 0; i < found->count; i++) {
        int64_t key = keys[i];
        keys[left] = key;
        left += key >= least;
    }
    found->count = left;
    found->lowest = (uint32_t)((uint64_t)least >> 32) ^ SIGN_BIT;
}

static inline void collect(Collection *found, int32_t column) {
    found->keys[found->count] = likely_key(key_of(found->layout->kind, found->values[column]), column);
    found->count += column != found->layout->blank;
    if (found->count == collection_room(found->layout->columns, found->top_k)) drop_unlikely(found);
}

enum { WORD = 64 };

/* Bit i is set if column at + i, which must be before `end`, has a key of at least `lowest`. */
static inline __attribute__((always_inline)) uint64_t
hits_from(Kind kind, const float_bits *bits, int32_t at, int32_t end, uint32_t lowest, HitsOf hits_of) {
    uint64_t hits = 0;
    if (at + WORD <= end)
        return hits_of(kind, bits + at, lowest) | (uint64_t)hits_of(kind, bits + at + CHUNK, lowest) << CHUNK;
    for (int32_t i = 0, from = at; i < WORD && from < end; i += CHUNK, from += CHUNK) {
        int32_t beyond = from + CHUNK - end;
        if (beyond <= 0) hits |= (uint64_t)hits_of(kind, bits + from, lowest) << i;
        else if (beyond <= from) hits |= (uint64_t)(hits_of(kind, bits + from - beyond, lowest) >> beyond) << i;
        else
            for (; from < end; from++, i++)
                hits |= (uint64_t)((kind == PROBS ? bits[from] : score_key(bits[from])) >= lowest) << i;
    }
    return hits;
}

/* Most blocks that are looked at have one hit, nobody can foretell where. */
static inline __attribute__((always_inline)) void collect_from_block(Collection *found, int32_t block, HitsOf hits_of) {
    Kind kind = found->layout->kind;
    const float_bits *bits = (const float_bits *)found->values;
    int32_t at = block * BLOCK, left = (int32_t)found->layout->columns - at,
            end = left < BLOCK ? at + left : at + BLOCK;
    uint64_t low = hits_from(kind, bits, at, end, found->lowest, hits_of),
             high = hits_from(kind, bits, at + WORD, end, found->lowest, hits_of);
    while (low | high) {
        collect(found, low ? at + __builtin_ctzll(low) : at + WORD + __builtin_ctzll(high));
        high = low ? high : high & (high - 1);
        low &= low - 1;
    }
}

static inline __attribute__((always_inline)) void
collect_all(Collection *found, const uint32_t *maxima, HitsOf hits_of) {
    int32_t blocks = (int32_t)block_count(found->layout->columns);
    for (int32_t block = 0; block < blocks; block += WORD)
        /* Maxima are keys already, and ordered as those of probabilities are. */
        for (uint64_t hits = hits_from(PROBS, maxima, block, blocks, found->lowest, hits_of); hits; hits &= hits - 1)
            collect_from_block(found, block + __builtin_ctzll(hits), hits_of);
}

/* Collects from a row of one block, for all of which there is room, and returns its greatest key. It is among what was
 * collected, if anything was. */
static inline __attribute__((always_inline)) uint32_t greatest_and_few(Collection *found, HitsOf hits_of) {
    const float_bits *bits = (const float_bits *)found->values;
    int32_t columns = (int32_t)found->layout->columns, count = 0;
    uint32_t most = 0;
    uint64_t low = hits_from(PROBS, bits, 0, columns, found->lowest, hits_of),
             high = hits_from(PROBS, bits, WORD, columns, found->lowest, hits_of);
    while (low | high) {
        int32_t column = low ? __builtin_ctzll(low) : WORD + __builtin_ctzll(high);
        high = low ? high : high & (high - 1);
        low &= low - 1;
        most = bits[column] > most ? bits[column] : most;
        found->keys[count] = likely_key(bits[column], column);
        count += column != found->layout->blank;
    }
    found->count = count;
    return most ? most : greatest(bits, columns);
}

static inline __attribute__((always_inline)) uint32_t greatest_and_all(Collection *found, HitsOf hits_of) {
    const float_bits *bits = (const float_bits *)found->values;
    ptrdiff_t columns = found->layout->columns, full = columns / BLOCK;
    uint32_t most = 0;
    if (columns <= BLOCK && collection_room(columns, found->top_k) == columns) return greatest_and_few(found, hits_of);
    for (ptrdiff_t block = 0; block < block_count(columns); block++) {
        const float_bits *from = bits + block * BLOCK;
        uint32_t here = block < full ? greatest(from, BLOCK) : greatest(from, columns - block * BLOCK);
        most = here > most ? here : most;
        if (here >= found->lowest) collect_from_block(found, (int32_t)block, hits_of);
    }
    return most;
}

/* In a row of which much is likely, columns LANES apart in a block are a group: what so many groups reach, no fewer
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
AVX2 static void collect_all_avx2(Collection *found, const uint32_t *maxima) {
    collect_all(found, maxima, hits_of_avx2);
}

AVX2 static uint32_t greatest_and_all_avx2(Collection *found) { return greatest_and_all(found, hits_of_avx2); }

AVX2 static uint32_t find_groups_avx2(const float_bits *bits, int32_t columns, uint32_t *groups) {
    return find_groups(bits, columns, groups, group_keys_avx2);
}

AVX2 static void collect_groups_avx2(Collection *found, const uint32_t *groups) {
    collect_groups(found, groups, hits_of_avx2);
}
#endif

/* Collects the likeliest columns but blank. maxima: of the row's blocks, as find_peak has left them. */
static void collect_likely(Collection *found, const uint32_t *maxima) {
#ifdef HAS_AVX2
    if (HAS_AVX2) collect_all_avx2(found, maxima);
    else
#endif
        collect_all(found, maxima, hits_of);
    if (found->count > found->top_k) drop_unlikely(found);
}

/* The same of a row of probabilities, in the pass that finds its greatest key, which is returned: what is likely in a
 * block is collected while the next ones are on their way from memory. */
static uint32_t collect_in_passing(Collection *found) {
    uint32_t greatest;
#ifdef HAS_AVX2
    if (HAS_AVX2) greatest = greatest_and_all_avx2(found);
    else
#endif
        greatest = greatest_and_all(found, hits_of);
    if (found->count > found->top_k) drop_unlikely(found);
    return greatest;
}

/* The same in two steps, where so many labels are likely that it pays to find out first which matter: the greatest keys
 * of the groups and of all, which is returned, */
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
