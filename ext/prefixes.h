/* What the prefixes that a search has left say: which is the best, its labels, what they have in common. */
#ifndef GLYPHWIRE_PREFIXES_H
#define GLYPHWIRE_PREFIXES_H

#include "search.h"

/* The slot of the greatest of some masses of the beam, of equals that of the lexicographically smaller prefix, or NONE
 * when all are 0. */
static int32_t best_slot(const Search *s, const double *masses) {
    int32_t best = NONE;
    double most = 0.0;
    for (int32_t slot = 0; slot < s->size; slot++) {
        if (masses[slot] == 0.0 || masses[slot] < most) continue;
        if (masses[slot] == most &&
            precedes(s, (Extension){s->beam.node[best], NONE}, (Extension){s->beam.node[slot], NONE}))
            continue;
        best = slot;
        most = masses[slot];
    }
    return best;
}

/* Leaves in s->next.total by what the prefixes of the beam are ranked as the line's hypotheses: their masses and what
 * the automata say to their end. */
static void conclude(Search *s) {
    const SearchOptions *options = s->options;
    for (int32_t slot = 0; slot < s->size; slot++) {
        double total = s->beam.masses.total[slot];
        for (int i = 0; i < options->automata_count; i++)
            total *= options->automata[i].final_weights[s->states[s->beam.node[slot] * options->automata_count + i]];
        s->next.total[slot] = total;
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
