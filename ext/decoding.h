/* Whole lines: best path, and the hypotheses of a search, written to growing arrays. */
#ifndef GLYPHWIRE_DECODING_H
#define GLYPHWIRE_DECODING_H

#include "alignment.h"
#include "prefixes.h"

/* ext/readings.py's Readings as it grows. */
typedef struct {
    int32_t *labels, *timesteps, *starts, *ends;
    float *confidences, *posteriors;
    int32_t *alternative_labels;
    float *alternative_posteriors;
    int32_t *offsets;
    double *log_probs, *scores;
    size_t characters, hypotheses, character_room, hypothesis_room;
    size_t alternatives; /* columns of the arrays of alternatives */
} Store;

static int grow(void *array, size_t count, size_t size) {
    void **place = array, *grown = realloc(*place, count ? count * size : 1);
    if (grown) *place = grown;
    return grown != NULL;
}

/* Room for so many more hypotheses, of up to `length` labels together. Returns 0 when out of memory. */
static int make_room(Store *store, size_t more, size_t length) {
    size_t characters = store->characters + length, hypotheses = store->hypotheses + more + 1;
    if (characters > store->character_room || !store->labels) {
        size_t room = characters + store->character_room + 64;
        if (!grow(&store->labels, room, sizeof(int32_t)) || !grow(&store->timesteps, room, sizeof(int32_t)) ||
            !grow(&store->starts, room, sizeof(int32_t)) || !grow(&store->ends, room, sizeof(int32_t)) ||
            !grow(&store->confidences, room, sizeof(float)))
            return 0;
        if (store->alternatives && (!grow(&store->posteriors, room, sizeof(float)) ||
                                    !grow(&store->alternative_labels, room * store->alternatives, sizeof(int32_t)) ||
                                    !grow(&store->alternative_posteriors, room * store->alternatives, sizeof(float))))
            return 0;
        store->character_room = room;
    }
    if (hypotheses > store->hypothesis_room) {
        size_t room = hypotheses + store->hypothesis_room + 16;
        if (!grow(&store->offsets, room, sizeof(int32_t)) || !grow(&store->log_probs, room, sizeof(double)) ||
            !grow(&store->scores, room, sizeof(double)))
            return 0;
        store->hypothesis_room = room;
        store->offsets[0] = 0;
    }
    return 1;
}

static void end_hypothesis(Store *store, size_t length, double log_prob, double score) {
    store->characters += length;
    store->log_probs[store->hypotheses] = log_prob;
    store->scores[store->hypotheses] = score;
    store->offsets[++store->hypotheses] = (int32_t)store->characters;
}

static void discard(Store *store) {
    free(store->labels), free(store->timesteps), free(store->starts), free(store->ends), free(store->confidences);
    free(store->posteriors), free(store->alternative_labels), free(store->alternative_posteriors);
    free(store->offsets), free(store->log_probs), free(store->scores);
}

/* The best path of the rows so far. */
typedef struct {
    const Layout *layout;
    int wants_confidences;
    int32_t previous; /* the column of the last row */
    int32_t times, exponent, length;
    double mass; /* of the path, times 2 ** -exponent */
    int bad;
    int32_t start, peak;  /* of the run that is under way: its first row, and the likeliest */
    double best;          /* probability there */
    float *row, *columns; /* [classes], [columns] scratch */
} Path;

/* Returns 0 when out of memory. free(path->row) afterwards in any case. */
static int allocate_path(Path *path, const Layout *layout, int wants_confidences) {
    memset(path, 0, sizeof *path);
    path->layout = layout;
    path->wants_confidences = wants_confidences;
    path->row = malloc((size_t)(layout->classes + layout->columns) * sizeof(float));
    path->columns = path->row + layout->classes;
    return path->row != NULL;
}

static void begin_path(Path *path) {
    path->previous = path->layout->blank;
    path->times = path->exponent = path->length = 0;
    path->mass = 1.0;
    path->bad = 0;
}

/* Rows whose peaks are found at one go: decisions in between would hold up what comes from memory. A bit each. */
enum { GROUP = 32 };

/* Which rows have a label as their peak, and which of them begin a run of it. */
typedef struct {
    uint32_t labelled, begun;
} Runs;

/* Goes on to the last of some rows. */
static inline Runs find_runs(Path *path, const Peak *peaks, ptrdiff_t count) {
    int32_t blank = path->layout->blank, previous = path->previous;
    Runs runs = {0, 0};
    for (ptrdiff_t i = 0; i < count; i++) {
        int32_t peak = peaks[i].column;
        uint32_t is_label = peak != blank, is_other = peak != previous;
        path->bad |= peak < 0;
        runs.labelled |= is_label << i;
        runs.begun |= (is_label & is_other) << i;
        previous = peak;
    }
    path->previous = previous;
    return runs;
}

/* Not of logits. */
static inline double prob_of_value(Kind kind, float value) { return kind == LOG_PROBS ? exp(value) : value; }

/* The mass of the path when some rows more are part of it. */
static inline void add_mass(Path *path, const Peak *peaks, ptrdiff_t count) {
    for (ptrdiff_t i = 0; i < count; i++) {
        path->mass *= prob_of_value(path->layout->kind, peaks[i].value);
        if (path->mass < RESCALE_BELOW) {
            path->mass *= RESCALE_UP;
            path->exponent -= RESCALE_BITS;
        }
    }
}

/* How probable a peak is. Of a logit 1 where nobody asks. */
static inline double peak_prob(const Path *path, const Matrix *matrix, ptrdiff_t t, float value) {
    const Layout *layout = path->layout;
    if (layout->kind != LOGITS) return prob_of_value(layout->kind, value);
    if (!path->wants_confidences) return 1.0;
    const float *row = whole_row(layout, matrix, t, path->row);
    return 1.0 / sum_of_row(layout, row, value, row);
}

/* Some rows from `from` on, of which these are the peaks, emitted into the store's arrays from store->characters on,
 * for which there must be room. Most rows are blank, so only those with labels are gone through. */
static void
follow_peaks(Path *path, const Matrix *matrix, ptrdiff_t from, const Peak *peaks, ptrdiff_t count, Store *store) {
    Runs runs = find_runs(path, peaks, count);
    int32_t now = path->times;
    path->times += (int32_t)count;
    if (path->bad) {
        path->length = 0;
        return;
    }
    for (uint32_t left = runs.labelled; left; left &= left - 1) {
        int i = __builtin_ctz(left), is_first = runs.begun >> i & 1;
        double prob = peak_prob(path, matrix, from + i, peaks[i].value);
        int is_peak = is_first | (prob > path->best);
        path->length += is_first;
        path->best = is_peak ? prob : path->best;
        path->peak = is_peak ? now + i : path->peak;
        path->start = is_first ? now + i : path->start;
        size_t place = store->characters + (size_t)path->length - 1;
        store->labels[place] = class_of(path->layout, peaks[i].column);
        store->starts[place] = path->start;
        store->ends[place] = now + i + 1;
        store->timesteps[place] = path->peak;
        store->confidences[place] = (float)path->best;
    }
    /* Last, as each product waits for the one before, and what comes next need not. */
    if (path->layout->kind != LOGITS) add_mass(path, peaks, count);
}

static void end_path(Path *path, Store *store) {
    double score = path->bad ? NAN : log(path->mass) + path->exponent * LN2;
    end_hypothesis(store, (size_t)path->length, path->layout->kind == LOGITS ? NAN : score, score);
}

/* The other labels that are likeliest at a timestep, int32 [wanted], as classes; -1 where there are fewer. */
static int32_t find_others(Search *s, const Line *line, ptrdiff_t t, int32_t label, int32_t wanted, int32_t *others) {
    const Layout *layout = line->layout;
    const float *values = load_row(layout, line->matrix, t, s->columns);
    uint32_t lowest = layout->kind == PROBS ? 1 : score_key(bits_of(-INFINITY)) + 1;
    int32_t count = 0, top = wanted < layout->columns ? wanted + 1 : (int32_t)layout->columns;
    Collection found = {layout, values, s->likely, 0, top, lowest};
    find_peak(layout, values, s->maxima);
    collect_likely(&found, s->maxima);
    sort_likely(s->likely, found.count);
    for (int32_t i = 0; i < found.count && count < wanted; i++) {
        int32_t other = class_of(layout, column_of(s->likely[i]));
        if (other != label) others[count++] = other;
    }
    for (int32_t i = count; i < wanted; i++) others[i] = -1;
    return count;
}

/* Most probable first; few enough for the simplest sort. */
static void sort_alternatives(int32_t *labels, float *shares, int32_t count) {
    for (int32_t i = 1; i < count; i++)
        for (int32_t k = i; k && shares[k] > shares[k - 1]; k--) {
            float share = shares[k];
            int32_t label = labels[k];
            shares[k] = shares[k - 1], labels[k] = labels[k - 1];
            shares[k - 1] = share, labels[k - 1] = label;
        }
}

/* Alternatives of the `length` labels from store->characters on. Returns 0 when out of memory. */
static int describe_alternatives(Search *s, const Line *line, Store *store, ptrdiff_t length) {
    size_t place = store->characters, states = 2 * (size_t)length + 1, rows = (size_t)line->matrix->times + 1;
    int32_t wanted = (int32_t)store->alternatives;
    long double *before = malloc(2 * rows * states * sizeof *before + rows * sizeof(double));
    if (!before) return 0;
    long double *after = before + rows * states;
    double *greatest = (double *)(after + rows * states);
    Context context = {line, store->labels + place, length, (ptrdiff_t)states, greatest, before, after};
    fill_masses(line, context.labels, context.states, greatest, before, after);
    for (ptrdiff_t i = 0; i < length; i++, place++) {
        int32_t *others = store->alternative_labels + place * store->alternatives;
        float *shares = store->alternative_posteriors + place * store->alternatives;
        int32_t count = find_others(s, line, store->timesteps[place], store->labels[place], wanted, others);
        for (int32_t k = count; k < wanted; k++) shares[k] = 0.0f;
        share_out(&context, i, others, count, store->posteriors + place, shares);
        sort_alternatives(others, shares, count);
    }
    free(before);
    return 1;
}

typedef struct {
    int32_t n_best;
    int align;
} Wanted;

/* Memory that vectors may be in, which the next alignment has as well. NULL: there is none. */
static void *lattice_memory(Search *s, size_t bytes) {
    if (bytes > s->lattice_room) {
        free(s->lattice);
        s->lattice = aligned_alloc(VECTOR, 2 * bytes); /* the next line may be longer */
        s->lattice_room = s->lattice ? 2 * bytes : 0;
    }
    return s->lattice;
}

/* Adds the best hypotheses of a finished search to the store. Returns 0 when out of memory. */
static int describe(Search *s, const Line *line, Wanted wanted, Store *store) {
    ptrdiff_t times = line->matrix->times;
    if (s->bad) {
        if (!make_room(store, 1, 0)) return 0;
        end_hypothesis(store, 0, NAN, NAN);
        return 1;
    }
    conclude(s);
    double log_z = log_of_z(line);
    for (int32_t i = 0, slot; i < wanted.n_best && (slot = best_slot(s, s->next.total)) != NONE; i++) {
        int32_t node = s->beam.node[slot];
        size_t length = (size_t)s->nodes[node].depth, place = store->characters;
        double score = log(s->next.total[slot]) + s->exponent * LN2;
        s->next.total[slot] = 0.0;
        Mass found = mass_of(s->options->automata_count ? -INFINITY : score);
        ptrdiff_t blocks = (ptrdiff_t)length / PAIRS + 1;
        size_t steps = wanted.align ? (size_t)(blocks * times) * sizeof(uint32_t) : 0;
        char *scratch =
            lattice_memory(s, (size_t)(blocks + 1) * sizeof(Block) + (steps + VECTOR - 1) / VECTOR * VECTOR);
        if (!scratch || !make_room(store, 1, length)) return 0;
        Lattice lattice = {
            .labels = store->labels + place,
            .length = (ptrdiff_t)length,
            .count = blocks,
            .blocks = (Block *)scratch + 1,
            .steps = wanted.align ? (uint32_t *)((Block *)scratch + blocks + 1) : NULL,
        };
        read_labels(s, node, store->labels + place);
        double log_prob = align(
            line, &lattice, found, store->timesteps + place, store->starts + place, store->ends + place,
            store->confidences + place
        );
        if (store->alternatives && !describe_alternatives(s, line, store, (ptrdiff_t)length)) return 0;
        end_hypothesis(store, length, log_prob - log_z, score - log_z);
    }
    return 1;
}

/* Goes on through the rows of a matrix, for which the store must have room. */
static void follow_rows(Path *path, const Matrix *matrix, Store *store) {
    Peak peaks[GROUP];
    for (ptrdiff_t from = 0; from < matrix->times; from += GROUP) {
        ptrdiff_t count = matrix->times - from < GROUP ? matrix->times - from : GROUP;
        find_peaks(path->layout, matrix, from, count, path->columns, peaks);
        Path local = *path; /* nothing that is written to the store can change it, so it may stay in registers */
        follow_peaks(&local, matrix, from, peaks, count, store);
        *path = local;
    }
}

/* Adds the best path of one line. Returns 0 when out of memory. */
static int decode_best_path(Path *path, const Matrix *matrix, Store *store) {
    if (!make_room(store, 1, (size_t)matrix->times)) return 0;
    begin_path(path);
    follow_rows(path, matrix, store);
    end_path(path, store);
    return 1;
}

/* Searches further rows; of logits most and z [time] take what makes them probabilities. Returns 0 when there is no
 * memory. */
static int search_rows(Search *s, const Matrix *matrix, double *most, double *z) {
    for (ptrdiff_t t = 0; t < matrix->times && !s->bad; t++) {
        if (!reserve(s)) return 0;
        advance(s, matrix, t, most, z);
    }
    return 1;
}

/* Adds the hypotheses of one line. most and z: as for search_rows. Returns 0 when out of memory. */
static int decode_beam(Search *s, const Matrix *matrix, double *most, double *z, Wanted wanted, Store *store) {
    Line line = {s->layout, matrix, most, z};
    s->node_count = 0;
    if (!reserve(s)) return 0;
    begin(s);
    return search_rows(s, matrix, most, z) && describe(s, &line, wanted, store);
}

#endif
