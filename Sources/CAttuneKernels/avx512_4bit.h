// Four-bit panels with AVX-512: a code's value is a permutation of the codebook in a register, times the scale of its
// row, rounded once to the compute type: what dequantizing first would give.
//
// A panel holds sixteen k of a column in two words, [in/16][64][2]: the even k's codes in the first, the odd ones' in the
// second, the lowest nibble first. So a vector of eight columns gives, shifted right by 4p, what a k-pair needs of them:
// lane 2n is column n at k = 2p, lane 2n + 1 the same column at k = 2p + 1. The permutation looks at the lowest four bits
// of a lane alone, so nothing is masked.
#define OWN_EXPAND

// Sixteen scales as those of the lanes of columns 0–7 and 8–15.
INLINE void lane_scales(__m512 lanes[2], const float *scales) {
    const __m512i lower = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m512i upper = _mm512_add_epi32(lower, _mm512_set1_epi32(8));
    __m512 all = _mm512_loadu_ps(scales);
    lanes[0] = _mm512_permutexvar_ps(lower, all);
    lanes[1] = _mm512_permutexvar_ps(upper, all);
}

INLINE __m512 value_4bit(
    __m512i codes, const int shift, __m512 table, __m512 scale) {
    return _mm512_mul_ps(_mm512_permutexvar_ps(_mm512_srli_epi32(codes, shift), table), scale);
}

#ifndef BF16_PAIRS
// Values of lanes in k-pair order as bfloat16, those of columns 0–7 first.
INLINE __m512i bf16_pairs(__m512 lower, __m512 upper) {
    const __m512i halves = _mm512_setr_epi64(0, 1, 2, 3, 8, 9, 10, 11);
    __m256i a = _mm512_cvtepi32_epi16(_mm512_srli_epi32(round_bf16(lower), 16));
    __m256i b = _mm512_cvtepi32_epi16(_mm512_srli_epi32(round_bf16(upper), 16));
    return _mm512_permutex2var_epi64(_mm512_castsi256_si512(a), halves, _mm512_castsi256_si512(b));
}
#define BF16_PAIRS bf16_pairs
#endif

INLINE __m512i f16_pairs(__m512 lower, __m512 upper) {
    __m256i a = _mm512_cvtps_ph(lower, _MM_FROUND_TO_NEAREST_INT);
    __m256i b = _mm512_cvtps_ph(upper, _MM_FROUND_TO_NEAREST_INT);
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

INLINE __m512 round_line(__m512 x, const int32_t dtype) {
    if (dtype == ATTUNE_BF16) return round_to_bf16(x);
    if (dtype == ATTUNE_F16) return _mm512_cvtph_ps(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    return x;
}

// Eight k-pairs of sixteen columns as k-pairs [8][64][2] of a 16-bit type.
INLINE void expand_pairs(
    uint16_t *out, const int32_t dtype, const uint8_t *codes, const __m512 scale[2], __m512 table) {
    __m512i lower = _mm512_loadu_si512(codes), upper = _mm512_loadu_si512(codes + 64);
    UNROLL for (int p = 0; p < 8; p++) {
        __m512 a = value_4bit(lower, 4 * p, table, scale[0]), b = value_4bit(upper, 4 * p, table, scale[1]);
        _mm512_storeu_si512(out + p * 128, dtype == ATTUNE_BF16 ? BF16_PAIRS(a, b) : f16_pairs(a, b));
    }
}

// Sixteen columns' words of the even and of the odd k.
INLINE void part_words(__m512i *even, __m512i *odd, const uint8_t *codes) {
    const __m512i evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    __m512i lower = _mm512_loadu_si512(codes), upper = _mm512_loadu_si512(codes + 64);
    *even = _mm512_permutex2var_epi32(lower, evens, upper);
    *odd = _mm512_permutex2var_epi32(lower, _mm512_add_epi32(evens, _mm512_set1_epi32(1)), upper);
}

// The same as sixteen float32 lines [16][64].
INLINE void expand_lines(
    float *out, const int32_t dtype, const uint8_t *codes, __m512 scale, __m512 table) {
    __m512i even, odd;
    part_words(&even, &odd, codes);
    UNROLL for (int p = 0; p < 8; p++) {
        _mm512_storeu_ps(out + 2 * p * 64, round_line(value_4bit(even, 4 * p, table, scale), dtype));
        _mm512_storeu_ps(out + (2 * p + 1) * 64, round_line(value_4bit(odd, 4 * p, table, scale), dtype));
    }
}

INLINE void expand_4bit_as(
    void *out, const int32_t dtype, const int32_t lines, const uint8_t *codes, const float *scales,
    const float *codebook, int64_t pairs) {
    const __m512 table = _mm512_loadu_ps(codebook);
    __m512 scale[4], lanes[4][2];
    for (int j = 0; j < 4; j++) {
        scale[j] = _mm512_loadu_ps(scales + 16 * j);
        lane_scales(lanes[j], scales + 16 * j);
    }
    for (int64_t p = 0; p < pairs; p += 8, codes += 512) {
        for (int j = 0; j < 4; j++) {
            if (lines) expand_lines((float *)out + 2 * p * 64 + 16 * j, dtype, codes + 128 * j, scale[j], table);
            else expand_pairs((uint16_t *)out + p * 128 + 32 * j, dtype, codes + 128 * j, lanes[j], table);
        }
    }
}

static void expand_4bit(
    void *out, int32_t dtype, int32_t lines, const uint8_t *codes, const float *scales, const float *codebook,
    int64_t pairs) {
    if (dtype == ATTUNE_F32) expand_4bit_as(out, ATTUNE_F32, 1, codes, scales, codebook, pairs);
    else if (dtype == ATTUNE_BF16 && lines) expand_4bit_as(out, ATTUNE_BF16, 1, codes, scales, codebook, pairs);
    else if (dtype == ATTUNE_BF16) expand_4bit_as(out, ATTUNE_BF16, 0, codes, scales, codebook, pairs);
    else if (lines) expand_4bit_as(out, ATTUNE_F16, 1, codes, scales, codebook, pairs);
    else expand_4bit_as(out, ATTUNE_F16, 0, codes, scales, codebook, pairs);
}

#define CODES_AHEAD 2048  // bytes
#define SCALES_AHEAD 128  // of them, two blocks

// One to three float32 rows times a four-bit panel, expanded in registers: the same values and sums as expanding first.
INLINE void tile_4bit_of(
    float *acc, const float *const *row, int64_t k, const uint8_t *codes, const float *scales, const float *codebook,
    int64_t block, const int rows, const int vectors, const int32_t dtype) {
    const __m512 table = _mm512_loadu_ps(codebook);
    __m512 sum[3][4];
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < vectors; j++) sum[m][j] = _mm512_setzero_ps();
    for (int64_t start = 0; start < k; start += block, scales += 64) {
        __m512 scale[4];
        for (int j = 0; j < vectors; j++) scale[j] = _mm512_loadu_ps(scales + 16 * j);
        for (int64_t i = start; i < start + block; i += 16, codes += 512) {
            for (int line = 0; line < 512; line += 64) __builtin_prefetch(codes + CODES_AHEAD + line);
            UNROLL for (int j = 0; j < vectors; j++) {
                __m512i even, odd;
                part_words(&even, &odd, codes + 128 * j);
                UNROLL for (int p = 0; p < 8; p++) {
                    __m512 low = round_line(value_4bit(even, 4 * p, table, scale[j]), dtype);
                    __m512 high = round_line(value_4bit(odd, 4 * p, table, scale[j]), dtype);
                    for (int m = 0; m < rows; m++) {
                        sum[m][j] = _mm512_fmadd_ps(_mm512_set1_ps(row[m][i + 2 * p]), low, sum[m][j]);
                        sum[m][j] = _mm512_fmadd_ps(_mm512_set1_ps(row[m][i + 2 * p + 1]), high, sum[m][j]);
                    }
                }
            }
        }
    }
    for (int m = 0; m < rows; m++)
        for (int j = 0; j < vectors; j++) _mm512_storeu_ps(acc + m * ATTUNE_PANEL + 16 * j, sum[m][j]);
}

static void tile_4bit(
    float *acc, const void *const *rows, int64_t k, const uint8_t *codes, const float *scales, const float *codebook,
    int64_t block, int32_t count, int32_t width, int32_t dtype, const attune_wanted *wanted) {
    (void)wanted;
    const float *const *row = (const float *const *)rows;
#define ROWS_4BIT(rows, type)                                                                    \
    if (width <= 2) tile_4bit_of(acc, row, k, codes, scales, codebook, block, rows, 2, type);     \
    else tile_4bit_of(acc, row, k, codes, scales, codebook, block, rows, 4, type)
#define COUNT_4BIT(type)                                \
    if (count == 1) { ROWS_4BIT(1, type); }             \
    else if (count == 2) { ROWS_4BIT(2, type); }        \
    else { ROWS_4BIT(3, type); }
    if (dtype == ATTUNE_BF16) {
        COUNT_4BIT(ATTUNE_BF16)
    } else {
        COUNT_4BIT(ATTUNE_F32)
    }
}
#define TILE_4BIT tile_4bit
