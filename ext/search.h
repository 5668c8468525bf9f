/* Prefix beam search (Hannun et al. 2014, algorithm 1), one step per timestep. docs/decoding.md says what each step
 * does; the order of floating point operations is part of it. */
#ifndef GLYPHWIRE_SEARCH_H
#define GLYPHWIRE_SEARCH_H

#include "beam.h"

/* A row, and how its values become probabilities up to the factor that all labels share. */
typedef struct {
    const float *values; /* [columns] */
    Kind kind;
    double most; /* greatest logit */
} Row;

static inline double prob_of(const Row *row, int32_t column) {
    double value = row->values[column];
    if (row->kind == PROBS) return value;
    return exp(row->kind == LOG_PROBS ? value : value - row->most);
}

static inline double greater(double a, double b) { return a > b ? a : b; }

/* Totals below this are dropped, given the greatest. */
static inline double lowest_total(double most) { return greater(MASS_FLOOR, most * SHARE_FLOOR); }

/* What all probabilities of the row, and of a restricted one its columns, come to. `z`: sum over the whole row. */
static double row_share(const Layout *layout, const Row *row, double z) {
    double sum = 0.0;
    if (!layout->class_of) return z;
    for (int32_t i = 0; i < layout->columns; i++) sum += prob_of(row, i);
    return sum;
}

/* Fills s->likely with the labels that extend prefixes at this timestep. Returns how many there are. */
static int32_t find_likely(Search *s, const Row *row, int32_t peak, double z) {
    const SearchOptions *options = s->options;
    double share = row_share(s->layout, row, z), least = options->min_prob * share;
    uint32_t lowest = row->kind == PROBS && share == 1.0 ? s->lowest : lowest_key(row->kind, row->most, least);
    LikelyLabel *likely = s->likely;
    int32_t most = options->top_k < s->layout->columns ? options->top_k : (int32_t)s->layout->columns;
    int32_t found = collect_likely(s->layout, row->values, s->maxima, lowest, most, likely);
    double taken = options->cum_prob < 1.0 ? prob_of(row, s->layout->blank) : -INFINITY;
    int32_t count = 0;
    for (; count < found && taken < options->cum_prob * share; count++) {
        likely[count].prob = prob_of(row, column_of(likely + count));
        if (likely[count].prob < least || likely[count].prob == 0.0) break;
        taken += likely[count].prob;
    }
    if (!count && peak != s->layout->blank) {
        likely[0].key = likely_key(key_of(row->kind, row->values[peak]), peak);
        likely[0].prob = prob_of(row, peak);
        count = likely[0].prob > 0.0;
    }
    return count;
}

/* Whether the labels of a come before those of b in lexicographic order, a prefix before what extends it. */
static int precedes(const Search *s, const Candidate *a, const Candidate *b) {
    const Node *nodes = s->nodes;
    int32_t x = s->beam.node[a->slot], y = s->beam.node[b->slot], after_x = a->extension, after_y = b->extension;
    int32_t length_x = nodes[x].depth + (after_x != NONE), length_y = nodes[y].depth + (after_y != NONE);
    int32_t depth = nodes[x].depth < nodes[y].depth ? nodes[x].depth : nodes[y].depth;
    for (; nodes[x].depth > depth; x = nodes[x].parent) after_x = nodes[x].label;
    for (; nodes[y].depth > depth; y = nodes[y].parent) after_y = nodes[y].label;
    for (; x != y; x = nodes[x].parent, y = nodes[y].parent) {
        after_x = nodes[x].label;
        after_y = nodes[y].label;
    }
    return after_x < after_y || (after_x == after_y && length_x < length_y);
}

static inline int better(const Search *s, const Candidate *a, const Candidate *b) {
    return a->total > b->total || (a->total == b->total && precedes(s, a, b));
}

/* How many candidates of the pool have at least this total. Counted, not searched: nobody can foretell where a
 * candidate belongs, and a branch that was taken wrongly costs as much as a dozen comparisons. */
static inline int32_t count_at_least(const Search *s, double total) {
    enum { STRIDE = 16 };
    int32_t from = 0, count = 0;
    while (from + STRIDE <= s->ranked && s->pool[from + STRIDE - 1].total >= total) from += STRIDE;
    int32_t end = from + STRIDE < s->ranked ? from + STRIDE : s->ranked;
    for (int32_t i = from; i < end; i++) count += s->pool[i].total >= total;
    return from + count;
}

/* Inserts a candidate into the pool if it is among the best; of equals the smaller prefix is better. */
static void insert_candidate(Search *s, Candidate candidate) {
    int32_t width = s->options->width, at = count_at_least(s, candidate.total);
    while (at && s->pool[at - 1].total == candidate.total && precedes(s, &candidate, s->pool + at - 1)) at--;
    if (at == width) return;
    if (s->ranked < width) s->ranked++;
    memmove(s->pool + at + 1, s->pool + at, (size_t)(s->ranked - 1 - at) * sizeof *s->pool);
    s->pool[at] = candidate;
    if (s->ranked == width && s->pool[width - 1].total > s->threshold) s->threshold = s->pool[width - 1].total;
}

static inline void rank(Search *s, Candidate candidate) {
    if (!(candidate.total >= s->threshold)) return;
    /* Prefixes come nearly in order. */
    if (s->ranked + 1 < s->options->width && (!s->ranked || candidate.total < s->pool[s->ranked - 1].total))
        s->pool[s->ranked++] = candidate;
    else insert_candidate(s, candidate);
}

/* Every prefix of the beam as it stands after this timestep, what the prefix above adds to it included. */
static void keep_prefixes(Search *s, const Row *row, int32_t likely_count) {
    const Beam *beam = &s->beam;
    double blank = prob_of(row, s->layout->blank), prob = 0.0;
    uint64_t least = likely_count ? s->likely[likely_count - 1].key : UINT64_MAX;
    int32_t known = NONE;
    for (int32_t slot = 0; slot < s->size; slot++) {
        int32_t label = beam->label[slot], above = beam->above[slot];
        if (label != known) prob = prob_of(row, label); /* neighbours in the beam often end alike */
        known = label;
        double last = beam->last[slot] * prob, mass;
        if (above != NONE && likely_key(key_of(row->kind, row->values[label]), label) >= least) {
            mass = (beam->label[above] == label ? beam->blank[above] : beam->total[above]) * prob;
            last += s->options->automata_count ? mass * s->node_weights[beam->node[slot]] : mass;
        }
        s->kept_blank[slot] = beam->total[slot] * blank;
        s->kept_last[slot] = last;
        s->kept_total[slot] = s->kept_blank[slot] + last;
    }
}

/* Whether the prefixes kept, without extensions, are the next beam as they stand. */
static int is_in_order(const Search *s) {
    for (int32_t slot = 1; slot < s->size; slot++)
        if (!(s->kept_total[slot] < s->kept_total[slot - 1])) return 0;
    return s->size && s->kept_total[s->size - 1] >= lowest_total(s->kept_total[0]);
}

/* Whether the prefix in `slot`, extended by `label`, is in the beam: keep_prefixes has ranked it then. */
static inline int is_live(const Search *s, int32_t slot, int32_t label) {
    int32_t child = s->live_child[slot];
    while (child != NONE && s->beam.label[child] != label) child = s->live_sibling[child];
    return child != NONE;
}

/* What the automata say to a label after a node; 0 forbids it. `next`, if given, takes their states. */
static double weigh(const Search *s, int32_t node, int32_t label, int32_t *next) {
    const SearchOptions *options = s->options;
    double weight = 1.0;
    for (int i = 0; i < options->automata_count; i++) {
        int32_t state = s->states[node * options->automata_count + i];
        state = follow(options->automata + i, state, class_of(s->layout, label), &weight);
        if (state == DEAD) return 0.0;
        if (next) next[i] = state;
    }
    return weight;
}

/* The prefixes of the beam extended by one likely label. Both loops go down, so the first miss ends them. */
static void extend_prefixes(Search *s, int32_t likely_count) {
    const Beam *beam = &s->beam;
    for (int32_t slot = 0; slot < s->size; slot++) {
        if (beam->total[slot] * s->likely[0].prob * s->most_weight < s->threshold) return;
        for (int32_t i = 0; i < likely_count; i++) {
            double prob = s->likely[i].prob;
            if (beam->total[slot] * prob * s->most_weight < s->threshold) break;
            int32_t label = column_of(s->likely + i);
            double mass = (beam->label[slot] == label ? beam->blank[slot] : beam->total[slot]) * prob;
            if (s->options->automata_count) mass *= weigh(s, beam->node[slot], label, NULL);
            if (mass >= s->threshold && !is_live(s, slot, label)) rank(s, (Candidate){mass, slot, label});
        }
    }
}

/* The node of `parent` extended by `label`, made if there is none. */
static int32_t find_child(Search *s, int32_t parent, int32_t label) {
    int32_t child = s->nodes[parent].first_child, automata = s->options->automata_count;
    while (child && s->nodes[child].label != label) child = s->nodes[child].next_sibling;
    if (child) return child;
    child = s->node_count++;
    s->nodes[child] = (Node){parent, label, s->nodes[parent].depth + 1, 0, s->nodes[parent].first_child, NONE};
    s->nodes[parent].first_child = child;
    if (automata) s->node_weights[child] = weigh(s, parent, label, s->states + child * automata);
    return child;
}

/* Who extends whom among the prefixes of the beam. */
static void link_beam(Search *s) {
    Beam *beam = &s->beam;
    for (int32_t slot = 0; slot < s->size; slot++) s->live_child[slot] = NONE;
    for (int32_t slot = 0; slot < s->size; slot++) {
        int32_t node = beam->node[slot], parent = s->nodes[node].parent, above = s->nodes[parent].slot;
        beam->above[slot] = NONE;
        if (!node || above < 0 || above >= s->size || beam->node[above] != parent) continue;
        beam->above[slot] = above;
        s->live_sibling[slot] = s->live_child[above];
        s->live_child[above] = slot;
    }
}

/* Between two characters nothing but masses changes. */
static void commit_masses(Search *s) {
    double *total = s->beam.total, *blank = s->beam.blank, *last = s->beam.last;
    s->beam.total = s->kept_total;
    s->beam.blank = s->kept_blank;
    s->beam.last = s->kept_last;
    s->kept_total = total;
    s->kept_blank = blank;
    s->kept_last = last;
}

/* The pool becomes the beam. */
static void commit_prefixes(Search *s) {
    Beam old = s->beam, *next = &s->next;
    for (int32_t slot = 0; slot < s->ranked; slot++) {
        const Candidate *candidate = s->pool + slot;
        int32_t from = candidate->slot, label = candidate->extension, kept = label == NONE;
        next->total[slot] = candidate->total;
        next->blank[slot] = kept ? s->kept_blank[from] : 0.0;
        next->last[slot] = kept ? s->kept_last[from] : candidate->total;
        next->label[slot] = kept ? old.label[from] : label;
        next->node[slot] = kept ? old.node[from] : find_child(s, old.node[from], label);
        s->nodes[next->node[slot]].slot = slot;
    }
    s->size = s->ranked;
    s->beam = *next;
    s->next = old;
    link_beam(s);
}

static void rescale(Search *s, double factor, int32_t bits) {
    s->exponent += bits;
    for (int32_t slot = 0; slot < s->size; slot++) {
        s->beam.total[slot] *= factor;
        s->beam.blank[slot] *= factor;
        s->beam.last[slot] *= factor;
    }
}

/* The next beam, of the prefixes that were kept and their extensions. */
static void choose_prefixes(Search *s, int32_t likely_count) {
    s->ranked = 0;
    s->threshold = MASS_FLOOR;
    for (int32_t slot = 0; slot < s->size; slot++) rank(s, (Candidate){s->kept_total[slot], slot, NONE});
    if (s->ranked) s->threshold = greater(s->threshold, lowest_total(s->pool[0].total));
    if (likely_count) extend_prefixes(s, likely_count);
    while (s->ranked && s->pool[s->ranked - 1].total < lowest_total(s->pool[0].total)) s->ranked--;
    commit_prefixes(s);
}

static void keep_masses_in_range(Search *s) {
    while (s->size && s->beam.total[0] < RESCALE_BELOW) rescale(s, RESCALE_UP, -RESCALE_BITS);
    while (s->size && s->beam.total[0] > RESCALE_UP) rescale(s, RESCALE_BELOW, RESCALE_BITS);
}

/* One timestep. `most` and `z` take what turns logits into probabilities: p = exp(x - most) / z. */
static void advance(Search *s, const Matrix *matrix, ptrdiff_t t, double *most, double *z) {
    const Layout *layout = s->layout;
    Row row = {load_row(layout, matrix, t, s->columns), layout->kind, 0.0};
    int32_t peak = find_peak(layout, row.values, s->maxima);
    double sum = 1.0;
    if (peak < 0) {
        s->bad = 1;
        s->size = 0;
        return;
    }
    if (row.kind == LOGITS) {
        float greatest = isinf(row.values[peak]) ? 0.0f : row.values[peak];
        row.most = *most = greatest;
        sum = *z = sum_of_row(layout, whole_row(layout, matrix, t, s->row), greatest);
    }
    int32_t likely_count = find_likely(s, &row, peak, sum);
    keep_prefixes(s, &row, likely_count);
    if (!likely_count && is_in_order(s)) commit_masses(s);
    else choose_prefixes(s, likely_count);
    keep_masses_in_range(s);
}

/* Ranks the prefixes of the beam in the pool as the line's hypotheses, by their masses and what the automata say to
 * their end. */
static void conclude(Search *s) {
    const SearchOptions *options = s->options;
    s->ranked = 0;
    s->threshold = 0.0;
    for (int32_t slot = 0; slot < s->size; slot++) {
        double total = s->beam.total[slot];
        for (int i = 0; i < options->automata_count; i++)
            total *= options->automata[i].final_weights[s->states[s->beam.node[slot] * options->automata_count + i]];
        if (total > 0.0) rank(s, (Candidate){total, slot, NONE});
    }
}

/* How many labels the prefixes of the beam have in common at their start. */
static int32_t common_depth(const Search *s) {
    int32_t common = s->size ? s->beam.node[0] : 0;
    for (int32_t slot = 1; slot < s->size; slot++)
        for (int32_t other = s->beam.node[slot]; common != other;) {
            if (s->nodes[common].depth > s->nodes[other].depth) common = s->nodes[common].parent;
            else other = s->nodes[other].parent;
        }
    return s->nodes[common].depth;
}

/* Labels of a prefix as class indices, int32 [depth]. */
static void read_labels(const Search *s, int32_t node, int32_t *labels) {
    for (int32_t i = s->nodes[node].depth - 1; i >= 0; i--, node = s->nodes[node].parent)
        labels[i] = class_of(s->layout, s->nodes[node].label);
}

#endif
