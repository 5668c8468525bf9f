/* Labellings that others bring to a line: how probable each is in it. */
#ifndef GLYPHWIRE_LABELLINGS_H
#define GLYPHWIRE_LABELLINGS_H

#include "alignment.h"

typedef struct {
    const int32_t *labels;    /* of all of them, one behind the other, as classes */
    const ptrdiff_t *offsets; /* [count + 1] */
    ptrdiff_t count, longest;
} Labellings;

/* Labellings that are less probable than the best path by more than this, in nats, are gone through again. */
#define LIKELY_LOSS 28.0

/* Finds most and z [time], which turn logits into probabilities, and returns the natural logarithm of the best path's
 * mass, of logits 0: NAN for a line with a row that is no distribution. row: scratch. */
static double scan_rows(const Layout *layout, const Matrix *matrix, double *most, double *z, float *row) {
    double log_prob = 0.0;
    for (ptrdiff_t t = 0; t < matrix->times; t++) {
        const float *values = load_row(layout, matrix, t, row);
        int32_t peak = find_peak(layout, values, NULL);
        if (peak < 0) return NAN;
        if (layout->kind == LOGITS) {
            most[t] = values[peak];
            z[t] = sum_at(layout, matrix, t, values, values[peak], row);
        } else log_prob += layout->kind == PROBS ? log(values[peak]) : values[peak];
    }
    return log_prob;
}

/* likely: logarithm of a guess at the mass. What a lesser one was left out for is looked at again, with a part of it
 * known. */
static double log_prob_of(const Line *line, Lattice *lattice, double likely) {
    double found = align(line, lattice, mass_of(likely), NULL, NULL, NULL, NULL);
    int is_exact = found >= likely || lattice->least.mantissa == 0.0;
    return is_exact ? found : align(line, lattice, mass_of(found), NULL, NULL, NULL, NULL);
}

/* Natural logarithm of each labelling's probability, NaN in a line with a row that is no distribution. known: of
 * logits most and z, [2, time], as a search leaves them; NULL where they are yet to be found. Returns 0 when out of
 * memory. */
static int weigh_labellings(
    const Layout *layout, const Matrix *matrix, const double *known, const Labellings *given, double *log_probs
) {
    ptrdiff_t blocks = given->longest / PAIRS + 1, times = matrix->times;
    Block *lattice_blocks = aligned_alloc(VECTOR, (size_t)(blocks + 1) * sizeof(Block));
    double *found = malloc((size_t)(2 * times) * sizeof(double) + (size_t)layout->classes * sizeof(float));
    int ok = lattice_blocks && found;
    if (ok) {
        const double *most = known ? known : found, *z = most + times;
        double best = known ? 0.0 : scan_rows(layout, matrix, found, found + times, (float *)(found + 2 * times));
        Line line = {layout, matrix, most, z};
        double log_z = isnan(best) ? NAN : log_of_z(&line);
        for (ptrdiff_t i = 0; i < given->count; i++) {
            ptrdiff_t length = given->offsets[i + 1] - given->offsets[i];
            Lattice lattice = {
                .labels = given->labels + given->offsets[i],
                .length = length,
                .count = length / PAIRS + 1,
                .blocks = lattice_blocks + 1,
            };
            log_probs[i] = isnan(log_z) ? NAN : log_prob_of(&line, &lattice, best - LIKELY_LOSS) - log_z;
        }
    }
    free(lattice_blocks);
    free(found);
    return ok;
}

#endif
