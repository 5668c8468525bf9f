/* The prefixes of a beam with one more label: which of them may enter the next one. */
#ifndef GLYPHWIRE_EXTENSIONS_H
#define GLYPHWIRE_EXTENSIONS_H

#include "beam.h"

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

/* Masses of all prefixes of the beam with one more label. */
WIDE_CLONES static void
extend_all(const Beam *beam, int32_t size, int32_t label, double prob, double *restrict extended) {
    const double *restrict blank = beam->masses.blank, *restrict total = beam->masses.total;
    const int32_t *restrict labels = beam->label;
    for (int32_t slot = 0; slot < whole_vectors(size); slot++) {
        double after_blank = blank[slot], all = total[slot];
        extended[slot] = (labels[slot] == label ? after_blank : all) * prob;
    }
}

#ifdef HAS_AVX512
/* Of so many slots from one on a vector's. */
static inline __mmask8 slots_from(int32_t slot, int32_t size) {
    return size - slot < LANES ? (__mmask8)((1 << (size - slot)) - 1) : 0xFF;
}

AVX512 static inline __attribute__((always_inline)) __m512i eight_ints(const int32_t *from) {
    return _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)from));
}

/* Puts those of eight candidates that are chosen in the places from `end` on. Returns where they end. */
AVX512 static inline __attribute__((always_inline)) int32_t
put_avx512(Search *s, int32_t end, __mmask8 chosen, __m512d totals, __m512i nodes, __m512i labels) {
    nodes = _mm512_maskz_compress_epi32(chosen, nodes);
    labels = _mm512_maskz_compress_epi32(chosen, labels);
    _mm512_storeu_pd(s->next.total + end, _mm512_maskz_compress_pd(chosen, totals));
    _mm256_storeu_si256((__m256i *)(s->nodes_of + end), _mm512_castsi512_si256(nodes));
    _mm256_storeu_si256((__m256i *)(s->labels_of + end), _mm512_castsi512_si256(labels));
    return end + __builtin_popcount(chosen);
}

AVX512 static void drop_extensions_avx512(Search *s, int32_t from, double least) {
    int32_t left = from, count = s->candidates;
    for (int32_t i = from; i < count; i += LANES) {
        __m512d totals = _mm512_loadu_pd(s->next.total + i);
        __mmask8 stay = _mm512_cmp_pd_mask(totals, _mm512_set1_pd(least), _CMP_GE_OQ) & slots_from(i, count);
        left = put_avx512(s, left, stay, totals, eight_ints(s->nodes_of + i), eight_ints(s->labels_of + i));
    }
    s->candidates = left;
}

/* add_extensions without a branch for any of up to 64 prefixes: which of them have this extension in the beam already
 * are the bits of a word. */
AVX512 static void add_extensions_avx512(Search *s, int32_t label, double prob) {
    const Beam *beam = &s->beam;
    const __m512i labels = _mm512_set1_epi32(label), one = _mm512_set1_epi64(1);
    __m512i there = _mm512_setzero_si512();
    int32_t size = s->size, end = s->candidates;
    for (int32_t slot = 0; slot < size; slot += LANES) {
        __mmask8 ends_so =
            (__mmask8)_mm512_cmpeq_epi32_mask(eight_ints(beam->label + slot), labels) & slots_from(slot, size);
        __m512i above = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(beam->above + slot)));
        there = _mm512_or_si512(there, _mm512_maskz_sllv_epi64(ends_so, one, above)); /* nothing for NONE */
    }
    uint64_t added = (uint64_t)_mm512_reduce_or_epi64(there);
    for (int32_t slot = 0; slot < size; slot += LANES, added >>= LANES) {
        __mmask8 repeats = (__mmask8)_mm512_cmpeq_epi32_mask(eight_ints(beam->label + slot), labels);
        __m512d before = _mm512_loadu_pd(beam->masses.total + slot);
        before = _mm512_mask_loadu_pd(before, repeats, beam->masses.blank + slot);
        __m512d totals = _mm512_mul_pd(before, _mm512_set1_pd(prob));
        __m512d most = _mm512_mul_pd(totals, _mm512_set1_pd(s->most_weight));
        __mmask8 enter = _mm512_cmp_pd_mask(most, _mm512_set1_pd(s->threshold), _CMP_GE_OQ);
        enter &= slots_from(slot, size) & ~(__mmask8)added;
        end = put_avx512(s, end, enter, totals, eight_ints(beam->node + slot), labels);
    }
    s->candidates = end;
}
#endif

/* Leaves only candidates with at least this total, of those from `from` on. */
static void drop_extensions(Search *s, int32_t from, double least) {
    int32_t left = from;
#ifdef HAS_AVX512
    if (HAS_AVX512) {
        drop_extensions_avx512(s, from, least);
        return;
    }
#endif
    for (int32_t i = from; i < s->candidates; i++) {
        double total = s->next.total[i];
        s->next.total[left] = total;
        s->nodes_of[left] = s->nodes_of[i];
        s->labels_of[left] = s->labels_of[i];
        left += total >= least;
    }
    s->candidates = left;
}

/* Adds the prefixes of the beam with this label that may enter it by what automata say at most. */
static void add_extensions(Search *s, int32_t label, double prob) {
    const int32_t *last = s->beam.label, *above = s->beam.above, *nodes = s->beam.node;
    double *restrict totals = s->next.total, *restrict extended = s->extended;
    int32_t *restrict nodes_of = s->nodes_of, *restrict labels_of = s->labels_of, end = s->candidates;
    extend_all(&s->beam, s->size, label, prob, extended);
    /* What is in the beam already has been added by keep_prefixes. */
    for (int32_t slot = 0; slot < s->size; slot++) extended[last[slot] == label ? above[slot] : NONE] = 0.0;
    for (int32_t slot = 0; slot < s->size; slot++) {
        totals[end] = extended[slot];
        nodes_of[end] = nodes[slot];
        labels_of[end] = label;
        end += extended[slot] * s->most_weight >= s->threshold;
    }
    s->candidates = end;
}

/* Adds the prefixes of the beam with this label that may enter it. */
static void extend_by(Search *s, int32_t label, double prob) {
    int32_t from = s->candidates;
#ifdef HAS_AVX512
    if (HAS_AVX512 && s->size <= WORD) add_extensions_avx512(s, label, prob);
    else
#endif
        add_extensions(s, label, prob);
    if (!s->options->automata_count) return;
    for (int32_t i = from; i < s->candidates; i++) s->next.total[i] *= weigh(s, s->nodes_of[i], label, NULL);
    drop_extensions(s, from, s->threshold);
}

#endif
