// What this machine can do at most, measured: multiply-add with every operand in registers, and reading memory.
#include "machine.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#define ROUNDS 20000  // some hundred microseconds
#define STRETCH ((int64_t)1 << 18)  // floats an item reads

typedef struct {
    const float *data;
    int64_t (*rounds)(float *sink, int64_t rounds);
    _Atomic int64_t operations;
} limit_context;

static void multiply_limit_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)machine;
    (void)item;
    (void)thread;
    limit_context *c = context;
    float sink[16] = {1, 0};
    atomic_fetch_add(&c->operations, c->rounds(sink, ROUNDS));
}

static void read_limit_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    limit_context *c = context;
    const float *data = c->data + item * STRETCH;
    // Kept, so that the reading is not dropped.
    float sum = machine->kernels->dot(data, data + STRETCH / 2, STRETCH / 2);
    atomic_fetch_add(&c->operations, sum < 0);
}

double attune_multiply_limit(attune_machine *machine, int32_t dtype) {
    const attune_kernels *k = machine->kernels;
    int pairs = dtype == ATTUNE_BF16 && k->multiply_rounds_bf16;
    attune_begin(machine);
    double best = 0;
    for (int trial = 0; trial < 8; trial++) {
        limit_context c = {.rounds = pairs ? k->multiply_rounds_bf16 : k->multiply_rounds};
        double start = seconds_now();
        attune_run(machine, multiply_limit_item, &c, 64 * machine->threads);
        double rate = (double)c.operations / (seconds_now() - start);
        if (rate > best) best = rate;
    }
    attune_end(machine);
    return best;
}

double attune_read_limit(attune_machine *machine, int64_t bytes) {
    int64_t items = bytes / 4 / STRETCH;
    if (items < 1) return 0;
    float *data = aligned_alloc(4096, (size_t)(items * STRETCH * 4));
    if (!data) return 0;
    for (int64_t i = 0; i < items * STRETCH; i++) data[i] = 1;
    attune_begin(machine);
    double best = 0;
    for (int trial = 0; trial < 6; trial++) {
        limit_context c = {.data = data};
        double start = seconds_now();
        attune_run(machine, read_limit_item, &c, items);
        double rate = (double)(items * STRETCH * 4) / (seconds_now() - start);
        if (rate > best) best = rate;
    }
    attune_end(machine);
    free(data);
    return best;
}
