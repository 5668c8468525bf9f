/* One row: its maximum, what is likely in it, the sum of its exponentials.
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
/* What a pass over a row leaves: lane by lane the greatest key, and the start of the first block that has it. */
typedef struct {
    __m256i most, starts;
} Lanes;

AVX2 static inline __attribute__((always_inline)) void look_at_block(Lanes *seen, const float *row, ptrdiff_t start) {
    const __m256i *from = (const __m256i *)(row + start);
    __m256i here[4]; /* for one alone loads would have to wait */
    for (int i = 0; i < 4; i++) here[i] = _mm256_loadu_si256(from + i);
    for (int i = 4; i < BLOCK / LANES; i++) here[i % 4] = _mm256_max_epu32(here[i % 4], _mm256_loadu_si256(from + i));
    here[0] = _mm256_max_epu32(_mm256_max_epu32(here[0], here[1]), _mm256_max_epu32(here[2], here[3]));
    here[0] = _mm256_max_epu32(here[0], seen->most);
    __m256i is_old = _mm256_cmpeq_epi32(here[0], seen->most);
    seen->starts = _mm256_blendv_epi8(_mm256_set1_epi32((int32_t)start), seen->starts, is_old);
    seen->most = here[0];
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

AVX2 static inline __attribute__((always_inline)) Peak
peak_in_block(const float *row, int32_t best, ptrdiff_t columns, uint32_t most) {
    return (Peak){first_from((const float_bits *)row, best, columns, most), value_of(PROBS, most)};
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
        peaks[i - (i > 0)] = peak_in_block(before, best, columns, most); /* of none at first */
        for (; block < block_count(columns); block++) look_at_block(&seen, row, block_start(block, columns));
        last = seen;
        before = row;
    }
    int32_t best = best_block(&last, &most);
    peaks[count - 1] = peak_in_block(before, best, columns, most);
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
    if (layout->kind == PROBS && !layout->class_of && layout->columns >= LONG_ROW && is_in_place(matrix) && HAS_AVX2) {
        const char *rows = matrix->data + from * matrix->time_stride;
        peaks_of_probs_avx2(rows, matrix->time_stride, count, layout->columns, peaks);
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

/* Sum of exp(x - most) over a whole row, of which `most` is the greatest: lanes of float32, emptied into a double after
 * every block. */
static double sum_of_exps(const float *row, ptrdiff_t classes, float most) {
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

#ifdef HAS_AVX2
/* sum + exp(x), x <= 0, off by 4e-7 of it at most and by 1e-9 on average: 2 ** (n / 8) * exp(r), of which the fractions
 * of n stand in a register and r is so small that a polynomial of degree 3 is enough. Constant below -87. */
AVX2 static inline __m256 add_exp_avx2(__m256 sum, __m256 x) {
    const __m256 to_integer = _mm256_set1_ps(0x1.8p23f), one = _mm256_set1_ps(1.0f);
    /* 2 ** (i / 8), less i << 20, which the shifted n brings along. */
    const __m256i fractions = _mm256_setr_epi32(
        0x3F800000, 0x3F7B95C2, 0x3F7837F0, 0x3F75FED7, 0x3F7504F3, 0x3F75672A, 0x3F7744FD, 0x3F7AC0C7
    );
    x = _mm256_max_ps(x, _mm256_set1_ps(-87.0f));
    __m256 rounded = _mm256_fmadd_ps(x, _mm256_set1_ps(8 * 1.44269504f), to_integer);
    __m256 r = _mm256_fnmadd_ps(_mm256_sub_ps(rounded, to_integer), _mm256_set1_ps(0.693147182f / 8), x);
    __m256 p = _mm256_fmadd_ps(r, _mm256_set1_ps(1.0f / 6), _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(_mm256_fmadd_ps(p, r, one), r, one);
    __m256i n = _mm256_castps_si256(rounded);
    __m256i scale = _mm256_add_epi32(_mm256_permutevar8x32_epi32(fractions, n), _mm256_slli_epi32(n, 20));
    return _mm256_fmadd_ps(p, _mm256_castsi256_ps(scale), sum);
}

AVX2 static inline __m256d add_floats_avx2(__m256d sums, __m256 x) {
    __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(x)), high = _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1));
    return _mm256_add_pd(sums, _mm256_add_pd(low, high));
}

/* ahead: what will be read next, as many bytes as the row has. The sum is so slow that memory can bring them meanwhile.
 */
AVX2 static double sum_of_exps_avx2(const float *row, ptrdiff_t classes, float most, const void *ahead) {
    enum { PAIR = 2 * LANES }; /* a cache line */
    __m256d sums = _mm256_setzero_pd();
    __m256 greatest = _mm256_set1_ps(most), last[2];
    ptrdiff_t i = 0;
    while (i + PAIR <= classes) {
        __m256 even = _mm256_setzero_ps(), odd = even;
        for (ptrdiff_t end = i + BLOCK; i < end && i + PAIR <= classes; i += PAIR) {
            _mm_prefetch((const char *)ahead + (size_t)i * sizeof *row, _MM_HINT_T1);
            even = add_exp_avx2(even, _mm256_sub_ps(_mm256_loadu_ps(row + i), greatest));
            odd = add_exp_avx2(odd, _mm256_sub_ps(_mm256_loadu_ps(row + i + LANES), greatest));
        }
        sums = add_floats_avx2(sums, _mm256_add_ps(even, odd));
    }
    last[0] = last[1] = _mm256_set1_ps(-INFINITY);
    memcpy(last, row + i, (size_t)(classes - i) * sizeof *row);
    for (int k = 0; k < 2; k++)
        sums = add_floats_avx2(sums, add_exp_avx2(_mm256_setzero_ps(), _mm256_sub_ps(last[k], greatest)));
    return sums[0] + sums[1] + sums[2] + sums[3];
}
#endif

/* No less than `least`; not looking at NaN. */
WIDE_CLONES static float greatest_value(const float *row, ptrdiff_t classes, float least) {
    Floats lanes = (Floats){0} + least;
    ptrdiff_t i = 0;
    for (Floats x; i + LANES <= classes; i += LANES) {
        memcpy(&x, row + i, sizeof x);
        lanes = choose(x > lanes, x, lanes);
    }
    for (; i < classes; i++) least = row[i] > least ? row[i] : least;
    for (int lane = 0; lane < LANES; lane++) least = lanes[lane] > least ? lanes[lane] : least;
    return least;
}

/* Sum of exp(x - most) over all classes, `most` being the greatest among the columns: classes that are no columns may
 * be greater. ahead: as above; the row itself where that is not known. */
static double sum_of_row(const Layout *layout, const float *row, float most, const void *ahead) {
    float greatest = layout->class_of ? greatest_value(row, layout->classes, most) : most;
    double sum;
#ifdef HAS_AVX2
    if (HAS_AVX2) sum = sum_of_exps_avx2(row, layout->classes, greatest, ahead);
    else
#endif
        sum = sum_of_exps(row, layout->classes, greatest);
    return greatest > most ? sum * exp((double)greatest - most) : sum;
}

/* The same of timestep t, of which the columns are `values`, while memory brings the next one. row: scratch. */
static double
sum_at(const Layout *layout, const Matrix *matrix, ptrdiff_t t, const float *values, float most, float *row) {
    ptrdiff_t next = t + 1 < matrix->times ? t + 1 : t;
    if (layout->class_of) values = whole_row(layout, matrix, t, row);
    return sum_of_row(layout, values, most, matrix->data + next * matrix->time_stride);
}

#endif
