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
    uint32_t lowest;   /* keys below cannot enter; rises once there are top_k */
    int32_t new_from;  /* of a long row, parts of which are looked at twice: nothing before can be new */
    uint32_t greatest; /* of the keys that were collected, blank's among them; of a long row */
    int is_far;        /* see is_far */
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
        collect(found, at + first_hit(low, high));
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
        int32_t column = first_hit(low, high);
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

#ifdef HAS_AVX2
/* What a search reads of a matrix that is far is asked for two pages ahead: some of the time it does something else. */
enum { FARTHER_AHEAD = 4 * AHEAD };

/* Collects columns of which a bit is set, and notes the greatest key. Stretches ascend, but may overlap. */
static inline __attribute__((always_inline)) void collect_from_word(Collection *found, int32_t start, uint64_t hits) {
    const float_bits *bits = (const float_bits *)found->values;
    for (; hits; hits &= hits - 1) {
        int32_t column = start + __builtin_ctzll(hits);
        if (column < found->new_from) continue;
        found->new_from = column + 1;
        found->greatest = bits[column] > found->greatest ? bits[column] : found->greatest;
        collect(found, column);
    }
}

AVX2 static __attribute__((noinline)) void collect_from_stretch_avx2(Collection *found, int32_t start) {
    const float *stretch = found->values + start;
    collect_from_word(found, start, hits_in_word_avx2(stretch, found->lowest));
    collect_from_word(found, start + WORD, hits_in_word_avx2(stretch + WORD, found->lowest));
}

AVX2 static inline __attribute__((always_inline)) uint32_t hits_avx2(const Collection *found, __m256i keys) {
    __m256i hits = _mm256_cmpeq_epi32(_mm256_max_epu32(keys, _mm256_set1_epi32((int32_t)found->lowest)), keys);
    return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(hits));
}

AVX2 static inline __attribute__((always_inline)) void
look_through_stretch_avx2(void *seen, __m256i keys, int32_t start) {
    Collection *found = seen;
    if (hits_avx2(found, keys)) collect_from_stretch_avx2(found, start);
}

/* Most stretches have no hit, and most of the others one. The first vector nearly always has blank. */
AVX2 static void collect_from_long_row_avx2(Collection *found) {
    ptrdiff_t columns = found->layout->columns;
    collect_from_word(found, 0, hits_avx2(found, _mm256_loadu_si256((const __m256i *)found->values)));
    if (found->is_far) read_row_avx2(found->values, columns, FARTHER_AHEAD, found, look_through_stretch_avx2);
    else read_row_avx2(found->values, columns, 0, found, look_through_stretch_avx2);
}

AVX2 static uint32_t collect_from_short_row_avx2(Collection *found) { return greatest_and_all(found, hits_of_avx2); }

AVX2 static void collect_all_avx2(Collection *found, const uint32_t *maxima) {
    collect_all(found, maxima, hits_of_avx2);
}
#endif

#ifdef HAS_AVX512
AVX512 static __attribute__((noinline)) void collect_from_stretch_avx512(Collection *found, int32_t start) {
    const float *stretch = found->values + start;
    collect_from_word(found, start, hits_in_word_avx512(stretch, found->lowest));
    collect_from_word(found, start + WORD, hits_in_word_avx512(stretch + WORD, found->lowest));
}

AVX512 static inline __attribute__((always_inline)) __mmask16 hits_avx512(const Collection *found, __m512i keys) {
    return _mm512_cmpge_epu32_mask(keys, _mm512_set1_epi32((int32_t)found->lowest));
}

AVX512 static inline __attribute__((always_inline)) void
look_through_stretch_avx512(void *seen, __m512i keys, int32_t start) {
    Collection *found = seen;
    if (hits_avx512(found, keys)) collect_from_stretch_avx512(found, start);
}

AVX512 static void collect_from_long_row_avx512(Collection *found) {
    ptrdiff_t columns = found->layout->columns;
    collect_from_word(found, 0, hits_avx512(found, _mm512_loadu_si512(found->values)));
    if (found->is_far) read_row_avx512(found->values, columns, FARTHER_AHEAD, found, look_through_stretch_avx512);
    else read_row_avx512(found->values, columns, 0, found, look_through_stretch_avx512);
}
#endif

#ifdef HAS_AVX2
WIDE_CLONES static uint32_t greatest_in_row(const float *row, ptrdiff_t columns) {
    return greatest((const float_bits *)row, columns);
}

/* Collects from a row of at least LONG_ROW columns, and returns its greatest key. */
static uint32_t collect_from_long_row(Collection *found) {
#ifdef HAS_AVX512
    if (HAS_AVX512) collect_from_long_row_avx512(found);
    else
#endif
        collect_from_long_row_avx2(found);
    return found->greatest ? found->greatest : greatest_in_row(found->values, found->layout->columns);
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
    if (HAS_AVX2 && found->layout->columns >= LONG_ROW) greatest = collect_from_long_row(found);
    else if (HAS_AVX2) greatest = collect_from_short_row_avx2(found);
    else
#endif
        greatest = greatest_and_all(found, hits_of);
    if (found->count > found->top_k) drop_unlikely(found);
    return greatest;
}

#endif
