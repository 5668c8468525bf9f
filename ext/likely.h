/* The labels that are worth an extension at a timestep: the likeliest of a row, which is looked through block by block.
 */
#ifndef GLYPHWIRE_LIKELY_H
#define GLYPHWIRE_LIKELY_H

#include "scan.h"

/* A label worth an extension. The key orders by probability, then by ascending label. */
typedef struct {
    uint64_t key;
    double prob;
} LikelyLabel;

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

/* Puts a label in its place among the likely ones. Returns how many there are then. */
static int32_t insert_likely(LikelyLabel *likely, int32_t count, int32_t top_k, uint64_t key) {
    int32_t at = count < top_k ? count : top_k - 1;
    while (at && likely[at - 1].key < key) {
        likely[at] = likely[at - 1];
        at--;
    }
    likely[at].key = key;
    return count < top_k ? count + 1 : top_k;
}

static inline uint64_t likely_key(uint32_t key, int32_t column) { return (uint64_t)key << 32 | (uint32_t)~column; }

static inline int32_t column_of(const LikelyLabel *label) { return (int32_t)~(uint32_t)label->key; }

/* Labels that have been found at a timestep, the likeliest first. */
typedef struct {
    const Layout *layout;
    const float *values;
    LikelyLabel *labels;
    int32_t count, top_k;
    uint32_t lowest; /* keys below cannot enter; rises once there are top_k */
} Collection;

static inline void collect(Collection *found, int32_t column) {
    uint32_t key = key_of(found->layout->kind, found->values[column]);
    if (column == found->layout->blank || key < found->lowest) return;
    found->count = insert_likely(found->labels, found->count, found->top_k, likely_key(key, column));
    /* Among equals the lower column is in already: only a greater one may still enter. */
    if (found->count == found->top_k) found->lowest = (uint32_t)(found->labels[found->count - 1].key >> 32) + 1;
}

static inline __attribute__((always_inline)) void collect_from_block(Collection *found, int32_t block, HitsOf hits_of) {
    int32_t at = block * BLOCK, left = (int32_t)found->layout->columns - at,
            end = left < BLOCK ? at + left : at + BLOCK;
    for (; at + CHUNK <= end; at += CHUNK) {
        uint32_t hits = hits_of(found->layout->kind, (const float_bits *)found->values + at, found->lowest);
        for (; hits; hits &= hits - 1) collect(found, at + __builtin_ctz(hits));
    }
    for (; at < end; at++) collect(found, at);
}

static inline __attribute__((always_inline)) void
collect_all(Collection *found, const uint32_t *maxima, HitsOf hits_of) {
    for (int32_t block = 0; block < block_count(found->layout->columns); block += CHUNK)
        /* Maxima are keys already, and ordered as those of probabilities are. */
        for (uint32_t hits = hits_of(PROBS, maxima + block, found->lowest); hits; hits &= hits - 1)
            collect_from_block(found, block + __builtin_ctz(hits), hits_of);
}

#ifdef HAS_AVX2
AVX2 static void collect_all_avx2(Collection *found, const uint32_t *maxima) {
    collect_all(found, maxima, hits_of_avx2);
}
#endif

/* The top_k likeliest columns but blank with keys of at least `lowest`, likeliest first. */
static int32_t collect_likely(
    const Layout *layout, const float *values, const uint32_t *maxima, uint32_t lowest, int32_t top_k,
    LikelyLabel *likely
) {
    Collection found = {layout, values, likely, 0, top_k, lowest};
#ifdef HAS_AVX2
    if (HAS_AVX2) {
        collect_all_avx2(&found, maxima);
        return found.count;
    }
#endif
    collect_all(&found, maxima, hits_of);
    return found.count;
}

#endif
