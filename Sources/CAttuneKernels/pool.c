// Worker threads that wait by spinning for a moment and then by sleeping, and scratch memory that lives as long as they
// do.
#define _GNU_SOURCE
#include "machine.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// How many polls a worker makes before it sleeps: some tens of microseconds, longer than the gap between operations.
#define SPIN_POLLS 4000

typedef struct {
    void *data;
    int64_t bytes;
} scratch;

typedef struct {
    attune_machine *machine;
    int32_t index;
    pthread_t thread;
    scratch slots[ATTUNE_SCRATCH_SLOTS];
} worker;

struct attune_machine_state {
    pthread_mutex_t operation;  // one operation at a time
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    _Atomic uint32_t generation;
    _Atomic int32_t sleeping;
    _Atomic int32_t running;  // workers that have not finished the current job
    _Atomic int32_t stop;
    _Atomic int64_t next;
    // Read by every tile, so not beside what changes with every item.
    _Alignas(64) _Atomic int64_t next_expected;
    int64_t expected;  // runs of memory of all bases, those of a base in the scratch of that name
    const char *expected_bases[ATTUNE_EXPECTED_BASES];
    int64_t expected_base_count;
    _Alignas(64) int64_t items;
    attune_job job;
    void *context;
    worker *workers;
};

static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void take_items(attune_machine *machine, int32_t index) {
    struct attune_machine_state *state = machine->state;
    for (;;) {
        int64_t item = atomic_fetch_add_explicit(&state->next, 1, memory_order_relaxed);
        if (item >= state->items) return;
        state->job(machine, state->context, item, index);
    }
}

static void *work(void *argument) {
    worker *self = argument;
    attune_machine *machine = self->machine;
    struct attune_machine_state *state = machine->state;
    uint32_t seen = 0;
    for (;;) {
        uint32_t now;
        int polls = 0;
        while ((now = atomic_load_explicit(&state->generation, memory_order_acquire)) == seen) {
            if (++polls < SPIN_POLLS) {
                pause_briefly();
                continue;
            }
            pthread_mutex_lock(&state->mutex);
            atomic_fetch_add(&state->sleeping, 1);
            while (atomic_load(&state->generation) == seen) pthread_cond_wait(&state->wake, &state->mutex);
            atomic_fetch_sub(&state->sleeping, 1);
            pthread_mutex_unlock(&state->mutex);
        }
        seen = now;
        if (atomic_load(&state->stop)) return NULL;
        take_items(machine, self->index);
        atomic_fetch_sub_explicit(&state->running, 1, memory_order_release);
    }
}

void attune_run(attune_machine *machine, attune_job job, void *context, int64_t items) {
    struct attune_machine_state *state = machine->state;
    if (items <= 0) return;
    if (items == 1 || machine->threads == 1) {
        for (int64_t item = 0; item < items; item++) job(machine, context, item, 0);
        return;
    }
    state->job = job;
    state->context = context;
    state->items = items;
    atomic_store_explicit(&state->next, 0, memory_order_relaxed);
    atomic_store_explicit(&state->running, machine->threads - 1, memory_order_relaxed);
    // Sequentially consistent, against the worker's order "count myself asleep, then look at the generation".
    atomic_fetch_add(&state->generation, 1);
    if (atomic_load(&state->sleeping) > 0) {
        pthread_mutex_lock(&state->mutex);
        pthread_cond_broadcast(&state->wake);
        pthread_mutex_unlock(&state->mutex);
    }
    take_items(machine, 0);
    int polls = 0;
    while (atomic_load_explicit(&state->running, memory_order_acquire) > 0) {
        // Yield when waiting takes long: another process may hold the core the last worker needs.
        if (++polls < SPIN_POLLS) pause_briefly();
        else sched_yield();
    }
}

// Scratch of megabytes is read again and again from end to end: on huge pages where the system grants them, as on
// ordinary ones the address translations alone take a quarter of a multiply's time.
#define HUGE_PAGE ((int64_t)2 << 20)

void *attune_scratch(attune_machine *machine, int32_t thread, int32_t slot, int64_t bytes) {
    scratch *place = &machine->state->workers[thread].slots[slot];
    if (place->bytes < bytes) {
        free(place->data);
        int64_t page = bytes < HUGE_PAGE / 32 ? 4096 : HUGE_PAGE;
        int64_t size = (bytes + bytes / 4 + page - 1) & ~(page - 1);
        place->data = aligned_alloc((size_t)page, (size_t)size);
        // Scratch is some megabytes at most; a machine without them cannot go on.
        if (!place->data) abort();
#if defined(__linux__)
        if (page == HUGE_PAGE) madvise(place->data, (size_t)size, MADV_HUGEPAGE);
#endif
        place->bytes = size;
    }
    return place->data;
}

int64_t attune_take_expected(attune_machine *machine, attune_wanted *list, int64_t count, int64_t bytes) {
    struct attune_machine_state *state = machine->state;
    const attune_byte_run *runs = state->workers[0].slots[ATTUNE_SCRATCH_EXPECTED].data;
    // All at once: the threads take turns at the counter.
    int64_t most = attune_min(ATTUNE_WANTED - 1 - count, bytes / ATTUNE_EXPECTED_RUN);
    if (most <= 0 || atomic_load_explicit(&state->next_expected, memory_order_relaxed) >= state->expected) return count;
    int64_t place = atomic_fetch_add_explicit(&state->next_expected, most, memory_order_relaxed);
    for (int64_t end = attune_min(place + most, state->expected); place < end; place++) {
        const attune_byte_run *run = runs + place / state->expected_base_count;
        const char *base = state->expected_bases[place % state->expected_base_count];
        list[count++] = (attune_wanted){base + run->offset, run->bytes};
    }
    return count;
}

void attune_expect(
    attune_machine *machine, const void *const *bases, int64_t base_count, const attune_byte_run *runs, int64_t count) {
    attune_begin(machine);
    struct attune_machine_state *state = machine->state;
    attune_byte_run *own =
        attune_scratch(machine, 0, ATTUNE_SCRATCH_EXPECTED, attune_max(1, count) * (int64_t)sizeof *own);
    memcpy(own, runs, (size_t)count * sizeof *own);
    for (int64_t i = 0; i < base_count; i++) state->expected_bases[i] = bases[i];
    state->expected_base_count = base_count;
    state->expected = count * base_count;
    atomic_store_explicit(&state->next_expected, 0, memory_order_relaxed);
    attune_end(machine);
}

void attune_begin(attune_machine *machine) { pthread_mutex_lock(&machine->state->operation); }
void attune_end(attune_machine *machine) { pthread_mutex_unlock(&machine->state->operation); }

int32_t attune_online_cores(void) {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        int count = CPU_COUNT(&set);
        if (count > 0) return count;
    }
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int32_t)count : 1;
}

attune_machine *attune_machine_create(int32_t threads, int32_t isa) {
    const attune_kernels *kernels = attune_kernels_table(isa);
    if (!kernels || threads < 1) return NULL;
    attune_machine *machine = calloc(1, sizeof *machine);
    struct attune_machine_state *state = aligned_alloc(64, sizeof *state);
    if (state) memset(state, 0, sizeof *state);
    worker *workers = calloc((size_t)threads, sizeof *workers);
    if (!machine || !state || !workers) {
        free(machine);
        free(state);
        free(workers);
        return NULL;
    }
    machine->kernels = kernels;
    machine->isa = isa;
    machine->threads = threads;
    machine->state = state;
    state->workers = workers;
    pthread_mutex_init(&state->operation, NULL);
    pthread_mutex_init(&state->mutex, NULL);
    pthread_cond_init(&state->wake, NULL);
    for (int32_t i = 0; i < threads; i++) {
        workers[i].machine = machine;
        workers[i].index = i;
        if (i > 0 && pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            machine->threads = i;
            attune_machine_destroy(machine);
            return NULL;
        }
    }
    return machine;
}

void attune_machine_destroy(attune_machine *machine) {
    if (!machine) return;
    struct attune_machine_state *state = machine->state;
    atomic_store(&state->stop, 1);
    pthread_mutex_lock(&state->mutex);
    atomic_fetch_add(&state->generation, 1);
    pthread_cond_broadcast(&state->wake);
    pthread_mutex_unlock(&state->mutex);
    for (int32_t i = 1; i < machine->threads; i++) pthread_join(state->workers[i].thread, NULL);
    for (int32_t i = 0; i < machine->threads; i++)
        for (int32_t slot = 0; slot < ATTUNE_SCRATCH_SLOTS; slot++) free(state->workers[i].slots[slot].data);
    pthread_mutex_destroy(&state->operation);
    pthread_mutex_destroy(&state->mutex);
    pthread_cond_destroy(&state->wake);
    free(state->workers);
    free(state);
    free(machine);
}

int32_t attune_machine_threads(const attune_machine *machine) { return machine->threads; }
int32_t attune_machine_isa(const attune_machine *machine) { return machine->isa; }
