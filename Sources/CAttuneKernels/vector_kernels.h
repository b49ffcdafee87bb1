// The kernels written once with compiler vectors of sixteen floats; every instruction set's file includes this text and the
// compiler splits the vectors as the machine needs. LANES and TILE_VECTORS shape the f32 tile, F16_LOAD/F16_STORE convert
// sixteen halves where the machine can.
#include "machine.h"

#include <math.h>

#pragma clang fp contract(fast)
// Every function that takes or returns a vector is inlined, so no calling convention is involved.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float V __attribute__((vector_size(64), aligned(4)));
typedef int32_t I __attribute__((vector_size(64), aligned(4)));
typedef uint32_t U __attribute__((vector_size(64), aligned(4)));
typedef uint16_t H __attribute__((vector_size(32), aligned(2)));
typedef uint64_t L8 __attribute__((vector_size(64), aligned(4)));
// Tiles of many rows are past the compiler's own limit, and sums in memory would cost several times the arithmetic.
#define UNROLL _Pragma("clang loop unroll(full)")
#define INLINE static inline __attribute__((always_inline))

// Reads and writes of up to sixteen elements; `left` is what remains of the row.
INLINE V load(const float *p, int64_t left) {
    V v = {0};
    if (left >= 16) memcpy(&v, p, 64);
    else memcpy(&v, p, (size_t)left * 4);
    return v;
}
INLINE void store(float *p, V v, int64_t left) {
    if (left >= 16) memcpy(p, &v, 64);
    else memcpy(p, &v, (size_t)left * 4);
}
INLINE V all(float x) { return (V){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
INLINE V as_float(U x) { return (V)x; }
INLINE U as_bits(V x) { return (U)x; }
INLINE V choose(I mask, V yes, V no) { return (V)(((I)yes & mask) | ((I)no & ~mask)); }
INLINE V vmax(V a, V b) { return choose(a > b, a, b); }
INLINE V vmin(V a, V b) { return choose(a < b, a, b); }
INLINE float lanes_sum(V v) {
    float x[16];
    memcpy(x, &v, 64);
    for (int i = 0; i < 8; i++) x[i] += x[i + 8];
    for (int i = 0; i < 4; i++) x[i] += x[i + 4];
    return (x[0] + x[2]) + (x[1] + x[3]);
}

INLINE float lanes_max(V v) {
    float x[16];
    memcpy(x, &v, 64);
    for (int i = 0; i < 8; i++) x[i] = x[i + 8] > x[i] ? x[i + 8] : x[i];
    for (int i = 0; i < 4; i++) x[i] = x[i + 4] > x[i] ? x[i + 4] : x[i];
    float a = x[0] > x[2] ? x[0] : x[2], b = x[1] > x[3] ? x[1] : x[3];
    return a > b ? a : b;
}

// MARK: Conversions

INLINE V widen_bf16(H h) { return as_float(__builtin_convertvector(h, U) << 16); }
// Round to nearest even on the bits; NaN keeps its sign and becomes quiet.
INLINE H narrow_bf16(V v) {
    U bits = as_bits(v);
    U rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    U quiet = (bits >> 16) | 0x40;
    I nan = (I)((bits & 0x7FFFFFFF) > (U){} + 0x7F800000);
    return __builtin_convertvector((U)(((I)quiet & nan) | ((I)rounded & ~nan)), H);
}
#ifndef F16_LOAD
INLINE V f16_load(H h) {
    uint16_t bits[16];
    float x[16];
    V v;
    memcpy(bits, &h, 32);
    for (int i = 0; i < 16; i++) x[i] = attune_from_f16(bits[i]);
    memcpy(&v, x, 64);
    return v;
}
INLINE H f16_store(V v) {
    float x[16];
    uint16_t bits[16];
    H h;
    memcpy(x, &v, 64);
    for (int i = 0; i < 16; i++) bits[i] = attune_to_f16(x[i]);
    memcpy(&h, bits, 32);
    return h;
}
#define F16_LOAD f16_load
#define F16_STORE f16_store
#endif

INLINE H load16(const uint16_t *p, int64_t left) {
    H h = {0};
    if (left >= 16) memcpy(&h, p, 32);
    else memcpy(&h, p, (size_t)left * 2);
    return h;
}
INLINE void store16(uint16_t *p, H h, int64_t left) {
    if (left >= 16) memcpy(p, &h, 32);
    else memcpy(p, &h, (size_t)left * 2);
}

static void widen(float *out, const void *inp, int32_t dtype, int64_t n) {
    const uint16_t *x = inp;
    if (dtype == ATTUNE_F32) {
        memcpy(out, inp, (size_t)n * 4);
    } else if (dtype == ATTUNE_BF16) {
        for (int64_t i = 0; i < n; i += 16) store(out + i, widen_bf16(load16(x + i, n - i)), n - i);
    } else {
        for (int64_t i = 0; i < n; i += 16) store(out + i, F16_LOAD(load16(x + i, n - i)), n - i);
    }
}

static void narrow(void *out, int32_t dtype, const float *inp, int64_t n) {
    uint16_t *y = out;
    if (dtype == ATTUNE_F32) {
        memmove(out, inp, (size_t)n * 4);
    } else if (dtype == ATTUNE_BF16) {
        for (int64_t i = 0; i < n; i += 16) store16(y + i, narrow_bf16(load(inp + i, n - i)), n - i);
    } else {
        for (int64_t i = 0; i < n; i += 16) store16(y + i, F16_STORE(load(inp + i, n - i)), n - i);
    }
}

static void widen_lines(
    float *out, int64_t out_stride, const void *inp, int32_t dtype, int64_t stride, int64_t rows, int64_t columns,
    int64_t padded) {
    const uint16_t *half = inp;
    const float *full = inp;
    if (columns == 64 && dtype == ATTUNE_BF16) {
        for (int64_t r = 0; r < rows; r++, half += stride, out += out_stride)
            for (int j = 0; j < 64; j += 16) store(out + j, widen_bf16(load16(half + j, 16)), 16);
    } else if (columns == 64 && dtype == ATTUNE_F32) {
        for (int64_t r = 0; r < rows; r++, full += stride, out += out_stride)
            for (int j = 0; j < 64; j += 16) store(out + j, load(full + j, 16), 16);
    } else {
        for (int64_t r = 0; r < rows; r++, out += out_stride) {
            widen(out, dtype == ATTUNE_F32 ? (const void *)(full + r * stride) : half + r * stride, dtype, columns);
            for (int64_t c = columns; c < padded; c++) out[c] = 0;
        }
    }
}

static void widen_pairs(float *out, const uint16_t *panel, int32_t dtype, int64_t pairs) {
    for (int64_t p = 0; p < pairs; p++, panel += 128, out += 128) {
        for (int64_t i = 0; i < 64; i += 16) {
            U x;
            memcpy(&x, panel + 2 * i, 64);
            V low, high;
            if (dtype == ATTUNE_BF16) {
                low = as_float(x << 16);
                high = as_float(x & 0xFFFF0000);
            } else {
                low = F16_LOAD(__builtin_convertvector(x & 0xFFFF, H));
                high = F16_LOAD(__builtin_convertvector(x >> 16, H));
            }
            memcpy(out + i, &low, 64);
            memcpy(out + 64 + i, &high, 64);
        }
    }
}

// MARK: Functions

// eˣ = 2ⁿ·eʳ with n = round(x/ln 2), |r| <= ln 2/2, eʳ by its series; 2ⁿ in two factors so that the
// range ends softly above. Below −87.3, where results would be denormal and each cost an assist, the value is 0.
INLINE V vexp(V x) {
    V y = vmin(vmax(x, all(-87.3f)), all(89.0f));
    V shifted = y * all(1.44269504f) + all(12582912.0f);
    V n = shifted - all(12582912.0f);
    V r = y - n * all(0.693359375f) + n * all(2.12194440e-4f);
    V p = all(1.98412698e-4f);
    p = p * r + all(1.38888889e-3f);
    p = p * r + all(8.33333333e-3f);
    p = p * r + all(4.16666667e-2f);
    p = p * r + all(1.66666667e-1f);
    p = p * r + all(0.5f);
    p = p * r * r + r + all(1.0f);
#ifdef SCALE_BY_POWER
    V result = SCALE_BY_POWER(p, n);
#else
    I k = (I)as_bits(shifted) - 0x4B400000;
    I half = k >> 1;
    V result = p * (V)((half + 127) << 23) * (V)((k - half + 127) << 23);
#endif
    result = choose(x < all(-87.3f), all(0.0f), result);
    return choose(x != x, x, result);
}

// tanh x = 1 − 2/(e²ˣ + 1) away from zero, x + x³·P(x²) near it.
INLINE V vtanh(V x) {
    V a = as_float(as_bits(x) & 0x7FFFFFFF);
    V far = all(1.0f) - all(2.0f) / (vexp(a + a) + all(1.0f));
    far = as_float(as_bits(far) | (as_bits(x) & 0x80000000));
    V z = x * x;
    V p = all(-5.70498872745e-3f);
    p = p * z + all(2.06390887954e-2f);
    p = p * z + all(-5.37397155531e-2f);
    p = p * z + all(1.33314422036e-1f);
    p = p * z + all(-3.33332819422e-1f);
    V near = x + x * z * p;
    return choose(a < all(0.625f), near, far);
}

// erf x = 1 − exp(−Q(|x|)) away from zero, x + x·P(x²) near it.
INLINE V verf(V x) {
    V t = as_float(as_bits(x) & 0x7FFFFFFF);
    V s = x * x;
    V r = all(-1.72853470e-5f) * t + all(3.83197126e-4f);
    V u = all(-3.88396438e-3f) * t + all(2.42546219e-2f);
    r = r * s + u;
    r = r * t + all(-1.06777877e-1f);
    r = r * t + all(-6.34846687e-1f);
    r = r * t + all(-1.28717512e-1f);
    r = r * t - t;
    V far = all(1.0f) - vexp(r);
    far = as_float(as_bits(far) | (as_bits(x) & 0x80000000));
    far = choose(t > all(4.0f), as_float(as_bits(all(1.0f)) | (as_bits(x) & 0x80000000)), far);
    V p = all(-5.96761703e-4f);
    p = p * s + all(4.99119423e-3f);
    p = p * s + all(-2.67681349e-2f);
    p = p * s + all(1.12819925e-1f);
    p = p * s + all(-3.76125336e-1f);
    p = p * s + all(1.28379166e-1f);
    V near = p * x + x;
    return choose(x != x, x, choose(t > all(0.927734375f), far, near));
}

INLINE V sigmoid(V x) { return all(1.0f) / (all(1.0f) + vexp(-x)); }

// The activation and its derivative.
INLINE V activate(V x, int32_t function, V *derivative) {
    if (function == ATTUNE_SILU) {
        V s = sigmoid(x);
        *derivative = s * (all(1.0f) + x * (all(1.0f) - s));
        return x * s;
    }
    if (function == ATTUNE_GELU_TANH) {
        const float c = 0.7978845608f, a = 0.044715f;
        V t = vtanh(all(c) * (x + all(a) * x * x * x));
        V half = all(0.5f) * (all(1.0f) + t);
        *derivative = half + all(0.5f) * x * (all(1.0f) - t * t) * all(c) * (all(1.0f) + all(3 * a) * x * x);
        return x * half;
    }
    V cdf = all(0.5f) * (all(1.0f) + verf(x * all(0.70710678f)));
    *derivative = cdf + x * all(0.3989422804f) * vexp(all(-0.5f) * x * x);
    return x * cdf;
}

// MARK: Rows

static float dot(const float *a, const float *b, int64_t n) {
    V sum = {0};
    for (int64_t i = 0; i < n; i += 16) sum += load(a + i, n - i) * load(b + i, n - i);
    return lanes_sum(sum);
}
static float row_max(const float *x, int64_t n) {
    V best = all(-INFINITY);
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) best = vmax(load(x + i, 16), best);
    float result = lanes_max(best);
    for (; i < n; i++) result = x[i] > result ? x[i] : result;
    return result;
}
static void finish(float *out, const float *acc, const float *bias, const float *residual, float scale, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        V x = load(acc + i, n - i);
        if (bias) x += load(bias + i, n - i);
        x *= all(scale);
        if (residual) x += load(residual + i, n - i);
        store(out + i, x, n - i);
    }
}
static void row_add(float *out, const float *a, const float *b, float scale, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) store(out + i, load(a + i, n - i) + all(scale) * load(b + i, n - i), n - i);
}
static void row_scale(float *out, const float *x, float factor, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) store(out + i, load(x + i, n - i) * all(factor), n - i);
}
static void row_multiply(float *out, const float *a, const float *b, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) store(out + i, load(a + i, n - i) * load(b + i, n - i), n - i);
}
static void multiply_add(float *acc, const float *a, const float *b, float factor, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        V x = load(a + i, n - i);
        if (b) x *= load(b + i, n - i);
        store(acc + i, load(acc + i, n - i) + all(factor) * x, n - i);
    }
}
static void norm(float *out, const float *x, const float *weight, float offset, float rstd, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        V y = load(x + i, n - i) * all(rstd);
        if (weight) y *= all(offset) + load(weight + i, n - i);
        store(out + i, y, n - i);
    }
}
static float norm_dot(const float *dout, const float *x, const float *weight, float offset, int64_t n) {
    V sum = {0};
    for (int64_t i = 0; i < n; i += 16) {
        V g = load(dout + i, n - i);
        if (weight) g *= all(offset) + load(weight + i, n - i);
        sum += g * load(x + i, n - i);
    }
    return lanes_sum(sum);
}
static void norm_backward(
    float *out, const float *dout, const float *x, const float *weight, const float *residual, float offset, float rstd,
    float factor, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        V g = load(dout + i, n - i);
        if (weight) g *= all(offset) + load(weight + i, n - i);
        V y = all(rstd) * (g - load(x + i, n - i) * all(factor));
        if (residual) y += load(residual + i, n - i);
        store(out + i, y, n - i);
    }
}
static void rotate(float *x, const float *cosine, const float *sine, int64_t pairs, float sign) {
    for (int64_t i = 0; i < pairs; i += 16) {
        int64_t left = pairs - i;
        V a = load(x + i, left), b = load(x + pairs + i, left);
        V c = load(cosine + i, left), s = all(sign) * load(sine + i, left);
        store(x + i, a * c - b * s, left);
        store(x + pairs + i, b * c + a * s, left);
    }
}
INLINE void gated_as(float *out, const float *gate, const float *up, const int32_t function, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        V d;
        store(out + i, activate(load(gate + i, n - i), function, &d) * load(up + i, n - i), n - i);
    }
}
static void gated(float *out, const float *gate, const float *up, int32_t function, int64_t n) {
    if (function == ATTUNE_SILU) gated_as(out, gate, up, ATTUNE_SILU, n);
    else if (function == ATTUNE_GELU_TANH) gated_as(out, gate, up, ATTUNE_GELU_TANH, n);
    else gated_as(out, gate, up, ATTUNE_GELU, n);
}
INLINE void gated_backward_as(
    float *dgate, float *dup, float *out, const float *dout, const float *gate, const float *up,
    const int32_t function, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        V d, u = load(up + i, n - i), g = load(dout + i, n - i);
        V f = activate(load(gate + i, n - i), function, &d);
        store(dgate + i, g * u * d, n - i);
        store(dup + i, g * f, n - i);
        if (out) store(out + i, f * u, n - i);
    }
}
static void gated_backward(
    float *dgate, float *dup, float *out, const float *dout, const float *gate, const float *up, int32_t function,
    int64_t n) {
    if (function == ATTUNE_SILU) gated_backward_as(dgate, dup, out, dout, gate, up, ATTUNE_SILU, n);
    else if (function == ATTUNE_GELU_TANH) gated_backward_as(dgate, dup, out, dout, gate, up, ATTUNE_GELU_TANH, n);
    else gated_backward_as(dgate, dup, out, dout, gate, up, ATTUNE_GELU, n);
}
static float exp_sum(float *out, const float *x, float shift, int64_t n) {
    V sum = {0};
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        V e = vexp(load(x + i, 16) - all(shift));
        store(out + i, e, 16);
        sum += e;
    }
    if (i < n) {
        // Lanes past the end must not count.
        float tail[16] = {0};
        V e = vexp(load(x + i, n - i) - all(shift));
        memcpy(tail, &e, (size_t)(n - i) * 4);
        store(out + i, e, n - i);
        sum += load(tail, 16);
    }
    return lanes_sum(sum);
}
static void cap(float *out, const float *x, float scale, float softcap, int64_t n) {
    if (softcap > 0) {
        float inverse = scale / softcap;
        for (int64_t i = 0; i < n; i += 16)
            store(out + i, all(softcap) * vtanh(load(x + i, n - i) * all(inverse)), n - i);
    } else {
        row_scale(out, x, scale, n);
    }
}
// The scores of a row in four vectors, scaled and capped, −∞ where hidden.
INLINE void read_scores(V s[4], const float *scores, const attune_score_row *row) {
    const I lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    int whole = row->first == 0 && row->last == 64;
    for (int j = 0; j < 4; j++) {
        s[j] = load(scores + 16 * j, 16);
        if (row->softcap > 0) s[j] = all(row->softcap) * vtanh(s[j] * all(row->scale / row->softcap));
        else s[j] *= all(row->scale);
        if (!whole) {
            I key = lane + 16 * j;
            I seen = (key >= (int32_t)row->first) & (key < (int32_t)row->last);
            s[j] = choose(seen, s[j], all(-INFINITY));
        }
    }
}

static float soften(
    void *p, int32_t dtype, const float *scores, const attune_score_row *row, float *running_max, float *running_sum) {
    V s[4];
    read_scores(s, scores, row);
    float top = lanes_max(vmax(vmax(s[0], s[1]), vmax(s[2], s[3]))), old = *running_max;
    // A whole vector through vexp is cheaper than a call.
    float now = top > old ? top : old;
    V shrink = vexp(all(old - now));
    for (int j = 0; j < 4; j++) s[j] = vexp(s[j] - all(now));
    float sum = lanes_sum((s[0] + s[1]) + (s[2] + s[3]));
    *running_max = now;
    *running_sum = *running_sum * shrink[0] + sum;
    if (dtype == ATTUNE_F32) {
        for (int j = 0; j < 4; j++) store((float *)p + 16 * j, s[j], 16);
    } else {
        for (int j = 0; j < 4; j++) store16((uint16_t *)p + 16 * j, narrow_bf16(s[j]), 16);
    }
    return shrink[0];
}

static void soften_backward(
    float *p, float *ds, const float *scores, const float *dp, const attune_score_row *row, float lse, float delta) {
    V s[4];
    read_scores(s, scores, row);
    for (int j = 0; j < 4; j++) {
        V q = vexp(s[j] - all(lse));
        V g = all(row->scale) * q * (load(dp + 16 * j, 16) - all(delta));
        if (row->softcap > 0) {
            V t = s[j] * all(1 / row->softcap);
            g *= all(1.0f) - t * t;
        }
        // Hidden keys may hold anything in dp and s.
        g = choose(s[j] == all(-INFINITY), all(0.0f), g);
        store(p + 16 * j, q, 16);
        store(ds + 16 * j, g, 16);
    }
}

static void logit_gradient(
    float *out, const float *x, float lse, float smoothing, float factor, float softcap, int64_t n) {
    float inverse = softcap > 0 ? 1 / softcap : 0;
    for (int64_t i = 0; i < n; i += 16) {
        V z = load(x + i, n - i);
        V y = (vexp(z - all(lse)) - all(smoothing)) * all(factor);
        if (softcap > 0) {
            V t = z * all(inverse);
            y *= all(1.0f) - t * t;
        }
        store(out + i, y, n - i);
    }
}

// MARK: Random numbers

#define LOW(a, b) \
    __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define HIGH(a, b) \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)

// Lower and upper halves of 32×32-bit products, even and odd lanes apart (a 64-bit lane holds the even one below).
INLINE U multiply_wide(U x, uint32_t factor, U *high) {
    const uint64_t low_half = 0xFFFFFFFFu;
    L8 lanes = (L8)x, even = (lanes & low_half) * factor, odd = (lanes >> 32) * factor;
    *high = (U)((even >> 32) | (odd & ~low_half));
    return (U)((even & low_half) | (odd << 32));
}

// Sixteen Philox blocks side by side: words 0…3 of the counters (first/4 + lane, position, identity).
static void uniform(float *out, uint64_t key, uint32_t position, uint64_t identity, int64_t first, int64_t n) {
    const U lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int64_t i = 0; i < n; i += 64) {
        U c0 = lane + (uint32_t)((first + i) / 4), c1 = (U){} + position;
        U c2 = (U){} + (uint32_t)identity, c3 = (U){} + (uint32_t)(identity >> 32);
        uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
        for (int round = 0; round < 10; round++) {
            U h0, l0 = multiply_wide(c0, 0xD2511F53u, &h0), h1, l1 = multiply_wide(c2, 0xCD9E8D57u, &h1);
            c0 = h1 ^ c1 ^ k0;
            c1 = l1;
            c2 = h0 ^ c3 ^ k1;
            c3 = l0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        // Element 4·lane + w is word w of a lane: two rounds of interleaving.
        U a0 = LOW(c0, c2), a1 = HIGH(c0, c2), b0 = LOW(c1, c3), b1 = HIGH(c1, c3);
        U words[4] = {LOW(a0, b0), HIGH(a0, b0), LOW(a1, b1), HIGH(a1, b1)};
        for (int j = 0; j < 4 && i + 16 * j < n; j++) {
            V u = __builtin_convertvector((I)(words[j] >> 8), V) * all(0x1p-24f);
            store(out + i + 16 * j, u, n - i - 16 * j);
        }
    }
}
#undef LOW
#undef HIGH
static void mask(
    float *out, const float *inp, const float *u, const float *residual, float rate, float keep, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        V x = choose(load(u + i, n - i) >= all(rate), load(inp + i, n - i) * all(keep), all(0.0f));
        if (residual) x += load(residual + i, n - i);
        store(out + i, x, n - i);
    }
}

static void adamw(
    float *parameter, const float *gradient, float *first, float *second, const attune_adamw_constants *c, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        int64_t left = n - i;
        V g = load(gradient + i, left) * all(c->gradient_scale);
        V m = load(first + i, left) * all(c->beta1) + g * all(c->one_minus_beta1);
        V v = load(second + i, left) * all(c->beta2) + g * g * all(c->one_minus_beta2);
        V denominator = __builtin_elementwise_sqrt(v) / all(c->root2) + all(c->epsilon);
        V p = load(parameter + i, left) * all(c->decay) - all(c->step_size) * (m / denominator);
        store(first + i, m, left);
        store(second + i, v, left);
        store(parameter + i, p, left);
    }
}

// MARK: Panels

#ifndef OWN_TRANSPOSE
static void transpose_block16(uint16_t *out, const uint16_t *block) {
    // Eight bytes hold (n, n+1) × (k, k+1); turning that square and moving it is the whole transposition.
    for (int64_t p = 0; p < 32; p++) {
        for (int64_t kk = 0; kk < 32; kk++) {
            uint64_t x;
            memcpy(&x, block + kk * 128 + p * 4, 8);
            uint64_t swapped = (x & 0xFFFF00000000FFFFull) | ((x >> 16) & 0x00000000FFFF0000ull) |
                               ((x & 0x00000000FFFF0000ull) << 16);
            memcpy(out + p * 128 + kk * 4, &swapped, 8);
        }
    }
}
static void transpose_block32(float *out, const float *block) {
    for (int64_t i0 = 0; i0 < 64; i0 += 4)
        for (int64_t j = 0; j < 64; j++)
            for (int64_t i = i0; i < i0 + 4; i++) out[j * 64 + i] = block[i * 64 + j];
}
static void pack_rows32(uint32_t *out, const uint32_t *const *rows, int64_t count, int64_t k) {
    for (int64_t n = 0; n < count; n++) {
        const uint32_t *row = rows[n];
        for (int64_t kk = 0; kk < k; kk++) memcpy(out + kk * 64 + n, row + kk, 4);
    }
}
#endif

static void pack_pairs16(uint16_t *out, const uint16_t *const *rows, int64_t count, int64_t columns) {
    typedef uint16_t HH __attribute__((vector_size(64), aligned(2)));
    const H none = {0};
    for (int64_t p = 0; 2 * p < count; p++) {
        for (int64_t c = 0; c < 64; c += 16) {
            HH pair = {0};
            if (c < columns) {
                H a = load16(rows[2 * p] + c, columns - c);
                H b = 2 * p + 1 < count ? load16(rows[2 * p + 1] + c, columns - c) : none;
                pair = __builtin_shufflevector(
                    a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                    13, 29, 14, 30, 15, 31);
            }
            memcpy(out + p * 128 + c * 2, &pair, 64);
        }
    }
}

#ifndef OWN_EXPAND
static void expand_4bit(
    void *out, int32_t dtype, int32_t lines, const uint8_t *codes, const float *scales, const float *codebook,
    int64_t pairs) {
    for (int64_t p = 0; p < pairs; p++, codes += 64) {
        for (int64_t n0 = 0; n0 < 64; n0 += 16) {
            float low[16], high[16];
            for (int64_t n = 0; n < 16; n++) {
                low[n] = codebook[codes[n0 + n] & 15] * scales[n0 + n];
                high[n] = codebook[codes[n0 + n] >> 4] * scales[n0 + n];
            }
            V a = load(low, 16), b = load(high, 16);
            if (dtype != ATTUNE_F32) {
                H x = dtype == ATTUNE_BF16 ? narrow_bf16(a) : F16_STORE(a);
                H y = dtype == ATTUNE_BF16 ? narrow_bf16(b) : F16_STORE(b);
                if (!lines) {
                    U pair = __builtin_convertvector(x, U) | (__builtin_convertvector(y, U) << 16);
                    memcpy((uint16_t *)out + p * 128 + n0 * 2, &pair, 64);
                    continue;
                }
                a = dtype == ATTUNE_BF16 ? widen_bf16(x) : F16_LOAD(x);
                b = dtype == ATTUNE_BF16 ? widen_bf16(y) : F16_LOAD(y);
            }
            store((float *)out + (2 * p) * 64 + n0, a, 16);
            store((float *)out + (2 * p + 1) * 64 + n0, b, 16);
        }
    }
}
#endif

// MARK: The f32 tile

// ROWS × (TILE_VECTORS·LANES) accumulators stay in registers while k runs; a panel of 64 is walked in such strips.
typedef float T __attribute__((vector_size(4 * LANES), aligned(4)));

INLINE void strip_f32(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int64_t column, const int rows, const int vectors) {
    T sum[ATTUNE_TILE][TILE_VECTORS];
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < vectors; j++) {
            sum[m][j] = (T){0};
            if (accumulate) memcpy(&sum[m][j], acc + m * stride + column + j * LANES, sizeof(T));
        }
    for (int64_t index = 0; index < count; index++) {
        const attune_product *product = products + index;
        const float *panel = (const float *)product->panel + column;
        const float *row[ATTUNE_TILE];
        for (int m = 0; m < rows; m++) row[m] = product->rows[m];
        int64_t end = product->k * product->step, step = product->step;
        for (int64_t i = 0; i < end; i += step, panel += ATTUNE_PANEL) {
            T b[TILE_VECTORS];
            for (int j = 0; j < vectors; j++) memcpy(&b[j], panel + j * LANES, sizeof(T));
            for (int m = 0; m < rows; m++) {
                T a = row[m][i] - (T){0};  // a broadcast: x − 0 is x
                for (int j = 0; j < vectors; j++) sum[m][j] += a * b[j];
            }
        }
    }
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < vectors; j++) memcpy(acc + m * stride + column + j * LANES, &sum[m][j], sizeof(T));
}

INLINE void strips_f32(float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t width, const int rows) {
    int64_t column = 0, columns = 16 * width;
    for (; column + TILE_VECTORS * LANES <= columns; column += TILE_VECTORS * LANES)
        strip_f32(acc, stride, accumulate, products, count, column, rows, TILE_VECTORS);
#if TILE_VECTORS == 4
    if (columns - column == 3 * LANES) strip_f32(acc, stride, accumulate, products, count, column, rows, 3);
    else if (columns - column == 2 * LANES) strip_f32(acc, stride, accumulate, products, count, column, rows, 2);
    else if (columns - column == LANES) strip_f32(acc, stride, accumulate, products, count, column, rows, 1);
#endif
}

#if TILE_VECTORS == 4 && LANES == 16
#define TALL 12
// Narrow panels: more rows, so that enough sums run side by side and a loaded vector serves them all. Rows are evenly spaced,
// so four pointers and one distance reach twelve of them.
INLINE void tall_strip_of(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, const int rows, const int vectors) {
    T sum[ATTUNE_TALL][2];
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int j = 0; j < vectors; j++) {
            sum[m][j] = (T){0};
            if (accumulate) memcpy(&sum[m][j], acc + m * stride + j * LANES, sizeof(T));
        }
    for (int64_t index = 0; index < count; index++) {
        const attune_product *product = products + index;
        const float *panel = product->panel, *row = product->rows[0];
        int64_t distance = (const float *)product->rows[1] - row, step = product->step;
        const float *end = panel + product->k * ATTUNE_PANEL;
        const float *group[4] = {row, row + 3 * distance, row + 6 * distance, row + 9 * distance};
        for (; panel < end; panel += ATTUNE_PANEL) {
            T b[2];
            UNROLL for (int j = 0; j < vectors; j++) memcpy(&b[j], panel + j * LANES, sizeof(T));
            UNROLL for (int m = 0; m < rows; m++) {
                T a = group[m / 3][(m % 3) * distance] - (T){0};
                UNROLL for (int j = 0; j < vectors; j++) sum[m][j] += a * b[j];
            }
            UNROLL for (int g = 0; 3 * g < rows; g++) group[g] += step;
        }
    }
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int j = 0; j < vectors; j++) memcpy(acc + m * stride + j * LANES, &sum[m][j], sizeof(T));
}
INLINE void tall_strip(float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t width, const int rows) {
    if (width == 1) tall_strip_of(acc, stride, accumulate, products, count, rows, 1);
    else tall_strip_of(acc, stride, accumulate, products, count, rows, 2);
}
static void tall_f32(float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows, int32_t width) {
    switch (rows) {
    case 7: tall_strip(acc, stride, accumulate, products, count, width, 7); break;
    case 8: tall_strip(acc, stride, accumulate, products, count, width, 8); break;
    case 9: tall_strip(acc, stride, accumulate, products, count, width, 9); break;
    case 10: tall_strip(acc, stride, accumulate, products, count, width, 10); break;
    case 11: tall_strip(acc, stride, accumulate, products, count, width, 11); break;
    default: tall_strip(acc, stride, accumulate, products, count, width, 12); break;
    }
}
#else
#define TALL 6
#endif

static void tile_f32(float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows, int32_t width) {
#if TILE_VECTORS == 4 && LANES == 16
    if (rows > ATTUNE_TILE) {
        tall_f32(acc, stride, accumulate, products, count, rows, width);
        return;
    }
#endif
    switch (rows) {
    case 1: strips_f32(acc, stride, accumulate, products, count, width, 1); break;
    case 2: strips_f32(acc, stride, accumulate, products, count, width, 2); break;
    case 3: strips_f32(acc, stride, accumulate, products, count, width, 3); break;
    case 4: strips_f32(acc, stride, accumulate, products, count, width, 4); break;
    case 5: strips_f32(acc, stride, accumulate, products, count, width, 5); break;
    default: strips_f32(acc, stride, accumulate, products, count, width, 6); break;
    }
}

// MARK: The tile over bfloat16 panels

#ifndef PREFETCH_PAIRS
#define PREFETCH_PAIRS 48
#endif
typedef uint32_t TU __attribute__((vector_size(4 * LANES), aligned(4)));

INLINE void strip_pairs(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int64_t column, const int rows, const int vectors) {
    T sum[ATTUNE_TILE][TILE_VECTORS];
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < vectors; j++) {
            sum[m][j] = (T){0};
            if (accumulate) memcpy(&sum[m][j], acc + m * stride + column + j * LANES, sizeof(T));
        }
    for (int64_t index = 0; index < count; index++) {
        const attune_product *product = products + index;
        const uint16_t *panel = (const uint16_t *)product->panel + 2 * column;
        const float *row[ATTUNE_TILE];
        for (int m = 0; m < rows; m++) row[m] = product->rows[m];
        int64_t k = product->k;
        for (int64_t i = 0; i < k; i += 2, panel += 2 * ATTUNE_PANEL) {
            TU b[TILE_VECTORS];
            for (int j = 0; j < vectors; j++) {
                memcpy(&b[j], panel + 2 * j * LANES, sizeof(TU));
                // The weights come from memory once; ask for them well ahead, across page borders too.
                if (j * LANES % 16 == 0) __builtin_prefetch(panel + 2 * j * LANES + PREFETCH_PAIRS * 2 * ATTUNE_PANEL);
            }
            for (int m = 0; m < rows; m++) {
                T a = row[m][i] - (T){0};
                for (int j = 0; j < vectors; j++) sum[m][j] += a * (T)(b[j] << 16);
            }
            if (i + 1 == k) break;
            for (int m = 0; m < rows; m++) {
                T a = row[m][i + 1] - (T){0};
                for (int j = 0; j < vectors; j++) sum[m][j] += a * (T)(b[j] & 0xFFFF0000);
            }
        }
    }
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < vectors; j++) memcpy(acc + m * stride + column + j * LANES, &sum[m][j], sizeof(T));
}

INLINE void strips_pairs(float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t width, const int rows) {
    for (int64_t column = 0; column < 16 * width; column += TILE_VECTORS * LANES)
        strip_pairs(acc, stride, accumulate, products, count, column, rows, TILE_VECTORS);
}

static void tile_pairs(float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows, int32_t width) {
    switch (rows) {
    case 1: strips_pairs(acc, stride, accumulate, products, count, width, 1); break;
    case 2: strips_pairs(acc, stride, accumulate, products, count, width, 2); break;
    case 3: strips_pairs(acc, stride, accumulate, products, count, width, 3); break;
    case 4: strips_pairs(acc, stride, accumulate, products, count, width, 4); break;
    case 5: strips_pairs(acc, stride, accumulate, products, count, width, 5); break;
    default: strips_pairs(acc, stride, accumulate, products, count, width, 6); break;
    }
}

#ifndef TILE_4BIT
#define TILE_4BIT NULL
#endif

#define VECTOR_TABLE(symbol, label, bf16_tile)                                                                        \
    const attune_kernels symbol = {                                                                                   \
        .name = label, .tall = TALL, .widen = widen, .narrow = narrow, .tile_f32 = tile_f32, .tile_bf16 = bf16_tile, .dot = dot,     \
        .max = row_max, .finish = finish, .add = row_add, .scale = row_scale, .multiply = row_multiply,               \
        .multiply_add = multiply_add, .norm = norm, .norm_dot = norm_dot, .norm_backward = norm_backward,             \
        .rotate = rotate, .gated = gated, .gated_backward = gated_backward, .exp_sum = exp_sum, .cap = cap,           \
        .soften = soften, .soften_backward = soften_backward, .logit_gradient = logit_gradient, .uniform = uniform, .mask = mask,         \
        .adamw = adamw, .transpose_block16 = transpose_block16, .transpose_block32 = transpose_block32,               \
        .pack_rows32 = pack_rows32, .pack_pairs16 = pack_pairs16, .widen_pairs = widen_pairs, .tile_pairs = tile_pairs, .tile_4bit = TILE_4BIT, .widen_lines = widen_lines, \
        .expand_4bit = expand_4bit,                                                                                   \
    }
