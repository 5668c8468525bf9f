/* ext/automaton.py's Automaton in C: what reading a label costs, and where it leads. */
#ifndef GLYPHWIRE_AUTOMATON_H
#define GLYPHWIRE_AUTOMATON_H

#include <stddef.h>
#include <stdint.h>

enum { DEAD = -1 };

typedef struct {
    const int32_t *symbols, *begins, *arc_symbols, *arc_states, *backoff_states;
    const double *arc_weights, *backoff_weights, *final_weights;
    int32_t symbol_count;
    double most_weight; /* no label weighs more in any state */
} Automaton;

/* The arc of a state with a symbol, -1 for none. */
static inline int32_t find_arc(const Automaton *automaton, int32_t state, int32_t symbol) {
    int32_t low = automaton->begins[state], high = automaton->begins[state + 1];
    if (high - low == automaton->symbol_count) return low + symbol;
    while (low < high) {
        int32_t middle = (low + high) >> 1;
        if (automaton->arc_symbols[middle] < symbol) low = middle + 1;
        else high = middle;
    }
    return low < automaton->begins[state + 1] && automaton->arc_symbols[low] == symbol ? low : -1;
}

/* Reads a class index in `state`: multiplies `weight` and returns the next state, or DEAD. */
static int32_t follow(const Automaton *automaton, int32_t state, int32_t class, double *weight) {
    int32_t symbol = automaton->symbols[class];
    if (symbol < 0) return DEAD;
    while (state >= 0) {
        int32_t arc = find_arc(automaton, state, symbol);
        if (arc >= 0) {
            *weight *= automaton->arc_weights[arc];
            return automaton->arc_states[arc];
        }
        *weight *= automaton->backoff_weights[state];
        state = automaton->backoff_states[state];
    }
    return DEAD;
}

#endif
