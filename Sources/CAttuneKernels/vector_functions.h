// Vectors of sixteen floats, conversions and the functions of a transformer on them. Part of vector_kernels.h.
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

#ifndef OWN_LOADS
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
#endif
INLINE V all(float x) { return (V){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
INLINE V as_float(U x) { return (V)x; }
INLINE U as_bits(V x) { return (U)x; }
INLINE V choose(I mask, V yes, V no) { return (V)(((I)yes & mask) | ((I)no & ~mask)); }
INLINE V vmax(V a, V b) { return choose(a > b, a, b); }
INLINE V vmin(V a, V b) { return choose(a < b, a, b); }
#ifndef OWN_LANES
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
#endif

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
// For what only a tile of pairs reads.
#ifndef ROUND_BF16
#define ROUND_BF16 narrow_bf16
#endif
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

// Up to sixteen of the n elements of a row of some type, from the i-th on.
INLINE V load_as(const void *x, const int32_t dtype, int64_t i, int64_t n) {
    if (dtype == ATTUNE_F32) return load((const float *)x + i, n - i);
    H half = load16((const uint16_t *)x + i, n - i);
    return dtype == ATTUNE_BF16 ? widen_bf16(half) : F16_LOAD(half);
}
INLINE void store_as(void *x, const int32_t dtype, int64_t i, int64_t n, V v) {
    if (dtype == ATTUNE_F32) store((float *)x + i, v, n - i);
    else store16((uint16_t *)x + i, dtype == ATTUNE_BF16 ? narrow_bf16(v) : F16_STORE(v), n - i);
}

static void widen(float *out, const void *inp, int32_t dtype, int64_t n) {
    const uint16_t *x = inp;
    if (dtype == ATTUNE_F32) {
        memcpy(out, inp, (size_t)n * 4);
    } else if (dtype == ATTUNE_BF16) {
        int64_t i = 0;
        for (; i + 64 <= n; i += 64) {
            // What is converted was written a while ago; asked for a kilobyte ahead, over the end of the row too.
            __builtin_prefetch(x + i + 512);
            __builtin_prefetch(x + i + 544);
            UNROLL for (int j = 0; j < 64; j += 16) store(out + i + j, widen_bf16(load16(x + i + j, 16)), 16);
        }
        for (; i < n; i += 16) store(out + i, widen_bf16(load16(x + i, n - i)), n - i);
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
        for (int64_t r = 0; r < rows; r++, half += stride, out += out_stride) {
            __builtin_prefetch(half + 12 * stride);
            __builtin_prefetch(half + 12 * stride + 32);
            for (int j = 0; j < 64; j += 16) store(out + j, widen_bf16(load16(half + j, 16)), 16);
        }
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
INLINE V vexp_within(V y) {
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
    return SCALE_BY_POWER(p, n);
#else
    I k = (I)as_bits(shifted) - 0x4B400000;
    I half = k >> 1;
    return p * (V)((half + 127) << 23) * (V)((k - half + 127) << 23);
#endif
}
INLINE V vexp(V x) {
    V result = vexp_within(vmin(vmax(x, all(-87.3f)), all(89.0f)));
    result = choose(x < all(-87.3f), all(0.0f), result);
    return choose(x != x, x, result);
}
// The same bits for scores less their largest or their log-sum, which are not above 89.
INLINE V vexp_score(V x) { return choose(x < all(-87.3f), all(0.0f), vexp_within(x)); }

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
