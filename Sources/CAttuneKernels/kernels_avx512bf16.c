// AVX-512 with the bfloat16 dot product (Cooper Lake, Zen 4, Sapphire Rapids): the 6×64 tile of k-pairs.
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx2,fma,f16c,bmi2"))), apply_to = function)
#include "avx512_pieces.h"
#define BF16_PAIRS(lower, upper) ((__m512i)_mm512_cvtne2ps_pbh(upper, lower))
#include "avx512_4bit.h"
#define ROUND_BF16(v) ((H)_mm512_cvtneps_pbh((__m512)(v)))
#define PAIR_BF16 pair_bf16
#define MULTIPLY_ROUNDS_BF16 dot_rounds
#define TILE_4BIT_BF16 tile_4bit_bf16
#define TILE_BF16_LINES tile_bf16_lines

// Asks for one or two lines of what is wanted; returns the next address.
INLINE const char *fetch_lines(const attune_wanted **wanted, const char *ahead, const int lines) {
    __builtin_prefetch(ahead, 0, 2);
    if (lines == 2) __builtin_prefetch(ahead + 64, 0, 2);
    ahead += 64 * lines;
    if (ahead - (*wanted)->at < (*wanted)->bytes) return ahead;
    return (++*wanted)->at;
}

// One to four bfloat16 rows times a four-bit panel, expanded in registers: the sums tile_bf16 gives over the expanded
// panel.
INLINE void tile_4bit_bf16_of(
    float *acc, const void *const *rows, int64_t k, const uint8_t *codes, const float *scales, const float *codebook,
    int64_t block, const int count, const int vectors, const attune_wanted *wanted) {
    const __m512 table = _mm512_loadu_ps(codebook);
    __m512 sum[4][4];
    for (int m = 0; m < count; m++)
        for (int j = 0; j < vectors; j++) sum[m][j] = _mm512_setzero_ps();
    const char *ahead = wanted->at;
    for (int64_t start = 0; start < k; start += block, scales += 64) {
        __m512 scale[4][2];
        for (int j = 0; j < vectors; j++) lane_scales(scale[j], scales + 16 * j);
        for (int j = 0; j < vectors; j++) __builtin_prefetch(scales + SCALES_AHEAD + 16 * j);
        for (int64_t i = start; i < start + block; i += 16, codes += 512) {
            for (int line = 0; line < 512; line += 64) __builtin_prefetch(codes + CODES_AHEAD + line);
            ahead = fetch_lines(&wanted, ahead, 2);
            UNROLL for (int j = 0; j < vectors; j++) {
                __m512i lower = _mm512_loadu_si512(codes + 128 * j), upper = _mm512_loadu_si512(codes + 128 * j + 64);
                UNROLL for (int p = 0; p < 8; p++) {
                    __m512bh pairs = (__m512bh)BF16_PAIRS(
                        value_4bit(lower, 4 * p, table, scale[j][0]), value_4bit(upper, 4 * p, table, scale[j][1]));
                    for (int m = 0; m < count; m++) {
                        int32_t two;
                        memcpy(&two, (const uint16_t *)rows[m] + i + 2 * p, 4);
                        sum[m][j] = _mm512_dpbf16_ps(sum[m][j], pairs, (__m512bh)_mm512_set1_epi32(two));
                    }
                }
            }
        }
    }
    for (int m = 0; m < count; m++)
        for (int j = 0; j < vectors; j++) _mm512_storeu_ps(acc + m * ATTUNE_PANEL + 16 * j, sum[m][j]);
}

static void tile_4bit_bf16(
    float *acc, const void *const *rows, int64_t k, const uint8_t *codes, const float *scales, const float *codebook,
    int64_t block, int32_t count, int32_t width, int32_t dtype, const attune_wanted *wanted) {
    (void)dtype;
#define ROWS_4BIT_BF16(count)                                                                     \
    if (width <= 2) tile_4bit_bf16_of(acc, rows, k, codes, scales, codebook, block, count, 2, wanted);     \
    else tile_4bit_bf16_of(acc, rows, k, codes, scales, codebook, block, count, 4, wanted)
    switch (count) {
    case 1: ROWS_4BIT_BF16(1); break;
    case 2: ROWS_4BIT_BF16(2); break;
    case 3: ROWS_4BIT_BF16(3); break;
    default: ROWS_4BIT_BF16(4); break;
    }
}

#include "vector_kernels.h"

static void pair_bf16(uint16_t *out, const float *even, const float *odd) {
    const __m512i halves = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16,
        0);
    for (int j = 0; j < 64; j += 16) {
        __m512i both = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(odd + j), _mm512_loadu_ps(even + j));
        _mm512_storeu_si512(out + 2 * j, _mm512_permutexvar_epi16(halves, both));
    }
}

// One dot instruction takes two k of sixteen columns; activations are broadcast two elements at a time straight from
// their rows. It rounds to nearest even after each pair and treats denormals as zero.
INLINE void tile_bf16_of(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, const int rows,
    const int vectors, const int lines) {
    __m512 sum[ATTUNE_TILE][4];
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < vectors; j++)
            sum[m][j] = accumulate ? _mm512_loadu_ps(acc + m * stride + 16 * j) : _mm512_setzero_ps();
    for (int64_t index = 0; index < count; index++) {
        const attune_product *product = products + index;
        const uint16_t *panel = product->panel;
        const uint16_t *row[ATTUNE_TILE];
        for (int m = 0; m < rows; m++) row[m] = product->rows[m];
        int64_t step = 2 * product->step, end = product->k / 2 * step;
        const attune_wanted *wanted = product->wanted;
        const char *ahead = lines && index == 0 ? wanted->at : NULL;
        for (int64_t i = 0; i < end; i += step, panel += 2 * ATTUNE_PANEL) {
            if (lines && index == 0) ahead = fetch_lines(&wanted, ahead, lines);
            __m512bh b[4];
            for (int j = 0; j < vectors; j++) b[j] = (__m512bh)_mm512_loadu_si512(panel + 32 * j);
            for (int m = 0; m < rows; m++) {
                int32_t two;
                memcpy(&two, row[m] + i, 4);
                __m512bh a = (__m512bh)_mm512_set1_epi32(two);
                for (int j = 0; j < vectors; j++) sum[m][j] = _mm512_dpbf16_ps(sum[m][j], a, b[j]);
            }
        }
        if (product->k & 1) {
            for (int m = 0; m < rows; m++) {
                __m512bh a = (__m512bh)_mm512_set1_epi32(row[m][end]);
                for (int j = 0; j < vectors; j++)
                    sum[m][j] = _mm512_dpbf16_ps(sum[m][j], a, (__m512bh)_mm512_loadu_si512(panel + 32 * j));
            }
        }
    }
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < vectors; j++) _mm512_storeu_ps(acc + m * stride + 16 * j, sum[m][j]);
}

INLINE void tile_bf16_rows(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t width,
    const int rows) {
    switch (width) {
    case 1: tile_bf16_of(acc, stride, accumulate, products, count, rows, 1, 0); break;
    case 2: tile_bf16_of(acc, stride, accumulate, products, count, rows, 2, 0); break;
    case 3: tile_bf16_of(acc, stride, accumulate, products, count, rows, 3, 0); break;
    default:
        if (!products[0].wanted) tile_bf16_of(acc, stride, accumulate, products, count, rows, 4, 0);
        else if (products[0].wanted_lines == 1) tile_bf16_of(acc, stride, accumulate, products, count, rows, 4, 1);
        else tile_bf16_of(acc, stride, accumulate, products, count, rows, 4, 2);
    }
}

static void tile_bf16(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *products, int64_t count, int32_t rows,
    int32_t width) {
    switch (rows) {
    case 1: tile_bf16_rows(acc, stride, accumulate, products, count, width, 1); break;
    case 2: tile_bf16_rows(acc, stride, accumulate, products, count, width, 2); break;
    case 3: tile_bf16_rows(acc, stride, accumulate, products, count, width, 3); break;
    case 4: tile_bf16_rows(acc, stride, accumulate, products, count, width, 4); break;
    case 5: tile_bf16_rows(acc, stride, accumulate, products, count, width, 5); break;
    default: tile_bf16_rows(acc, stride, accumulate, products, count, width, 6); break;
    }
}

// The same over lines that are paired here: each serves few tiles, so packing them would cost more.
INLINE void tile_bf16_lines_of(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *product, const int rows, const int vectors) {
    const __m512i turns = _mm512_set_epi16(
        47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32,
        0);
    __m512 sum[ATTUNE_TILE][4];
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < vectors; j++)
            sum[m][j] = accumulate ? _mm512_loadu_ps(acc + m * stride + 16 * j) : _mm512_setzero_ps();
    const uint16_t *row[ATTUNE_TILE], *panel = product->panel;
    for (int m = 0; m < rows; m++) row[m] = product->rows[m];
    int64_t step = 2 * product->step, line = product->line;
    for (int64_t left = product->k, i = 0; left > 0; left -= 2, i += step, panel += 2 * line) {
        __m512bh b[4];
        for (int j = 0; j < vectors; j++) {
            __m256i even = _mm256_loadu_si256((const __m256i *)(panel + 16 * j)), odd = _mm256_setzero_si256();
            if (left > 1) odd = _mm256_loadu_si256((const __m256i *)(panel + line + 16 * j));
            b[j] = (__m512bh)_mm512_permutex2var_epi16(
                _mm512_castsi256_si512(even), turns, _mm512_castsi256_si512(odd));
        }
        for (int m = 0; m < rows; m++) {
            int32_t two = row[m][i];
            if (left > 1) memcpy(&two, row[m] + i, 4);
            __m512bh a = (__m512bh)_mm512_set1_epi32(two);
            for (int j = 0; j < vectors; j++) sum[m][j] = _mm512_dpbf16_ps(sum[m][j], a, b[j]);
        }
    }
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < vectors; j++) _mm512_storeu_ps(acc + m * stride + 16 * j, sum[m][j]);
}

#define ROWS_OF_LINES(rows)                                                                       \
    switch (width) {                                                                              \
    case 1: tile_bf16_lines_of(acc, stride, accumulate, product, rows, 1); break;                 \
    case 2: tile_bf16_lines_of(acc, stride, accumulate, product, rows, 2); break;                 \
    case 3: tile_bf16_lines_of(acc, stride, accumulate, product, rows, 3); break;                 \
    default: tile_bf16_lines_of(acc, stride, accumulate, product, rows, 4); break;                \
    }
static void tile_bf16_lines(
    float *acc, int64_t stride, int32_t accumulate, const attune_product *product, int32_t rows, int32_t width) {
    switch (rows) {
    case 1: ROWS_OF_LINES(1); break;
    case 2: ROWS_OF_LINES(2); break;
    case 3: ROWS_OF_LINES(3); break;
    case 4: ROWS_OF_LINES(4); break;
    case 5: ROWS_OF_LINES(5); break;
    default: ROWS_OF_LINES(6); break;
    }
}

// The limit of what the tile does: dot products of pairs.
static int64_t dot_rounds(float *sink, int64_t rounds) {
    __m512 sum[24];
    __m512bh a = (__m512bh)_mm512_set1_epi32((int32_t)attune_bits(sink[0]));
    UNROLL for (int i = 0; i < 24; i++) sum[i] = _mm512_setzero_ps();
    for (int64_t r = 0; r < rounds; r++) UNROLL for (int i = 0; i < 24; i++) sum[i] = _mm512_dpbf16_ps(sum[i], a, a);
    UNROLL for (int i = 1; i < 24; i++) sum[0] = _mm512_add_ps(sum[0], sum[i]);
    sink[0] = _mm512_cvtss_f32(sum[0]);
    return rounds * 24 * 64;
}

VECTOR_TABLE(attune_kernels_avx512bf16, "avx512bf16", tile_bf16);
#pragma clang attribute pop
#endif
extern int attune_kernels_avx512bf16_file;
int attune_kernels_avx512bf16_file = 1;
