/* The prefixes of a search: the trie that names them, the beam of those alive, and the memory of both. */
#ifndef GLYPHWIRE_BEAM_H
#define GLYPHWIRE_BEAM_H

#include <stdlib.h>

#include "automaton.h"
#include "likely.h"

enum { NONE = -1, RESCALE_BITS = 256, MAX_AUTOMATA = 8 };

/* Powers of two: rescaling rounds nothing, however long the line. */
#define MASS_FLOOR 0x1p-900
#define SHARE_FLOOR 0x1p-40
#define RESCALE_BELOW 0x1p-256
#define RESCALE_UP 0x1p256
#define LN2 0x1.62e42fefa39efp-1

typedef struct {
    int32_t width, top_k, alternatives;
    double min_prob, cum_prob;
    int32_t automata_count;
    Automaton automata[MAX_AUTOMATA];
} SearchOptions;

/* One prefix in the trie; its labels are read from here up to the root, node 0, which is the empty prefix.
 * - A prefix has one node at most, made when it first enters the beam and never removed: equal prefixes are equal
 * indices even when a prefix leaves the beam and comes back, so merging needs no comparison of labels.
 * - parent < own index; depth = depth of parent + 1; the label of the root is blank.
 * - first_child and next_sibling chain all children; 0 ends the chain, as the root is nobody's child.
 * - slot is where the prefix stood in the last beam that held it: live if that slot still names it. */
typedef struct {
    int32_t parent, label, depth, first_child, next_sibling, slot;
} Node;

/* The prefixes alive, best first; masses carry the common factor 2 ** -exponent. */
typedef struct {
    double *total; /* [width] alignments up to here: all, */
    double *blank; /* those that end in blank, */
    double *last;  /* those that end in the last label */
    int32_t *node;
    int32_t *label; /* its last, blank for the root */
    int32_t *above; /* slot of the prefix without its last label, or NONE */
} Beam;

/* What may stand in the next beam: a slot's prefix as it is (extension NONE) or with one more label. */
typedef struct {
    double total;
    int32_t slot, extension;
} Candidate;

typedef struct {
    const Layout *layout;
    const SearchOptions *options;
    double most_weight;
    uint32_t lowest; /* key of min_prob among probabilities */
    void *fixed;     /* the memory of all arrays whose length is known beforehand */
    Node *nodes;
    int32_t *states;      /* [node][automaton] */
    double *node_weights; /* [node] what the automata said to its last label */
    size_t node_capacity;
    int32_t node_count;
    Beam beam, next;
    int32_t size;
    double *kept_total, *kept_blank, *kept_last; /* [width] the prefixes of the beam after the timestep */
    Candidate *pool;                             /* [width] best first */
    int32_t ranked;
    double threshold;                   /* totals below cannot enter the pool */
    int32_t *live_child, *live_sibling; /* [width] chains of slots that extend a slot's prefix by one label */
    LikelyLabel *likely;                /* [likely_room] */
    uint32_t *maxima;                   /* [maxima_room] */
    float *row, *columns;               /* [classes], [columns] scratch */
    int32_t exponent;
    int bad; /* a row was no distribution */
    int in_place;
} Search;

static void *take(char **memory, size_t count, size_t size) {
    char *place = *memory;
    if (place) *memory += (count * size + 15) & ~(size_t)15;
    return place;
}

/* The labels that are collected at a timestep: to extend prefixes, or as alternatives to one that stands there. */
static int32_t likely_room(const Search *s) {
    int32_t most = s->options->top_k > s->options->alternatives ? s->options->top_k : s->options->alternatives + 1;
    return most < s->layout->columns ? most : (int32_t)s->layout->columns;
}

/* Hands out the arrays of known length; with memory NULL only counts. Returns the bytes needed. */
static size_t place_arrays(Search *s, char *memory) {
    size_t width = (size_t)s->options->width, needed = 0;
    char *at = memory;
#define PLACE(array, count)                                                                                            \
    do {                                                                                                               \
        (array) = take(&at, (count), sizeof *(array));                                                                 \
        needed += ((count) * sizeof *(array) + 15) & ~(size_t)15;                                                      \
    } while (0)
    for (int i = 0; i < 2; i++) {
        Beam *beam = i ? &s->next : &s->beam;
        PLACE(beam->total, width);
        PLACE(beam->blank, width);
        PLACE(beam->last, width);
        PLACE(beam->node, width);
        PLACE(beam->label, width);
        PLACE(beam->above, width);
    }
    PLACE(s->kept_total, width);
    PLACE(s->kept_blank, width);
    PLACE(s->kept_last, width);
    PLACE(s->pool, width);
    PLACE(s->live_child, width);
    PLACE(s->live_sibling, width);
    PLACE(s->likely, (size_t)likely_room(s));
    PLACE(s->maxima, (size_t)maxima_room(s->layout->columns));
    PLACE(s->row, (size_t)(s->in_place ? 0 : s->layout->classes));
    PLACE(s->columns, (size_t)(s->in_place ? 0 : s->layout->columns));
#undef PLACE
    return needed;
}

/* in_place: all rows will be contiguous float32. Returns 0 when out of memory. release() afterwards in any case. */
static int allocate(Search *s, const Layout *layout, const SearchOptions *options, int in_place) {
    memset(s, 0, sizeof *s);
    s->in_place = in_place && !layout->class_of;
    s->layout = layout;
    s->options = options;
    s->most_weight = 1.0;
    for (int i = 0; i < options->automata_count; i++) s->most_weight *= options->automata[i].most_weight;
    if (options->automata_count) s->most_weight *= 1.0 + 1e-9; /* products round */
    s->lowest = lowest_key(PROBS, 0.0, options->min_prob);
    s->fixed = malloc(place_arrays(s, NULL));
    if (!s->fixed) return 0;
    place_arrays(s, s->fixed);
    memset(s->maxima, 0, (size_t)maxima_room(layout->columns) * sizeof *s->maxima);
    return 1;
}

static void release(Search *s) {
    free(s->fixed);
    free(s->nodes);
    free(s->states);
    free(s->node_weights);
}

/* Room for what one more timestep adds, `width` nodes at most. Grows by doubling: few lines come near the bound of
 * timesteps * width. Returns 0 when there is none. */
static int reserve(Search *s) {
    size_t needed = (size_t)s->node_count + (size_t)s->options->width + 1,
           automata = (size_t)s->options->automata_count;
    if (needed <= s->node_capacity) return 1;
    if (needed > INT32_MAX) return 0;
    size_t room = needed * (s->node_capacity ? 2 : 16);
    if (room > INT32_MAX) room = needed;
    Node *nodes = realloc(s->nodes, room * sizeof *nodes);
    if (!nodes) return 0;
    s->nodes = nodes;
    if (automata) {
        int32_t *states = realloc(s->states, room * automata * sizeof *states);
        if (states) s->states = states;
        double *weights = realloc(s->node_weights, room * sizeof *weights);
        if (weights) s->node_weights = weights;
        if (!states || !weights) return 0;
    }
    s->node_capacity = room;
    return 1;
}

/* The empty prefix, before any row. */
static void begin(Search *s) {
    s->nodes[0] = (Node){0, s->layout->blank, 0, 0, 0, 0};
    for (int i = 0; i < s->options->automata_count; i++) s->states[i] = 0;
    s->node_count = 1;
    s->beam.total[0] = s->beam.blank[0] = 1.0;
    s->beam.last[0] = 0.0;
    s->beam.node[0] = 0;
    s->beam.label[0] = s->layout->blank;
    s->beam.above[0] = s->live_child[0] = NONE;
    s->size = 1;
    s->exponent = 0;
    s->bad = 0;
}

#endif
