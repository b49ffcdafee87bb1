#ifndef CATTUNEKERNELS_H
#define CATTUNEKERNELS_H
int attune_kernels_version(void);
#endif
