// The vector kernels on the baseline of the architecture: SSE2 on x86-64, NEON on arm64.
#if defined(__aarch64__)
#define LANES 4
#define TILE_VECTORS 4
#else
#define LANES 4
#define TILE_VECTORS 2
#endif
#include "vector_kernels.h"

VECTOR_TABLE(attune_kernels_portable, "portable", NULL);
