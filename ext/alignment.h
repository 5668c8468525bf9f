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

/* A probability, of a logit without z: labellings have it in common, and where little of a row may be read it would
 * take masses out of range. */
static inline double weight_at(const Line *line, ptrdiff_t t, int32_t class) {
    double value = value_at(line->matrix, t, class);
    if (line->layout->kind == PROBS) return value;
    return exp(line->layout->kind == LOG_PROBS ? value : value - line->most[t]);
}

static inline double line_prob(const Line *line, ptrdiff_t t, int32_t class) {
    double weight = weight_at(line, t, class);
    return line->layout->kind == LOGITS ? weight / line->z[t] : weight;
}

/* By what the logarithms of masses are too great, as weights are without z. */
static double log_of_z(const Line *line) {
    double sum = 0.0;
    for (ptrdiff_t t = 0; line->layout->kind == LOGITS && t < line->matrix->times; t++) sum += log(line->z[t]);
    return sum;
}

static inline int32_t blank_class(const Line *line) { return class_of(line->layout, line->layout->blank); }

static inline int may_skip(const int32_t *labels, ptrdiff_t state) {
    return state >= 3 && state & 1 && labels[state >> 1] != labels[(state >> 1) - 1];
}

/* mantissa * 2 ** exponent */
typedef struct {
    double mantissa;
    int32_t exponent;
} Mass;

static Mass mass_of(double log_mass) {
    double bits = log_mass / LN2, whole = floor(bits);
    return log_mass > -INFINITY ? (Mass){exp2(bits - whole), (int32_t)whole} : (Mass){0.0, 0};
}

enum { PAIRS = 4 };

/* Where vectors are shorter, gcc would align these like them in memory, but not in the clones for longer ones. */
enum { VECTOR = PAIRS * sizeof(double) };

typedef double Doubles __attribute__((vector_size(VECTOR), aligned(VECTOR)));
typedef int64_t Longs __attribute__((vector_size(VECTOR), aligned(VECTOR)));

static inline __attribute__((always_inline)) Doubles choose_doubles(Longs which, Doubles yes, Doubles no) {
    return (Doubles)((which & (Longs)yes) | (~which & (Longs)no));
}

static inline __attribute__((always_inline)) Doubles greater_doubles(Doubles a, Doubles b) {
    return choose_doubles(a > b, a, b);
}

static inline __attribute__((always_inline)) double greatest_lane(Doubles lanes) {
    return greater(greater(lanes[0], lanes[1]), greater(lanes[2], lanes[3]));
}

/* The states of a labelling are blank, label, blank, ..., label, blank: pairs of a blank and the label after it, four
 * of which make a block. The last blank has no label, nor have the pairs that fill up the last block. */
typedef struct {
    Doubles blanks, labels;           /* mass of all alignments that are in the state */
    Doubles best_blanks, best_labels; /* mass of the best of them; sign bit set: the state cannot be reached */
    Longs exist, must_wait;           /* labels, and those that must have a blank between them and the label before */
    int32_t classes[PAIRS];
} Block;

/* Masses carry the factors 2 ** -exponent, the best alignments' one of their own, as each may be a vanishing part of
 * all. A block in which all masses are below `least` is left out: what it could still add is less. */
typedef struct {
    const int32_t *labels; /* [length] */
    ptrdiff_t length;
    ptrdiff_t count; /* of blocks */
    Block *blocks;   /* [-1 to count] nothing is in the first */
    uint32_t *steps; /* [time, count] a byte for each pair of a block, the first lowest: how many states the best
                        alignments moved to get there, on ties the fewest; bit 0: one to the blank, bit 1: one to the
                        label, bit 2: rather two; NULL: not asked for */
    Mass least;
    int32_t exponent, best_exponent;
} Lattice;

static inline void leave_out(Block *block) {
    block->blanks = block->labels = (Doubles){0};
    block->best_blanks = block->best_labels = (Doubles){0} - 1.0;
}

static inline void leave_out_state(Lattice *lattice, ptrdiff_t state) {
    Block *block = lattice->blocks + state / (2 * PAIRS);
    ptrdiff_t pair = state / 2 % PAIRS;
    if (state & 1) block->labels[pair] = 0.0, block->best_labels[pair] = -1.0;
    else block->blanks[pair] = 0.0, block->best_blanks[pair] = -1.0;
}

static void lay_out(Lattice *lattice, int32_t blank) {
    for (ptrdiff_t i = 0; i < lattice->count * PAIRS; i++) {
        Block *block = lattice->blocks + i / PAIRS;
        int exists = i < lattice->length;
        block->classes[i % PAIRS] = exists ? lattice->labels[i] : blank;
        block->exist[i % PAIRS] = -(int64_t)exists;
        block->must_wait[i % PAIRS] = -(int64_t)(!exists || !i || lattice->labels[i] == lattice->labels[i - 1]);
    }
}

/* The labels before those of a block. */
static inline __attribute__((always_inline)) Doubles shifted(Doubles before, Doubles labels) {
    return (Doubles){before[3], labels[0], labels[1], labels[2]};
}

/* Whether a line's values are its weights, in place: loops over them have code of their own. */
static inline int is_plain(const Line *line) { return line->layout->kind == PROBS && is_in_place(line->matrix); }

static inline __attribute__((always_inline)) double
prob_at(const Line *line, ptrdiff_t t, int32_t class, int is_plain) {
    const Matrix *matrix = line->matrix;
    if (!is_plain) return weight_at(line, t, class);
    return ((const float *)(matrix->data + t * matrix->time_stride))[class];
}

/* Probabilities of a block's labels. */
static inline __attribute__((always_inline)) Doubles
label_probs(const Line *line, ptrdiff_t t, const Block *block, int is_plain) {
    const int32_t *classes = block->classes;
    Doubles probs = {
        prob_at(line, t, classes[0], is_plain),
        prob_at(line, t, classes[1], is_plain),
        prob_at(line, t, classes[2], is_plain),
        prob_at(line, t, classes[3], is_plain),
    };
    return (Doubles)((Longs)probs & block->exist);
}

/* One timestep. Nothing is branched on: nobody can foretell which of the states before is best. */
static inline __attribute__((always_inline)) void
enter_block(Block *block, Doubles blank_probs, Doubles label_probs, uint32_t *steps) {
    const Block *before = block - 1;
    Doubles blanks = block->blanks;
    Doubles labels = shifted(before->labels, block->labels), skipping = (Doubles)((Longs)labels & ~block->must_wait);
    block->blanks = (blanks + labels) * blank_probs;
    block->labels = (block->labels + blanks + skipping) * label_probs;
    if (!steps) return;
    blanks = block->best_blanks;
    labels = shifted(before->best_labels, block->best_labels);
    skipping = (Doubles)((Longs)labels | block->must_wait); /* NaN, which is greater than nothing */
    Doubles own = block->best_labels, best = greater_doubles(blanks, own);
    Longs one = blanks > own, two = skipping > best, to_blank = labels > blanks;
    block->best_labels = greater_doubles(skipping, best) * label_probs;
    block->best_blanks = greater_doubles(labels, blanks) * blank_probs;
    const Longs bytes = {1, 1 << 8, 1 << 16, 1 << 24};
    Longs moves = (to_blank & bytes) | (one & bytes << 1) | (two & bytes << 2);
    moves |= __builtin_shuffle(moves, (Longs){2, 3, 0, 1});
    *steps = (uint32_t)(moves[0] | moves[1]);
}

/* How far the greatest of the masses is below 2 ** -256, in steps of as much; lifts them by that. best: those of the
 * best alignments. */
static int32_t lift(Block *blocks, ptrdiff_t low, ptrdiff_t high, int best) {
    Doubles most = {0};
    int32_t steps = 0;
    for (ptrdiff_t i = low; i <= high; i++)
        most = greater_doubles(
            best ? greater_doubles(blocks[i].best_blanks, blocks[i].best_labels)
                 : greater_doubles(blocks[i].blanks, blocks[i].labels),
            most
        );
    for (double mass = greatest_lane(most); mass > 0.0 && mass < RESCALE_BELOW; mass *= RESCALE_UP, steps++)
        for (ptrdiff_t i = low; i <= high; i++) {
            Doubles *blanks = best ? &blocks[i].best_blanks : &blocks[i].blanks;
            Doubles *labels = best ? &blocks[i].best_labels : &blocks[i].labels;
            *blanks = choose_doubles(*blanks > 0.0, *blanks * RESCALE_UP, *blanks);
            *labels = choose_doubles(*labels > 0.0, *labels * RESCALE_UP, *labels);
        }
    return steps;
}

static inline int is_below(const Block *block, double least) {
    return greatest_lane(greater_doubles(block->blanks, block->labels)) < least;
}

/* Timesteps in which the best of a state's alignments, at worst a third of them at each, cannot get out of range. */
enum { PATIENCE = 64 };

/* CTC forward (Graves et al. 2006, equations 5 to 8) and Viterbi in one pass over the blocks that matter. */
static inline __attribute__((always_inline)) void
sweep(const Line *line, Lattice *lattice, uint32_t *steps, int is_plain) {
    Block *blocks = lattice->blocks;
    ptrdiff_t times = line->matrix->times, states = 2 * lattice->length + 1, low = 0, high = 0, dead = 0;
    int32_t blank = blank_class(line);
    double least = ldexp(lattice->least.mantissa, lattice->least.exponent);
    for (ptrdiff_t i = -1; i < lattice->count; i++) leave_out(blocks + i);
    blocks[0].blanks[0] = blocks[0].best_blanks[0] = 1.0;
    lattice->exponent = lattice->best_exponent = 0;
    for (ptrdiff_t t = 0; t < times; t++) {
        Doubles most = {0}, blank_probs = most + prob_at(line, t, blank, is_plain);
        high += high + 1 < lattice->count && blocks[high].labels[PAIRS - 1] >= least;
        for (ptrdiff_t i = high; i >= low; i--) {
            uint32_t *moves = steps ? steps + t * lattice->count + i : NULL;
            enter_block(blocks + i, blank_probs, label_probs(line, t, blocks + i, is_plain), moves);
            most = greater_doubles(greater_doubles(blocks[i].blanks, blocks[i].labels), most);
        }
        /* What cannot get to the end any more. */
        for (; dead < states - 2 * (times - t); dead++) leave_out_state(lattice, dead);
        while (low < high && is_below(blocks + low, least)) leave_out(blocks + low++);
        while (low < high && is_below(blocks + high, least)) leave_out(blocks + high--);
        if (t % PATIENCE && greatest_lane(most) >= RESCALE_BELOW) continue;
        lattice->exponent -= RESCALE_BITS * lift(blocks, low, high, 0);
        lattice->best_exponent -= RESCALE_BITS * lift(blocks, low, high, 1);
        least = ldexp(lattice->least.mantissa, lattice->least.exponent - lattice->exponent);
    }
}

WIDE_CLONES static void run_lattice(const Line *line, Lattice *lattice) {
    if (!is_plain(line)) sweep(line, lattice, lattice->steps, 0);
    else if (lattice->steps) sweep(line, lattice, lattice->steps, 1);
    else sweep(line, lattice, NULL, 1);
}

/* Mass of the alignments that end in the last blank or label. best: of the best of them. */
static double last_mass(const Lattice *lattice, int label, int best) {
    ptrdiff_t pair = lattice->length - label;
    if (pair < 0) return best ? -1.0 : 0.0;
    const Block *block = lattice->blocks + pair / PAIRS;
    const Doubles *masses =
        label ? (best ? &block->best_labels : &block->labels) : (best ? &block->best_blanks : &block->blanks);
    return (*masses)[pair % PAIRS];
}

/* Peaks and spans of the labels in the best alignment. */
static void trace(
    const Line *line, const Lattice *lattice, int32_t *timesteps, int32_t *starts, int32_t *ends, float *confidences
) {
    ptrdiff_t state = 2 * lattice->length - (last_mass(lattice, 1, 1) > last_mass(lattice, 0, 1));
    double best = 0.0;
    for (ptrdiff_t i = 0; i < lattice->length; i++) ends[i] = NONE, timesteps[i] = starts[i] = 0, confidences[i] = 0.0f;
    for (ptrdiff_t t = line->matrix->times - 1; t >= 0; t--) {
        ptrdiff_t i = state >> 1;
        uint32_t moves = lattice->steps[t * lattice->count + i / PAIRS] >> (8 * (i % PAIRS));
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
        state -= !(state & 1) ? moves & 1 : moves & 4 ? 2 : moves >> 1 & 1;
    }
}

/* Natural logarithm of a labelling's mass, and with `steps` where its labels are. `found`, a part of its mass
 * that the search came across, tells which states cannot matter; 0 if nothing is known. */
static double align(
    const Line *line, Lattice *lattice, Mass found, int32_t *timesteps, int32_t *starts, int32_t *ends,
    float *confidences
) {
    ptrdiff_t times = line->matrix->times, states = 2 * lattice->length + 1;
    double mass = 0.0;
    /* All states left out together cannot add a 2 ** -20th part to the mass found, 1e-6 to its logarithm. */
    lattice->least = found;
    lattice->least.mantissa *= 0x1p-20 / (double)(times * states + 1);
    lay_out(lattice, blank_class(line));
    for (int attempt = 0; attempt < 2; attempt++) {
        if (attempt) lattice->least.mantissa = 0.0;
        run_lattice(line, lattice);
        mass = last_mass(lattice, 0, 0) + last_mass(lattice, 1, 0);
        double best = greater(last_mass(lattice, 0, 1), last_mass(lattice, 1, 1));
        int32_t exponent = lattice->steps ? lattice->best_exponent : lattice->exponent;
        /* What was left out had less than `least`, so no better alignment can be among it. */
        if (ldexp(lattice->steps ? best : mass, exponent - lattice->least.exponent) >= lattice->least.mantissa) break;
    }
    if (lattice->steps) trace(line, lattice, timesteps, starts, ends, confidences);
    return log(mass) + lattice->exponent * LN2;
}

static inline double part(const Line *line, ptrdiff_t t, int32_t class, const double *greatest) {
    return greatest[t] > 0.0 ? weight_at(line, t, class) / greatest[t] : 0.0;
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
        greatest[t] = weight_at(line, t, blank_class(line));
        for (ptrdiff_t i = 0; i < states >> 1; i++) greatest[t] = greater(weight_at(line, t, labels[i]), greatest[t]);
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
