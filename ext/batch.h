/* Many lines in one call, shared among threads: each decodes lines of its own, so results depend on no thread. */
#ifndef GLYPHWIRE_BATCH_H
#define GLYPHWIRE_BATCH_H

#include "decoding.h"
#include "team.h"

/* What a call wants. */
typedef struct {
    const Layout *layout;
    const SearchOptions *options; /* NULL: best path */
    Wanted wanted;                /* of a search */
    int confidences;              /* of best path */
    const Matrix *matrices;       /* [count] */
    ptrdiff_t count;              /* lines */
    int in_place;                 /* all rows are contiguous float32 */
    size_t alternatives;
    double *most, *z; /* [timesteps of all lines] what turns logits into probabilities, as a search has found it; NULL
                         where there are no logits */
} Call;

/* What a thread has found. */
typedef struct {
    Store store;
    int32_t *counts; /* [lines of the call] hypotheses of those that it has decoded */
} Share;

/* Neighbouring lines are taken at once, fewer and fewer, at last one by one: so all end at about the same time. Threads
 * write to memory of their own, as cores would have to wait for what others write close by. */
typedef struct {
    const Call *call;
    int seat_count;
    Share *shares;     /* [seats] */
    int32_t *seats;    /* [lines] who had it */
    atomic_int failed; /* out of memory */
    _Alignas(64) atomic_ptrdiff_t taken;
} Sharing;

/* What a thread decodes lines with. */
typedef struct {
    Path path;
    Search search;
} Desk;

static int set_up(Desk *desk, const Call *call) {
    memset(desk, 0, sizeof *desk);
    if (!call->options) return allocate_path(&desk->path, call->layout, call->confidences);
    return allocate(&desk->search, call->layout, call->options, call->in_place);
}

static void clear_away(Desk *desk) {
    free(desk->path.row);
    release(&desk->search);
}

static int decode_line(Desk *desk, const Call *call, const Matrix *matrix, Store *store) {
    if (!call->options) return decode_best_path(&desk->path, matrix, store);
    ptrdiff_t before = call->most ? matrix->before : 0;
    return decode_beam(&desk->search, matrix, call->most + before, call->z + before, call->wanted, store);
}

/* Takes lines from the one returned to before `end`; none when all are taken. */
static ptrdiff_t take_lines(Sharing *sharing, ptrdiff_t *end) {
    enum { PARTS = 4 }; /* of what is left, for each thread */
    ptrdiff_t count = sharing->call->count, parts = sharing->seat_count > 1 ? PARTS * sharing->seat_count : 1;
    ptrdiff_t from = atomic_load_explicit(&sharing->taken, memory_order_relaxed);
    do *end = from + (count - from + parts - 1) / parts;
    while (!atomic_compare_exchange_weak_explicit(
        &sharing->taken, &from, *end, memory_order_relaxed, memory_order_relaxed
    ));
    return from;
}

static void decode_some(void *context, int seat) {
    Sharing *sharing = context;
    const Call *call = sharing->call;
    int32_t *counts = sharing->shares[seat].counts;
    Store store = {.alternatives = call->alternatives};
    Desk desk;
    int ok = set_up(&desk, call);
    for (ptrdiff_t end, i; ok && (i = take_lines(sharing, &end)) < end;) {
        for (; ok && i < end; i++) {
            size_t before = store.hypotheses;
            ok = decode_line(&desk, call, call->matrices + i, &store);
            counts[i] = (int32_t)(store.hypotheses - before);
            if (sharing->seats) sharing->seats[i] = seat;
        }
    }
    clear_away(&desk);
    sharing->shares[seat].store = store;
    if (!ok) sharing->failed = 1;
}

/* Adds hypotheses `from` to `end` of another store, for which there is room. */
static void append(Store *store, const Store *other, size_t from, size_t end) {
    size_t start = (size_t)other->offsets[from], length = (size_t)other->offsets[end] - start, to = store->characters,
           k = store->alternatives;
#define APPEND(array, width)                                                                                           \
    do {                                                                                                               \
        size_t size = (width) * sizeof *store->array;                                                                  \
        if (length && size)                                                                                            \
            memcpy((char *)store->array + to * size, (char *)other->array + start * size, length * size);              \
    } while (0)
    APPEND(labels, 1);
    APPEND(timesteps, 1);
    APPEND(starts, 1);
    APPEND(ends, 1);
    APPEND(confidences, 1);
    APPEND(posteriors, (k > 0));
    APPEND(alternative_labels, k);
    APPEND(alternative_posteriors, k);
#undef APPEND
    for (size_t i = from; i < end; i++) {
        size_t labels = (size_t)(other->offsets[i + 1] - other->offsets[i]);
        end_hypothesis(store, labels, other->log_probs[i], other->scores[i]);
    }
}

/* Puts together in the order of the lines what the shares hold. Returns 0 when out of memory. */
static int join(const Sharing *sharing, int32_t *counts, Store *store) {
    ptrdiff_t count = sharing->call->count;
    size_t *taken = calloc((size_t)sharing->seat_count, sizeof *taken), hypotheses = 0, characters = 0;
    for (int seat = 0; seat < sharing->seat_count; seat++) {
        hypotheses += sharing->shares[seat].store.hypotheses;
        characters += sharing->shares[seat].store.characters;
    }
    if (!taken || !make_room(store, hypotheses, characters)) {
        free(taken);
        return 0;
    }
    for (ptrdiff_t i = 0; i < count;) {
        int32_t seat = sharing->seats[i];
        size_t from = taken[seat];
        for (; i < count && sharing->seats[i] == seat; i++) {
            counts[i] = sharing->shares[seat].counts[i];
            taken[seat] += (size_t)counts[i];
        }
        /* Where no line has any, a store has no memory either. */
        if (from < taken[seat]) append(store, &sharing->shares[seat].store, from, taken[seat]);
    }
    free(taken);
    return 1;
}

/* Decodes on up to `threads` threads. counts: of each line's hypotheses, [count]. Returns 0 when out of memory;
 * discard() the store in any case. */
static int decode_lines(const Call *call, int threads, int32_t *counts, Store *store) {
    Sharing sharing = {.call = call, .seat_count = seats_for(threads, call->count)};
    int seats = sharing.seat_count, ok;
    if (seats == 1) {
        Share all = {.counts = counts};
        sharing.shares = &all;
        decode_some(&sharing, 0);
        *store = all.store;
        return !sharing.failed;
    }
    sharing.shares = calloc((size_t)seats, sizeof *sharing.shares);
    sharing.seats = malloc((size_t)call->count * sizeof *sharing.seats);
    ok = sharing.shares && sharing.seats;
    for (int seat = 0; ok && seat < seats; seat++)
        ok = (sharing.shares[seat].counts = malloc((size_t)call->count * sizeof *counts)) != NULL;
    if (ok) work_together(decode_some, &sharing, seats);
    ok = ok && !sharing.failed && join(&sharing, counts, store);
    for (int seat = 0; sharing.shares && seat < seats; seat++) {
        discard(&sharing.shares[seat].store);
        free(sharing.shares[seat].counts);
    }
    free(sharing.shares);
    free(sharing.seats);
    return ok;
}

#endif
