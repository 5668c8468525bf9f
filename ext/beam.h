/* The prefixes of a search: the trie that names them, the beam of those alive, and the memory of both. */
#ifndef GLYPHWIRE_BEAM_H
#define GLYPHWIRE_BEAM_H

#include <stdlib.h>

#include "automaton.h"
#include "crowded.h"

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
 * - slot is where the prefix stands in the beam, NONE while it is not alive. */
typedef struct {
    int32_t parent, label, depth, first_child, next_sibling, slot;
} Node;

/* Masses of prefixes, with the common factor 2 ** -exponent. The totals stand behind the blanks in one array, [-1] of
 * which is 0, so that one index says which of them to take. */
typedef struct {
    double *blank; /* [-1 to width] alignments up to here: those that end in blank, */
    double *total; /* [candidate_room] all, */
    double *last;  /* [width] those that end in the last label */
} Masses;

/* The prefixes alive, [width] each. Their order means nothing: a prefix keeps its slot for as long as it stays, so that
 * a timestep touches no more than what it changes. */
typedef struct {
    Masses masses;
    int32_t *node;
    int32_t *label; /* its last, blank for the root */
    int32_t *above; /* slot of the prefix without its last label, or NONE */
    ptrdiff_t
        *gain; /* from where in masses.blank the last label comes, on top of what ends in it already: NONE for 0 */
} Beam;

/* A node's prefix with one more label; with label NONE, as it is. */
typedef struct {
    int32_t node, label;
} Extension;

typedef struct {
    const Layout *layout;
    const SearchOptions *options;
    double most_weight;
    int32_t top_k;   /* labels to extend prefixes by, at most */
    uint32_t lowest; /* key of min_prob among probabilities */
    void *fixed;     /* the memory of all arrays whose length is known beforehand */
    Node *nodes;
    int32_t *states;      /* [node][automaton] */
    double *node_weights; /* [node] what the automata said to its last label */
    size_t node_capacity;
    int32_t node_count;
    Beam beam;
    int32_t size;
    /* What may be in the next beam: the prefixes of this one, in their slots, and behind them extensions. */
    Masses next;
    int32_t *nodes_of, *labels_of; /* [candidate_room] what is extended by which label */
    int32_t candidates;
    double threshold;      /* extensions with less cannot enter */
    double least_extended; /* what least_with says of the likeliest label; 0: not asked */
    double greatest;       /* total of the beam */
    double *extended;      /* [-1 to width] each prefix with one more label; the first is nobody's */
    int32_t *leaving;      /* [width] slots of prefixes that leave the beam */
    int32_t *ties;         /* [candidate_room] scratch */
    int64_t *likely;       /* [likely_room] keys of the labels that are likely */
    double *likely_probs;  /* [likely_room] */
    uint32_t *keys;        /* [width] of last labels */
    uint32_t *maxima;      /* [group_count] of blocks, or of groups of columns */
    float *row, *columns;  /* [classes], [columns] scratch */
    void *lattice;         /* [lattice_room] scratch, in bytes */
    size_t lattice_room;
    int32_t exponent;
    int bad; /* a row was no distribution */
    int in_place;
    int is_crowded; /* rows have many labels that no threshold excludes */
} Search;

/* Where this is too little for the extensions by one more label, those that cannot enter any more are dropped. */
static inline size_t candidate_room(const Search *s) { return 4 * (size_t)s->options->width; }

static void *take(char **memory, size_t count, size_t size) {
    char *place = *memory;
    if (place) *memory += (count * size + 15) & ~(size_t)15;
    return place;
}

/* The labels that are collected at a timestep: to extend prefixes, or as alternatives to one that stands there. */
static int32_t likely_room(const Search *s) {
    int32_t top = s->top_k > s->options->alternatives ? s->top_k : s->options->alternatives + 1;
    return collection_room(s->layout->columns, top);
}

/* Hands out the arrays of known length; with memory NULL only counts. Returns the bytes needed. */
static size_t place_arrays(Search *s, char *memory) {
    size_t width = (size_t)s->options->width + LANES, room = candidate_room(s) + LANES, needed = 0;
    char *at = memory;
#define PLACE(array, count)                                                                                            \
    do {                                                                                                               \
        (array) = take(&at, (count), sizeof *(array));                                                                 \
        needed += ((count) * sizeof *(array) + 15) & ~(size_t)15;                                                      \
    } while (0)
    for (int i = 0; i < 2; i++) {
        Masses *masses = i ? &s->next : &s->beam.masses;
        PLACE(masses->blank, 1 + width + room);
        PLACE(masses->last, width);
    }
    PLACE(s->beam.node, width);
    PLACE(s->beam.label, width);
    PLACE(s->beam.above, width);
    PLACE(s->beam.gain, width);
    PLACE(s->nodes_of, room);
    PLACE(s->labels_of, room);
    PLACE(s->extended, 1 + width);
    PLACE(s->leaving, width);
    PLACE(s->ties, room);
    PLACE(s->likely, (size_t)likely_room(s) + 7);
    PLACE(s->likely_probs, (size_t)likely_room(s));
    PLACE(s->keys, width);
    PLACE(s->maxima, (size_t)group_count(s->layout->columns));
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
    s->top_k = options->top_k < layout->columns ? options->top_k : (int32_t)layout->columns;
    s->lowest = lowest_key(PROBS, 0.0, options->min_prob);
    s->is_crowded = options->min_prob < 0x1p-10 && 4 * (ptrdiff_t)s->top_k < group_count(layout->columns);
    s->fixed = malloc(place_arrays(s, NULL));
    if (!s->fixed) return 0;
    place_arrays(s, s->fixed);
    s->extended++;
    for (int i = 0; i < 2; i++) {
        Masses *masses = i ? &s->next : &s->beam.masses;
        *masses->blank++ = 0.0;
        masses->total = masses->blank + options->width;
    }
    return 1;
}

static void release(Search *s) {
    free(s->fixed);
    free(s->lattice);
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
    s->beam.masses.total[0] = s->beam.masses.blank[0] = 1.0;
    s->beam.masses.last[0] = 0.0;
    s->beam.node[0] = 0;
    s->beam.label[0] = s->layout->blank;
    s->beam.above[0] = s->beam.gain[0] = NONE;
    s->size = 1;
    s->greatest = 1.0;
    s->exponent = 0;
    s->bad = 0;
}

#endif
