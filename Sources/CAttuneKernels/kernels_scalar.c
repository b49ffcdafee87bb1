// The twins: every kernel as the plain loop it stands for. Tests hold the fast tables against this one.
#include "machine.h"

#include <math.h>

float attune_from_f16(uint16_t x) {
    uint32_t sign = (uint32_t)(x & 0x8000) << 16, exponent = (x >> 10) & 31, mantissa = x & 0x3FF;
    if (exponent == 31) return attune_float(sign | 0x7F800000 | (mantissa << 13));
    if (exponent == 0) {
        float value = (float)mantissa * 0x1p-24f;
        return sign ? -value : value;
    }
    return attune_float(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t attune_to_f16(float value) {
    uint32_t bits = attune_bits(value);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000);
    uint32_t magnitude = bits & 0x7FFFFFFF;
    if (magnitude > 0x7F800000) return (uint16_t)(sign | 0x7E00 | ((magnitude >> 13) & 0x3FF));
    if (magnitude >= 0x477FF000) return (uint16_t)(sign | 0x7C00);
    if (magnitude < 0x38800000) {
        // Denormal halves: adding 0.5 lets the float adder round at 2⁻²⁴.
        return (uint16_t)(sign | (attune_bits(attune_float(magnitude) + 0.5f) - 0x3F000000));
    }
    return (uint16_t)(sign | ((magnitude - 0x38000000 + 0xFFF + ((magnitude >> 13) & 1)) >> 13));
}

static void widen(float *out, const void *inp, int32_t dtype, int64_t n) {
    const uint16_t *x = inp;
    if (dtype == ATTUNE_F32) memcpy(out, inp, (size_t)n * 4);
    else if (dtype == ATTUNE_BF16) for (int64_t i = 0; i < n; i++) out[i] = attune_from_bf16(x[i]);
    else for (int64_t i = 0; i < n; i++) out[i] = attune_from_f16(x[i]);
}
static void narrow(void *out, int32_t dtype, const float *inp, int64_t n) {
    uint16_t *y = out;
    if (dtype == ATTUNE_F32) memmove(out, inp, (size_t)n * 4);
    else if (dtype == ATTUNE_BF16) for (int64_t i = 0; i < n; i++) y[i] = attune_to_bf16(inp[i]);
    else for (int64_t i = 0; i < n; i++) y[i] = attune_to_f16(inp[i]);
}
static void widen_lines(
    float *out, int64_t out_stride, const void *inp, int32_t dtype, int64_t stride, int64_t rows, int64_t columns,
    int64_t padded) {
    for (int64_t r = 0; r < rows; r++) {
        float *line = out + r * out_stride;
        widen(line, (const char *)inp + r * stride * (dtype == ATTUNE_F32 ? 4 : 2), dtype, columns);
        for (int64_t c = columns; c < padded; c++) line[c] = 0;
    }
}
static void widen_pairs(float *out, const uint16_t *panel, int32_t dtype, int64_t pairs) {
    for (int64_t k = 0; k < 2 * pairs; k++)
        for (int64_t n = 0; n < 64; n++) widen(out + k * 64 + n, panel + (k / 2) * 128 + n * 2 + k % 2, dtype, 1);
}
static void tile_f32(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows,
    int32_t width) {
    for (int32_t m = 0; m < rows; m++) {
        for (int32_t n = 0; n < 16 * width; n++) {
            float sum = accumulate ? acc[m * stride + n] : 0;
            for (int64_t p = 0; p < count; p++) {
                const float *row = products[p].rows[m], *panel = products[p].panel;
                for (int64_t k = 0; k < products[p].k; k++)
                    sum += row[k * products[p].step] * panel[k * products[p].line + n];
            }
            acc[m * stride + n] = sum;
        }
    }
}
static void tile_pairs(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows,
    int32_t width) {
    for (int32_t m = 0; m < rows; m++) {
        for (int32_t n = 0; n < 16 * width; n++) {
            float sum = accumulate ? acc[m * stride + n] : 0;
            for (int64_t p = 0; p < count; p++) {
                const float *row = products[p].rows[m];
                const uint16_t *panel = products[p].panel;
                for (int64_t k = 0; k < products[p].k; k++)
                    sum += row[k] * attune_from_bf16(panel[(k / 2) * 128 + n * 2 + k % 2]);
            }
            acc[m * stride + n] = sum;
        }
    }
}
static int64_t multiply_rounds(float *sink, int64_t rounds) {
    float sum[8] = {0};
    for (int64_t r = 0; r < rounds; r++)
        for (int i = 0; i < 8; i++) sum[i] += sink[0] * 0.5f;
    for (int i = 1; i < 8; i++) sum[0] += sum[i];
    sink[0] = sum[0];
    return rounds * 8 * 2;
}
static float dot(const float *a, const float *b, int64_t n) {
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}
static float row_max(const float *x, int64_t n) {
    float best = -INFINITY;
    for (int64_t i = 0; i < n; i++) best = x[i] > best ? x[i] : best;
    return best;
}
static void finish_rows(
    void *out, int32_t dtype, int64_t stride, const float *acc, const float *bias, const void *residual,
    int32_t residual_dtype, int64_t residual_stride, float scale, int32_t rows, int64_t n) {
    int64_t width = attune_width(dtype), residual_width = attune_width(residual_dtype);
    for (int32_t m = 0; m < rows; m++) {
        for (int64_t i = 0; i < n; i++) {
            float r = 0;
            if (residual)
                widen(&r, (const char *)residual + (m * residual_stride + i) * residual_width, residual_dtype, 1);
            float x = (acc[m * ATTUNE_PANEL + i] + (bias ? bias[i] : 0)) * scale + r;
            narrow((char *)out + (m * stride + i) * width, dtype, &x, 1);
        }
    }
}
static void row_add(float *out, const float *a, const float *b, float scale, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = a[i] + scale * b[i];
}
static void row_scale(float *out, const float *x, float factor, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * factor;
}
static void row_multiply(float *out, const float *a, const float *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = a[i] * b[i];
}
static void multiply_add(float *acc, const float *a, const float *b, float factor, int64_t n) {
    for (int64_t i = 0; i < n; i++) acc[i] += factor * (a[i] * (b ? b[i] : 1));
}
static void norm(float *out, const float *x, const float *weight, float offset, float rstd, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * rstd * (weight ? offset + weight[i] : 1);
}
static float norm_dot(const float *dout, const float *x, const float *weight, float offset, int64_t n) {
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += dout[i] * (weight ? offset + weight[i] : 1) * x[i];
    return sum;
}
static void norm_backward(
    float *out, const float *dout, const float *x, const float *weight, const float *residual, float offset, float rstd,
    float factor, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float g = dout[i] * (weight ? offset + weight[i] : 1);
        out[i] = rstd * (g - x[i] * factor) + (residual ? residual[i] : 0);
    }
}
static void rotate(float *x, const float *cosine, const float *sine, int64_t pairs, float sign) {
    for (int64_t i = 0; i < pairs; i++) {
        float a = x[i], b = x[pairs + i], s = sign * sine[i];
        x[i] = a * cosine[i] - b * s;
        x[pairs + i] = b * cosine[i] + a * s;
    }
}
static float activate(float x, int32_t function, float *derivative) {
    if (function == ATTUNE_SILU) {
        float s = 1 / (1 + expf(-x));
        *derivative = s * (1 + x * (1 - s));
        return x * s;
    }
    if (function == ATTUNE_GELU_TANH) {
        const float c = 0.7978845608f, a = 0.044715f;
        float t = tanhf(c * (x + a * x * x * x));
        *derivative = 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * c * (1 + 3 * a * x * x);
        return 0.5f * x * (1 + t);
    }
    float cdf = 0.5f * (1 + erff(x * 0.70710678f));
    *derivative = cdf + x * 0.3989422804f * expf(-0.5f * x * x);
    return x * cdf;
}
static float element(const void *x, int64_t i, int32_t dtype) {
    float value;
    widen(&value, (const char *)x + i * attune_width(dtype), dtype, 1);
    return value;
}
static void set_element(void *x, int64_t i, int32_t dtype, float value) {
    narrow((char *)x + i * attune_width(dtype), dtype, &value, 1);
}
static void gated(void *out, const void *gate, const void *up, int32_t dtype, int32_t function, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float derivative, f = activate(element(gate, i, dtype), function, &derivative);
        set_element(out, i, dtype, f * element(up, i, dtype));
    }
}
static void gated_backward(
    void *dgate, void *dup, void *out, const void *dout, const void *gate, const void *up, int32_t dtype,
    int32_t function, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float derivative, f = activate(element(gate, i, dtype), function, &derivative);
        float u = element(up, i, dtype), g = element(dout, i, dtype);
        set_element(dgate, i, dtype, g * u * derivative);
        set_element(dup, i, dtype, g * f);
        if (out) set_element(out, i, dtype, f * u);
    }
}
static float exp_sum(float *out, const float *x, float shift, int64_t n) {
    float sum = 0;
    for (int64_t i = 0; i < n; i++) sum += out[i] = expf(x[i] - shift);
    return sum;
}
static void cap(float *out, const float *x, float scale, float softcap, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = softcap > 0 ? softcap * tanhf(x[i] * scale / softcap) : x[i] * scale;
}
static float capped(float score, const attune_score_row *row) {
    return row->softcap > 0 ? row->softcap * tanhf(score * row->scale / row->softcap) : score * row->scale;
}
static void soften(
    void *p, int32_t dtype, float *scores, const attune_score_row *rows, int32_t count, float *running_max,
    float *running_sum, float *shrink) {
    for (int32_t m = 0; m < count; m++) {
        const attune_score_row *row = rows + m;
        float e[64] = {0}, old = running_max[m], now = old, sum = 0;
        for (int64_t i = row->first; i < row->last; i++) now = fmaxf(now, capped(scores[m * 64 + i], row));
        for (int64_t i = row->first; i < row->last; i++) sum += e[i] = expf(capped(scores[m * 64 + i], row) - now);
        shrink[m] = now == old ? 1 : expf(old - now);
        running_max[m] = now;
        running_sum[m] = running_sum[m] * shrink[m] + sum;
        narrow((char *)p + m * 64 * attune_width(dtype), dtype, e, 64);
    }
}
static void soften_backward(
    float *p, float *ds, uint16_t *narrow, const float *scores, const float *dp, const attune_score_row *row, float lse,
    float delta) {
    memset(p, 0, 256);
    memset(ds, 0, 256);
    for (int64_t i = row->first; i < row->last; i++) {
        float s = capped(scores[i], row), t = row->softcap > 0 ? s / row->softcap : 0;
        p[i] = expf(s - lse);
        ds[i] = row->scale * p[i] * (dp[i] - delta) * (1 - t * t);
    }
    for (int64_t i = 0; narrow && i < 64; i++) narrow[i] = attune_to_bf16(ds[i]);
}
static void logit_gradient(
    float *out, const float *x, float lse, float smoothing, float factor, float softcap, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float t = softcap > 0 ? x[i] / softcap : 0;
        out[i] = (expf(x[i] - lse) - smoothing) * factor * (1 - t * t);
    }
}
static void uniform(float *out, uint64_t key, uint32_t position, uint64_t identity, int64_t first, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t c[4] = {(uint32_t)((first + i) / 4), position, (uint32_t)identity, (uint32_t)(identity >> 32)};
        uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        for (int round = 0; round < 10; round++) {
            uint64_t p0 = (uint64_t)c[0] * 0xD2511F53u, p1 = (uint64_t)c[2] * 0xCD9E8D57u;
            uint32_t next[4] = {
                (uint32_t)(p1 >> 32) ^ c[1] ^ k0, (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ k1, (uint32_t)p0};
            memcpy(c, next, sizeof c);
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        out[i] = (float)(c[(first + i) & 3] >> 8) * 0x1p-24f;
    }
}
static void mask(
    float *out, const float *inp, const float *u, const float *residual, float rate, float keep, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = (u[i] >= rate ? inp[i] * keep : 0) + (residual ? residual[i] : 0);
}
static void adamw(
    float *parameter, const float *gradient, float *first, float *second, const attune_adamw_constants *c, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        float g = gradient[i] * c->gradient_scale;
        parameter[i] *= c->decay;
        first[i] = first[i] * c->beta1 + g * c->one_minus_beta1;
        second[i] = second[i] * c->beta2 + g * g * c->one_minus_beta2;
        parameter[i] -= c->step_size * (first[i] / (sqrtf(second[i]) / c->root2 + c->epsilon));
    }
}
static void transpose_block16(uint16_t *out, const uint16_t *block) {
    for (int64_t n = 0; n < 64; n++)
        for (int64_t k = 0; k < 64; k++) out[(n / 2) * 128 + k * 2 + n % 2] = block[(k / 2) * 128 + n * 2 + k % 2];
}
static void transpose_block32(float *out, const float *block) {
    for (int64_t n = 0; n < 64; n++)
        for (int64_t k = 0; k < 64; k++) out[n * 64 + k] = block[k * 64 + n];
}
static void pack_rows32(uint32_t *out, const uint32_t *const *rows, int64_t count, int64_t k) {
    for (int64_t n = 0; n < 64; n++)
        for (int64_t i = 0; i < k; i++) {
            if (n < count) memcpy(out + i * 64 + n, rows[n] + i, 4);
            else out[i * 64 + n] = 0;
        }
}
static void pack_pairs16(uint16_t *out, const uint16_t *const *rows, int64_t count, int64_t columns) {
    for (int64_t r = 0; r < count + (count & 1); r++)
        for (int64_t c = 0; c < 64; c++)
            out[(r / 2) * 128 + c * 2 + r % 2] = r < count && c < columns ? rows[r][c] : 0;
}
static void expand_4bit(
    void *out, int32_t dtype, int32_t lines, const uint8_t *codes, const float *scales, const float *codebook,
    int64_t pairs) {
    for (int64_t k = 0; k < 2 * pairs; k++) {
        for (int64_t n = 0; n < 64; n++) {
            float value = codebook[attune_code_4bit(codes, k, n)] * scales[n];
            if (dtype == ATTUNE_F32) {
                ((float *)out)[k * 64 + n] = value;
                continue;
            }
            uint16_t rounded;
            narrow(&rounded, dtype, &value, 1);
            if (lines) widen((float *)out + k * 64 + n, &rounded, dtype, 1);
            else ((uint16_t *)out)[(k / 2) * 128 + n * 2 + k % 2] = rounded;
        }
    }
}
static void screen_panel(
    float *sums, const int8_t *codes, const int16_t *const *rows, int64_t pairs, int32_t count) {
    for (int32_t m = 0; m < count; m++) {
        for (int64_t n = 0; n < 64; n++) {
            float sum = 0;
            for (int64_t start = 0; start < pairs; start += ATTUNE_SCREEN_RUN) {
                int32_t run = 0;
                for (int64_t k = 2 * start; k < 2 * attune_min(pairs, start + ATTUNE_SCREEN_RUN); k++)
                    run += rows[m][k] * codes[(k / 2) * 128 + n * 2 + k % 2];
                sum += (float)run;
            }
            sums[m * 64 + n] = sum;
        }
    }
}

const attune_kernels attune_kernels_scalar = {
    .name = "scalar", .tall = ATTUNE_TALL, .widen = widen, .narrow = narrow, .tile_f32 = tile_f32, .tile_bf16 = NULL,
    .multiply_rounds = multiply_rounds, .dot = dot, .max = row_max, .finish_rows = finish_rows, .add = row_add,
    .scale = row_scale, .multiply = row_multiply,
    .multiply_add = multiply_add, .norm = norm, .norm_dot = norm_dot, .norm_backward = norm_backward,
    .rotate = rotate, .gated = gated, .gated_backward = gated_backward, .exp_sum = exp_sum, .cap = cap,
    .soften = soften, .soften_backward = soften_backward, .logit_gradient = logit_gradient, .uniform = uniform, .mask =
    mask,
    .adamw = adamw, .transpose_block16 = transpose_block16, .transpose_block32 = transpose_block32,
    .pack_rows32 = pack_rows32, .pack_pairs16 = pack_pairs16, .widen_pairs = widen_pairs, .tile_pairs = tile_pairs,
    .widen_lines = widen_lines,
    .expand_4bit = expand_4bit, .screen_panel = screen_panel,
};
