// The largest value of a product's rows without most of the product: what greedy decoding asks of the head.
//
// A weight row w is s·c + e with codes c of eight bits, a row of the input x = t·q + r with q of sixteen. Then
//   |x·w − s·t·(q·c)| <= |x|·|e| + |r|·(|w| + |e|)        (Cauchy–Schwarz)
// and the exact kernel's sum is off by at most (in + 64)·2⁻²³·|x|·|w|. A panel of 64 columns whose upper bounds all lie below
// the largest lower bound cannot hold the maximum. What is left, a few panels, is multiplied as always, so the largest
// value, its place and its bits are those of the whole product, for half the memory read.
#include "linear.h"

#include <math.h>

// Panels of one item.
#define SCREEN_PANELS 4

typedef struct {
    const attune_weight *weight;
    int8_t *codes;
    float *scales, *errors, *norms;
    int32_t *finite;  // [panels]
} making_context;

static void make_panel(attune_machine *machine, void *context, int64_t panel, int32_t thread) {
    (void)thread;
    const attune_kernels *k = machine->kernels;
    const making_context *c = context;
    const attune_weight *w = c->weight;
    int64_t pairs = (w->in + 1) / 2, count = attune_min(64, w->out - panel * 64);
    _Alignas(64) float buffer[64 * 64];
    float largest[64] = {0};
    double error[64] = {0}, norm[64] = {0};
    for (int64_t k0 = 0; k0 < w->in; k0 += 64) {
        const float *block = attune_weight_block(k, w, panel, k0, ATTUNE_F32, buffer);
        for (int64_t i = 0; i < attune_min(64, w->in - k0); i++)
            for (int64_t n = 0; n < count; n++) {
                double value = block[i * 64 + n];
                largest[n] = fmaxf(largest[n], fabsf(block[i * 64 + n]));
                norm[n] += value * value;
            }
    }
    int8_t *codes = c->codes + panel * pairs * 128;
    memset(codes, 0, (size_t)pairs * 128);
    float scale[64] = {0};
    for (int64_t n = 0; n < count; n++) scale[n] = largest[n] > 0 ? largest[n] / 127 : 1;
    for (int64_t k0 = 0; k0 < w->in; k0 += 64) {
        const float *block = attune_weight_block(k, w, panel, k0, ATTUNE_F32, buffer);
        for (int64_t i = 0; i < attune_min(64, w->in - k0); i++)
            for (int64_t n = 0; n < count; n++) {
                float value = block[i * 64 + n], code = fmaxf(-127, fminf(127, rintf(value / scale[n])));
                double left = (double)value - (double)scale[n] * code;
                error[n] += left * left;
                if (code == code) codes[((k0 + i) / 2) * 128 + n * 2 + (k0 + i) % 2] = (int8_t)code;
            }
    }
    int32_t finite = 1;
    for (int64_t n = 0; n < 64; n++) {
        // A little more than the roots, which are rounded.
        c->scales[panel * 64 + n] = scale[n];
        c->errors[panel * 64 + n] = (float)(sqrt(error[n]) * 1.000001);
        c->norms[panel * 64 + n] = (float)(sqrt(norm[n]) * 1.000001);
        finite &= isfinite(c->norms[panel * 64 + n]) && isfinite(c->errors[panel * 64 + n]);
    }
    c->finite[panel] = finite;
}

int32_t attune_make_screen(
    attune_machine *machine, int8_t *codes, float *scales, float *errors, float *norms, const attune_weight *weight) {
    attune_begin(machine);
    int64_t panels = (weight->out + 63) / 64;
    int32_t *finite = attune_scratch(machine, 0, ATTUNE_SCRATCH_SHARED, panels * 4);
    making_context context = {weight, codes, scales, errors, norms, finite};
    attune_run(machine, make_panel, &context, panels);
    int32_t all = 1;
    for (int64_t panel = 0; panel < panels; panel++) all &= finite[panel];
    attune_end(machine);
    return all;
}

typedef struct {
    const attune_screen *screen;
    const attune_matrix *out;
    int64_t pairs, panels;
    const int16_t *rows[ATTUNE_SCREEN_ROWS];
    // step: of the row's integers; by_error, by_norm: what a column's |e| and |w| count in its bound
    float step[ATTUNE_SCREEN_ROWS], by_error[ATTUNE_SCREEN_ROWS], by_norm[ATTUNE_SCREEN_ROWS];
    float *lower, *upper;  // [panels][rows]: the largest bounds of a panel
} screen_context;

static void screen_item(attune_machine *machine, void *context, int64_t item, int32_t thread) {
    (void)thread;
    const screen_context *c = context;
    int32_t rows = (int32_t)c->out->rows;
    _Alignas(64) float sums[ATTUNE_SCREEN_ROWS * ATTUNE_PANEL];
    for (int64_t panel = item * SCREEN_PANELS; panel < attune_min(c->panels, (item + 1) * SCREEN_PANELS); panel++) {
        machine->kernels->screen_panel(sums, c->screen->codes + panel * c->pairs * 128, c->rows, c->pairs, rows);
        int64_t column = panel * 64, count = attune_min(64, c->out->columns - column);
        const float *scales = c->screen->scales + column, *errors = c->screen->errors + column;
        const float *norms = c->screen->norms + column;
        for (int32_t m = 0; m < rows; m++) {
            float *out = attune_at(c->out, m, column);
            float lower[64], upper[64];
            for (int64_t n = 0; n < count; n++) {
                float value = sums[m * ATTUNE_PANEL + n] * scales[n] * c->step[m];
                float radius = errors[n] * c->by_error[m] + norms[n] * c->by_norm[m];
                lower[n] = value - radius;
                upper[n] = value + radius;
                out[n] = -INFINITY;
            }
            c->lower[panel * rows + m] = machine->kernels->max(lower, count);
            c->upper[panel * rows + m] = machine->kernels->max(upper, count);
        }
    }
}

// A row as integers of sixteen bits; 0 where it is not finite.
static int32_t screen_row(
    const attune_kernels *k, screen_context *c, int32_t m, int16_t *to, float *buffer, const attune_matrix *inp) {
    k->widen(buffer, attune_at(inp, m, 0), inp->dtype, inp->columns);
    float largest = 0;
    double norm = 0, rest = 0;
    for (int64_t i = 0; i < inp->columns; i++) {
        if (!isfinite(buffer[i])) return 0;
        largest = fmaxf(largest, fabsf(buffer[i]));
        norm += (double)buffer[i] * buffer[i];
    }
    float step = largest > 0 ? largest / 32767 : 1;
    if (!(step > 0x1p-120f) || !isfinite((float)norm)) return 0;
    to[2 * c->pairs - 1] = 0;
    for (int64_t i = 0; i < inp->columns; i++) {
        float integer = fmaxf(-32767, fminf(32767, rintf(buffer[i] / step)));
        double left = (double)buffer[i] - (double)step * integer;
        to[i] = (int16_t)integer;
        rest += left * left;
    }
    double rounding = (double)(inp->columns + 64) * 0x1p-23;
    c->rows[m] = to;
    c->step[m] = step;
    c->by_error[m] = (float)((sqrt(norm) + sqrt(rest)) * 1.000001);
    c->by_norm[m] = (float)((sqrt(norm) * rounding + sqrt(rest)) * 1.000001);
    return 1;
}

void attune_linear_maximum(
    attune_machine *machine, const attune_matrix *out, const attune_matrix *inp, const attune_weight *weight,
    const attune_screen *screen) {
    attune_linear_arguments arguments = {.out = out, .inp = inp, .weight = weight, .scale = 1};
    int32_t rows = (int32_t)inp->rows;
    screen_context c = {.screen = screen, .out = out, .pairs = (weight->in + 1) / 2, .panels = (weight->out + 63) / 64};
    int32_t isFinite = 1;
    if (rows <= ATTUNE_SCREEN_ROWS) {
        attune_begin(machine);
        int64_t integers = (rows * c.pairs * 4 + 63) & ~(int64_t)63;
        char *scratch = attune_scratch(machine, 0, ATTUNE_SCRATCH_STATE, integers + c.panels * (rows * 8 + 4));
        float *buffer = attune_scratch(machine, 0, ATTUNE_SCRATCH_ROW, weight->in * 4);
        for (int32_t m = 0; m < rows; m++)
            isFinite &= screen_row(machine->kernels, &c, m, (int16_t *)scratch + m * 2 * c.pairs, buffer, inp);
        if (isFinite) {
            c.lower = (float *)(scratch + integers);
            c.upper = c.lower + c.panels * rows;
            int32_t *left = (int32_t *)(c.upper + c.panels * rows);
            attune_run(machine, screen_item, &c, (c.panels + SCREEN_PANELS - 1) / SCREEN_PANELS);
            float best[ATTUNE_SCREEN_ROWS];
            for (int32_t m = 0; m < rows; m++) best[m] = c.lower[m];
            for (int64_t i = 0; i < c.panels * rows; i++) best[i % rows] = fmaxf(best[i % rows], c.lower[i]);
            int64_t count = 0;
            for (int64_t panel = 0; panel < c.panels; panel++) {
                int32_t may = 0;
                for (int32_t m = 0; m < rows; m++) may |= c.upper[panel * rows + m] >= best[m];
                if (may) left[count++] = (int32_t)panel;
            }
            attune_linear_panels(machine, &arguments, left, count);
        }
        attune_end(machine);
    }
    if (rows > ATTUNE_SCREEN_ROWS || !isFinite) attune_linear(machine, &arguments);
}
