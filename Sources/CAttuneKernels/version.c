#include "CAttuneKernels.h"
int attune_kernels_version(void) { return 1; }
