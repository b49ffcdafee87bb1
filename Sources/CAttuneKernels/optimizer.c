// Steps of the optimizers on float32 parameters.
#include "machine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define ITEM 8192  // elements of an item, a multiple of the blocks of the eight-bit moments

// MARK: Sums

typedef struct {
    const attune_matrix *x;
    double *partial;
} squares_context;

// Items are rows cut into runs of ITEM; a run is summed in float64, then runs in their order.
static void squares_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const squares_context *c = context;
    int64_t runs = (c->x->columns + ITEM - 1) / ITEM, row = item / runs, start = item % runs * ITEM;
    int64_t end = attune_min(start + ITEM, c->x->columns);
    double sums[8] = {0};
    float buffer[ATTUNE_CHUNK];
    for (int64_t i = start; i < end; i += ATTUNE_CHUNK) {
        int64_t n = attune_min(ATTUNE_CHUNK, end - i);
        const float *x = attune_read(k, c->x, row, i, n, buffer);
        for (int64_t j = 0; j < n; j++) sums[j & 7] += (double)x[j] * x[j];
    }
    c->partial[item] = ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

double attune_sum_of_squares(attune_machine *machine, const attune_matrix *x) {
    attune_begin(machine);
    int64_t items = x->rows * ((x->columns + ITEM - 1) / ITEM);
    squares_context c = {x, attune_scratch(machine, 0, ATTUNE_SCRATCH_SHARED, attune_max(1, items) * 8)};
    attune_run(machine, squares_item, &c, items);
    double sum = 0;
    for (int64_t i = 0; i < items; i++) sum += c.partial[i];
    attune_end(machine);
    return sum;
}

// MARK: AdamW

typedef struct {
    float *parameter;
    const float *gradient;
    float *first, *second;
    int64_t count;
    attune_adamw_constants constants;
    // eight bits
    uint8_t *first_codes, *second_codes;
    float *first_absmax, *second_absmax;
    float signed_map[256], unsigned_map[256];
    float learning_rate, weight_decay;
    // SGD
    float momentum;
} step_context;

// The number a person wrote: 1 − 0.999f is 1.3e-5 off 0.001, which the moments would show, so rates go back to
// decimals.
static double decimal(float x) {
    char text[32];
    snprintf(text, sizeof text, "%.7g", (double)x);
    return strtod(text, NULL);
}

static attune_adamw_constants constants_of(const attune_adamw_step *s) {
    double rate = decimal(s->learning_rate), beta1 = decimal(s->beta1), beta2 = decimal(s->beta2);
    double bias1 = 1 - pow(beta1, (double)s->step), bias2 = 1 - pow(beta2, (double)s->step);
    return (attune_adamw_constants){
        .decay = (float)(1 - rate * decimal(s->weight_decay)),
        .beta1 = s->beta1,
        .beta2 = s->beta2,
        .one_minus_beta1 = (float)(1 - beta1),
        .one_minus_beta2 = (float)(1 - beta2),
        .epsilon = s->epsilon,
        .step_size = (float)(rate / bias1),
        .root2 = (float)sqrt(bias2),
        .gradient_scale = s->gradient_scale,
    };
}

static void adamw_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const step_context *c = context;
    int64_t i = item * ITEM, n = attune_min(ITEM, c->count - i);
    machine->kernels->adamw(c->parameter + i, c->gradient + i, c->first + i, c->second + i, &c->constants, n);
}

void attune_adamw(
    attune_machine *machine, float *parameter, const float *gradient, float *first, float *second, int64_t count,
    const attune_adamw_step *step) {
    attune_begin(machine);
    step_context c = {
        .parameter = parameter, .gradient = gradient, .first = first, .second = second, .count = count,
        .constants = constants_of(step)};
    attune_run(machine, adamw_item, &c, (count + ITEM - 1) / ITEM);
    attune_end(machine);
}

// One block of 256 as bitsandbytes' block-wise kernel does it (Dettmers et al. 2022): moments are restored, updated,
// used for the parameter and stored again over their new largest magnitude; a first moment never changes sign by
// rounding.
static void adamw8_block(const step_context *c, int64_t start, int64_t n) {
    float m[256], v[256], max1 = 0, max2 = 0;
    const attune_adamw_constants *s = &c->constants;
    float scale1 = c->first_absmax[start / 256], scale2 = c->second_absmax[start / 256];
    for (int64_t j = 0; j < n; j++) {
        int64_t i = start + j;
        float g = c->gradient[i] * s->gradient_scale;
        m[j] = c->signed_map[c->first_codes[i]] * scale1 * s->beta1 + s->one_minus_beta1 * g;
        v[j] = c->unsigned_map[c->second_codes[i]] * scale2 * s->beta2 + s->one_minus_beta2 * g * g;
        max1 = fmaxf(max1, fabsf(m[j]));
        max2 = fmaxf(max2, fabsf(v[j]));
    }
    c->first_absmax[start / 256] = max1;
    c->second_absmax[start / 256] = max2;
    for (int64_t j = 0; j < n; j++) {
        int64_t i = start + j;
        c->parameter[i] = c->parameter[i] * s->decay - s->step_size * (m[j] / (sqrtf(v[j]) / s->root2 + s->epsilon));
        uint8_t code = attune_nearest_code(c->signed_map, m[j] / max1);
        // NaN of an all-zero block gave code 0 and must stay.
        if (max1 > 0 && signbit(c->signed_map[code]) != signbit(m[j]))
            code = (uint8_t)(m[j] > 0 ? code + 1 : code - (code > 0));
        c->first_codes[i] = code;
        c->second_codes[i] = attune_nearest_code(c->unsigned_map, v[j] / max2);
    }
}

static void adamw8_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)machine;
    (void)thread;
    const step_context *c = context;
    int64_t end = attune_min((item + 1) * ITEM, c->count);
    for (int64_t i = item * ITEM; i < end; i += 256) adamw8_block(c, i, attune_min(256, end - i));
}

void attune_adamw_8bit(
    attune_machine *machine, float *parameter, const float *gradient, uint8_t *first, uint8_t *second,
    float *first_absmax, float *second_absmax, int64_t count, const attune_adamw_step *step) {
    attune_begin(machine);
    step_context c = {
        .parameter = parameter, .gradient = gradient, .count = count, .constants = constants_of(step),
        .first_codes = first, .second_codes = second, .first_absmax = first_absmax, .second_absmax = second_absmax};
    attune_dynamic_map(c.signed_map, 1);
    attune_dynamic_map(c.unsigned_map, 0);
    attune_run(machine, adamw8_item, &c, (count + ITEM - 1) / ITEM);
    attune_end(machine);
}

// MARK: SGD

static void sgd_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)machine;
    (void)thread;
    const step_context *c = context;
    int64_t end = attune_min((item + 1) * ITEM, c->count);
    float decay = 1 - c->learning_rate * c->weight_decay, scale = c->constants.gradient_scale;
    for (int64_t i = item * ITEM; i < end; i++) {
        float velocity = c->gradient[i] * scale;
        if (c->first) {
            velocity += c->momentum * c->first[i];
            c->first[i] = velocity;
        }
        c->parameter[i] = c->parameter[i] * decay - c->learning_rate * velocity;
    }
}

void attune_sgd(
    attune_machine *machine, float *parameter, const float *gradient, float *velocity, int64_t count,
    float learning_rate, float momentum, float weight_decay, float gradient_scale) {
    attune_begin(machine);
    step_context c = {
        .parameter = parameter, .gradient = gradient, .first = velocity, .count = count, .momentum = momentum,
        .learning_rate = learning_rate, .weight_decay = weight_decay};
    c.constants.gradient_scale = gradient_scale;
    attune_run(machine, sgd_item, &c, (count + ITEM - 1) / ITEM);
    attune_end(machine);
}
