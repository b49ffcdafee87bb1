// What the two AVX-512 files share: half conversions, register transpositions and rounding.
#include <immintrin.h>
#include <math.h>
#include "machine.h"

#define LANES 16
#define TILE_VECTORS 4
#define F16_LOAD f16_load
#define F16_STORE f16_store
#define OWN_TRANSPOSE

// Reads and writes of up to sixteen elements, masked where the row ends.
#define OWN_LOADS
INLINE __mmask16 lanes_of(int64_t left) { return (__mmask16)_bzhi_u32(0xFFFF, left >= 16 ? 16 : (uint32_t)left); }
#define load(p, left) ((V)_mm512_maskz_loadu_ps(lanes_of(left), p))
#define store(p, v, left) _mm512_mask_storeu_ps(p, lanes_of(left), (__m512)(v))
#define load16(p, left) ((H)_mm256_maskz_loadu_epi16(lanes_of(left), p))
#define store16(p, h, left) _mm256_mask_storeu_epi16(p, lanes_of(left), (__m256i)(h))

typedef float F16V __attribute__((vector_size(64), aligned(4)));
typedef uint16_t F16H __attribute__((vector_size(32), aligned(2)));
// The halves folded twice, then the pairs: the tree every instruction set sums in.
#define OWN_LANES
INLINE float lanes_sum(F16V v) {
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
INLINE float lanes_max(F16V v) { return _mm512_reduce_max_ps((__m512)v); }

// p·2ⁿ in one instruction, right at both ends of the range.
#define SCALE_BY_POWER(p, n) ((V)_mm512_scalef_ps((__m512)(p), (__m512)(n)))

static inline __attribute__((always_inline)) F16V f16_load(F16H h) {
    __m256i half;
    memcpy(&half, &h, 32);
    return (F16V)_mm512_cvtph_ps(half);
}
static inline __attribute__((always_inline)) F16H f16_store(F16V v) {
    __m256i half = _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT);
    F16H h;
    memcpy(&h, &half, 32);
    return h;
}

// Sixteen rows of sixteen 32-bit elements, turned in registers.
static inline __attribute__((always_inline)) void turn16(__m512i r[16]) {
    __m512i t[16];
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xDD);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xDD);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xDD);
    }
}

static void pack_rows32(uint32_t *out, const uint32_t *const *rows, int64_t count, int64_t k) {
    for (int64_t n0 = 0; n0 < count; n0 += 16) {
        for (int64_t k0 = 0; k0 < k; k0 += 16) {
            __mmask16 mask = k - k0 >= 16 ? 0xFFFF : (__mmask16)((1u << (k - k0)) - 1);
            __m512i r[16];
            for (int i = 0; i < 16; i++)
                r[i] = n0 + i < count ? _mm512_maskz_loadu_epi32(mask, rows[n0 + i] + k0) : _mm512_setzero_si512();
            turn16(r);
            int64_t lines = attune_min(16, k - k0);
            for (int64_t i = 0; i < 16; i++)
                if (i < lines) _mm512_storeu_si512(out + (k0 + i) * 64 + n0, r[i]);
        }
    }
}

static void transpose_block32(float *out, const float *block) {
    for (int64_t i0 = 0; i0 < 64; i0 += 16) {
        for (int64_t j0 = 0; j0 < 64; j0 += 16) {
            __m512i r[16];
            for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(block + (i0 + i) * 64 + j0);
            turn16(r);
            for (int i = 0; i < 16; i++) _mm512_storeu_si512(out + (j0 + i) * 64 + i0, r[i]);
        }
    }
}

// Eight rows of eight 64-bit elements, each a 2×2 square of 16-bit values that is turned too.
static void transpose_block16(uint16_t *out, const uint16_t *block) {
    const __m512i turn = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
    for (int64_t k0 = 0; k0 < 32; k0 += 8) {
        for (int64_t p0 = 0; p0 < 32; p0 += 8) {
            __m512i r[8], t[8];
            for (int i = 0; i < 8; i++)
                r[i] = _mm512_shuffle_epi8(_mm512_loadu_si512(block + (k0 + i) * 128 + p0 * 4), turn);
            for (int i = 0; i < 4; i++) {
                t[2 * i] = _mm512_unpacklo_epi64(r[2 * i], r[2 * i + 1]);
                t[2 * i + 1] = _mm512_unpackhi_epi64(r[2 * i], r[2 * i + 1]);
            }
            for (int i = 0; i < 2; i++) {
                r[i] = _mm512_shuffle_i64x2(t[i], t[i + 2], 0x88);
                r[i + 2] = _mm512_shuffle_i64x2(t[i], t[i + 2], 0xDD);
                r[i + 4] = _mm512_shuffle_i64x2(t[i + 4], t[i + 6], 0x88);
                r[i + 6] = _mm512_shuffle_i64x2(t[i + 4], t[i + 6], 0xDD);
            }
            for (int i = 0; i < 2; i++) {
                t[i] = _mm512_shuffle_i64x2(r[i], r[i + 4], 0x88);
                t[i + 4] = _mm512_shuffle_i64x2(r[i], r[i + 4], 0xDD);
                t[i + 2] = _mm512_shuffle_i64x2(r[i + 2], r[i + 6], 0x88);
                t[i + 6] = _mm512_shuffle_i64x2(r[i + 2], r[i + 6], 0xDD);
            }
            for (int i = 0; i < 8; i++) _mm512_storeu_si512(out + (p0 + i) * 128 + k0 * 4, t[i]);
        }
    }
}

static inline __attribute__((always_inline)) __m512i round_bf16(__m512 x) {
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
}

// The float32 nearest to x that bfloat16 holds, ties to even: Veltkamp's splitting at 16 bits with a fused first step.
// For every significand equal to rounding the bits, where neither x nor 2¹⁶·x leaves the normal range (packing sees to
// that).
static inline __attribute__((always_inline)) __m512 round_to_bf16(__m512 x) {
    __m512 c = _mm512_fmadd_ps(x, _mm512_set1_ps(65536.0f), x);
    return _mm512_sub_ps(c, _mm512_sub_ps(c, x));
}

// Codes widened to 16 bits sixteen columns at a time; one instruction multiplies and adds a pair.
#define OWN_SCREEN
INLINE void screen_panel_of(
    float *sums, const int8_t *codes, const int16_t *const *rows, int64_t pairs, const int count) {
    __m512 sum[4][4];
    for (int m = 0; m < count; m++)
        for (int j = 0; j < 4; j++) sum[m][j] = _mm512_setzero_ps();
    for (int64_t start = 0; start < pairs; start += ATTUNE_SCREEN_RUN) {
        __m512i run[4][4];
        for (int m = 0; m < count; m++)
            for (int j = 0; j < 4; j++) run[m][j] = _mm512_setzero_si512();
        int64_t end = attune_min(pairs, start + ATTUNE_SCREEN_RUN);
        for (int64_t p = start; p < end; p++) {
            const int8_t *pair = codes + p * 2 * ATTUNE_PANEL;
            __m512i wide[4];
            for (int j = 0; j < 4; j++)
                wide[j] = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(pair + 32 * j)));
            for (int m = 0; m < count; m++) {
                int32_t two;
                memcpy(&two, rows[m] + 2 * p, 4);
                __m512i x = _mm512_set1_epi32(two);
                for (int j = 0; j < 4; j++) run[m][j] = _mm512_add_epi32(run[m][j], _mm512_madd_epi16(wide[j], x));
            }
        }
        for (int m = 0; m < count; m++)
            for (int j = 0; j < 4; j++) sum[m][j] = _mm512_add_ps(sum[m][j], _mm512_cvtepi32_ps(run[m][j]));
    }
    for (int m = 0; m < count; m++)
        for (int j = 0; j < 4; j++) _mm512_storeu_ps(sums + m * ATTUNE_PANEL + 16 * j, sum[m][j]);
}

static void screen_panel(
    float *sums, const int8_t *codes, const int16_t *const *rows, int64_t pairs, int32_t count) {
    switch (count) {
    case 1: screen_panel_of(sums, codes, rows, pairs, 1); break;
    case 2: screen_panel_of(sums, codes, rows, pairs, 2); break;
    case 3: screen_panel_of(sums, codes, rows, pairs, 3); break;
    default: screen_panel_of(sums, codes, rows, pairs, 4); break;
    }
}
