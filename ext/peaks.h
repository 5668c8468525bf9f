/* The peaks of rows: the first of the greatest values of each. */
#ifndef GLYPHWIRE_PEAKS_H
#define GLYPHWIRE_PEAKS_H

#include "scan.h"

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

/* What a pass over a row leaves: lane by lane the greatest key, and the first column, or the start of the first
 * stretch, that has it. */
typedef struct {
    __m256i most, columns;
} Lanes;

AVX2 static inline __attribute__((always_inline)) void note_lanes_avx2(Lanes *seen, __m256i keys, __m256i columns) {
    __m256i most = _mm256_max_epu32(keys, seen->most);
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
        Lanes seen = {_mm256_setzero_si256(), lanes};
        for (int32_t at = 0; at + LANES <= columns; at += LANES, here = _mm256_add_epi32(here, step))
            note_lanes_avx2(&seen, _mm256_loadu_si256((const __m256i *)(row + at)), here);
        note_lanes_avx2(&seen, _mm256_loadu_si256((const __m256i *)(row + columns - LANES)), last);
        peaks[i] = first_of_lanes(seen.most, seen.columns);
    }
}

/* Long rows are looked at by stretches of eight cache lines, as each look costs about as much as a load. Where in a
 * stretch something is must be found afterwards. */
enum { STRETCH = 8 * LINE, LONG_ROW = 4 * STRETCH };

/* What comes from a cache beyond a core's own mostly comes sooner when it is asked for half a page ahead; what is in
 * its own already comes up to a tenth later. */
enum { AHEAD = 512 };

/* Takes note of the greatest keys, lane by lane, of vectors in the stretch that begins at a column. */
typedef void NoteAvx2(void *seen, __m256i keys, int32_t start);

/* The greatest keys of a stretch, lane by lane. */
AVX2 static inline __attribute__((always_inline)) __m256i greatest_of_stretch_avx2(const float *stretch) {
    const __m256i *from = (const __m256i *)stretch;
    __m256i even = _mm256_loadu_si256(from), odd = _mm256_loadu_si256(from + 1);
    for (int i = 2; i < STRETCH / LANES; i += 2) {
        even = _mm256_max_epu32(even, _mm256_loadu_si256(from + i));
        odd = _mm256_max_epu32(odd, _mm256_loadu_si256(from + i + 1));
    }
    return _mm256_max_epu32(even, odd);
}

/* A long row but for its first vector. All but its ends is read by one loop, from where a vector begins in memory: one
 * that lies across two cache lines takes as long as two, and processors fetch ahead what an instruction will read by
 * what it has read before. The last stretch ends with the row, and so begins before what is new in it. ahead: so many
 * columns further on is what the loop asks for in advance, 0 where it leaves that to the processor. */
AVX2 static inline __attribute__((always_inline)) void
read_row_avx2(const float *row, ptrdiff_t columns, ptrdiff_t ahead, void *seen, NoteAvx2 *note) {
    ptrdiff_t at = (ptrdiff_t)(-((uintptr_t)row / sizeof *row) & (LANES - 1));
    for (; at + STRETCH <= columns; at += STRETCH) {
        for (int i = 0; ahead && i < STRETCH; i += LINE) __builtin_prefetch(row + at + ahead + i);
        note(seen, greatest_of_stretch_avx2(row + at), (int32_t)at);
    }
    __m256i keys = _mm256_loadu_si256((const __m256i *)(row + columns - LANES));
    for (; at + LANES <= columns; at += LANES)
        keys = _mm256_max_epu32(keys, _mm256_loadu_si256((const __m256i *)(row + at)));
    note(seen, keys, (int32_t)(columns - STRETCH));
}

AVX2 static inline __attribute__((always_inline)) void note_stretch_avx2(void *seen, __m256i keys, int32_t start) {
    note_lanes_avx2(seen, keys, _mm256_set1_epi32(start));
}

/* Bit i is set if column i has a key of at least `lowest`. */
AVX2 static inline __attribute__((always_inline)) uint64_t hits_in_word_avx2(const float *from, uint32_t lowest) {
    const float_bits *bits = (const float_bits *)from;
    return hits_of_avx2(PROBS, bits, lowest) | (uint64_t)hits_of_avx2(PROBS, bits + CHUNK, lowest) << CHUNK;
}

/* Most rows are blank, which is the first column with nearly all networks: then there is nothing to look for. */
static inline int is_first_column(const float *row, float greatest) { return bits_of(row[0]) == bits_of(greatest); }

AVX2 static void peaks_of_long_rows_avx2(
    const char *rows, ptrdiff_t stride, ptrdiff_t count, int32_t columns, int are_far, Peak *peaks
) {
    for (ptrdiff_t i = 0; i < count; i++) {
        const float *row = (const float *)(rows + i * stride);
        Lanes seen = {_mm256_loadu_si256((const __m256i *)row), _mm256_setzero_si256()};
        if (are_far) read_row_avx2(row, columns, AHEAD, &seen, note_stretch_avx2);
        else read_row_avx2(row, columns, 0, &seen, note_stretch_avx2);
        Peak noted = first_of_lanes(seen.most, seen.columns);
        peaks[i] = (Peak){0, noted.value};
        if (is_first_column(row, noted.value)) continue;
        const float *stretch = row + noted.column;
        uint32_t most = bits_of(noted.value);
        uint64_t low = hits_in_word_avx2(stretch, most), high = hits_in_word_avx2(stretch + WORD, most);
        peaks[i].column = noted.column + first_hit(low, high);
    }
}
#endif

#ifdef HAS_AVX512
/* The same in vectors as long as a cache line. */
enum { WIDE_LANES = 16 };

typedef struct {
    __m512i most, columns;
} WideLanes;

typedef void NoteAvx512(void *seen, __m512i keys, int32_t start);

AVX512 static inline __attribute__((always_inline)) __m512i greatest_of_stretch_avx512(const float *from) {
    __m512i keys = _mm512_loadu_si512(from);
    for (int i = WIDE_LANES; i < STRETCH; i += WIDE_LANES) keys = _mm512_max_epu32(keys, _mm512_loadu_si512(from + i));
    return keys;
}

AVX512 static inline __attribute__((always_inline)) void
read_row_avx512(const float *row, ptrdiff_t columns, ptrdiff_t ahead, void *seen, NoteAvx512 *note) {
    ptrdiff_t at = (ptrdiff_t)(-((uintptr_t)row / sizeof *row) & (WIDE_LANES - 1));
    for (; at + STRETCH <= columns; at += STRETCH) {
        for (int i = 0; ahead && i < STRETCH; i += LINE) __builtin_prefetch(row + at + ahead + i);
        note(seen, greatest_of_stretch_avx512(row + at), (int32_t)at);
    }
    __m512i keys = _mm512_loadu_si512(row + columns - WIDE_LANES);
    for (; at + WIDE_LANES <= columns; at += WIDE_LANES) keys = _mm512_max_epu32(keys, _mm512_loadu_si512(row + at));
    note(seen, keys, (int32_t)(columns - STRETCH));
}

AVX512 static inline __attribute__((always_inline)) void note_stretch_avx512(void *seen, __m512i keys, int32_t start) {
    WideLanes *lanes = seen;
    __mmask16 is_new = _mm512_cmpgt_epu32_mask(keys, lanes->most);
    lanes->columns = _mm512_mask_set1_epi32(lanes->columns, is_new, start);
    lanes->most = _mm512_max_epu32(keys, lanes->most);
}

AVX512 static inline __attribute__((always_inline)) uint64_t hits_in_word_avx512(const float *from, uint32_t lowest) {
    const __m512i least = _mm512_set1_epi32((int32_t)lowest);
    uint64_t hits = 0;
    for (int i = 0; i < WORD; i += WIDE_LANES)
        hits |= (uint64_t)_mm512_cmpge_epu32_mask(_mm512_loadu_si512(from + i), least) << i;
    return hits;
}

AVX512 static void peaks_of_long_rows_avx512(
    const char *rows, ptrdiff_t stride, ptrdiff_t count, int32_t columns, int are_far, Peak *peaks
) {
    for (ptrdiff_t i = 0; i < count; i++) {
        const float *row = (const float *)(rows + i * stride);
        WideLanes seen = {_mm512_loadu_si512(row), _mm512_setzero_si512()};
        if (are_far) read_row_avx512(row, columns, AHEAD, &seen, note_stretch_avx512);
        else read_row_avx512(row, columns, 0, &seen, note_stretch_avx512);
        uint32_t most = _mm512_reduce_max_epu32(seen.most);
        peaks[i] = (Peak){0, value_of(PROBS, most)};
        if (is_first_column(row, peaks[i].value)) continue;
        __mmask16 has_most = _mm512_cmpeq_epi32_mask(seen.most, _mm512_set1_epi32((int32_t)most));
        /* Nearly always it is one lane, for which there is a shorter way than the minimum of all. */
        __m512i starts = _mm512_maskz_compress_epi32(has_most, seen.columns);
        int32_t start = _mm_cvtsi128_si32(_mm512_castsi512_si128(starts));
        if (has_most & (has_most - 1)) start = _mm512_mask_reduce_min_epi32(has_most, seen.columns);
        const float *stretch = row + start;
        uint64_t low = hits_in_word_avx512(stretch, most), high = hits_in_word_avx512(stretch + WORD, most);
        peaks[i].column = start + first_hit(low, high);
    }
}
#endif

#ifdef HAS_AVX2
/* The peaks of some rows of at least LANES columns. */
static void
peaks_in_place(const char *rows, ptrdiff_t stride, ptrdiff_t count, int32_t columns, int are_far, Peak *peaks) {
    if (columns < LONG_ROW) peaks_of_short_rows_avx2(rows, stride, count, columns, peaks);
#ifdef HAS_AVX512
    else if (HAS_AVX512) peaks_of_long_rows_avx512(rows, stride, count, columns, are_far, peaks);
#endif
    else peaks_of_long_rows_avx2(rows, stride, count, columns, are_far, peaks);
}
#endif

static int32_t peak_of_probs(const float *row, ptrdiff_t columns, uint32_t *maxima) {
#ifdef HAS_AVX2
    Peak peak;
    if (!maxima && columns >= LONG_ROW && HAS_AVX2) {
        peaks_in_place((const char *)row, 0, 1, (int32_t)columns, 0, &peak);
        return peak.column;
    }
#endif
    return peak_of_probs_by_blocks(row, columns, maxima);
}

#ifdef HAS_AVX2
/* What a network has just written is far away, and so is what tells where its pages are. It costs nothing where scores
 * are near, as looking through them is slow. */
enum { SCORES_AHEAD = 6 * AHEAD };

AVX2 static inline uint32_t key_of_scores_avx2(const float *from, ptrdiff_t count, int *nan) {
    if (count != BLOCK) return key_of_scores(from, count, nan);
    __m256 most = _mm256_loadu_ps(from), unordered = _mm256_setzero_ps();
    for (int i = 0; i < BLOCK; i += 2 * LANES) {
        __m256 even = _mm256_loadu_ps(from + i), odd = _mm256_loadu_ps(from + i + LANES);
        __builtin_prefetch(from + i + SCORES_AHEAD);
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

#ifdef HAS_AVX512
AVX512 static inline uint32_t key_of_scores_avx512(const float *from, ptrdiff_t count, int *nan) {
    if (count != BLOCK) return key_of_scores(from, count, nan);
    __m512 most = _mm512_loadu_ps(from);
    __mmask16 unordered = 0;
    for (int i = 0; i < BLOCK; i += 2 * WIDE_LANES) {
        __m512 even = _mm512_loadu_ps(from + i), odd = _mm512_loadu_ps(from + i + WIDE_LANES);
        for (int line = 0; line < 2 * WIDE_LANES; line += LINE) __builtin_prefetch(from + i + line + SCORES_AHEAD);
        unordered |= _mm512_cmp_ps_mask(even, odd, _CMP_UNORD_Q);
        most = _mm512_max_ps(even, _mm512_max_ps(odd, most));
    }
    *nan |= unordered;
    return score_key(bits_of(_mm512_reduce_max_ps(most)));
}

AVX512 static int32_t peak_of_scores_avx512(const float *row, ptrdiff_t columns, uint32_t *maxima) {
    return peak_by_blocks(LOGITS, row, columns, maxima, key_of_scores_avx512);
}
#endif

static int32_t peak_of_scores(const float *row, ptrdiff_t columns, uint32_t *maxima) {
#ifdef HAS_AVX512
    if (HAS_AVX512) return peak_of_scores_avx512(row, columns, maxima);
#endif
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
        peaks_in_place(rows, stride, count, (int32_t)layout->columns, is_far(layout, matrix), peaks);
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

#endif
