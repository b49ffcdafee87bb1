// The vector kernels for AVX-512 without the bfloat16 dot product (Skylake-X, Ice Lake); the f32 tile is 6×64.
#if defined(__x86_64__)
#include <immintrin.h>
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c,bmi2"))), \
                             apply_to = function)
#include "avx512_pieces.h"
#include "avx512_4bit.h"
#include "vector_kernels.h"

VECTOR_TABLE(attune_kernels_avx512, "avx512", NULL);
#pragma clang attribute pop
#endif
extern int attune_kernels_avx512_file;
int attune_kernels_avx512_file = 1;
