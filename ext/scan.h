/* One row: its maximum, what is likely in it, the sum of its exponentials.
 *
 * Rows are compared by keys, unsigned integers that order as the values do: their maximum vectorises without
 * -ffast-math, and NaN cannot hide in it. The key of a probability is its bit pattern, so that NaN and negative values
 * come out above every probability. Scores have signs: the bits of negative ones are inverted. */
#ifndef GLYPHWIRE_SCAN_H
#define GLYPHWIRE_SCAN_H

#include "rows.h"

enum { BLOCK = 128 };       /* of 64 to 256 columns the fastest on AVX2 */
enum { NOWHERE = 1 << 30 }; /* gcc 12 does not vectorise the search for INT32_MAX */

#define INFINITY_BITS 0x7F800000u
#define SIGN_BIT 0x80000000u
#define ZERO_KEY SIGN_BIT /* of scores */
/* Rounding may lift a probability above 1. */
#define MAX_PROB 1.01f
#define MAX_LOG_PROB 0.01f

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

/* The first of the greatest. Leaves the greatest key of each block in `maxima`. The last block of a long row begins
 * early enough to be as long as others: it has columns of the one before, but its code is all vectors. */
WIDE_CLONES static int32_t peak_of_probs(const float *row, ptrdiff_t columns, uint32_t *maxima) {
    const float_bits *bits = (const float_bits *)row;
    ptrdiff_t best = 0;
    uint32_t most = 0;
    if (columns < BLOCK) return first_from(bits, 0, columns, *maxima = greatest(bits, columns));
    for (ptrdiff_t block = 0; block < block_count(columns); block++) {
        ptrdiff_t start = (block + 1) * BLOCK < columns ? block * BLOCK : columns - BLOCK;
        uint32_t here = maxima[block] = greatest(bits + start, BLOCK);
        best = here > most ? start : best;
        most = here > most ? here : most;
    }
    return first_from(bits, best, columns, most);
}

typedef struct {
    int32_t most_signed;
    uint32_t most, least;
} Extremes;

static inline Extremes extremes(const float_bits *bits, ptrdiff_t count) {
    Extremes found = {INT32_MIN, 0, UINT32_MAX};
    for (ptrdiff_t i = 0; i < count; i++) {
        int32_t value = (int32_t)bits[i];
        found.most_signed = value > found.most_signed ? value : found.most_signed;
        found.most = bits[i] > found.most ? bits[i] : found.most;
        found.least = bits[i] < found.least ? bits[i] : found.least;
    }
    return found;
}

/* Of negative numbers the greatest has the least bits. */
static inline uint32_t greatest_key(Extremes found) {
    return score_key(found.most_signed < 0 ? found.least : (uint32_t)found.most_signed);
}

static inline int has_nan(Extremes found) {
    return found.most_signed > (int32_t)INFINITY_BITS || found.most > (INFINITY_BITS | SIGN_BIT);
}

/* As peak_of_probs, for scores with signs; -1 where the row has a NaN. */
WIDE_CLONES static int32_t peak_of_scores(const float *row, ptrdiff_t columns, uint32_t *maxima) {
    const float_bits *bits = (const float_bits *)row;
    ptrdiff_t full = columns / BLOCK, best = 0;
    uint32_t most = 0;
    int nan = 0;
    for (ptrdiff_t block = 0; block < full; block++) {
        Extremes here = extremes(bits + block * BLOCK, BLOCK);
        nan |= has_nan(here);
        maxima[block] = greatest_key(here);
        if (maxima[block] > most) {
            most = maxima[block];
            best = block;
        }
    }
    if (columns > full * BLOCK) {
        Extremes here = extremes(bits + full * BLOCK, columns - full * BLOCK);
        nan |= has_nan(here);
        maxima[full] = greatest_key(here);
        if (maxima[full] > most) {
            most = maxima[full];
            best = full;
        }
    }
    if (nan) return -1;
    if (most != ZERO_KEY) return first_from(bits, best * BLOCK, columns, bits_of(value_of(LOGITS, most)));
    for (best *= BLOCK; row[best] != 0.0f; best++) continue; /* of either sign */
    return (int32_t)best;
}

/* The likeliest column, the first of equals, or -1 for a row that is no distribution. Where only some classes may be
 * emitted all of them may be impossible, as narrow floats round to zero what a sharp row excludes: blank then. */
static int32_t find_peak(const Layout *layout, const float *row, uint32_t *maxima) {
    int32_t peak = layout->kind == PROBS ? peak_of_probs(row, layout->columns, maxima)
                                         : peak_of_scores(row, layout->columns, maxima);
    int32_t none = layout->class_of ? layout->blank : -1;
    if (peak < 0) return -1;
    if (layout->kind == PROBS) return bits_of(row[peak]) > bits_of(MAX_PROB) ? -1 : row[peak] > 0.0f ? peak : none;
    if (layout->kind == LOG_PROBS) return row[peak] > MAX_LOG_PROB ? -1 : exp(row[peak]) > 0.0 ? peak : none;
    return row[peak] == INFINITY ? -1 : row[peak] == -INFINITY ? none : peak;
}

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

enum { LANES = 8 };

typedef float Floats __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t Ints __attribute__((vector_size(LANES * sizeof(int32_t))));

static inline __attribute__((always_inline)) Floats choose(Ints which, Floats yes, Floats no) {
    return (Floats)((which & (Ints)yes) | (~which & (Ints)no));
}

/* Cephes' expf, exact to two units in the last place from -87 to 87 and constant beyond. Written with vectors, as gcc
 * 12 finds control flow in the same with scalars. */
static inline __attribute__((always_inline)) Floats quick_exp(Floats x) {
    const Floats end = (Floats){0} + 87.0f;
    x = choose(x > -end, x, -end);
    x = choose(x < end, x, end);
    Floats rounded = x * 1.44269504f + 0x1.8p23f; /* no room for a fraction; the integer stands in the low bits */
    Floats n = rounded - 0x1.8p23f, scale = (Floats)(((Ints)rounded + 127) << 23);
    Floats r = x - n * 0.693359375f - n * -2.12194440e-4f, p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return (p * r * r + r + 1.0f) * scale;
}

/* Sum of exp(x - most) over a whole row: lanes of float32, emptied into a double after every block. */
WIDE_CLONES static double sum_of_exps(const float *row, ptrdiff_t classes, float most) {
    double sum = 0.0;
    for (ptrdiff_t at = 0; at < classes; at += BLOCK) {
        ptrdiff_t end = classes - at < BLOCK ? classes : at + BLOCK, i = at;
        Floats lanes = {0}, x = lanes - INFINITY;
        float block = 0.0f;
        for (Floats full; i + LANES <= end; i += LANES) {
            memcpy(&full, row + i, sizeof full);
            lanes += quick_exp(full - most);
        }
        for (int lane = 0; i < end; lane++, i++) x[lane] = row[i];
        lanes += quick_exp(x - most);
        for (int lane = 0; lane < LANES; lane++) block += lanes[lane];
        sum += block;
    }
    return sum;
}

/* Sum of exp(x - most) over all classes, `most` being the greatest among the columns: classes that are no columns may
 * be greater. */
static double sum_of_row(const Layout *layout, const float *row, float most) {
    float greatest = most;
    if (layout->class_of)
        for (ptrdiff_t i = 0; i < layout->classes; i++) greatest = row[i] > greatest ? row[i] : greatest;
    double sum = sum_of_exps(row, layout->classes, greatest);
    return greatest > most ? sum * exp((double)greatest - most) : sum;
}

#endif
