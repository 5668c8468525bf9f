/* One labelling in one line: its exact probability, where its labels are, and what might stand in their place. */
#ifndef GLYPHWIRE_ALIGNMENT_H
#define GLYPHWIRE_ALIGNMENT_H

#include "search.h"

/* A line's probabilities, by timestep and class. */
typedef struct {
    const Layout *layout;
    const Matrix *matrix;
    const double *most, *z; /* [time] of logits: p = exp(x - most) / z */
} Line;

static inline double line_prob(const Line *line, ptrdiff_t t, int32_t class) {
    double value = value_at(line->matrix, t, class);
    if (line->layout->kind == PROBS) return value;
    return line->layout->kind == LOG_PROBS ? exp(value) : exp(value - line->most[t]) / line->z[t];
}

static inline int32_t blank_class(const Line *line) { return class_of(line->layout, line->layout->blank); }

/* mantissa * 2 ** exponent */
typedef struct {
    double mantissa;
    int32_t exponent;
} Mass;

static Mass mass_of(double log_mass) {
    double bits = log_mass / LN2, whole = floor(bits);
    return log_mass > -INFINITY ? (Mass){exp2(bits - whole), (int32_t)whole} : (Mass){0.0, 0};
}

/* The states of a labelling are blank, label, blank, ..., label, blank. Masses carry the factors 2 ** -exponent, the
 * best alignments' one of their own, as each may be a vanishing part of all. A state with a mass below `least` is left
 * out: what it could still add is less. */
typedef struct {
    const int32_t *labels;
    ptrdiff_t states;
    double *forward; /* [-2 to states] mass of all alignments that are in the state, 0 before the first */
    double *viterbi; /* [-2 to states] mass of the best of them; below 0: the state cannot be reached */
    int8_t *
        steps; /* [time, states] how many states that one moved to get there, on ties the fewest; NULL: not asked for */
    Mass least;
    int32_t exponent, viterbi_exponent;
} Lattice;

static inline int may_skip(const int32_t *labels, ptrdiff_t state) {
    return state >= 3 && state & 1 && labels[state >> 1] != labels[(state >> 1) - 1];
}

/* Without branches, as nobody can foretell which of the states before is best. */
static inline double enter_state(Lattice *lattice, ptrdiff_t t, ptrdiff_t state, double prob) {
    double *forward = lattice->forward + state, *viterbi = lattice->viterbi + state;
    int skips = may_skip(lattice->labels, state);
    double two_back = skips ? viterbi[-2] : -1.0, best = viterbi[0];
    int8_t step = viterbi[-1] > best;
    best = greater(viterbi[-1], best);
    step = two_back > best ? 2 : step;
    best = greater(two_back, best);
    forward[0] = (forward[0] + forward[-1] + (skips ? forward[-2] : 0.0)) * prob;
    viterbi[0] = best < 0.0 ? best : best * prob;
    if (lattice->steps) lattice->steps[t * lattice->states + state] = step;
    return forward[0];
}

static inline void leave_out(Lattice *lattice, ptrdiff_t state) {
    lattice->forward[state] = 0.0;
    lattice->viterbi[state] = -1.0;
}

/* How far the greatest of some masses is below 2 ** -256, in steps of as much; lifts them by that. */
static int32_t lift(double *masses, ptrdiff_t low, ptrdiff_t high) {
    double most = 0.0;
    int32_t steps = 0;
    for (ptrdiff_t state = low; state <= high; state++) most = greater(masses[state], most);
    for (; most > 0.0 && most < RESCALE_BELOW; most *= RESCALE_UP, steps++)
        for (ptrdiff_t state = low; state <= high; state++)
            if (masses[state] > 0.0) masses[state] *= RESCALE_UP;
    return steps;
}

/* Timesteps in which the best of a state's alignments, at worst a third of them at each, cannot get out of range. */
enum { PATIENCE = 64 };

/* CTC forward (Graves et al. 2006, equations 5 to 8) and Viterbi in one pass over the states that matter. */
static void run_lattice(const Line *line, Lattice *lattice) {
    ptrdiff_t times = line->matrix->times, states = lattice->states, low = 0, high = 0;
    int32_t blank = blank_class(line);
    double least = ldexp(lattice->least.mantissa, lattice->least.exponent);
    for (ptrdiff_t state = -2; state < states; state++) leave_out(lattice, state);
    lattice->forward[0] = lattice->viterbi[0] = 1.0;
    lattice->exponent = lattice->viterbi_exponent = 0;
    for (ptrdiff_t t = 0; t < times; t++) {
        double blank_prob = line_prob(line, t, blank), most = 0.0;
        ptrdiff_t reachable = t ? high + 2 : 1, needed = states - 2 * (times - t);
        high = reachable < states ? reachable : states - 1;
        for (ptrdiff_t state = high; state >= (low > needed ? low : needed); state--) {
            double prob = state & 1 ? line_prob(line, t, lattice->labels[state >> 1]) : blank_prob;
            most = greater(enter_state(lattice, t, state, prob), most);
        }
        while (low < needed) leave_out(lattice, low++);
        while (low < high && lattice->forward[low] < least) leave_out(lattice, low++);
        while (low < high && lattice->forward[high] < least) leave_out(lattice, high--);
        if (most >= RESCALE_BELOW && t % PATIENCE) continue;
        lattice->exponent -= RESCALE_BITS * lift(lattice->forward, low, high);
        lattice->viterbi_exponent -= RESCALE_BITS * lift(lattice->viterbi, low, high);
        least = ldexp(lattice->least.mantissa, lattice->least.exponent - lattice->exponent);
    }
}

/* Peaks and spans of the labels in the best alignment. */
static void trace(
    const Line *line, const Lattice *lattice, int32_t *timesteps, int32_t *starts, int32_t *ends, float *confidences
) {
    ptrdiff_t last = lattice->states - 1, state = last;
    double best = 0.0;
    if (last && lattice->viterbi[last - 1] > lattice->viterbi[last]) state = last - 1;
    for (ptrdiff_t i = 0; i < lattice->states >> 1; i++) ends[i] = NONE;
    for (ptrdiff_t t = line->matrix->times - 1; t >= 0; t--) {
        ptrdiff_t i = state >> 1;
        if (state & 1) {
            double prob = line_prob(line, t, lattice->labels[i]);
            if (ends[i] == NONE) {
                ends[i] = (int32_t)t + 1;
                best = -1.0;
            }
            if (prob >= best) {
                best = prob;
                timesteps[i] = (int32_t)t;
                confidences[i] = (float)prob;
            }
            starts[i] = (int32_t)t;
        }
        state -= lattice->steps[t * lattice->states + state];
    }
}

/* Natural logarithm of a labelling's probability, and with `steps` where its labels are. `found`, a part of its mass
 * that the search came across, tells which states cannot matter; 0 if nothing is known. */
static double align(
    const Line *line, Lattice *lattice, Mass found, int32_t *timesteps, int32_t *starts, int32_t *ends,
    float *confidences
) {
    ptrdiff_t times = line->matrix->times, last = lattice->states - 1;
    double mass = 0.0, log_prob;
    /* All states left out together cannot add a 2 ** -20th part to the mass found, 1e-6 to its logarithm. */
    lattice->least = found;
    lattice->least.mantissa *= 0x1p-20 / (double)(times * lattice->states + 1);
    for (int attempt = 0; attempt < 2; attempt++) {
        if (attempt) lattice->least.mantissa = 0.0;
        run_lattice(line, lattice);
        mass = lattice->forward[last] + (last ? lattice->forward[last - 1] : 0.0);
        double viterbi = greater(lattice->viterbi[last], last ? lattice->viterbi[last - 1] : -1.0);
        int32_t exponent = lattice->steps ? lattice->viterbi_exponent : lattice->exponent;
        /* What was left out had less than `least`, so no better alignment can be among it. */
        if (ldexp(lattice->steps ? viterbi : mass, exponent - lattice->least.exponent) > lattice->least.mantissa) break;
    }
    log_prob = log(mass) + lattice->exponent * LN2;
    if (lattice->steps) trace(line, lattice, timesteps, starts, ends, confidences);
    return log_prob;
}

static inline double part(const Line *line, ptrdiff_t t, int32_t class, const double *greatest) {
    return greatest[t] > 0.0 ? line_prob(line, t, class) / greatest[t] : 0.0;
}

/* For alternatives, all masses of a lattice at once, in long doubles and with each row's probabilities as parts of the
 * greatest among the labelling's: shares are the same, and no line of sensible length gets out of range.
 * before[(t + 1) * states + s]: mass of the alignments of timesteps 0 to t that are in state s at t; row 0 is the
 * start. after[t * states + s]: mass of timesteps t to the end, being in state s at t. */
static void fill_masses(
    const Line *line, const int32_t *labels, ptrdiff_t states, double *greatest, long double *before, long double *after
) {
    ptrdiff_t times = line->matrix->times;
    for (ptrdiff_t t = 0; t < times; t++) {
        greatest[t] = line_prob(line, t, blank_class(line));
        for (ptrdiff_t i = 0; i < states >> 1; i++) greatest[t] = greater(line_prob(line, t, labels[i]), greatest[t]);
    }
    for (ptrdiff_t state = 0; state < states; state++) {
        before[state] = state == 0;
        after[times * states + state] = 0.0;
    }
    for (ptrdiff_t t = 0; t < times; t++) {
        const long double *from = before + t * states;
        for (ptrdiff_t state = 0; state < states; state++) {
            long double sum = from[state] + (state ? from[state - 1] : 0.0L);
            if (may_skip(labels, state)) sum += from[state - 2];
            before[(t + 1) * states + state] =
                sum * part(line, t, state & 1 ? labels[state >> 1] : blank_class(line), greatest);
        }
    }
    for (ptrdiff_t t = times - 1; t >= 0; t--) {
        const long double *to = after + (t + 1) * states;
        for (ptrdiff_t state = states - 1; state >= 0; state--) {
            long double sum = to[state] + (state + 1 < states ? to[state + 1] : 0.0L);
            if (state + 2 < states && may_skip(labels, state + 2)) sum += to[state + 2];
            if (t == times - 1) sum = state >= states - 2;
            after[t * states + state] =
                sum * part(line, t, state & 1 ? labels[state >> 1] : blank_class(line), greatest);
        }
    }
}

typedef struct {
    const Line *line;
    const int32_t *labels;
    ptrdiff_t length, states;
    const double *greatest;
    const long double *before, *after;
} Context;

/* Mass of the alignments that go from label i - 1 or the blank after it straight into what follows label i at time t.
 */
static inline long double mass_before(const Context *context, ptrdiff_t t, ptrdiff_t i, int32_t label) {
    const long double *row = context->before + t * context->states + 2 * i;
    return row[0] + (i && context->labels[i - 1] != label ? row[-1] : 0.0L);
}

static inline long double mass_after(const Context *context, ptrdiff_t t, ptrdiff_t i, int32_t label) {
    const long double *row = context->after + t * context->states + 2 * i + 2;
    if (t == context->line->matrix->times) return i + 1 == context->length;
    return row[0] + (i + 1 < context->length && context->labels[i + 1] != label ? row[1] : 0.0L);
}

/* Probability of the line with `label` in place of label i. */
static long double mass_with(const Context *context, ptrdiff_t i, int32_t label) {
    long double run = 0.0, sum = 0.0;
    for (ptrdiff_t t = 0; t < context->line->matrix->times; t++) {
        run = (run + mass_before(context, t, i, label)) * part(context->line, t, label, context->greatest);
        sum += run * mass_after(context, t + 1, i, label);
    }
    return sum;
}

/* Probability of the line without label i: its neighbours meet, with at least one blank between them if they are equal.
 */
static long double mass_without(const Context *context, ptrdiff_t i) {
    ptrdiff_t times = context->line->matrix->times, next = i + 1;
    long double sum = 0.0;
    if (next == context->length)
        return context->before[times * context->states + 2 * i] +
               (i ? context->before[times * context->states + 2 * i - 1] : 0.0L);
    for (ptrdiff_t t = 0; t < times; t++)
        sum += mass_before(context, t, i, context->labels[next]) * context->after[t * context->states + 2 * next + 1];
    return sum;
}

/* Shares of label i, of `count` other labels and of none at all in the sum of their lines' probabilities. */
static void
share_out(const Context *context, ptrdiff_t i, const int32_t *others, int32_t count, float *posterior, float *shares) {
    long double own = mass_with(context, i, context->labels[i]), sum = own + mass_without(context, i), mass;
    for (int32_t k = 0; k < count; k++) sum += mass_with(context, i, others[k]);
    *posterior = sum > 0.0L ? (float)(own / sum) : 0.0f;
    for (int32_t k = 0; k < count; k++) {
        mass = mass_with(context, i, others[k]);
        shares[k] = sum > 0.0L ? (float)(mass / sum) : 0.0f;
    }
}

#endif
