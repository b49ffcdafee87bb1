// Quantization as bitsandbytes does it on the CPU, code for code (NF4: Dettmers et al. 2023; dynamic map: Dettmers
// 2016).
#include "machine.h"

#include <math.h>
#include <stdlib.h>

static const float nf4[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,
    -0.18477343022823334f, -0.09105003625154495f, 0.0f, 0.07958029955625534f, 0.16093020141124725f,
    0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f};
static const float fp4[16] = {
    0.0f, 0.0625f / 12, 8.0f / 12, 1.0f, 4.0f / 12, 0.5f, 2.0f / 12, 0.25f,
    -0.0f, -0.0625f / 12, -8.0f / 12, -1.0f, -4.0f / 12, -0.5f, -2.0f / 12, -0.25f};
// Codes of FP4 by rising value.
static const uint8_t fp4_order[16] = {11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3};

void attune_4bit_codebook(float *out, int32_t is_fp4) { memcpy(out, is_fp4 ? fp4 : nf4, sizeof nf4); }

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

// For every power of ten a run of mid-points of equal bins of [0.1, 1], the larger the decade the more of them.
void attune_dynamic_map(float *out, int32_t is_signed) {
    int count = 0;
    for (int i = 0; i < 7; i++) {
        int bins = is_signed ? 1 << i : 1 << (i + 1);
        // As torch.linspace: from the start in the first half, from the end in the second, rounded once.
        float step = (1.0f - 0.1f) / (float)bins, edges[129];
        for (int j = 0; j <= bins; j++)
            edges[j] = j < (bins + 1) / 2 ? fmaf(step, (float)j, 0.1f) : fmaf(-step, (float)(bins - j), 1.0f);
        double power = pow(10, i - 6);
        for (int j = 0; j < bins; j++) {
            float mean = (edges[j] + edges[j + 1]) / 2.0f;
            float value = (float)power * mean;
            out[count++] = value;
            if (is_signed) out[count++] = -value;
        }
    }
    out[count++] = 0;
    out[count++] = 1;
    qsort(out, (size_t)count, sizeof(float), by_value);
}

// MARK: Four bits

typedef struct {
    uint8_t *codes;
    float *absmax;
    const attune_matrix *source;
    int64_t block, count;
    float bounds[15];
    const uint8_t *order;
} quantize_context;

// Elements start ..< start + n of the flattened matrix as float32.
static void read_flat(const attune_kernels *k, const attune_matrix *x, int64_t start, int64_t n, float *out) {
    while (n > 0) {
        int64_t row = start / x->columns, column = start % x->columns, run = attune_min(n, x->columns - column);
        k->widen(out, attune_at(x, row, column), x->dtype, run);
        out += run;
        start += run;
        n -= run;
    }
}

static void quantize_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const quantize_context *c = context;
    int64_t start = item * c->block, n = attune_min(c->block, c->count - start);
    float *x = attune_scratch(machine, thread, ATTUNE_SCRATCH_ROW, c->block * 4);
    read_flat(k, c->source, start, n, x);
    float absmax = 0;
    for (int64_t i = 0; i < n; i++) absmax = fabsf(x[i]) > absmax ? fabsf(x[i]) : absmax;
    // A whole block is multiplied by the reciprocal, a short last one divided, as in the original.
    float floor = fmaxf(absmax, 1e-38f), inverse = 1.0f / floor;
    c->absmax[item] = n < c->block ? floor : absmax;
    for (int64_t i = 0; i < n; i++) {
        float scaled = n < c->block ? x[i] / floor : x[i] * inverse;
        int code = 0;
        for (int j = 0; j < 15; j++) code += scaled > c->bounds[j];
        code = c->order ? c->order[code] : code;
        uint8_t *byte = c->codes + (start + i) / 2;
        *byte = i & 1 ? (uint8_t)(*byte | code) : (uint8_t)(code << 4);
    }
    if (n & 1) {
        // The partner of an odd last element is the code of zero.
        int code = 0;
        for (int j = 0; j < 15; j++) code += 0.0f > c->bounds[j];
        c->codes[(start + n) / 2] |= (uint8_t)(c->order ? c->order[code] : code);
    }
}

void attune_quantize_4bit(
    attune_machine *machine, uint8_t *codes, float *absmax, const attune_matrix *source, int64_t block,
    int32_t is_fp4) {
    attune_begin(machine);
    quantize_context c = {
        .codes = codes, .absmax = absmax, .source = source, .block = block, .count = source->rows * source->columns,
        .order = is_fp4 ? fp4_order : NULL};
    for (int i = 0; i < 15; i++)
        c.bounds[i] = is_fp4 ? (fp4[fp4_order[i]] + fp4[fp4_order[i + 1]]) / 2 : (nf4[i] + nf4[i + 1]) / 2;
    attune_run(machine, quantize_item, &c, (c.count + block - 1) / block);
    attune_end(machine);
}

// MARK: Eight bits

// The search of bitsandbytes' CUDA kernel: a descent to a code beside the value, then the nearer of it and its
// neighbour on the value's side; a tie keeps the code found. NaN (a block of zeros) ends at code 0. The CPU library
// looks a rounded value up in a table instead, which near zero may be a few codes off; this is the more exact of the
// two.
uint8_t attune_nearest_code(const float *map, float x) {
    int pivot = 127, upper = 255, lower = 0;
    for (int i = 64; i > 0; i >>= 1) {
        if (x > map[pivot]) {
            lower = pivot;
            pivot += i;
        } else {
            upper = pivot;
            pivot -= i;
        }
    }
    if (x > map[pivot]) return (uint8_t)(x > (map[upper] + map[pivot]) * 0.5f ? upper : pivot);
    return (uint8_t)(x < (map[lower] + map[pivot]) * 0.5f ? lower : pivot);
}

void attune_quantize_8bit(
    uint8_t *codes, float *absmax, const float *source, int64_t count, int64_t block, const float *map) {
    for (int64_t start = 0; start < count; start += block) {
        int64_t n = attune_min(block, count - start);
        float largest = 0;
        for (int64_t i = 0; i < n; i++) largest = fmaxf(largest, fabsf(source[start + i]));
        absmax[start / block] = largest;
        float inverse = 1.0f / largest;
        for (int64_t i = 0; i < n; i++) codes[start + i] = attune_nearest_code(map, source[start + i] * inverse);
    }
}

typedef struct {
    int8_t *codes;
    float *absmax;
    const attune_matrix *source;
} int8_context;

static void int8_item(attune_machine *machine, void *context, int64_t row, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const int8_context *c = context;
    int64_t n = c->source->columns;
    float *x = attune_scratch(machine, thread, ATTUNE_SCRATCH_ROW, n * 4), largest = 0;
    read_flat(k, c->source, row * n, n, x);
    for (int64_t i = 0; i < n; i++) largest = fmaxf(largest, fabsf(x[i]));
    c->absmax[row] = largest;
    float factor = largest > 0 ? 127.0f / largest : 0;
    for (int64_t i = 0; i < n; i++) c->codes[row * n + i] = (int8_t)nearbyintf(x[i] * factor);
}

void attune_quantize_int8(attune_machine *machine, int8_t *codes, float *absmax, const attune_matrix *source) {
    attune_begin(machine);
    int8_context c = {codes, absmax, source};
    attune_run(machine, int8_item, &c, source->rows);
    attune_end(machine);
}
