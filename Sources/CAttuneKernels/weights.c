// Packing weights into panels, and giving the tiles a panel of whatever a weight holds.
//
// One packed form serves y = x·Wᵀ, where a panel is 64 outputs over k = in, and dx = dy·W, where the panel wanted is 64
// inputs over k = out: it is gathered from 64×64 blocks of the same packed form, each turned in registers.
#include "machine.h"

#include <stdlib.h>

int64_t attune_weight_data_bytes(int32_t kind, int32_t dtype, int64_t out, int64_t in) {
    int64_t panels = (out + 63) / 64, pairs = (in + 1) / 2;
    switch (kind) {
    case ATTUNE_WEIGHT_DENSE: return dtype == ATTUNE_F32 ? panels * 64 * in * 4 : panels * 64 * pairs * 4;
    case ATTUNE_WEIGHT_4BIT: return panels * 64 * pairs;
    case ATTUNE_WEIGHT_INT8: return panels * 64 * pairs * 2;
    default: return (out * in + 1) / 2;
    }
}

int64_t attune_weight_scale_count(int32_t kind, int64_t out, int64_t in, int64_t block) {
    switch (kind) {
    case ATTUNE_WEIGHT_4BIT: return (out + 63) / 64 * 64 * (in / block);
    case ATTUNE_WEIGHT_INT8: return (out + 63) / 64 * 64;
    case ATTUNE_WEIGHT_4BIT_LOOSE: return (out * in + block - 1) / block;
    default: return 0;
    }
}

// MARK: Packing

typedef struct {
    void *data;
    const attune_matrix *source;
    int32_t dtype;
} pack_context;

static void pack_panel(attune_machine *machine, void *context, int64_t panel, int32_t thread) {
    const attune_kernels *k = machine->kernels;
    const pack_context *c = context;
    const attune_matrix *source = c->source;
    int64_t in = source->columns, pairs = (in + 1) / 2;
    int64_t count = attune_min(64, source->rows - panel * 64);
    // Sixty-four rows in the panel's type, each padded to whole pairs.
    int64_t width = c->dtype == ATTUNE_F32 ? in * 4 : pairs * 4;
    char *rows = attune_scratch(machine, thread, ATTUNE_SCRATCH_PANEL, 64 * width);
    const uint32_t *pointers[64];
    for (int64_t n = 0; n < count; n++) {
        void *row = rows + n * width;
        if (c->dtype != ATTUNE_F32 && (in & 1)) memset((char *)row + width - 4, 0, 4);
        if (source->dtype == c->dtype) {
            memcpy(row, attune_at(source, panel * 64 + n, 0), (size_t)(in * attune_width(c->dtype)));
        } else {
            for (int64_t i = 0; i < in; i += ATTUNE_CHUNK) {
                float buffer[ATTUNE_CHUNK];
                int64_t m = attune_min(ATTUNE_CHUNK, in - i);
                const float *values = attune_read(k, source, panel * 64 + n, i, m, buffer);
                k->narrow((char *)row + i * attune_width(c->dtype), c->dtype, values, m);
            }
        }
        pointers[n] = row;
    }
    int64_t lines = width / 4;
    uint32_t *out = (uint32_t *)c->data + panel * lines * 64;
    if (count < 64) memset(out, 0, (size_t)(lines * 256));
    k->pack_rows32(out, pointers, count, lines);
}

void attune_pack_dense(attune_machine *machine, void *data, int32_t dtype, const attune_matrix *source) {
    attune_begin(machine);
    pack_context context = {data, source, dtype};
    attune_run(machine, pack_panel, &context, (source->rows + 63) / 64);
    attune_end(machine);
}

typedef struct {
    void *data;
    float *scales;
    const void *codes;
    const float *absmax;
    int64_t out, in, block;
} pack_quantized_context;

static void pack_panel_4bit(attune_machine *machine, void *context, int64_t panel, int32_t thread) {
    (void)machine;
    (void)thread;
    const pack_quantized_context *c = context;
    int64_t pairs = (c->in + 1) / 2, blocks = c->in / c->block, count = attune_min(64, c->out - panel * 64);
    uint8_t *data = (uint8_t *)c->data + panel * pairs * 64;
    float *scales = c->scales + panel * blocks * 64;
    const uint8_t *codes = c->codes;
    for (int64_t n = 0; n < 64; n++) {
        int64_t row = panel * 64 + n;
        for (int64_t k = 0; k < c->in; k += 16) {
            // The file has the earlier of two codes in the high nibble; rows hold whole blocks, so one starts at a byte.
            uint32_t words[2] = {0, 0};
            for (int64_t i = 0; i < 8 && n < count; i++) {
                uint8_t both = codes[(row * c->in + k) / 2 + i];
                words[0] |= (uint32_t)(both >> 4) << (4 * i);
                words[1] |= (uint32_t)(both & 15) << (4 * i);
            }
            memcpy(data + k * 32 + n * 8, words, 8);
        }
        for (int64_t b = 0; b < blocks; b++) scales[b * 64 + n] = n < count ? c->absmax[row * blocks + b] : 0;
    }
}

void attune_pack_4bit(
    attune_machine *machine, uint8_t *data, float *scales, const uint8_t *codes, const float *absmax, int64_t out,
    int64_t in, int64_t block) {
    attune_begin(machine);
    pack_quantized_context context = {data, scales, codes, absmax, out, in, block};
    attune_run(machine, pack_panel_4bit, &context, (out + 63) / 64);
    attune_end(machine);
}

static void pack_panel_int8(attune_machine *machine, void *context, int64_t panel, int32_t thread) {
    (void)machine;
    (void)thread;
    const pack_quantized_context *c = context;
    int64_t pairs = (c->in + 1) / 2, count = attune_min(64, c->out - panel * 64);
    int8_t *data = (int8_t *)c->data + panel * pairs * 128;
    const int8_t *codes = c->codes;
    for (int64_t n = 0; n < 64; n++) {
        int64_t row = panel * 64 + n;
        for (int64_t i = 0; i < 2 * pairs; i++)
            data[(i / 2) * 128 + n * 2 + i % 2] = n < count && i < c->in ? codes[row * c->in + i] : 0;
        c->scales[row] = n < count ? c->absmax[row] : 0;
    }
}

void attune_pack_int8(
    attune_machine *machine, int8_t *data, float *scales, const int8_t *codes, const float *absmax, int64_t out,
    int64_t in) {
    attune_begin(machine);
    pack_quantized_context context = {data, scales, codes, absmax, out, in, 0};
    attune_run(machine, pack_panel_int8, &context, (out + 63) / 64);
    attune_end(machine);
}

// MARK: Blocks and panels

// 127⁻¹ as bitsandbytes multiplies it in.
#define INT8_STEP 7.874015718698502e-3f

// Stores f32 lines [2·pairs][64] as pairs of a 16-bit type.
static void pair_lines(const attune_kernels *k, uint16_t *out, const float *lines, int32_t dtype, int64_t pairs) {
    for (int64_t p = 0; p < pairs; p++) {
        uint16_t even[64], odd[64];
        k->narrow(even, dtype, lines + 2 * p * 64, 64);
        k->narrow(odd, dtype, lines + (2 * p + 1) * 64, 64);
        for (int64_t n = 0; n < 64; n++) {
            out[p * 128 + 2 * n] = even[n];
            out[p * 128 + 2 * n + 1] = odd[n];
        }
    }
}

// A quantized value of a panel in float32.
static float value_at(const attune_weight *w, int64_t panel, int64_t n, int64_t k) {
    int64_t row = panel * 64 + n;
    if (w->kind == ATTUNE_WEIGHT_INT8) {
        const int8_t *codes = w->data;
        float code = codes[(panel * ((w->in + 1) / 2) + k / 2) * 128 + n * 2 + k % 2];
        return code * w->scales[row] * INT8_STEP;
    }
    if (row >= w->out || k >= w->in) return 0;
    int64_t flat = row * w->in + k;
    uint8_t both = ((const uint8_t *)w->data)[flat / 2];
    return w->codebook[flat & 1 ? both & 15 : both >> 4] * w->scales[flat / w->block];
}

// Values k0 ..< k0 + 2·pairs (padded with zeros) of a panel, rounded to the weight's compute type: as its k-pairs, or
// as float32 lines.
static void panel_run(
    const attune_kernels *k, void *out, const attune_weight *w, int64_t panel, int64_t k0, int64_t pairs,
    int32_t lines) {
    int64_t all_pairs = (w->in + 1) / 2;
    int64_t pair_bytes = lines || w->dtype == ATTUNE_F32 ? 512 : 256;
    if (w->kind == ATTUNE_WEIGHT_DENSE) {
        // Only to widen: in its own layout a dense panel is used where it lies.
        k->widen_pairs(out, (const uint16_t *)w->data + (panel * all_pairs + k0 / 2) * 128, w->dtype, pairs);
        return;
    }
    if (w->kind == ATTUNE_WEIGHT_4BIT) {
        const uint8_t *codes = (const uint8_t *)w->data + (panel * all_pairs + k0 / 2) * 64;
        const float *scales = w->scales + panel * (w->in / w->block) * 64;
        for (int64_t done = 0; done < pairs;) {
            int64_t at = k0 + 2 * done, block = at / w->block;
            int64_t run = attune_min(pairs - done, ((block + 1) * w->block - at) / 2);
            k->expand_4bit(
                (char *)out + done * pair_bytes, w->dtype, lines, codes + done * 64, scales + block * 64, w->codebook,
                run);
            done += run;
        }
        return;
    }
    for (int64_t done = 0; done < pairs; done += 32) {
        int64_t run = attune_min(32, pairs - done);
        float buffer[64 * 64];
        uint16_t rounded[64];
        float *values = pair_bytes == 512 ? (float *)((char *)out + done * 512) : buffer;
        for (int64_t i = 0; i < 2 * run; i++) {
            for (int64_t n = 0; n < 64; n++) values[i * 64 + n] = value_at(w, panel, n, k0 + 2 * done + i);
            if (lines && w->dtype != ATTUNE_F32) {
                k->narrow(rounded, w->dtype, values + i * 64, 64);
                k->widen(values + i * 64, rounded, w->dtype, 64);
            }
        }
        if (pair_bytes == 256) pair_lines(k, (uint16_t *)out + done * 128, buffer, w->dtype, run);
    }
}

// Where dense data of a run starts.
static const void *dense_at(const attune_weight *w, int64_t panel, int64_t k0) {
    if (w->dtype == ATTUNE_F32) return (const float *)w->data + (panel * w->in + k0) * 64;
    return (const uint16_t *)w->data + (panel * ((w->in + 1) / 2) + k0 / 2) * 128;
}

const void *attune_weight_block(
    const attune_kernels *k, const attune_weight *w, int64_t panel, int64_t k0, int32_t dtype, void *buffer) {
    int64_t left = w->in - k0, pairs = attune_min(32, (left + 1) / 2);
    int32_t lines = dtype == ATTUNE_F32;
    int is_short = left < 64, is_own = w->kind == ATTUNE_WEIGHT_DENSE && w->dtype == dtype;
    if (is_own && !is_short) return dense_at(w, panel, k0);
    if (is_short) memset(buffer, 0, lines ? 64 * 64 * 4 : 64 * 64 * 2);
    if (is_own) memcpy(buffer, dense_at(w, panel, k0), (size_t)(lines ? left * 256 : pairs * 256));
    else panel_run(k, buffer, w, panel, k0, pairs, lines);
    return buffer;
}

const void *attune_weight_lines(
    const attune_kernels *k, const attune_weight *w, int64_t panel, int64_t k0, int64_t kn, int32_t transposed,
    int32_t dtype, void *scratch) {
    if (!transposed) {
        if (w->kind == ATTUNE_WEIGHT_DENSE && w->dtype == dtype) return dense_at(w, panel, k0);
        panel_run(k, scratch, w, panel, k0, (kn + 1) / 2, dtype == ATTUNE_F32);
        return scratch;
    }
    _Alignas(64) float buffer[64 * 64];
    for (int64_t b = 0; b * 64 < kn; b++) {
        const void *block = attune_weight_block(k, w, k0 / 64 + b, panel * 64, dtype, buffer);
        if (dtype == ATTUNE_F32) k->transpose_block32((float *)scratch + b * 64 * 64, block);
        else k->transpose_block16((uint16_t *)scratch + b * 64 * 64, block);
    }
    return scratch;
}

// MARK: Unpacking

typedef struct {
    const attune_matrix *out;
    const attune_weight *weight;
} unpack_context;

static void unpack_panel(attune_machine *machine, void *context, int64_t panel, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const unpack_context *c = context;
    attune_weight weight = *c->weight;
    // Quantized values go through float32, so they are rounded once.
    if (weight.kind != ATTUNE_WEIGHT_DENSE) weight.dtype = ATTUNE_F32;
    _Alignas(64) float buffer[64 * 64];
    float turned[64 * 64];
    int64_t count = attune_min(64, weight.out - panel * 64);
    for (int64_t k0 = 0; k0 < weight.in; k0 += 64) {
        int64_t columns = attune_min(64, weight.in - k0);
        const float *block = attune_weight_block(k, &weight, panel, k0, ATTUNE_F32, buffer);
        k->transpose_block32(turned, block);
        for (int64_t n = 0; n < count; n++)
            k->narrow(attune_at(c->out, panel * 64 + n, k0), c->out->dtype, turned + n * 64, columns);
    }
}

void attune_unpack(attune_machine *machine, const attune_matrix *out, const attune_weight *weight) {
    attune_begin(machine);
    unpack_context context = {out, weight};
    attune_run(machine, unpack_panel, &context, (weight->out + 63) / 64);
    attune_end(machine);
}
