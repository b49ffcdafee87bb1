// The vector kernels for AVX2 with FMA and F16C; the tile is 6×16, twelve accumulators of sixteen registers.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>
#include "machine.h"

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define LANES 8
#define TILE_VECTORS 2
#define F16_LOAD f16_load
#define F16_STORE f16_store
// Inlined everywhere, so no calling convention is involved.
#pragma clang diagnostic ignored "-Wpsabi"
typedef float F16V __attribute__((vector_size(64), aligned(4)));
typedef uint16_t F16H __attribute__((vector_size(32), aligned(2)));
static inline __attribute__((always_inline)) F16V f16_load(F16H h) {
    __m128i half[2];
    memcpy(half, &h, 32);
    __m256 wide[2] = {_mm256_cvtph_ps(half[0]), _mm256_cvtph_ps(half[1])};
    F16V v;
    memcpy(&v, wide, 64);
    return v;
}
static inline __attribute__((always_inline)) F16H f16_store(F16V v) {
    __m256 wide[2];
    memcpy(wide, &v, 64);
    __m128i half[2] = {
        _mm256_cvtps_ph(wide[0], _MM_FROUND_TO_NEAREST_INT), _mm256_cvtps_ph(wide[1], _MM_FROUND_TO_NEAREST_INT)};
    F16H h;
    memcpy(&h, half, 32);
    return h;
}
#include "vector_kernels.h"

VECTOR_TABLE(attune_kernels_avx2, "avx2", NULL);

#pragma clang attribute pop
#endif
extern int attune_kernels_avx2_file;
int attune_kernels_avx2_file = 1;
