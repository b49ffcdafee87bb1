// Panels and the tiles over them. Part of vector_kernels.h.
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
    for (int64_t p = 0; p < pairs; p++) {
        for (int64_t n0 = 0; n0 < 64; n0 += 16) {
            float low[16], high[16];
            for (int64_t n = 0; n < 16; n++) {
                low[n] = codebook[attune_code_4bit(codes, 2 * p, n0 + n)] * scales[n0 + n];
                high[n] = codebook[attune_code_4bit(codes, 2 * p + 1, n0 + n)] * scales[n0 + n];
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
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int64_t column,
    const int rows, const int vectors) {
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
        int64_t end = product->k * product->step, step = product->step, line = product->line;
        for (int64_t i = 0; i < end; i += step, panel += line) {
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

INLINE void strips_f32(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t width,
    const int rows) {
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
// Narrow panels: more rows, so that enough sums run side by side and a loaded vector serves them all. Rows are evenly
// spaced, so four pointers and one distance reach twelve of them.
INLINE void tall_strip_of(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, const int rows,
    const int vectors) {
    T sum[ATTUNE_TALL][2];
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int j = 0; j < vectors; j++) {
            sum[m][j] = (T){0};
            if (accumulate) memcpy(&sum[m][j], acc + m * stride + j * LANES, sizeof(T));
        }
    for (int64_t index = 0; index < count; index++) {
        const attune_product *product = products + index;
        const float *panel = product->panel, *row = product->rows[0];
        int64_t distance = (const float *)product->rows[1] - row, step = product->step, line = product->line;
        const float *end = panel + product->k * line;
        const float *group[4] = {row, row + 3 * distance, row + 6 * distance, row + 9 * distance};
        for (; panel < end; panel += line) {
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
INLINE void tall_strip(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t width,
    const int rows) {
    if (width == 1) tall_strip_of(acc, stride, accumulate, products, count, rows, 1);
    else tall_strip_of(acc, stride, accumulate, products, count, rows, 2);
}
static void tall_f32(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows,
    int32_t width) {
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

static void tile_f32(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows,
    int32_t width) {
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
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int64_t column,
    const int rows, const int vectors) {
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

INLINE void strips_pairs(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t width,
    const int rows) {
    for (int64_t column = 0; column < 16 * width; column += TILE_VECTORS * LANES)
        strip_pairs(acc, stride, accumulate, products, count, column, rows, TILE_VECTORS);
}

#if TALL > ATTUNE_TILE
// More rows over half a panel: what is widened serves twice as many of them. Rows are evenly spaced.
INLINE void tall_pairs_of(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int64_t column,
    const int rows) {
    T sum[ATTUNE_TALL][2];
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int j = 0; j < 2; j++) {
            sum[m][j] = (T){0};
            if (accumulate) memcpy(&sum[m][j], acc + m * stride + column + j * LANES, sizeof(T));
        }
    for (int64_t index = 0; index < count; index++) {
        const attune_product *product = products + index;
        const uint16_t *panel = (const uint16_t *)product->panel + 2 * column;
        const float *row = product->rows[0];
        int64_t distance = (const float *)product->rows[1] - row, k = product->k;
        const float *group[4] = {row, row + 3 * distance, row + 6 * distance, row + 9 * distance};
        for (int64_t i = 0; i < k; i += 2, panel += 2 * ATTUNE_PANEL) {
            TU b[2];
            UNROLL for (int j = 0; j < 2; j++) {
                memcpy(&b[j], panel + 2 * j * LANES, sizeof(TU));
                __builtin_prefetch(panel + 2 * j * LANES + PREFETCH_PAIRS * 2 * ATTUNE_PANEL);
            }
            T low[2], high[2];
            UNROLL for (int j = 0; j < 2; j++) {
                low[j] = (T)(b[j] << 16);
                high[j] = (T)(b[j] & 0xFFFF0000);
            }
            UNROLL for (int m = 0; m < rows; m++) {
                T a = group[m / 3][(m % 3) * distance] - (T){0};
                UNROLL for (int j = 0; j < 2; j++) sum[m][j] += a * low[j];
            }
            if (i + 1 == k) break;
            UNROLL for (int m = 0; m < rows; m++) {
                T a = group[m / 3][(m % 3) * distance + 1] - (T){0};
                UNROLL for (int j = 0; j < 2; j++) sum[m][j] += a * high[j];
            }
            UNROLL for (int g = 0; 3 * g < rows; g++) group[g] += 2;
        }
    }
    UNROLL for (int m = 0; m < rows; m++)
        UNROLL for (int j = 0; j < 2; j++)
            memcpy(acc + m * stride + column + j * LANES, &sum[m][j], sizeof(T));
}
INLINE void tall_pairs(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t width,
    const int rows) {
    for (int64_t column = 0; column < 16 * width; column += 32)
        tall_pairs_of(acc, stride, accumulate, products, count, column, rows);
}
#endif

static void tile_pairs(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows,
    int32_t width) {
    switch (rows) {
#if TALL > ATTUNE_TILE
    case 7: tall_pairs(acc, stride, accumulate, products, count, width, 7); break;
    case 8: tall_pairs(acc, stride, accumulate, products, count, width, 8); break;
    case 9: tall_pairs(acc, stride, accumulate, products, count, width, 9); break;
    case 10: tall_pairs(acc, stride, accumulate, products, count, width, 10); break;
    case 11: tall_pairs(acc, stride, accumulate, products, count, width, 11); break;
    case 12: tall_pairs(acc, stride, accumulate, products, count, width, 12); break;
#endif
    case 1: strips_pairs(acc, stride, accumulate, products, count, width, 1); break;
    case 2: strips_pairs(acc, stride, accumulate, products, count, width, 2); break;
    case 3: strips_pairs(acc, stride, accumulate, products, count, width, 3); break;
    case 4: strips_pairs(acc, stride, accumulate, products, count, width, 4); break;
    case 5: strips_pairs(acc, stride, accumulate, products, count, width, 5); break;
    default: strips_pairs(acc, stride, accumulate, products, count, width, 6); break;
    }
}

// MARK: The machine's limit

#define LIMIT_SUMS (6 * TILE_VECTORS)
static int64_t multiply_rounds(float *sink, int64_t rounds) {
    T sum[LIMIT_SUMS], a = {0}, b = {0};
    a += sink[0] * 0.5f;
    b += sink[0];
    UNROLL for (int i = 0; i < LIMIT_SUMS; i++) sum[i] = b;
    for (int64_t r = 0; r < rounds; r++)
        UNROLL for (int i = 0; i < LIMIT_SUMS; i++) sum[i] = a * b + sum[i];
    T all = {0};
    UNROLL for (int i = 0; i < LIMIT_SUMS; i++) all += sum[i];
    sink[0] = all[0];
    return rounds * LIMIT_SUMS * LANES * 2;
}

#ifndef OWN_SCREEN
static void screen_panel(
    float *sums, const int8_t *codes, const int16_t *const *rows, int64_t pairs, int32_t count) {
    for (int32_t m = 0; m < count; m++) {
        float *row_sums = sums + m * ATTUNE_PANEL;
        memset(row_sums, 0, ATTUNE_PANEL * 4);
        for (int64_t start = 0; start < pairs; start += ATTUNE_SCREEN_RUN) {
            int32_t run[ATTUNE_PANEL] = {0};
            int64_t end = attune_min(pairs, start + ATTUNE_SCREEN_RUN);
            for (int64_t p = start; p < end; p++) {
                const int8_t *pair = codes + p * 2 * ATTUNE_PANEL;
                int32_t even = rows[m][2 * p], odd = rows[m][2 * p + 1];
                for (int n = 0; n < ATTUNE_PANEL; n++) run[n] += even * pair[2 * n] + odd * pair[2 * n + 1];
            }
            for (int n = 0; n < ATTUNE_PANEL; n++) row_sums[n] += (float)run[n];
        }
    }
}
#endif
