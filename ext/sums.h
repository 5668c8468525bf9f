/* The sum of a row's exponentials, which turns logits into probabilities. */
#ifndef GLYPHWIRE_SUMS_H
#define GLYPHWIRE_SUMS_H

#include "scan.h"

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

/* Sums of exp(x - most), lane by lane, of a block or of fewer lines. ahead: see below. */
typedef __m256 SumOfBlock(const float *block, ptrdiff_t columns, float most, const char *ahead);

AVX2 static inline __attribute__((always_inline)) __m256
sum_of_block_avx2(const float *block, ptrdiff_t columns, float most, const char *ahead) {
    __m256 even = _mm256_setzero_ps(), odd = even, greatest = _mm256_set1_ps(most);
    for (ptrdiff_t i = 0; i < columns; i += LINE) {
        _mm_prefetch(ahead + i * (ptrdiff_t)sizeof *block, _MM_HINT_T1);
        even = add_exp_avx2(even, _mm256_sub_ps(_mm256_loadu_ps(block + i), greatest));
        odd = add_exp_avx2(odd, _mm256_sub_ps(_mm256_loadu_ps(block + i + LANES), greatest));
    }
    return _mm256_add_ps(even, odd);
}

/* ahead: what will be read next, as many bytes as the row has. The sum is so slow that memory can bring them meanwhile.
 */
AVX2 static inline __attribute__((always_inline)) double
sum_by_blocks(const float *row, ptrdiff_t classes, float most, const char *ahead, SumOfBlock *sum_of_block) {
    __m256d sums = _mm256_setzero_pd();
    __m256 last[2];
    ptrdiff_t lines = classes / LINE * LINE;
    for (ptrdiff_t i = 0; i < lines; i += BLOCK) {
        ptrdiff_t columns = lines - i < BLOCK ? lines - i : BLOCK;
        sums = add_floats_avx2(sums, sum_of_block(row + i, columns, most, ahead + i * (ptrdiff_t)sizeof *row));
    }
    last[0] = last[1] = _mm256_set1_ps(-INFINITY);
    memcpy(last, row + lines, (size_t)(classes - lines) * sizeof *row);
    for (int k = 0; k < 2; k++)
        sums = add_floats_avx2(sums, add_exp_avx2(_mm256_setzero_ps(), _mm256_sub_ps(last[k], _mm256_set1_ps(most))));
    return sums[0] + sums[1] + sums[2] + sums[3];
}

AVX2 static double sum_of_exps_avx2(const float *row, ptrdiff_t classes, float most, const char *ahead) {
    return sum_by_blocks(row, classes, most, ahead, sum_of_block_avx2);
}
#endif

#ifdef HAS_AVX512
/* add_exp_avx2 for as many lanes again. */
AVX512 static inline __m512 add_exp_avx512(__m512 sum, __m512 x) {
    const __m512 to_integer = _mm512_set1_ps(0x1.8p23f), one = _mm512_set1_ps(1.0f);
    const __m512i fractions = _mm512_setr_epi32(
        0x3F800000, 0x3F7B95C2, 0x3F7837F0, 0x3F75FED7, 0x3F7504F3, 0x3F75672A, 0x3F7744FD, 0x3F7AC0C7, 0x3F800000,
        0x3F7B95C2, 0x3F7837F0, 0x3F75FED7, 0x3F7504F3, 0x3F75672A, 0x3F7744FD, 0x3F7AC0C7
    );
    x = _mm512_max_ps(x, _mm512_set1_ps(-87.0f));
    __m512 rounded = _mm512_fmadd_ps(x, _mm512_set1_ps(8 * 1.44269504f), to_integer);
    __m512 r = _mm512_fnmadd_ps(_mm512_sub_ps(rounded, to_integer), _mm512_set1_ps(0.693147182f / 8), x);
    __m512 p = _mm512_fmadd_ps(r, _mm512_set1_ps(1.0f / 6), _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(_mm512_fmadd_ps(p, r, one), r, one);
    __m512i n = _mm512_castps_si512(rounded);
    __m512i scale = _mm512_add_epi32(_mm512_permutexvar_epi32(n, fractions), _mm512_slli_epi32(n, 20));
    return _mm512_fmadd_ps(p, _mm512_castsi512_ps(scale), sum);
}

/* To the last bit what AVX2 finds, whose even and odd vectors are the halves of this one. */
AVX512 static inline __attribute__((always_inline)) __m256
sum_of_block_avx512(const float *block, ptrdiff_t columns, float most, const char *ahead) {
    __m512 sum = _mm512_setzero_ps(), greatest = _mm512_set1_ps(most);
    for (ptrdiff_t i = 0; i < columns; i += LINE) {
        _mm_prefetch(ahead + i * (ptrdiff_t)sizeof *block, _MM_HINT_T1);
        sum = add_exp_avx512(sum, _mm512_sub_ps(_mm512_loadu_ps(block + i), greatest));
    }
    __m256 odd = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(sum), 1));
    return _mm256_add_ps(_mm512_castps512_ps256(sum), odd);
}

AVX512 static double sum_of_exps_avx512(const float *row, ptrdiff_t classes, float most, const char *ahead) {
    return sum_by_blocks(row, classes, most, ahead, sum_of_block_avx512);
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

static double fastest_sum(const float *row, ptrdiff_t classes, float most, const void *ahead) {
#ifdef HAS_AVX512
    if (HAS_AVX512) return sum_of_exps_avx512(row, classes, most, ahead);
#endif
#ifdef HAS_AVX2
    if (HAS_AVX2) return sum_of_exps_avx2(row, classes, most, ahead);
#endif
    (void)ahead;
    return sum_of_exps(row, classes, most);
}

/* Sum of exp(x - most) over all classes, `most` being the greatest among the columns: classes that are no columns may
 * be greater. ahead: as above; the row itself where that is not known. */
static double sum_of_row(const Layout *layout, const float *row, float most, const void *ahead) {
    float greatest = layout->class_of ? greatest_value(row, layout->classes, most) : most;
    double sum = fastest_sum(row, layout->classes, greatest, ahead);
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
