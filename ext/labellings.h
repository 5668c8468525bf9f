/* Labellings that others bring to a line: how probable each is in it. */
#ifndef GLYPHWIRE_LABELLINGS_H
#define GLYPHWIRE_LABELLINGS_H

#include "alignment.h"

typedef struct {
    const int32_t *labels;    /* of all of them, one behind the other, as classes */
    const ptrdiff_t *offsets; /* [count + 1] */
    ptrdiff_t count, longest;
} Labellings;

/* most and z [time] take what turns logits into probabilities. row, maxima: scratch. Returns 0 for a line with a row
 * that is no distribution. */
static int
scan_rows(const Layout *layout, const Matrix *matrix, double *most, double *z, float *row, uint32_t *maxima) {
    for (ptrdiff_t t = 0; t < matrix->times; t++) {
        const float *values = load_row(layout, matrix, t, row);
        int32_t peak = find_peak(layout, values, maxima);
        if (peak < 0) return 0;
        if (layout->kind != LOGITS) continue;
        ptrdiff_t next = t + 1 < matrix->times ? t + 1 : t;
        most[t] = values[peak];
        z[t] = sum_of_row(layout, values, values[peak], matrix->data + next * matrix->time_stride);
    }
    return 1;
}

/* Natural logarithm of each labelling's probability, NaN in a line with a row that is no distribution. Returns 0 when
 * out of memory. */
static int weigh_labellings(const Layout *layout, const Matrix *matrix, const Labellings *given, double *log_probs) {
    ptrdiff_t blocks = given->longest / PAIRS + 1, times = matrix->times, classes = layout->classes;
    Block *lattice_blocks = aligned_alloc(VECTOR, (size_t)(blocks + 1) * sizeof(Block));
    double *most =
        malloc((size_t)(2 * times) * sizeof(double) + (size_t)(classes + block_count(classes)) * sizeof(float));
    int ok = lattice_blocks && most;
    if (ok) {
        double *z = most + times;
        float *row = (float *)(z + times);
        int is_good = scan_rows(layout, matrix, most, z, row, (uint32_t *)(row + classes));
        Line line = {layout, matrix, most, z};
        for (ptrdiff_t i = 0; i < given->count; i++) {
            ptrdiff_t length = given->offsets[i + 1] - given->offsets[i];
            Lattice lattice = {
                .labels = given->labels + given->offsets[i],
                .length = length,
                .count = length / PAIRS + 1,
                .blocks = lattice_blocks + 1,
            };
            log_probs[i] = is_good ? align(&line, &lattice, mass_of(-INFINITY), NULL, NULL, NULL, NULL) : NAN;
        }
    }
    free(lattice_blocks);
    free(most);
    return ok;
}

#endif
