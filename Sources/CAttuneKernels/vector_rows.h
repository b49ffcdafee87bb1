// Kernels over rows of float32: norms, activations, softmax pieces, random numbers, AdamW. Part of vector_kernels.h.
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
INLINE void finish_rows_as(
    void *out, const int32_t dtype, int64_t stride, const float *acc, const float *bias, const void *residual,
    const int32_t residual_dtype, int64_t residual_stride, float scale, int32_t rows, int64_t n) {
    for (int32_t m = 0; m < rows; m++, acc += ATTUNE_PANEL) {
        for (int64_t i = 0; i < n; i += 16) {
            int64_t left = n - i;
            V x = load(acc + i, 16);
            if (bias) x += load(bias + i, left);
            x *= all(scale);
            if (residual) {
                int64_t at = m * residual_stride + i;
                V r;
                if (residual_dtype == ATTUNE_F32) r = load((const float *)residual + at, left);
                else if (residual_dtype == ATTUNE_BF16) r = widen_bf16(load16((const uint16_t *)residual + at, left));
                else r = F16_LOAD(load16((const uint16_t *)residual + at, left));
                x += r;
            }
            int64_t at = m * stride + i;
            if (dtype == ATTUNE_F32) store((float *)out + at, x, left);
            else if (dtype == ATTUNE_BF16) store16((uint16_t *)out + at, narrow_bf16(x), left);
            else store16((uint16_t *)out + at, F16_STORE(x), left);
        }
    }
}
static void finish_rows(
    void *out, int32_t dtype, int64_t stride, const float *acc, const float *bias, const void *residual,
    int32_t residual_dtype, int64_t residual_stride, float scale, int32_t rows, int64_t n) {
    if (dtype == ATTUNE_BF16 && residual_dtype == ATTUNE_BF16 && n == 64)
        finish_rows_as(
            out, ATTUNE_BF16, stride, acc, bias, residual, ATTUNE_BF16, residual_stride, scale, rows, 64);
    else if (dtype == ATTUNE_F32 && residual_dtype == ATTUNE_F32 && n == 64)
        finish_rows_as(out, ATTUNE_F32, stride, acc, bias, residual, ATTUNE_F32, residual_stride, scale, rows, 64);
    else finish_rows_as(out, dtype, stride, acc, bias, residual, residual_dtype, residual_stride, scale, rows, n);
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
INLINE void gated_as(
    void *out, const void *gate, const void *up, const int32_t dtype, const int32_t function, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        V d, f = activate(load_as(gate, dtype, i, n), function, &d);
        store_as(out, dtype, i, n, f * load_as(up, dtype, i, n));
    }
}
INLINE void gated_backward_as(
    void *dgate, void *dup, void *out, const void *dout, const void *gate, const void *up, const int32_t dtype,
    const int32_t function, int64_t n) {
    for (int64_t i = 0; i < n; i += 16) {
        V d, u = load_as(up, dtype, i, n), g = load_as(dout, dtype, i, n);
        V f = activate(load_as(gate, dtype, i, n), function, &d);
        store_as(dgate, dtype, i, n, g * u * d);
        store_as(dup, dtype, i, n, g * f);
        if (out) store_as(out, dtype, i, n, f * u);
    }
}
// One loop for each type and function.
#define OF_FUNCTION(loop, dtype, ...)                                                       \
    if (function == ATTUNE_SILU) loop(__VA_ARGS__, dtype, ATTUNE_SILU, n);                   \
    else if (function == ATTUNE_GELU_TANH) loop(__VA_ARGS__, dtype, ATTUNE_GELU_TANH, n);    \
    else loop(__VA_ARGS__, dtype, ATTUNE_GELU, n)
#define OF_TYPE(loop, ...)                                                                  \
    if (dtype == ATTUNE_F32) { OF_FUNCTION(loop, ATTUNE_F32, __VA_ARGS__); }                 \
    else if (dtype == ATTUNE_BF16) { OF_FUNCTION(loop, ATTUNE_BF16, __VA_ARGS__); }          \
    else { OF_FUNCTION(loop, ATTUNE_F16, __VA_ARGS__); }
static void gated(void *out, const void *gate, const void *up, int32_t dtype, int32_t function, int64_t n) {
    OF_TYPE(gated_as, out, gate, up)
}
static void gated_backward(
    void *dgate, void *dup, void *out, const void *dout, const void *gate, const void *up, int32_t dtype,
    int32_t function, int64_t n) {
    OF_TYPE(gated_backward_as, dgate, dup, out, dout, gate, up)
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

// Rows step by step side by side: a row's own steps wait for one another.
static void soften(
    void *p, int32_t dtype, float *scores, const attune_score_row *rows, int32_t count, float *running_max,
    float *running_sum, float *shrink) {
    V distance = {0};
    for (int m = 0; m < count; m++) {
        V s[4];
        if (rows[m].first >= rows[m].last) continue;
        read_scores(s, scores + 64 * m, rows + m);
        float top = lanes_max(vmax(vmax(s[0], s[1]), vmax(s[2], s[3]))), old = running_max[m];
        running_max[m] = top > old ? top : old;
        distance[m] = old - running_max[m];
        for (int j = 0; j < 4; j++) store(scores + 64 * m + 16 * j, s[j], 16);
    }
    distance = vexp(distance);
    for (int m = 0; m < count; m++) {
        shrink[m] = distance[m];
        float *x = scores + 64 * m;
        V e[4] = {{0}};
        if (rows[m].first < rows[m].last) {
            for (int j = 0; j < 4; j++) e[j] = vexp_score(load(x + 16 * j, 16) - all(running_max[m]));
            running_sum[m] = running_sum[m] * shrink[m] + lanes_sum((e[0] + e[1]) + (e[2] + e[3]));
        }
        for (int j = 0; j < 4; j++) {
            if (dtype == ATTUNE_F32) store((float *)p + 64 * m + 16 * j, e[j], 16);
            else store16((uint16_t *)p + 64 * m + 16 * j, ROUND_BF16(e[j]), 16);
        }
    }
}

static void soften_backward(
    float *p, float *ds, uint16_t *narrow, const float *scores, const float *dp, const attune_score_row *row, float lse,
    float delta) {
    V s[4];
    read_scores(s, scores, row);
    for (int j = 0; j < 4; j++) {
        V q = vexp_score(s[j] - all(lse));
        V g = all(row->scale) * q * (load(dp + 16 * j, 16) - all(delta));
        if (row->softcap > 0) {
            V t = s[j] * all(1 / row->softcap);
            g *= all(1.0f) - t * t;
        }
        // Hidden keys may hold anything in dp and s.
        g = choose(s[j] == all(-INFINITY), all(0.0f), g);
        store(p + 16 * j, q, 16);
        store(ds + 16 * j, g, 16);
        if (narrow) store16(narrow + 16 * j, ROUND_BF16(g), 16);
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
