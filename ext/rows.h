/* One line's matrix as it lies in memory, and its rows as the kernels want them: contiguous float32, or in place. */
#ifndef GLYPHWIRE_ROWS_H
#define GLYPHWIRE_ROWS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Loops that vectorise are compiled twice and the compiler's own choice is made once, when the module is loaded;
 * elsewhere its baseline (NEON on aarch64) is what there is, and so it is here in a build for its tests. */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(GLYPHWIRE_PORTABLE)
#include <immintrin.h>
#define WIDE_CLONES __attribute__((target_clones("avx2", "default")))
#define HAS_AVX2 (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") && __builtin_cpu_supports("fma"))
#define AVX2 __attribute__((target("avx2,f16c,fma")))
/* For what gains by longer vectors than AVX2 has: reading long rows, adding up, and putting together what is to stay. A
 * build for the tests of AVX2 does without them. */
#ifndef GLYPHWIRE_AVX2
#define HAS_AVX512 __builtin_cpu_supports("avx512f")
#define AVX512 __attribute__((target("avx512f,avx2,f16c,fma")))
#endif
#else
#define WIDE_CLONES
#endif

typedef enum { PROBS, LOG_PROBS, LOGITS } Kind;

typedef uint32_t __attribute__((__may_alias__)) float_bits;

typedef struct {
    const char *data;
    ptrdiff_t times;
    ptrdiff_t time_stride;  /* bytes */
    ptrdiff_t class_stride; /* bytes */
    int half;               /* float16, else float32 */
    ptrdiff_t before;       /* timesteps of the lines of the call before this one */
} Matrix;

/* What the columns of all lines of a call are. A column is a class that may be emitted, or blank; without a restriction
 * columns are classes. Columns ascend as their classes do, so order and ties are the same in both. */
typedef struct {
    Kind kind;
    ptrdiff_t classes;
    ptrdiff_t columns;
    int32_t blank;           /* a column */
    const int32_t *class_of; /* [columns], NULL when columns are classes */
} Layout;

static inline int32_t class_of(const Layout *layout, int32_t column) {
    return layout->class_of ? layout->class_of[column] : column;
}

/* A multiplication moves the exponent and makes denormals normal; infinity and NaN need theirs filled up. */
static inline float half_to_float(uint16_t half) {
    uint32_t magnitude = (uint32_t)(half & 0x7FFF) << 13, scaled_bits;
    float scaled;
    memcpy(&scaled, &magnitude, sizeof scaled);
    scaled *= 0x1p112f;
    memcpy(&scaled_bits, &scaled, sizeof scaled);
    scaled_bits |= magnitude >= 0x0F800000u ? 0x7F800000u | magnitude : 0;
    scaled_bits |= (uint32_t)(half & 0x8000) << 16;
    memcpy(&scaled, &scaled_bits, sizeof scaled);
    return scaled;
}

static void widen_halves(const uint16_t *halves, ptrdiff_t count, float *row) {
    for (ptrdiff_t i = 0; i < count; i++) row[i] = half_to_float(halves[i]);
}

#ifdef HAS_AVX2
AVX2 static void widen_halves_avx2(const uint16_t *halves, ptrdiff_t count, float *row) {
    ptrdiff_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm256_storeu_ps(row + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(halves + i))));
    for (; i < count; i++) row[i] = half_to_float(halves[i]);
}
#endif

static inline float value_at(const Matrix *matrix, ptrdiff_t t, ptrdiff_t class) {
    const char *place = matrix->data + t * matrix->time_stride + class * matrix->class_stride;
    uint16_t half;
    float value;
    if (matrix->half) {
        memcpy(&half, place, sizeof half);
        return half_to_float(half);
    }
    memcpy(&value, place, sizeof value);
    return value;
}

static inline int is_in_place(const Matrix *matrix) {
    return !matrix->half && matrix->class_stride == sizeof(float) &&
           !(((uintptr_t)matrix->data | (uintptr_t)matrix->time_stride) % _Alignof(float));
}

static const float *widened_row(const Layout *layout, const Matrix *matrix, ptrdiff_t t, float *buffer) {
    const char *place = matrix->data + t * matrix->time_stride;
    if (!matrix->half || matrix->class_stride != sizeof(uint16_t) || (uintptr_t)place % _Alignof(uint16_t))
        for (ptrdiff_t i = 0; i < layout->classes; i++) buffer[i] = value_at(matrix, t, i);
#ifdef HAS_AVX2
    else if (HAS_AVX2) widen_halves_avx2((const uint16_t *)place, layout->classes, buffer);
#endif
    else widen_halves((const uint16_t *)place, layout->classes, buffer);
    return buffer;
}

static const float *chosen_columns(const Layout *layout, const Matrix *matrix, ptrdiff_t t, float *buffer) {
    for (ptrdiff_t i = 0; i < layout->columns; i++) buffer[i] = value_at(matrix, t, layout->class_of[i]);
    return buffer;
}

/* A matrix of more bytes is not in a core's own cache. */
enum { OWN_CACHE = 5 << 18 };

static inline int is_far(const Layout *layout, const Matrix *matrix) {
    return matrix->times * matrix->time_stride > OWN_CACHE &&
           matrix->time_stride == layout->columns * (ptrdiff_t)sizeof(float);
}

/* All classes of a timestep, float32 [classes]: in place where they lie that way, else in `buffer`. */
static inline const float *whole_row(const Layout *layout, const Matrix *matrix, ptrdiff_t t, float *buffer) {
    if (is_in_place(matrix)) return (const float *)(matrix->data + t * matrix->time_stride);
    return widened_row(layout, matrix, t, buffer);
}

/* The columns of a timestep, float32 [columns]. */
static inline const float *load_row(const Layout *layout, const Matrix *matrix, ptrdiff_t t, float *buffer) {
    return layout->class_of ? chosen_columns(layout, matrix, t, buffer) : whole_row(layout, matrix, t, buffer);
}

#endif
