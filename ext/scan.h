/* One row: its maximum, and what is likely in it.
 *
 * Rows are compared by keys, unsigned integers that order as the values do: their maximum vectorises without
 * -ffast-math, and NaN cannot hide in it. The key of a probability is its bit pattern, so that NaN and negative values
 * come out above every probability. Scores have signs: the bits of negative ones are inverted. */
#ifndef GLYPHWIRE_SCAN_H
#define GLYPHWIRE_SCAN_H

#include "rows.h"

enum { BLOCK = 128 }; /* of 64 to 256 columns the fastest on AVX2 */
enum { LANES = 8 };
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
static inline uint32_t key_of_greatest(Extremes found) {
    return score_key(found.most_signed < 0 ? found.least : (uint32_t)found.most_signed);
}

static inline int has_nan(Extremes found) {
    return found.most_signed > (int32_t)INFINITY_BITS || found.most > (INFINITY_BITS | SIGN_BIT);
}

/* The greatest key of some columns. Sets *nan where there is one among scores. */
typedef uint32_t GreatestKey(const float *from, ptrdiff_t count, int *nan);

static inline uint32_t key_of_probs(const float *from, ptrdiff_t count, int *nan) {
    (void)nan;
    return greatest((const float_bits *)from, count);
}

static inline uint32_t key_of_scores(const float *from, ptrdiff_t count, int *nan) {
    Extremes found = extremes((const float_bits *)from, count);
    *nan |= has_nan(found);
    return key_of_greatest(found);
}

/* Where a block begins. The last one of a long row begins early enough to be as long as others: it has columns of the
 * one before, but its code is all vectors. */
static inline ptrdiff_t block_start(ptrdiff_t block, ptrdiff_t columns) {
    return (block + 1) * BLOCK < columns ? block * BLOCK : columns - BLOCK;
}

/* The first of the greatest values of a row. column -1: the row is no distribution. */
typedef struct {
    int32_t column;
    float value;
} Peak;

/* The first of the greatest, -1 where there is NaN among scores. Leaves the greatest key of each block in `maxima`, if
 * given. */
static inline __attribute__((always_inline)) int32_t
peak_by_blocks(Kind kind, const float *row, ptrdiff_t columns, uint32_t *maxima, GreatestKey greatest_key) {
    ptrdiff_t best = 0;
    uint32_t most = 0;
    int nan = 0;
    if (columns < BLOCK) {
        most = greatest_key(row, columns, &nan);
        if (maxima) *maxima = most;
    } else
        for (ptrdiff_t block = 0; block < block_count(columns); block++) {
            ptrdiff_t start = block_start(block, columns);
            uint32_t here = greatest_key(row + start, BLOCK, &nan);
            if (maxima) maxima[block] = here;
            best = here > most ? start : best;
            most = here > most ? here : most;
        }
    if (nan) return -1;
    if (kind == PROBS || most != ZERO_KEY)
        return first_from((const float_bits *)row, best, columns, bits_of(value_of(kind, most)));
    while (row[best] != 0.0f) best++; /* of either sign */
    return (int32_t)best;
}

WIDE_CLONES static int32_t peak_of_probs_by_blocks(const float *row, ptrdiff_t columns, uint32_t *maxima) {
    return peak_by_blocks(PROBS, row, columns, maxima, key_of_probs);
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

/* What a pass over a row leaves: lane by lane the greatest key, and the start of the first block that has it. */
typedef struct {
    __m256i most, starts;
} Lanes;

AVX2 static inline __attribute__((always_inline)) void look_at_block(Lanes *seen, const float *row, ptrdiff_t start) {
    __m256i most = _mm256_max_epu32(lane_keys_avx2((const float_bits *)row + start), seen->most);
    __m256i is_old = _mm256_cmpeq_epi32(most, seen->most);
    seen->starts = _mm256_blendv_epi8(_mm256_set1_epi32((int32_t)start), seen->starts, is_old);
    seen->most = most;
}

/* Where the first block with the greatest key begins. */
AVX2 static inline __attribute__((always_inline)) int32_t best_block(const Lanes *seen, uint32_t *most) {
    uint32_t keys[LANES];
    int32_t starts[LANES], best = NOWHERE;
    _mm256_storeu_si256((__m256i *)keys, seen->most);
    _mm256_storeu_si256((__m256i *)starts, seen->starts);
    *most = greatest(keys, LANES);
    for (int lane = 0; lane < LANES; lane++) {
        int32_t start = keys[lane] == *most ? starts[lane] : NOWHERE;
        best = start < best ? start : best;
    }
    return best;
}

/* Blocks of the next row that are looked at while one step towards the peak of a row takes its time. */
enum { BETWEEN = 2, LONG_ROW = 2 * BETWEEN * BLOCK };

/* The first column of the block from `best` on that has the key. */
AVX2 static inline __attribute__((always_inline)) Peak peak_in_block(const float *row, int32_t best, uint32_t most) {
    const __m256i wanted = _mm256_set1_epi32((int32_t)most), *from = (const __m256i *)(row + best);
    uint64_t hits[2] = {0, 0};
    for (int i = 0; i < BLOCK / LANES; i++) {
        __m256i here = _mm256_cmpeq_epi32(_mm256_loadu_si256(from + i), wanted);
        hits[i / LANES] |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(here)) << (i % LANES * LANES);
    }
    /* Of 0 there is no first bit. */
    int32_t low = __builtin_ctzll(hits[0] | 1ull << 63), high = 64 + __builtin_ctzll(hits[1] | 1ull << 63);
    return (Peak){best + (hits[0] ? low : high), value_of(PROBS, most)};
}

/* The peaks of some rows of at least LONG_ROW columns, [count]. Which column has the greatest key of a row is found out
 * while the next row comes: the steps to that wait for one another, and what is to be read would wait with them. */
AVX2 static void
peaks_of_probs_avx2(const char *rows, ptrdiff_t stride, ptrdiff_t count, ptrdiff_t columns, Peak *peaks) {
    const float *before = (const float *)rows;
    Lanes last = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    uint32_t most;
    for (ptrdiff_t i = 0; i < count; i++) {
        const float *row = (const float *)(rows + i * stride);
        Lanes seen = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        ptrdiff_t block = 0;
        for (; block < BETWEEN; block++) look_at_block(&seen, row, block * BLOCK);
        int32_t best = best_block(&last, &most);
        for (; block < 2 * BETWEEN; block++) look_at_block(&seen, row, block * BLOCK);
        peaks[i - (i > 0)] = peak_in_block(before, best, most); /* of none at first */
        for (; block < block_count(columns); block++) look_at_block(&seen, row, block_start(block, columns));
        last = seen;
        before = row;
    }
    int32_t best = best_block(&last, &most);
    peaks[count - 1] = peak_in_block(before, best, most);
}
#endif

#ifdef HAS_AVX2
/* The greatest key of all lanes, and of the columns that have it the first. */
AVX2 static inline __attribute__((always_inline)) Peak first_of_lanes(__m256i keys, __m256i columns) {
    __m256i most = _mm256_max_epu32(keys, _mm256_permute2x128_si256(keys, keys, 1));
    most = _mm256_max_epu32(most, _mm256_shuffle_epi32(most, 0x4E));
    most = _mm256_max_epu32(most, _mm256_shuffle_epi32(most, 0xB1));
    __m256i first = _mm256_blendv_epi8(_mm256_set1_epi32(NOWHERE), columns, _mm256_cmpeq_epi32(keys, most));
    first = _mm256_min_epi32(first, _mm256_permute2x128_si256(first, first, 1));
    first = _mm256_min_epi32(first, _mm256_shuffle_epi32(first, 0x4E));
    first = _mm256_min_epi32(first, _mm256_shuffle_epi32(first, 0xB1));
    return (Peak){_mm256_cvtsi256_si32(first), _mm256_cvtss_f32(_mm256_castsi256_ps(most))};
}

/* What a pass over a short row leaves: lane by lane the greatest key, and the first column that has it. */
typedef struct {
    __m256i most, columns;
} Best;

AVX2 static inline __attribute__((always_inline)) void look_at_columns(Best *seen, const float *from, __m256i columns) {
    __m256i most = _mm256_max_epu32(_mm256_loadu_si256((const __m256i *)from), seen->most);
    seen->columns = _mm256_blendv_epi8(columns, seen->columns, _mm256_cmpeq_epi32(most, seen->most));
    seen->most = most;
}

/* The peaks of some rows of fewer columns than LONG_ROW, of LANES at least. Nothing is branched on and no row waits for
 * another. The last columns of a row are looked at once more with some before them. */
AVX2 static void
peaks_of_short_rows_avx2(const char *rows, ptrdiff_t stride, ptrdiff_t count, int32_t columns, Peak *peaks) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), step = _mm256_set1_epi32(LANES);
    const __m256i last = _mm256_add_epi32(lanes, _mm256_set1_epi32(columns - LANES));
    for (ptrdiff_t i = 0; i < count; i++) {
        const float *row = (const float *)(rows + i * stride);
        __m256i here = lanes;
        Best seen = {_mm256_setzero_si256(), lanes};
        for (int32_t at = 0; at + LANES <= columns; at += LANES, here = _mm256_add_epi32(here, step))
            look_at_columns(&seen, row + at, here);
        look_at_columns(&seen, row + columns - LANES, last);
        peaks[i] = first_of_lanes(seen.most, seen.columns);
    }
}
#endif

static int32_t peak_of_probs(const float *row, ptrdiff_t columns, uint32_t *maxima) {
#ifdef HAS_AVX2
    Peak peak;
    if (!maxima && columns >= LONG_ROW && HAS_AVX2) {
        peaks_of_probs_avx2((const char *)row, 0, 1, columns, &peak);
        return peak.column;
    }
#endif
    return peak_of_probs_by_blocks(row, columns, maxima);
}

#ifdef HAS_AVX2
AVX2 static inline uint32_t key_of_scores_avx2(const float *from, ptrdiff_t count, int *nan) {
    if (count != BLOCK) return key_of_scores(from, count, nan);
    __m256 most = _mm256_loadu_ps(from), unordered = _mm256_setzero_ps();
    for (int i = 0; i < BLOCK; i += 2 * LANES) {
        __m256 even = _mm256_loadu_ps(from + i), odd = _mm256_loadu_ps(from + i + LANES);
        unordered = _mm256_or_ps(unordered, _mm256_cmp_ps(even, odd, _CMP_UNORD_Q));
        most = _mm256_max_ps(even, _mm256_max_ps(odd, most));
    }
    *nan |= _mm256_movemask_ps(unordered);
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    half = _mm_max_ss(half, _mm_movehdup_ps(half));
    return score_key(bits_of(_mm_cvtss_f32(half)));
}

AVX2 static int32_t peak_of_scores_avx2(const float *row, ptrdiff_t columns, uint32_t *maxima) {
    return peak_by_blocks(LOGITS, row, columns, maxima, key_of_scores_avx2);
}
#endif

static int32_t peak_of_scores(const float *row, ptrdiff_t columns, uint32_t *maxima) {
#ifdef HAS_AVX2
    if (HAS_AVX2) return peak_of_scores_avx2(row, columns, maxima);
#endif
    return peak_by_blocks(LOGITS, row, columns, maxima, key_of_scores);
}

/* The column of a peak, -1 if the row is no distribution. Where only some classes may be emitted all of them may be
 * impossible, as narrow floats round to zero what a sharp row excludes: blank then. */
static inline int32_t checked_column(const Layout *layout, Peak peak) {
    int32_t none = layout->class_of ? layout->blank : -1;
    float value = peak.value;
    if (layout->kind == PROBS) return bits_of(value) > bits_of(MAX_PROB) ? -1 : value > 0.0f ? peak.column : none;
    if (layout->kind == LOG_PROBS) return value > MAX_LOG_PROB ? -1 : exp(value) > 0.0 ? peak.column : none;
    return value == INFINITY ? -1 : value == -INFINITY ? none : peak.column;
}

/* The likeliest column, the first of equals, or -1 as above. maxima: see above. */
static int32_t find_peak(const Layout *layout, const float *row, uint32_t *maxima) {
    int32_t peak = layout->kind == PROBS ? peak_of_probs(row, layout->columns, maxima)
                                         : peak_of_scores(row, layout->columns, maxima);
    return peak < 0 ? -1 : checked_column(layout, (Peak){peak, row[peak]});
}

/* The same of `count` rows from `from` on. row: scratch. */
static void
find_peaks(const Layout *layout, const Matrix *matrix, ptrdiff_t from, ptrdiff_t count, float *row, Peak *peaks) {
#ifdef HAS_AVX2
    if (layout->kind == PROBS && !layout->class_of && layout->columns >= LANES && is_in_place(matrix) && HAS_AVX2) {
        ptrdiff_t stride = matrix->time_stride;
        const char *rows = matrix->data + from * stride;
        if (layout->columns < LONG_ROW) peaks_of_short_rows_avx2(rows, stride, count, (int32_t)layout->columns, peaks);
        else peaks_of_probs_avx2(rows, stride, count, layout->columns, peaks);
        for (ptrdiff_t i = 0; i < count; i++) peaks[i].column = checked_column(layout, peaks[i]);
        return;
    }
#endif
    for (ptrdiff_t i = 0; i < count; i++) {
        const float *values = load_row(layout, matrix, from + i, row);
        int32_t column = find_peak(layout, values, NULL);
        peaks[i] = (Peak){column, column < 0 ? 0.0f : values[column]};
    }
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

#endif
