/* Keys, unsigned integers that order as the values of a row do: their maximum vectorises without -ffast-math, and NaN
 * cannot hide in it. The key of a probability is its bit pattern, so that NaN and negative values come out above every
 * probability. Scores have signs: the bits of negative ones are inverted. */
#ifndef GLYPHWIRE_SCAN_H
#define GLYPHWIRE_SCAN_H

#include "rows.h"

enum { BLOCK = 128 };          /* of 64 to 256 columns the fastest on AVX2 */
enum { LANES = 8, LINE = 16 }; /* columns of a vector, and of a cache line */
enum { WORD = 64 };            /* columns of which a bit each is set */
enum { NOWHERE = 1 << 30 };    /* gcc 12 does not vectorise the search for INT32_MAX */

#define INFINITY_BITS 0x7F800000u
#define SIGN_BIT 0x80000000u
#define ZERO_KEY SIGN_BIT /* of scores */
/* Rounding may lift a probability above 1. */
#define MAX_PROB 1.01f
#define MAX_LOG_PROB 0.01f

/* Of two words of hits, in one of which there is one. */
static inline int32_t first_hit(uint64_t low, uint64_t high) {
    return low ? __builtin_ctzll(low) : WORD + __builtin_ctzll(high);
}

static inline ptrdiff_t block_count(ptrdiff_t columns) { return (columns + BLOCK - 1) / BLOCK; }

static inline uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Both zeros have one key. */
static inline uint32_t score_key(uint32_t bits) { return bits > SIGN_BIT ? ~bits : bits | SIGN_BIT; }

static inline uint32_t key_of(Kind kind, float value) {
    return kind == PROBS ? bits_of(value) : score_key(bits_of(value));
}

static inline float value_of(Kind kind, uint32_t key) {
    float value;
    if (kind != PROBS) key = key & SIGN_BIT ? key & ~SIGN_BIT : ~key;
    memcpy(&value, &key, sizeof value);
    return value;
}

static inline uint32_t greatest(const float_bits *bits, ptrdiff_t count) {
    uint32_t most = 0;
    for (ptrdiff_t i = 0; i < count; i++) most = bits[i] > most ? bits[i] : most;
    return most;
}

static inline int32_t first_equal(const float_bits *bits, int32_t count, uint32_t wanted) {
    int32_t first = NOWHERE;
    for (int32_t i = 0; i < count; i++) {
        int32_t here = bits[i] == wanted ? i : NOWHERE;
        first = here < first ? here : first;
    }
    return first;
}

/* The first column of the block from `best` with these bits. A full block has a constant length, which the compiler
 * unrolls into vectors. */
static inline int32_t first_from(const float_bits *bits, ptrdiff_t best, ptrdiff_t columns, uint32_t wanted) {
    ptrdiff_t rest = columns - best;
    return (int32_t)best +
           (rest >= BLOCK ? first_equal(bits + best, BLOCK, wanted) : first_equal(bits + best, (int32_t)rest, wanted));
}

#ifdef HAS_AVX2
/* The greatest keys of a block, lane by lane. */
AVX2 static inline __attribute__((always_inline)) __m256i lane_keys_avx2(const float_bits *block) {
    const __m256i *from = (const __m256i *)block;
    __m256i most[4]; /* for one alone loads would have to wait */
    for (int i = 0; i < 4; i++) most[i] = _mm256_loadu_si256(from + i);
    for (int i = 4; i < BLOCK / LANES; i++) most[i % 4] = _mm256_max_epu32(most[i % 4], _mm256_loadu_si256(from + i));
    return _mm256_max_epu32(_mm256_max_epu32(most[0], most[1]), _mm256_max_epu32(most[2], most[3]));
}
#endif

enum { CHUNK = 32 };

/* Bit i is set if column i of a chunk has a key of at least `lowest`. */
typedef uint32_t HitsOf(Kind kind, const float_bits *bits, uint32_t lowest);

static inline uint32_t hits_of(Kind kind, const float_bits *bits, uint32_t lowest) {
    uint32_t hits = 0;
    for (int i = 0; i < CHUNK; i++) hits |= (uint32_t)((kind == PROBS ? bits[i] : score_key(bits[i])) >= lowest) << i;
    return hits;
}

#ifdef HAS_AVX2
AVX2 static inline uint32_t hits_of_avx2(Kind kind, const float_bits *bits, uint32_t lowest) {
    __m256i least = _mm256_set1_epi32((int32_t)lowest), sign = _mm256_set1_epi32((int32_t)SIGN_BIT);
    uint32_t hits = 0;
    for (int i = 0; i < CHUNK; i += 8) {
        __m256i key = _mm256_loadu_si256((const __m256i *)(bits + i));
        if (kind != PROBS) key = _mm256_xor_si256(key, _mm256_or_si256(_mm256_srai_epi32(key, 31), sign));
        key = _mm256_cmpeq_epi32(_mm256_max_epu32(key, least), key);
        hits |= (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(key)) << i;
    }
    return hits;
}
#endif

#endif
