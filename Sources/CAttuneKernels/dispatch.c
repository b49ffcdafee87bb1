// Which table this machine can use.
#include "machine.h"

const attune_kernels *attune_kernels_table(int32_t isa) {
    switch (isa) {
    case ATTUNE_ISA_SCALAR: return &attune_kernels_scalar;
    case ATTUNE_ISA_PORTABLE: return &attune_kernels_portable;
#if defined(__x86_64__)
    case ATTUNE_ISA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c")
                   ? &attune_kernels_avx2
                   : NULL;
    case ATTUNE_ISA_AVX512:
        return attune_kernels_table(ATTUNE_ISA_AVX2) && __builtin_cpu_supports("avx512f") &&
                       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("bmi2")
                   ? &attune_kernels_avx512
                   : NULL;
    case ATTUNE_ISA_AVX512BF16:
        return attune_kernels_table(ATTUNE_ISA_AVX512) && __builtin_cpu_supports("avx512bf16")
                   ? &attune_kernels_avx512bf16
                   : NULL;
#endif
    default: return NULL;
    }
}

// AMD runs the bfloat16 dot product at twice the rate of float32, Intel at half of it (measured on Sapphire Rapids: 87
// against 190 GFLOP/s a core), so there widening and multiplying in float32 is faster as well as closer.
static int dot_product_is_fast(void) {
#if defined(__x86_64__)
    return __builtin_cpu_is("amd");
#else
    return 0;
#endif
}

int32_t attune_best_isa(void) {
    for (int32_t isa = ATTUNE_ISA_COUNT - 1; isa > 0; isa--)
        if (attune_kernels_table(isa) && (isa != ATTUNE_ISA_AVX512BF16 || dot_product_is_fast())) return isa;
    return ATTUNE_ISA_SCALAR;
}

const char *attune_isa_name(int32_t isa) {
    static const char *const names[] = {"scalar", "portable", "avx2", "avx512", "avx512bf16"};
    return isa >= 0 && isa < ATTUNE_ISA_COUNT ? names[isa] : "none";
}
