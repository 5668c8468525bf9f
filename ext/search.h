/* Prefix beam search (Hannun et al. 2014, algorithm 1), one step per timestep. docs/decoding.md says what each step
 * does; the order of floating point operations is part of it. */
#ifndef GLYPHWIRE_SEARCH_H
#define GLYPHWIRE_SEARCH_H

#include "extensions.h"
#include "sums.h"

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

/* Leaves in s->likely those of the labels found that extend prefixes at this timestep. Returns how many there are.
 * share: what row_share says. */
static int32_t choose_likely(Search *s, const Row *row, const Collection *found, double share) {
    enum { FEW = 8 };
    const SearchOptions *options = s->options;
    const Layout *layout = s->layout;
    double least = options->min_prob * share, taken = -INFINITY;
    /* To begin with the likeliest spares more extensions than it costs where there are many. */
    int in_order = options->cum_prob < 1.0 || (found->count > FEW && found->count < s->size);
    int32_t count = 0;
    if (in_order) sort_likely(s->likely, found->count);
    if (options->cum_prob < 1.0) taken = prob_of(row, layout->blank);
    for (int32_t i = 0; i < found->count && taken < options->cum_prob * share; i++) {
        double prob = prob_of(row, column_of(s->likely[i]));
        s->likely[count] = s->likely[i];
        s->likely_probs[count] = prob;
        taken += prob;
        count += prob >= least && prob > 0.0;
    }
    /* Where nothing but blank was found the likeliest is known. */
    if (count || (!found->count && key_of(row->kind, row->values[layout->blank]) >= found->lowest)) return count;
    int32_t peak = find_peak(layout, row->values, s->maxima);
    s->likely[0] = likely_key(key_of(row->kind, row->values[peak]), peak);
    s->likely_probs[0] = prob_of(row, peak);
    return peak != layout->blank && s->likely_probs[0] > 0.0;
}

/* Whether the labels of a come before those of b in lexicographic order, a prefix before what extends it. */
static int precedes(const Search *s, Extension a, Extension b) {
    const Node *nodes = s->nodes;
    int32_t x = a.node, y = b.node, after_x = a.label, after_y = b.label;
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

typedef struct {
    double greatest, least;
} Range;

/* Every prefix of the beam as it stands after this timestep, what the prefix above adds to it included. Returns the
 * range of their totals. Without branches, as nobody can foretell which labels are likely. */
static inline __attribute__((always_inline)) Range
keep_prefixes(Search *s, Row row, int32_t likely_count, int has_automata) {
    const Beam *beam = &s->beam;
    const Masses *now = &beam->masses, *next = &s->next;
    double blank = prob_of(&row, s->layout->blank), prob = 0.0;
    Range range = {0.0, INFINITY};
    int64_t least = INT64_MAX;
    int32_t known = NONE;
    for (int32_t i = 0; i < likely_count; i++) least = s->likely[i] < least ? s->likely[i] : least;
    for (int32_t slot = 0; slot < s->size; slot++) {
        int32_t label = beam->label[slot];
        int is_likely = likely_key(key_of(row.kind, row.values[label]), label) >= least;
        if (row.kind == PROBS || label != known) prob = prob_of(&row, label); /* neighbours often end alike */
        known = label;
        double gain = now->blank[is_likely ? beam->gain[slot] : NONE] * prob;
        if (has_automata && gain > 0.0) gain *= s->node_weights[beam->node[slot]];
        double last = now->last[slot] * prob + gain, ends_blank = now->total[slot] * blank, total = ends_blank + last;
        next->blank[slot] = ends_blank;
        next->last[slot] = last;
        next->total[slot] = total;
        range.greatest = greater(total, range.greatest);
        range.least = total < range.least ? total : range.least;
    }
    return range;
}

static inline Extension candidate_at(const Search *s, int32_t i) {
    return i < s->size ? (Extension){s->beam.node[i], NONE} : (Extension){s->nodes_of[i], s->labels_of[i]};
}

/* Takes their mass from the last in lexicographic order of the candidates that have this total. */
static void reject_ties(Search *s, double total, int64_t excess) {
    int32_t count = 0;
    for (int32_t i = 0; i < s->candidates; i++) {
        int32_t low = 0, high = count;
        if (s->next.total[i] != total) continue;
        while (low < high) {
            int32_t middle = (low + high) >> 1;
            if (precedes(s, candidate_at(s, s->ties[middle]), candidate_at(s, i))) low = middle + 1;
            else high = middle;
        }
        memmove(s->ties + low + 1, s->ties + low, (size_t)(count++ - low) * sizeof *s->ties);
        s->ties[low] = i;
    }
    while (excess--) s->next.total[s->ties[--count]] = 0.0;
}

/* The total that candidates must have to be in the next beam. */
static double find_cut(Search *s) {
    ordered *totals = (ordered *)s->next.total;
    int64_t greatest = greatest_of(totals, s->candidates);
    s->greatest = mass_of_bits(greatest);
    int64_t low = bits_of_mass(greater(s->threshold, lowest_total(s->greatest)));
    Bound bound = find_bound(totals, s->candidates, low, greatest, s->options->width);
    double cut = mass_of_bits(bound.least);
    if (bound.excess) reject_ties(s, cut, bound.excess);
    return cut;
}

/* Finds the extensions that may enter the beam. */
static void extend_prefixes(Search *s, int32_t likely_count) {
    double greatest = s->greatest; /* before the timestep */
    for (int32_t i = 0; i < likely_count; i++) {
        if (greatest * s->likely_probs[i] * s->most_weight < s->threshold) continue;
        extend_by(s, column_of(s->likely[i]), s->likely_probs[i]);
        if ((size_t)s->candidates + (size_t)s->size <= candidate_room(s)) continue;
        s->threshold = find_cut(s);
        drop_extensions(s, s->size, s->threshold);
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

static void swap_masses(Search *s) {
    Masses before = s->beam.masses;
    s->beam.masses = s->next;
    s->next = before;
}

/* Prefixes below the cut leave the beam, extensions that are not come in their place. */
static void change_beam(Search *s, double cut) {
    Beam *beam = &s->beam;
    Masses *masses = &beam->masses;
    Node *nodes = s->nodes;
    int32_t first = s->size, leaving = 0, replaced = 0;
    drop_extensions(s, first, cut);
    for (int32_t slot = 0; slot < s->size; slot++) {
        s->leaving[leaving] = slot;
        leaving += s->next.total[slot] < cut;
    }
    swap_masses(s);
    for (int32_t i = first; i < s->candidates; i++) {
        int32_t node = find_child(s, s->nodes_of[i], s->labels_of[i]), slot = s->size;
        if (replaced < leaving) {
            slot = s->leaving[replaced++];
            nodes[beam->node[slot]].slot = NONE;
        } else s->size++;
        masses->total[slot] = masses->last[slot] = masses->total[i];
        masses->blank[slot] = 0.0;
        beam->label[slot] = s->labels_of[i];
        beam->node[slot] = node;
        nodes[node].slot = slot;
    }
    while (leaving > replaced) {
        int32_t slot = s->leaving[--leaving], last = --s->size;
        nodes[beam->node[last]].slot = slot;
        nodes[beam->node[slot]].slot = NONE;
        masses->total[slot] = masses->total[last];
        masses->blank[slot] = masses->blank[last];
        masses->last[slot] = masses->last[last];
        beam->label[slot] = beam->label[last];
        beam->node[slot] = beam->node[last];
    }
    for (int32_t slot = 0; slot < s->size; slot++) {
        int32_t node = beam->node[slot], above = node ? nodes[nodes[node].parent].slot : NONE;
        int repeats = beam->label[above == NONE ? slot : above] == beam->label[slot];
        beam->above[slot] = above;
        beam->gain[slot] = above == NONE || repeats ? above : above + (masses->total - masses->blank);
    }
}

static void rescale(Search *s, double factor, int32_t bits) {
    const Masses *masses = &s->beam.masses;
    s->exponent += bits;
    s->greatest *= factor;
    for (int32_t slot = 0; slot < s->size; slot++) {
        masses->total[slot] *= factor;
        masses->blank[slot] *= factor;
        masses->last[slot] *= factor;
    }
}

static void keep_masses_in_range(Search *s) {
    while (s->size && s->greatest < RESCALE_BELOW) rescale(s, RESCALE_UP, -RESCALE_BITS);
    while (s->size && s->greatest > RESCALE_UP && s->greatest < INFINITY) rescale(s, RESCALE_BELOW, RESCALE_BITS);
}

/* The next beam, of the prefixes that were kept and their extensions. */
static void choose_prefixes(Search *s, Range kept, int32_t likely_count) {
    double lowest = lowest_total(kept.greatest);
    s->candidates = s->size;
    s->threshold = s->size == s->options->width ? greater(greater(kept.least, s->least_extended), lowest) : lowest;
    extend_prefixes(s, likely_count);
    if (s->candidates > s->size || kept.least < lowest) {
        change_beam(s, find_cut(s));
        return;
    }
    /* Between two characters nothing but masses changes. */
    swap_masses(s);
    s->greatest = kept.greatest;
}

/* What each prefix of the beam has at least with this label at its end. */
static double least_with(const Search *s, int32_t label, double prob) {
    const Masses *now = &s->beam.masses;
    double least = INFINITY;
    for (int32_t slot = 0; slot < s->size; slot++) {
        double mass = s->beam.label[slot] == label ? now->blank[slot] : now->total[slot];
        least = mass < least ? mass : least;
    }
    return least * prob;
}

/* What of a row of probabilities matters; `most`: its greatest key. What choose_prefixes takes for a threshold will not
 * be less: a full beam has as many prefixes as may stay, and as many again with the likeliest label at their end. */
static Interest interest_of(Search *s, const Row *row, uint32_t most) {
    const Masses *now = &s->beam.masses;
    const float *values = row->values;
    int32_t blank = s->layout->blank, count = 0, is_full = s->size == s->options->width;
    double greatest = 0.0, least = is_full ? INFINITY : 0.0;
    for (int32_t slot = 0; slot < s->size; slot++) {
        float value = values[s->beam.label[slot]];
        double total = now->total[slot] * values[blank] + now->last[slot] * value;
        greatest = greater(total, greatest);
        least = total < least ? total : least;
        s->keys[count] = bits_of(value);
        count += s->beam.gain[slot] != NONE;
    }
    s->least_extended = 0.0;
    if (is_full && !s->options->automata_count && most > bits_of(values[blank]))
        s->least_extended =
            least_with(s, peak_of_groups(values, s->layout->columns, s->maxima, most), value_of(PROBS, most));
    least = greater(greater(least, s->least_extended), lowest_total(greatest));
    double enters = least / (s->greatest * s->most_weight) * (1.0 - 1e-9);
    return (Interest){lowest_key(PROBS, 0.0, enters > MAX_PROB ? MAX_PROB : enters), count, s->keys};
}

/* Collects the labels of a row that may be likely. Returns what row_share says, or -1 for a row that is no
 * distribution. most and z [time] take what turns logits into probabilities: p = exp(x - most) / z. */
static double
look_through(Search *s, const Matrix *matrix, ptrdiff_t t, Row *row, Collection *found, double *most, double *z) {
    const Layout *layout = s->layout;
    double sum = 1.0;
    if (row->kind == PROBS && !layout->class_of) {
        uint32_t most = s->is_crowded ? greatest_of_groups(found, s->maxima) : collect_in_passing(found);
        if (!most || most > bits_of(MAX_PROB)) return -1.0;
        if (s->is_crowded) collect_likeliest(found, s->maxima, most, interest_of(s, row, most));
        return 1.0;
    }
    int32_t peak = find_peak(layout, row->values, s->maxima);
    if (peak < 0) return -1.0;
    if (row->kind == LOGITS) {
        float greatest = isinf(row->values[peak]) ? 0.0f : row->values[peak];
        row->most = most[t] = greatest;
        sum = z[t] = sum_at(layout, matrix, t, row->values, greatest, s->row);
        if (!(sum < INFINITY)) s->size = 0; /* a logit of a class that may not be read leaves nothing to the others */
    }
    double share = row_share(layout, row, sum);
    found->lowest = lowest_key(row->kind, row->most, s->options->min_prob * share);
    collect_likely(found, s->maxima);
    return share;
}

/* One timestep. */
static void advance(Search *s, const Matrix *matrix, ptrdiff_t t, double *most, double *z) {
    Row row = {load_row(s->layout, matrix, t, s->columns), s->layout->kind, 0.0};
    Collection found = {s->layout, row.values, s->likely, 0, s->top_k, s->lowest, .is_far = is_far(s->layout, matrix)};
    double share = look_through(s, matrix, t, &row, &found, most, z);
    int has_automata = s->options->automata_count > 0;
    if (share < 0.0) {
        s->bad = 1;
        s->size = 0;
        return;
    }
    int32_t likely_count = choose_likely(s, &row, &found, share);
    Range kept = row.kind == PROBS && !has_automata ? keep_prefixes(s, row, likely_count, 0)
                                                    : keep_prefixes(s, row, likely_count, has_automata);
    choose_prefixes(s, kept, likely_count);
    keep_masses_in_range(s);
}

#endif
