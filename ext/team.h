/* Threads that help with the work of a call: started when first needed, asleep when there is nothing to do. */
#ifndef GLYPHWIRE_TEAM_H
#define GLYPHWIRE_TEAM_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

/* To wake a thread takes 50 to 100 us. One that has just worked waits some 200 us for the next call before it falls
 * asleep, as its caller looks at what it got meanwhile, and the caller as long for the last to finish: that is all they
 * ever spin. */
enum { SPINS = 6144, YIELD_AFTER = 64, MOST_HELPERS = 1023 };

/* Does what it can of the work of `context`; seat: 0 for the caller, another for every thread that helps. */
typedef void Work(void *context, int seat);

/* One call at a time has the helpers; others do their work alone. A helper that comes too late finds no open seat, and
 * nobody waits for it, so that a fork, after which there are none, harms nothing. What is spun upon changes when the
 * lock is free, as who has seen it will want the lock. */
typedef struct {
    atomic_int is_taken;
    atomic_int calls;     /* so far */
    atomic_int working;   /* helpers in their seats */
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t opened, finished;
    Work *work;
    void *context;
    int next_seat, seats; /* open are those from next_seat on */
    int helpers;          /* threads there are */
    pthread_t threads[MOST_HELPERS];
#if defined(__linux__) && defined(CPU_COUNT)
    cpu_set_t places; /* where they may run */
#endif
} Team;

#define NO_TEAM                                                                                                        \
    {.lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER, .finished = PTHREAD_COND_INITIALIZER}

static Team team = NO_TEAM;

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

/* Waits a little while for a value to become, or to be no more, `value`. Who else wants the processor comes first. */
static void spin_until(atomic_int *place, int value, int is_to_be) {
    for (int i = 0; i < SPINS && (atomic_load_explicit(place, memory_order_acquire) == value) != is_to_be; i++) {
        relax();
        if (i % YIELD_AFTER == YIELD_AFTER - 1) sched_yield();
    }
}

static void *help(void *unused) {
    pthread_mutex_lock(&team.lock);
    for (;;) {
        while (team.next_seat == team.seats) pthread_cond_wait(&team.opened, &team.lock);
        int seat = team.next_seat++;
        Work *work = team.work;
        void *context = team.context;
        team.working++;
        pthread_mutex_unlock(&team.lock);
        work(context, seat);
        int is_last = atomic_fetch_sub(&team.working, 1) == 1;
        pthread_mutex_lock(&team.lock);
        if (is_last) pthread_cond_signal(&team.finished);
        int calls = team.calls;
        if (team.next_seat < team.seats) continue;
        pthread_mutex_unlock(&team.lock);
        spin_until(&team.calls, calls, 0);
        pthread_mutex_lock(&team.lock);
    }
    return unused;
}

static void forget_team(void) { team = (Team)NO_TEAM; }

/* Lets helpers run where the caller may, but not where it does. Systems that keep processors asleep while others have
 * room put them there, where they gain nothing. With the lock. */
static void send_away(int has_newcomers) {
#if defined(__linux__) && defined(CPU_COUNT)
    cpu_set_t places;
    int here = sched_getcpu();
    if (here < 0 || sched_getaffinity(0, sizeof places, &places)) return;
    CPU_CLR(here, &places);
    if (!CPU_COUNT(&places) || (CPU_EQUAL(&places, &team.places) && !has_newcomers)) return;
    team.places = places;
    for (int i = 0; i < team.helpers; i++) pthread_setaffinity_np(team.threads[i], sizeof places, &places);
#else
    (void)has_newcomers;
#endif
}

/* Starts threads until there are as many helpers, or no more can be had. With the lock. */
static void hire(int helpers) {
    static int forgets;
    int before = team.helpers;
    if (helpers > MOST_HELPERS) helpers = MOST_HELPERS;
    if (!forgets) forgets = !pthread_atfork(NULL, NULL, forget_team);
    while (team.helpers < helpers && !pthread_create(team.threads + team.helpers, NULL, help, NULL))
        pthread_detach(team.threads[team.helpers++]);
    send_away(team.helpers > before);
}

/* Calls helpers to the seats from 1 on. */
static void open_seats(Work *work, void *context, int seats) {
    pthread_mutex_lock(&team.lock);
    hire(seats - 1);
    team.work = work;
    team.context = context;
    team.next_seat = 1;
    team.seats = seats;
    pthread_cond_broadcast(&team.opened);
    pthread_mutex_unlock(&team.lock);
    team.calls++;
}

/* Waits for those who have taken a seat. */
static void close_seats(void) {
    pthread_mutex_lock(&team.lock);
    team.seats = team.next_seat;
    pthread_mutex_unlock(&team.lock);
    spin_until(&team.working, 0, 1);
    if (!team.working) return;
    pthread_mutex_lock(&team.lock);
    while (team.working) pthread_cond_wait(&team.finished, &team.lock);
    pthread_mutex_unlock(&team.lock);
}

/* Processors that the caller may use. Those of sysconf stand in a file, and a call may be over before that is read. */
static long count_processors(void) {
#ifdef CPU_COUNT
    cpu_set_t allowed;
    if (!sched_getaffinity(0, sizeof allowed, &allowed)) return CPU_COUNT(&allowed);
#endif
    return sysconf(_SC_NPROCESSORS_ONLN);
}

/* How many seats a piece of work in so many parts has: no more than processors. */
static int seats_for(int threads, ptrdiff_t parts) {
    ptrdiff_t seats = threads < parts ? threads : parts;
    if (seats < 2) return 1;
    long processors = count_processors();
    return (int)(seats < processors ? seats : processors > 1 ? processors : 1);
}

/* Returns when `work` has returned in all seats that were taken, its own among them. */
static void work_together(Work *work, void *context, int seats) {
    int has_help = seats > 1 && !atomic_exchange(&team.is_taken, 1);
    if (has_help) open_seats(work, context, seats);
    work(context, 0);
    if (!has_help) return;
    close_seats();
    team.is_taken = 0;
}

#endif
